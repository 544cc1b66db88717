"""Matching by quotes and books: price-time priority between the market's levels and the accounts' resting orders.

On each event, in this order: resting limits that the market has come to fill as makers at their own price, as far as
the levels' sizes go; stops trigger (buys by the ask, sells by the bid); triggered stops, then arrivals in order of
acceptance, walk the levels and the other side's resting orders as takers. At one price the market's own level comes
first: it is taken to be older. What a limit has left rests; what a market order has left waits for the next event,
unless it is IOC or FOK.
"""

from decimal import Decimal

from quantd.domain.instruments import Instrument
from quantd.domain.numbers import ZERO, Rounding
from quantd.domain.orders import TimeInForce
from quantd.exchange.execution import Execution
from quantd.exchange.margin import MarginAccount
from quantd.exchange.market import Level, MarketState
from quantd.exchange.orders import ExchangeOrder
from quantd.exchange.rules import ExchangeRules, SelfTrade


class Step:
    """One part of a walk through the book."""

    __slots__ = ("level", "maker", "price", "quantity")

    def __init__(self, price: Decimal, quantity: Decimal, level: Level | None, maker: ExchangeOrder | None) -> None:
        self.price = price
        self.quantity = quantity
        self.level = level
        self.maker = maker


class Matching:
    """Matches one market at a time."""

    def __init__(self, execution: Execution, rules: ExchangeRules) -> None:
        self._execution = execution
        self._rules = rules

    def match(self, market: MarketState, now_ns: int) -> None:
        """Match everything that the market's present event allows."""
        self._sweep(market, True, now_ns)
        self._sweep(market, False, now_ns)
        for order in trigger_stops(market):
            self._execution.touch(order)
            self.take(order, market, now_ns)
        self.meet_arrivals(market, now_ns)

    def meet_arrivals(self, market: MarketState, now_ns: int) -> None:
        """Let the orders that have arrived meet the market."""
        for order in pop_arrived(market, now_ns):
            if order.is_open:
                self.take(order, market, now_ns)

    def _sweep(self, market: MarketState, buys: bool, now_ns: int) -> None:
        """Fill resting limits that the market's levels have come to."""
        side = market.buy_limits if buys else market.sell_limits
        if not side:
            return
        for level in market.levels(buys):
            price = level[0]
            assert price is not None
            while side and level[1] != 0:
                order = side[0][2]
                assert order.price is not None
                if order.price < price if buys else order.price > price:
                    return
                quantity = order.remaining if level[1] is None else min(order.remaining, level[1])
                filled = self._make(order, market, quantity, now_ns)
                if level[1] is not None:
                    level[1] -= filled

    def _make(
        self, order: ExchangeOrder, market: MarketState, quantity: Decimal, now_ns: int, against: str = ""
    ) -> Decimal:
        """Fill a resting order at its own price as far as its account can; what it cannot is cancelled."""
        assert order.price is not None
        allowed = order.account.allowed(order, quantity, order.price, market)
        if allowed > 0:
            self._execution.fill(order, market, self._execution.deal(allowed, order.price, True, now_ns), against)
        if allowed < quantity and order.is_open:
            self._execution.cancel(order, market, order.account.shortfall(order), now_ns)
        return allowed

    # --- takers -----------------------------------------------------------------------------------------------------

    def take(self, order: ExchangeOrder, market: MarketState, now_ns: int) -> None:
        """Let an order that stands nowhere meet the book; what is left rests, waits or is cancelled."""
        if order.waits_for_trigger:
            market.stand(order)
            if not trigger_stops(market, only=order):
                return
        plan, blocked = self._plan(order, market)
        if order.spec.post_only and (plan or blocked):
            self._execution.cancel(order, market, "post_only", now_ns)
            return
        if order.spec.time_in_force is TimeInForce.FOK and not self._is_whole(order, plan, market):
            self._execution.cancel(order, market, "fok", now_ns)
            return
        capped = False
        while plan and not capped:
            capped = self._walk(order, plan, market, now_ns)
            if not order.is_open:
                return
            # A maker's account may have fallen short, which leaves room for another look; a level cannot.
            plan, blocked = self._plan(order, market)
        reason = order.account.shortfall(order) if capped else "self_trade" if blocked else ""
        if reason or order.at_once:
            self._execution.cancel(order, market, reason or "ioc", now_ns)
        elif order.price is not None:
            market.stand(order)
        else:
            market.arrive(order)

    def _plan(self, order: ExchangeOrder, market: MarketState) -> tuple[list[Step], bool]:
        """Return the steps that an order would take now, and whether its own account's order stands in the way."""
        levels = market.levels(order.is_buy)
        resting = market.sell_limits if order.is_buy else market.buy_limits
        limit = order.price
        shift = self._shift(order, levels)
        need = order.remaining
        steps: list[Step] = []
        at_level = at_maker = 0
        while need > 0:
            while at_level < len(levels) and levels[at_level][1] == 0:
                at_level += 1
            level = levels[at_level] if at_level < len(levels) else None
            maker = resting[at_maker][2] if at_maker < len(resting) else None
            if level is not None and maker is not None:
                assert level[0] is not None
                assert maker.price is not None
                if maker.price < level[0] if order.is_buy else maker.price > level[0]:
                    level = None
                else:
                    maker = None
            price = level[0] if level is not None else maker.price if maker is not None else None
            if price is None or (limit is not None and (price > limit if order.is_buy else price < limit)):
                break
            if maker is not None:
                at_maker += 1
                if self._is_own(order, maker):
                    if order.lot:
                        continue  # what closes a lot passes by: a stop that ended here would leave its lot without one
                    return steps, True
                quantity = min(need, maker.remaining)
            else:
                assert level is not None
                quantity = need if level[1] is None else min(need, level[1])
                at_level += 1
                if shift and limit is None:
                    price = shifted(price, shift, order.is_buy, market.instrument)
            steps.append(Step(price, quantity, level, maker))
            need -= quantity
        return steps, False

    def _is_own(self, order: ExchangeOrder, maker: ExchangeOrder) -> bool:
        """Tell whether two orders must not meet, being of one account."""
        if order.account is not maker.account:
            return False
        return self._rules.self_trade is SelfTrade.REFUSE or isinstance(order.account, MarginAccount)

    def _shift(self, order: ExchangeOrder, levels: list[Level]) -> float:
        """Return the fraction by which slippage and impact move the price of an order without its own."""
        rules = self._rules
        if order.price is not None or not (rules.slippage_bps or rules.impact_bps):
            return 0.0
        shift = rules.slippage_bps
        if rules.impact_bps:
            sizes = [level[1] for level in levels]
            if sizes and None not in sizes:
                visible = float(sum((size for size in sizes if size is not None), ZERO))
                shift += rules.impact_bps * min(1.0, float(order.remaining) / visible) if visible else 0.0
        return shift * 1e-4

    def _is_whole(self, order: ExchangeOrder, plan: list[Step], market: MarketState) -> bool:
        """Tell whether a plan certainly fills an order whole, every account being able to do its part."""
        if sum((step.quantity for step in plan), ZERO) < order.remaining:
            return False
        seen: set[str] = set()
        for step in plan:
            maker = step.maker
            if maker is None:
                continue
            account = maker.account
            if isinstance(account, MarginAccount):
                # Two makers of one margin account could each be able alone and not together.
                if account.id in seen or account.allowed(maker, step.quantity, step.price, market) < step.quantity:
                    return False
                seen.add(account.id)
        return order.account.allowed(order, order.remaining, plan[-1].price, market) >= order.remaining

    def _walk(self, order: ExchangeOrder, plan: list[Step], market: MarketState, now_ns: int) -> bool:
        """Execute a plan; return whether the order's own account stopped it."""
        total = sum((step.quantity for step in plan), ZERO)
        cap = order.account.allowed(order, total, plan[-1].price, market)
        limited = cap < total
        execution = self._execution
        for step in plan:
            quantity = min(step.quantity, cap)
            if quantity <= 0:
                break
            maker = step.maker
            if maker is not None:
                quantity = self._make(maker, market, quantity, now_ns, order.id)
                if quantity <= 0:
                    continue
            elif step.level is not None and step.level[1] is not None:
                step.level[1] -= quantity
            deal = execution.deal(quantity, step.price, False, now_ns)
            execution.fill(order, market, deal, maker.id if maker is not None else "")
            cap -= quantity
        return limited and cap <= 0 and order.is_open


def shifted(price: Decimal, shift: float, is_buy: bool, instrument: Instrument) -> Decimal:
    """Return a price moved against a taker by a fraction, on a tick; never to zero or below."""
    moved = float(price) * (1.0 + shift if is_buy else 1.0 - shift)
    snapped = instrument.price(moved, Rounding.CEILING if is_buy else Rounding.FLOOR)
    return snapped if snapped > 0 else price


def pop_arrived(market: MarketState, now_ns: int) -> list[ExchangeOrder]:
    """Take out of the market's arrivals those that are due, in order of acceptance."""
    arrivals = market.arrivals
    if not arrivals:
        return []
    arrived = [order for order in arrivals if order.arrives_at_ns <= now_ns]
    arrivals[:] = [order for order in arrivals if order.arrives_at_ns > now_ns]
    for order in arrived:
        order.place = None
    return arrived


def trigger_stops(market: MarketState, only: ExchangeOrder | None = None) -> list[ExchangeOrder]:
    """Take out the stops whose price is reached, oldest first, and mark them triggered."""
    reached: list[ExchangeOrder] = []
    for stops, asks in ((market.buy_stops, True), (market.sell_stops, False)):
        if not stops:
            continue
        levels = market.levels(asks)
        price = levels[0][0] if levels else None
        if price is None:
            continue
        for _, _, order in stops:
            assert order.trigger is not None
            if price < order.trigger if asks else price > order.trigger:
                break
            if only is None or only is order:
                reached.append(order)
    for order in reached:
        market.remove(order)
        order.triggered = True
    reached.sort(key=lambda order: order.sequence)
    return reached
