"""Control 13: what a trading day may bring: orders, traded value, fees, and messages for each trade.

The day's counts are the state's (`tallies`): a restart keeps them, `DayStarted` clears them. What is still open counts as
if it traded in full, so that many orders together cannot exceed what each of them alone would not. Exits are never
stopped, but counted.
"""

from collections.abc import Iterable
from decimal import Decimal

from quantd.domain.instruments import InstrumentId
from quantd.domain.numbers import ZERO
from quantd.engine.executions import scheduled_fees
from quantd.engine.risk.exposure import in_scope, open_notional
from quantd.engine.risk.gate import Control, Scoped, Stateless
from quantd.engine.risk.wish import Denial, Denied, Wish
from quantd.engine.tallies import DayCount


def counts_in(wish: Wish, scope: str) -> Iterable[tuple[InstrumentId, DayCount]]:
    """Yield the day's counts that belong to a scope."""
    for (strategy, instrument), count in wish.state.tallies.days.items():
        if in_scope(scope, strategy, instrument):
            yield instrument, count


class DailyOrders(Stateless):
    """How many new orders a day may bring."""

    number = 13

    def __init__(self, scope: str, limit: int) -> None:
        self._scope = scope
        self._limit = limit

    def check(self, wish: Wish) -> Denied | None:
        """See the class; an amendment, or the release of an order that was held, is no new order."""
        if wish.amends is not None:
            return None
        count = sum(one.orders for _, one in counts_in(wish, self._scope)) + 1
        if count > self._limit:
            return wish.deny(Denial.DAILY_ORDERS, 13, self._scope, self._limit, count)
        return None


class OrderToTrade(Stateless):
    """How many messages a day may bring for each trade; before the first trade as many as for one."""

    number = 13

    def __init__(self, scope: str, limit: Decimal) -> None:
        self._scope = scope
        self._limit = limit

    def check(self, wish: Wish) -> Denied | None:
        """See the class."""
        messages = trades = 0
        for _, one in counts_in(wish, self._scope):
            messages += one.messages
            trades += one.trades
        if messages + 1 > self._limit * max(trades, 1):
            return wish.deny(Denial.ORDER_TO_TRADE, 13, self._scope, self._limit, f"{messages + 1} / {trades}")
        return None


class DailyNotional(Stateless):
    """What a day may trade, bought and sold alike, in the base currency."""

    number = 13

    def __init__(self, scope: str, limit: Decimal) -> None:
        self._scope = scope
        self._limit = limit

    def check(self, wish: Wish) -> Denied | None:
        """See the class."""
        total = open_notional(wish, self._scope)
        traded = self._traded(wish)
        if total is None or traded is None:
            return wish.deny(Denial.RATE_MISSING, 13, self._scope, self._limit, "no price or rate")
        if total + traded > self._limit:
            return wish.deny(Denial.DAILY_NOTIONAL, 13, self._scope, self._limit, total + traded)
        return None

    def _traded(self, wish: Wish) -> Decimal | None:
        total = ZERO
        for instrument, one in counts_in(wish, self._scope):
            rules = wish.state.portfolio.instruments[instrument]
            rate = wish.state.rates.rate(rules.base if rules.inverse else rules.quote) if one.notional else ZERO
            if rate is None:
                return None
            total += one.notional * rate
        return total


class DailyFees(Stateless):
    """What a day may cost in fees, in the base currency."""

    number = 13

    def __init__(self, scope: str, limit: Decimal) -> None:
        self._scope = scope
        self._limit = limit

    def check(self, wish: Wish) -> Denied | None:
        """See the class."""
        fees = self._fees(wish)
        if fees is None:
            return wish.deny(Denial.RATE_MISSING, 13, self._scope, self._limit, "no price or rate")
        if fees > self._limit:
            return wish.deny(Denial.DAILY_FEES, 13, self._scope, self._limit, fees)
        return None

    def _fees(self, wish: Wish) -> Decimal | None:
        """Return what was paid and what the open orders and this one will cost by their instruments' schedules."""
        state = wish.state
        if wish.price is None:
            return None
        amounts = list(scheduled_fees(wish.instrument, wish.spec, wish.remaining, wish.price))
        for order in state.orders.open_orders():
            if order is wish.amends or not in_scope(self._scope, order.strategy, order.instrument):
                continue
            price = order.spec.price or order.spec.trigger or order.reference or ZERO
            amounts += scheduled_fees(state.portfolio.instruments[order.instrument], order.spec, order.remaining, price)
        for _, one in counts_in(wish, self._scope):
            amounts += one.fees.items()
        total = ZERO
        for asset, amount in amounts:
            rate = state.rates.rate(asset)
            if rate is None:
                return None
            total += amount * rate
        return total


def daily_budgets(instrument: InstrumentId, scoped: Scoped) -> Iterable[Control]:
    """Make the daily budgets of one (strategy, instrument)."""
    for scope, limits in scoped("max_daily_orders"):
        yield DailyOrders(scope, limits.max_daily_orders or 0)
    for scope, limits in scoped("max_order_to_trade"):
        yield OrderToTrade(scope, limits.max_order_to_trade or ZERO)
    for scope, limits in scoped("max_daily_notional"):
        yield DailyNotional(scope, limits.max_daily_notional or ZERO)
    for scope, limits in scoped("max_daily_fees"):
        yield DailyFees(scope, limits.max_daily_fees or ZERO)
