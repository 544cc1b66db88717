"""Matching by bars: what an order would have got in an interval of which only four prices are known.

Each account meets the bar alone; accounts do not trade with each other. In this order, the worse case first where the
bar leaves it open:

1. At the open: arrivals in order of acceptance (market orders at the open, limits that the open crosses at the open),
   then standing limits and stops that the open has passed, at the open.
2. Stops within the range, at their trigger. A stop limit that triggers fills only where its limit admits the trigger;
   else it rests from the next bar on.
3. Limits within the range, at their price.
4. Exits of lots that this bar opened: their stops count the whole range, their targets the close only.

An order accepted after the bar began (by more than `ExchangeRules.bar_delay_ns`) meets the close only: nothing of what
came before it is known to have come after it. Trailing stops move after the bar, by its extreme.
"""

from collections.abc import Iterable
from decimal import Decimal

from quantd.domain.market import Bar
from quantd.domain.orders import Role, TimeInForce
from quantd.exchange.execution import Execution
from quantd.exchange.market import MarketState
from quantd.exchange.matching import pop_arrived, shifted
from quantd.exchange.orders import ExchangeOrder
from quantd.exchange.rules import ExchangeRules

_FOK = TimeInForce.FOK


class BarMatching:
    """Matches one market against one bar at a time."""

    def __init__(self, execution: Execution, rules: ExchangeRules) -> None:
        self._execution = execution
        self._rules = rules
        self._volume_cap = rules.volume_cap
        self._shifts = bool(rules.slippage_bps or rules.impact_bps)
        self._budget: Decimal | None = None
        """What of the bar's volume is left, where it is capped."""

    def match(self, market: MarketState, bar: Bar) -> None:
        """Match everything that a complete bar allows."""
        now_ns = bar.received_at_ns
        cap = self._volume_cap
        self._budget = None if cap is None else market.instrument.quantity(bar.volume * cap)
        arrived = pop_arrived(market, now_ns)
        if arrived:
            self._meet_open(market, bar, arrived)
        if not (market.buy_limits or market.sell_limits or market.buy_stops or market.sell_stops):
            return
        before = [order for order in market.resting() if order.accepted_at_ns < now_ns or not order.lot]
        whole = [order for order in before if self._sees_open(order, bar)]
        limits = [order for order in whole if not order.waits_for_trigger]
        price = market.exact(bar.open)
        self._pass(market, bar, whole, price, price)
        low = market.exact(bar.low)
        high = market.exact(bar.high)
        self._pass(market, bar, [order for order in whole if order.waits_for_trigger], low, high)
        self._pass(market, bar, limits, low, high)
        close = market.exact(bar.close)
        self._pass(market, bar, [order for order in before if not self._sees_open(order, bar)], close, close)
        exits = [order for order in market.resting() if order.lot and order.accepted_at_ns >= now_ns]
        self._pass(market, bar, [order for order in exits if order.role is not Role.TARGET], low, high)
        self._pass(market, bar, [order for order in exits if order.role is Role.TARGET], close, close)

    def _sees_open(self, order: ExchangeOrder, bar: Bar) -> bool:
        """Tell whether an order was there when the bar opened."""
        delay = min(self._rules.bar_delay_ns, bar.interval_ns // 20)
        return order.since_ns <= bar.opened_at_ns + delay

    def _meet_open(self, market: MarketState, bar: Bar, arrived: Iterable[ExchangeOrder]) -> None:
        """Let arrivals meet the open, or the close where they came later."""
        open_price = market.exact(bar.open)
        for order in arrived:
            if not order.is_open:
                continue
            if order.waits_for_trigger:
                market.stand(order)
                continue
            price = open_price if self._sees_open(order, bar) else market.exact(bar.close)
            crosses = order.price is None or (price <= order.price if order.is_buy else price >= order.price)
            if crosses and order.spec.post_only:
                self._execution.cancel(order, market, "post_only", bar.received_at_ns)
                continue
            if crosses:
                self._fill(order, market, bar, price, False)
            if not order.is_open:
                continue
            if order.at_once:
                reason = "fok" if order.spec.time_in_force is _FOK else "ioc"
                self._execution.cancel(order, market, reason, bar.received_at_ns)
            elif order.price is None:
                market.arrive(order)
            else:
                market.stand(order)

    def _pass(
        self, market: MarketState, bar: Bar, orders: Iterable[ExchangeOrder], low: Decimal, high: Decimal
    ) -> None:
        """Trigger and fill those of `orders` that a range of prices reaches; at one price, the range is that price."""
        at_price = low == high
        for order in sorted(orders, key=lambda order: (order.key, order.sequence) if order.is_open else (low, 0)):
            if not order.is_open:
                continue
            if order.waits_for_trigger:
                self._stop(order, market, bar, low, high)
            elif order.price is not None and self._reached(order.price, order.is_buy, low, high):
                # At the open a standing limit gets the open where that is better than its own price.
                self._fill(order, market, bar, low if at_price else order.price, True)

    def _reached(self, price: Decimal, is_buy: bool, low: Decimal, high: Decimal) -> bool:
        """Tell whether a range comes to a limit; whether a touch counts is a rule."""
        if self._rules.touch_fills or low == high:
            return low <= price if is_buy else high >= price
        return low < price if is_buy else high > price

    def _stop(self, order: ExchangeOrder, market: MarketState, bar: Bar, low: Decimal, high: Decimal) -> None:
        """Trigger a stop that a range reaches, and fill it there."""
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
        if self._shifts and order.price is None:
            rules = self._rules
            share = min(1.0, float(quantity) / bar.volume) if bar.volume > 0 else 1.0
            shift = (rules.slippage_bps + rules.impact_bps * share) * 1e-4
            price = shifted(price, shift, order.is_buy, market.instrument)
        allowed = order.account.allowed(order, quantity, price, market)
        if allowed < quantity and order.spec.time_in_force is _FOK:
            return
        if allowed > 0:
            deal = self._execution.deal(allowed, price, maker, bar.received_at_ns)
            self._execution.fill(order, market, deal)
            if self._budget is not None:
                self._budget -= allowed
        if allowed < quantity and order.is_open:
            self._execution.cancel(order, market, order.account.shortfall(order), bar.received_at_ns)
