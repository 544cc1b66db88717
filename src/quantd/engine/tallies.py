"""Counts that the risk controls need over a restart: kept by facts alone, so that a fold brings them back exactly.

`State` shows each fact to these before it applies it, so that an order is seen as it was. Holds no limits: what is
counted here means nothing until a control compares it with one.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from quantd.domain import facts as f
from quantd.domain.events import TradingState
from quantd.domain.fills import Fill
from quantd.domain.instruments import InstrumentId
from quantd.domain.limit_facts import LimitsSet, SoftLimitCrossed
from quantd.domain.numbers import ZERO
from quantd.domain.orders import Origin
from quantd.domain.strategy_facts import StrategyRenewed
from quantd.engine.orders import LiveOrder, OrderBlotter
from quantd.engine.portfolio import Portfolio

SCHEDULE = "schedule"
"""Who sets and clears a state where a trading schedule does; that is no person's word."""
SUPERVISION = "supervision"
"""Who latched a state, where it was a strategy's own fault, and who clears it when the strategy is renewed."""
STORM = "reject_storm"
"""Who latched a state, where it was the breaker of reject storms."""
RECORD_ONLY = (
    f.RequestDenied, f.Reconciled, f.OperatorActionRecorded, StrategyRenewed, SoftLimitCrossed, LimitsSet,
)  # fmt: skip
"""Facts that change nothing of the state beyond what is counted here."""
_FLOWS_MAX = 1_000
RESTART = "restart"
"""Cause of an unknown outcome that is nobody's fault but our own end."""


class DayCount(msgspec.Struct):
    """What one strategy did in one instrument since the trading day began."""

    orders: int = 0
    """New orders, those that the engine holds included."""
    messages: int = 0
    """Submits, amendments and cancels that were handed to the executor."""
    trades: int = 0
    """Executions."""
    notional: Decimal = ZERO
    """What was traded, bought and sold alike, in the currency of the instrument's notional."""
    fees: dict[str, Decimal] = {}
    """By asset; a rebate counts against it."""


class TalliesImage(msgspec.Struct, frozen=True):
    """All counts, for the journal's snapshots."""

    resumed: dict[str, int] = {}
    failures: dict[str, int] = {}
    cooled: tuple[str, ...] = ()
    days: tuple[tuple[str, InstrumentId, DayCount], ...] = ()
    soft: tuple[tuple[str, str, str], ...] = ()
    limits: dict[str, dict[str, Any]] = {}
    renewals: dict[str, int] = {}
    flows: tuple[tuple[str, str], ...] = ()


class Tallies:
    """Counters by scope; changed by facts alone."""

    def __init__(self, orders: OrderBlotter, portfolio: Portfolio) -> None:
        self._orders = orders
        self._portfolio = portfolio
        self.resumed: dict[str, int] = {}
        """Scope -> when a person last cleared it, in nanoseconds UTC: what happened before counts no more."""
        self.failures: dict[str, int] = {}
        """``strategy:ID`` or ``venue:NAME`` -> writes in a row that were refused or went unanswered."""
        self.cooled: dict[str, None] = {}
        """Scopes that the breaker let go on by itself, until a write is accepted there."""
        self.days: dict[tuple[str, InstrumentId], DayCount] = {}
        """(strategy, instrument) -> what was done since the trading day began."""
        self.soft: dict[tuple[str, str, str], None] = {}
        """(scope, limit, instrument or nothing) of the soft limits that are exceeded."""
        self.limits: dict[str, dict[str, Any]] = {}
        """Scope -> the limits that were changed at run time by name, as JSON values."""
        self.renewals: dict[str, int] = {}
        """Strategy -> how often it was given a fresh object since a person resumed it last."""
        self.flows: dict[tuple[str, str], None] = {}
        """(venue, id) of the latest cash flows: a venue tells them again."""
        self.handlers: dict[type, Callable[[Any], None]] = {
            StrategyRenewed: self._renewed,
            f.StateSet: self._state_set,
            f.OperationSettled: self._settled,
            f.OperationLost: self._lost,
            f.OrderIntended: self._intended,
            f.OrderReleased: self._released,
            f.AmendIntended: self._released,
            f.CancelIntended: self._cancelled,
            f.FillRecorded: self._filled,
            f.FillCorrected: self._corrected,
            f.DayStarted: self._day_started,
            SoftLimitCrossed: self._crossed,
            LimitsSet: self._limits_set,
            f.CashFlowRecorded: self._flowed,
        }
        """Fact -> what it counts."""

    def dump(self) -> TalliesImage:
        """Return all counts."""
        days = tuple((*key, count) for key, count in self.days.items())
        return TalliesImage(
            dict(self.resumed),
            dict(self.failures),
            tuple(self.cooled),
            days,
            tuple(self.soft),
            dict(self.limits),
            dict(self.renewals),
            tuple(self.flows),
        )

    def restore(self, image: TalliesImage) -> None:
        """Take over what `dump` returned."""
        self.resumed = dict(image.resumed)
        self.failures = dict(image.failures)
        self.cooled = dict.fromkeys(image.cooled)
        self.soft = dict.fromkeys(image.soft)
        self.limits = dict(image.limits)
        self.renewals = dict(image.renewals)
        self.flows = dict.fromkeys(image.flows)
        self.days = {(strategy, instrument): count for strategy, instrument, count in image.days}

    # -- latches and outcomes ------------------------------------------------------------------------------------

    def _state_set(self, fact: f.StateSet) -> None:
        if fact.state is not TradingState.ACTIVE or fact.by in (SCHEDULE, SUPERVISION):
            return
        if fact.by == STORM:
            self.cooled[fact.scope] = None
            return
        self.resumed[fact.scope] = fact.at_ns
        self.renewals.pop(fact.scope.removeprefix("strategy:"), None)
        self._forgive(fact.scope)

    def _renewed(self, fact: StrategyRenewed) -> None:
        self.renewals[fact.strategy] = fact.number

    def _forgive(self, scope: str) -> None:
        self.failures.pop(scope, None)
        self.cooled.pop(scope, None)

    def _settled(self, fact: f.OperationSettled) -> None:
        """Count the first word on a write; what is found out later of an unanswered one is no news of the source."""
        order = self._orders[fact.client_order_id]
        if order.is_unknown:
            return
        if fact.result in ("rejected", "not_executed"):
            self._failed(order)
        elif self.failures:
            for scope in sources_of(order):
                self._forgive(scope)

    def _lost(self, fact: f.OperationLost) -> None:
        order = self._orders[fact.client_order_id]
        if not order.is_unknown and fact.cause != RESTART:
            self._failed(order)

    def _failed(self, order: LiveOrder) -> None:
        for scope in sources_of(order):
            self.failures[scope] = self.failures.get(scope, 0) + 1

    # -- the day -------------------------------------------------------------------------------------------------

    def _day(self, strategy: str, instrument: InstrumentId) -> DayCount:
        count = self.days.get((strategy, instrument))
        if count is None:
            count = self.days[strategy, instrument] = DayCount()
        return count

    def _intended(self, fact: f.OrderIntended) -> None:
        count = self._day(fact.strategy, fact.spec.instrument)
        count.orders += 1
        if not fact.held:
            count.messages += 1

    def _released(self, fact: f.OrderReleased | f.AmendIntended) -> None:
        order = self._orders[fact.client_order_id]
        self._day(order.strategy, order.instrument).messages += 1

    def _cancelled(self, fact: f.CancelIntended) -> None:
        if fact.operation:
            order = self._orders[fact.client_order_id]
            self._day(order.strategy, order.instrument).messages += 1

    def _filled(self, fact: f.FillRecorded) -> None:
        if self._orders[fact.client_order_id].origin is not Origin.EXTERNAL:
            count = self._day(fact.strategy, fact.instrument)
            count.trades += 1
            self._add(count, fact.instrument, fact.fill, 1)

    def _corrected(self, fact: f.FillCorrected) -> None:
        order = self._orders.get(fact.client_order_id)
        if order is not None and order.origin is not Origin.EXTERNAL:
            count = self._day(fact.strategy, fact.instrument)
            self._add(count, fact.instrument, fact.before, -1)
            self._add(count, fact.instrument, fact.after, 1)

    def _add(self, count: DayCount, instrument: InstrumentId, fill: Fill, sign: int) -> None:
        count.notional += sign * self._portfolio.instruments[instrument].notional(fill.quantity, fill.price)
        for asset, amount in fill.fees:
            count.fees[asset] = count.fees.get(asset, ZERO) + sign * amount

    def _day_started(self, fact: f.DayStarted) -> None:
        self.days.clear()

    def _crossed(self, fact: SoftLimitCrossed) -> None:
        key = (fact.scope, fact.limit, fact.instrument)
        if fact.is_over:
            self.soft[key] = None
        else:
            self.soft.pop(key, None)

    def _limits_set(self, fact: LimitsSet) -> None:
        if fact.refused:
            return
        merged = self.limits.get(fact.scope, {}) | msgspec.json.decode(fact.limits)
        values = {name: value for name, value in merged.items() if value is not None}
        if values:
            self.limits[fact.scope] = values
        else:
            self.limits.pop(fact.scope, None)

    def _flowed(self, fact: f.CashFlowRecorded) -> None:
        self.flows[fact.flow.venue, fact.flow.id] = None
        if len(self.flows) > _FLOWS_MAX:
            del self.flows[next(iter(self.flows))]


def sources_of(order: LiveOrder) -> tuple[str, ...]:
    """Return the scopes that a write's outcome speaks of: its venue, and its strategy if it has one."""
    venue = f"venue:{order.instrument.partition(':')[0]}"
    return (venue, f"strategy:{order.strategy}") if order.strategy else (venue,)
