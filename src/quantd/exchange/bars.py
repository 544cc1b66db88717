"""Matching by bars: what an order would have got in an interval of which only four prices are known.

Each account meets the bar alone; accounts do not trade with each other. In this order, the worse case first where the
bar leaves it open:

1. At the open: arrivals in order of acceptance (market orders at the open, limits that the open crosses at the open),
   then standing limits and stops that the open has passed, at the open.
2. Stops within the range, at their trigger. A stop limit that triggers fills only where its limit admits the trigger;
   else it rests from the next bar on.
3. Margin: an account that the bar's worse end brings to its close-out level is closed out at the price where it came
   there, at the open where that was beyond.
4. Limits within the range, at their price.
5. Stops of lots that this bar opened, within the whole range; then margin again.
6. At the close: what arrived after the bar began (by more than `ExchangeRules.bar_delay_ns`), for nothing of what
   came before it is known to have come after it, and targets of lots that this bar opened. A market order fills at the
   close, and so does an arriving limit that open and close cross; any other limit that the close has passed fills at
   its own price, for when it was passed is not known.

What takes from a bar pays half of `ExchangeRules.spread_bps`; limits that waited do not. An order that expires before
the bar closes meets the open alone. A lot's exits that its opening price has passed already fill at that price. Trailing
stops begin at the lot's opening price and move after the bar, by its extreme; those that did not see the open by its
close.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

from quantd.domain.market import Bar
from quantd.domain.orders import TimeInForce
from quantd.exchange.closing import called_at, close_out
from quantd.exchange.entry import OrderEntry
from quantd.exchange.execution import Execution
from quantd.exchange.market import MarketState
from quantd.exchange.matching import pop_arrived, shifted
from quantd.exchange.orders import ExchangeOrder
from quantd.exchange.protection import draw_trailing
from quantd.exchange.rules import ExchangeRules

_FOK = TimeInForce.FOK


class _Span(NamedTuple):
    """The prices that orders meet."""

    low: Decimal
    high: Decimal
    starts: bool = False
    """Whether it is the one price at which they begin: what that has passed fills there, be it better than their own."""


class BarMatching:
    """Matches one market against one bar at a time."""

    def __init__(self, execution: Execution, entry: OrderEntry, rules: ExchangeRules) -> None:
        self._execution = execution
        self._entry = entry
        self._rules = rules
        self._volume_cap = rules.volume_cap
        self._shifts = bool(rules.slippage_bps or rules.impact_bps or rules.spread_bps)
        self._budget: Decimal | None = None
        """What of the bar's volume is left, where it is capped."""
        self._seen_until_ns = 0
        """What arrived by then saw the bar's open."""

    def match(self, market: MarketState, bar: Bar) -> None:
        """Match everything that a complete bar allows."""
        now_ns = bar.received_at_ns
        cap = self._volume_cap
        self._budget = None if cap is None else market.instrument.quantity(bar.volume * cap)
        self._seen_until_ns = bar.opened_at_ns + min(self._rules.bar_delay_ns, bar.interval_ns // 20)
        began = self._execution.sequence
        arrived = pop_arrived(market, now_ns)
        late: list[ExchangeOrder] = []
        if arrived:
            late = [order for order in arrived if not self._sees_open(order)]
            self._meet(market, bar, [one for one in arrived if one not in late] if late else arrived, bar.open)
        if late or market.holders or market.buy_limits or market.sell_limits or market.buy_stops or market.sell_stops:
            self._meet_range(market, bar, began)
            self._meet_close(market, bar, late)
            self._move_trailing(market, bar)

    def _meet_range(self, market: MarketState, bar: Bar, began: int) -> None:
        """Let what saw the open meet the bar, and the stops of lots that it opened: orders placed after `began`."""
        whole = [order for order in market.resting() if self._sees_open(order)]
        lasting = _lasting(whole, bar)
        limits = [order for order in lasting if not order.waits_for_trigger]
        price = market.exact(bar.open)
        self._pass(market, bar, whole, _Span(price, price, True))
        span = _Span(market.exact(bar.low), market.exact(bar.high))
        self._pass(market, bar, [order for order in lasting if order.waits_for_trigger], span)
        self._close_out(market, bar)
        self._pass(market, bar, limits, span)
        if self._execution.sequence > began:
            placed = [order for order in market.resting() if order.sequence > began and order.waits_for_trigger]
            self._pass(market, bar, placed, span)
        self._close_out(market, bar)

    def _meet_close(self, market: MarketState, bar: Bar, late: list[ExchangeOrder]) -> None:
        """Let the close meet what did not see the open."""
        lasting = _lasting(late, bar)
        self._meet(market, bar, lasting, bar.open, bar.close)
        for order in late:
            if order not in lasting:
                market.arrive(order)  # to expire there
        rest = [order for order in market.resting() if not self._sees_open(order)]
        if rest:
            close = market.exact(bar.close)
            self._pass(market, bar, _lasting(rest, bar), _Span(close, close))

    def _close_out(self, market: MarketState, bar: Bar) -> None:
        """Close out the accounts that the bar brings to their level."""
        if bar.low > market.guard_low and bar.high < market.guard_high:
            return
        for account in list(market.holders.values()):
            price = called_at(account, market, bar)
            if price is None:
                continue
            for order in close_out(account, self._entry, bar.received_at_ns):
                if order.instrument == market.instrument.id:
                    market.remove(order)
                    self._fill(order, market, bar, price, False)
                    if order.is_open:
                        market.arrive(order)

    def _move_trailing(self, market: MarketState, bar: Bar) -> None:
        """Draw the trailing stops after the bar's extreme; after its close where they did not see the open."""
        for order in list(market.trailing):
            extreme = bar.low if order.is_buy else bar.high
            price = market.exact(extreme if self._sees_open(order) else bar.close)
            draw_trailing(market, order, price, bar.received_at_ns)

    def _sees_open(self, order: ExchangeOrder) -> bool:
        """Tell whether an order was there when the bar opened."""
        return order.arrives_at_ns <= self._seen_until_ns

    def _meet(self, market: MarketState, bar: Bar, arrived: Iterable[ExchangeOrder], *prices: float) -> None:
        """Let arrivals meet the last of `prices`; a limit takes only where all of them cross it."""
        exact = [market.exact(price) for price in prices]
        for order in arrived:
            if not order.is_open:
                continue
            if order.waits_for_trigger:
                market.stand(order)
                continue
            limit = order.price
            crosses = limit is None or all(one <= limit if order.is_buy else one >= limit for one in exact)
            if crosses and order.spec.post_only:
                self._execution.cancel(order, market, "post_only", bar.received_at_ns)
                continue
            if crosses:
                self._fill(order, market, bar, exact[-1], False)
            if not order.is_open:
                continue
            if order.at_once:
                reason = "fok" if order.spec.time_in_force is _FOK else "ioc"
                self._execution.cancel(order, market, reason, bar.received_at_ns)
            elif order.price is None:
                market.arrive(order)
            else:
                market.stand(order)

    def _pass(self, market: MarketState, bar: Bar, orders: Iterable[ExchangeOrder], span: _Span) -> None:
        """Trigger and fill those of `orders` that a range of prices reaches."""
        low, high, starts = span
        for order in sorted(orders, key=lambda order: (order.key, order.sequence) if order.is_open else (low, 0)):
            if not order.is_open:
                continue
            if order.waits_for_trigger:
                self._stop(order, market, bar, span)
            elif order.price is not None and self._reached(order.price, order.is_buy, low, high):
                self._fill(order, market, bar, low if starts else order.price, True)

    def _reached(self, price: Decimal, is_buy: bool, low: Decimal, high: Decimal) -> bool:
        """Tell whether a range comes to a limit; whether a touch counts is a rule."""
        if self._rules.touch_fills or low == high:
            return low <= price if is_buy else high >= price
        return low < price if is_buy else high > price

    def _stop(self, order: ExchangeOrder, market: MarketState, bar: Bar, span: _Span) -> None:
        """Trigger a stop that a range reaches, and fill it there."""
        low, high, _ = span
        trigger = order.trigger
        assert trigger is not None
        if high < trigger if order.is_buy else low > trigger:
            return
        market.remove(order)
        order.triggered = True
        self._execution.touch(order)
        price = low if low == high else trigger
        if order.price is None:
            self._fill(order, market, bar, price, False)
            if order.is_open:
                market.arrive(order)
            return
        if price <= order.price if order.is_buy else price >= order.price:
            self._fill(order, market, bar, price, False)
        if order.is_open:
            market.stand(order)

    def _fill(self, order: ExchangeOrder, market: MarketState, bar: Bar, price: Decimal, maker: bool) -> None:
        """Fill an order as far as volume and account allow; what the account cannot is cancelled."""
        quantity = order.remaining
        if self._budget is not None:
            if self._budget < quantity and order.spec.time_in_force is _FOK:
                return
            quantity = min(quantity, self._budget)
            if quantity <= 0:
                return
        at = price
        if self._shifts and not maker:
            price = self._taken(order, market, bar, quantity, price)
        allowed = order.account.allowed(order, quantity, price, market)
        if allowed < quantity and order.spec.time_in_force is _FOK:
            return
        if allowed > 0:
            placed = self._execution.sequence
            self._execution.fill(order, market, self._execution.deal(allowed, price, maker, bar.received_at_ns))
            if self._budget is not None:
                self._budget -= allowed
            if self._execution.sequence > placed:
                exits = [one for one in market.resting() if one.sequence > placed]
                self._pass(market, bar, exits, _Span(at, at, True))
        if allowed < quantity and order.is_open:
            self._execution.cancel(order, market, order.account.shortfall(order), bar.received_at_ns)

    def _taken(self, order: ExchangeOrder, market: MarketState, bar: Bar, quantity: Decimal, price: Decimal) -> Decimal:
        """Return what taking costs: half the spread, for orders without their own price slippage and impact too."""
        rules, limit = self._rules, order.price
        shift = rules.spread_bps * 0.5
        if limit is None:
            share = min(1.0, float(quantity) / bar.volume) if bar.volume > 0 else 1.0
            shift += rules.slippage_bps + rules.impact_bps * share
        taken = shifted(price, shift * 1e-4, order.is_buy, market.instrument)
        return taken if limit is None else min(taken, limit) if order.is_buy else max(taken, limit)


def _lasting(orders: Iterable[ExchangeOrder], bar: Bar) -> list[ExchangeOrder]:
    """Return those of `orders` that do not expire before a bar's close."""
    return [order for order in orders if order.expires_at_ns is None or order.expires_at_ns >= bar.closed_at_ns]
