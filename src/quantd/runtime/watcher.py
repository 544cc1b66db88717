"""Reads the engine's facts and state for people: metrics and one log line a fact. Changes nothing.

The runner hands it every batch of facts after they are on disk; a task of the composition root asks for `sample`.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import structlog

from quantd.domain import facts as f
from quantd.domain.events import TradingState
from quantd.domain.fills import Quality
from quantd.domain.limit_facts import LimitsSet, SoftLimitCrossed
from quantd.domain.orders import OrderState, Trigger
from quantd.domain.protection_facts import ProtectionOverdue, ProtectionSettled
from quantd.domain.strategy_facts import StrategyFaulted, StrategyReloaded, StrategyRenewed
from quantd.engine.core import Engine
from quantd.engine.guarding import ACCEPTED, OVER
from quantd.ports import Clock, Observer
from quantd.runtime.gauges import LEVELS, Gauges, scope_label, strategy_label

CONTROLS = frozenset(
    {
        "dead_man",
        "journal",
        "loss_limit",
        "margin",
        "protection",
        "reconciliation",
        "reject_storm",
        "repeated_execution",
        "resolution",
        "rules",
        "schedule",
        "supervision",
    }
)
"""Who latches a trading state without a person."""
_log = structlog.get_logger("quantd.trading")


class Watcher:
    """Counts and logs facts.

    Args:
        engine: For reading what a fact concerns.
        observer: Gets the metrics.
        clock: For the time of samples.
    """

    def __init__(self, engine: Engine, observer: Observer, clock: Clock) -> None:
        self._engine = engine
        self._observer = observer
        self._clock = clock
        self._currency = engine.risk.risk.base_currency
        self._gauges = Gauges(engine, observer)
        self._estimated: dict[str, int] = dict.fromkeys(engine.context.capabilities, 0)
        """By venue, fills whose price or fees are not final."""
        for order in engine.state.orders.all_orders():
            for _ in order.estimated():
                self._await_correction(_venue(order.instrument), 1)
        self._naked: dict[tuple[str, str, str], float] = {}
        """Seconds counted so far, by (venue, strategy, reason)."""
        self._unknown_since: dict[tuple[str, int], int] = {
            (order.client_order_id, order.operation.number): order.operation.since_ns
            for order in engine.state.orders.open_orders()
            if order.is_unknown and order.operation is not None
        }
        """What a run before this one left unknown is counted here, from when it was sent: no other run has counted it."""
        self.fills = 0
        """Fills booked in this run."""

    def facts(self, facts: Sequence[f.Fact]) -> None:
        """Count and log what was recorded."""
        for fact in facts:
            handler = _HANDLERS.get(type(fact))
            if handler is not None:
                handler(self, fact)

    # -- one fact ------------------------------------------------------------------------------------------------

    def _intended(self, fact: f.OrderIntended) -> None:
        spec = fact.spec
        self._observer.count(
            "quantd_order_requests_total", 1, venue=_venue(spec.instrument), strategy=strategy_label(fact.strategy)
        )
        _log.info(
            "order_intended",
            strategy=strategy_label(fact.strategy),
            instrument=spec.instrument,
            client_order_id=fact.client_order_id,
            side=spec.side.value,
            quantity=str(spec.quantity),
            price=_text(spec.price),
            role=fact.role.value,
            reason=fact.why,
        )

    def _denied(self, fact: f.RequestDenied) -> None:
        self._observer.count("quantd_denials_total", 1, strategy=strategy_label(fact.strategy), reason=fact.code)
        _log.info(
            "order_denied",
            strategy=strategy_label(fact.strategy),
            instrument=fact.instrument,
            side=fact.side.value,
            quantity=str(fact.quantity),
            reason=fact.code,
            scope=fact.scope,
            limit=fact.limit,
            observed=fact.observed,
        )

    def _settled(self, fact: f.OperationSettled) -> None:
        since = self._unknown_since.pop((fact.client_order_id, fact.operation), None)
        venue = self._venue_of(fact.client_order_id)
        if since is not None:
            self._observer.count("quantd_unknown_seconds_total", (fact.at_ns - since) / 1e9, venue=venue)
        if fact.result == "rejected":
            self._observer.count("quantd_rejects_total", 1, fact.client_order_id, venue=venue, reason=fact.code)
        if fact.result in ("rejected", "not_executed"):
            _log.warning(
                "operation_refused",
                venue=venue,
                client_order_id=fact.client_order_id,
                operation=fact.kind.value,
                result=fact.result,
                reason=fact.code,
                detail=fact.detail,
            )

    def _lost(self, fact: f.OperationLost) -> None:
        self._unknown_since.setdefault((fact.client_order_id, fact.operation), fact.at_ns)
        _log.warning(
            "outcome_unknown",
            venue=self._venue_of(fact.client_order_id),
            client_order_id=fact.client_order_id,
            reason=fact.cause,
        )

    def _moved(self, fact: f.OrderMoved) -> None:
        order = self._engine.state.orders.get(fact.client_order_id)
        if order is None:
            return
        self._count_end(order.strategy, fact.client_order_id, order.state)
        if fact.trigger is Trigger.REOPEN:
            self._observer.count("quantd_orders_reopened_total", 1, venue=_venue(order.instrument))
        _log.info(
            "order_ended" if not order.is_open else "order_reopened",
            strategy=strategy_label(order.strategy),
            instrument=order.instrument,
            client_order_id=fact.client_order_id,
            state=order.state.value,
            reason=fact.reason,
        )

    def _filled(self, fact: f.FillRecorded) -> None:
        self.fills += 1
        venue, fill = _venue(fact.instrument), fact.fill
        strategy = strategy_label(fact.strategy)
        self._observer.count("quantd_fills_total", 1, venue=venue, strategy=strategy, quality=fill.quality.value)
        if fill.quality is Quality.ESTIMATED:
            self._observer.count("quantd_estimated_fills_total", 1, venue=venue)
            self._await_correction(venue, 1)
        self._count_notional(fact, venue, strategy)
        for asset, amount in fill.fees:
            name = "quantd_fees_total" if amount >= 0 else "quantd_rebates_total"
            self._observer.count(name, float(abs(amount)), venue=venue, strategy=strategy, asset=asset)
        order = self._engine.state.orders.get(fact.client_order_id)
        if order is not None:
            if order.state is OrderState.FILLED:
                self._count_end(fact.strategy, fact.client_order_id, order.state)
            if fact.cumulative == fill.quantity:
                took_s = (fact.at_ns - order.intended_at_ns) / 1e9
                self._observer.observe("quantd_order_fill_seconds", took_s, fact.client_order_id, venue=venue)
        _log.info(
            "order_filled",
            strategy=strategy,
            instrument=fact.instrument,
            client_order_id=fact.client_order_id,
            side=fact.side.value,
            quantity=str(fill.quantity),
            price=str(fill.price),
            quality=fill.quality.value,
        )

    def _count_notional(self, fact: f.FillRecorded, venue: str, strategy: str) -> None:
        state, fill = self._engine.state, fact.fill
        worth = state.rates.notional(state.portfolio.instruments[fact.instrument], fill.quantity, fill.price)
        if worth is not None:
            self._observer.count(
                "quantd_filled_notional_total", float(worth), venue=venue, strategy=strategy, currency=self._currency
            )

    def _corrected(self, fact: f.FillCorrected) -> None:
        venue = _venue(fact.instrument)
        self._observer.count("quantd_fill_corrections_total", 1, venue=venue)
        if fact.before.quality is Quality.ESTIMATED and fact.after.quality is not Quality.ESTIMATED:
            self._await_correction(venue, -1)
        _log.info(
            "fill_corrected",
            strategy=strategy_label(fact.strategy),
            instrument=fact.instrument,
            client_order_id=fact.client_order_id,
            price=str(fact.after.price),
            before=str(fact.before.price),
            quality=fact.after.quality.value,
        )

    def _await_correction(self, venue: str, change: int) -> None:
        # One that was made before this run, of an order that is forgotten since, was never counted in.
        self._estimated[venue] = max(0, self._estimated.get(venue, 0) + change)

    def _count_end(self, strategy: str, client_order_id: str, state: OrderState) -> None:
        if state in (OrderState.WORKING, OrderState.PARTIALLY_FILLED):
            return
        self._observer.count(
            "quantd_orders_total",
            1,
            venue=self._venue_of(client_order_id),
            strategy=strategy_label(strategy),
            outcome=state.value,
        )

    def _state_set(self, fact: f.StateSet) -> None:
        self._observer.gauge("quantd_trading_state", LEVELS[fact.state], scope=scope_label(fact.scope))
        if fact.state is not TradingState.ACTIVE:
            # Who it was, when it was a person, stands in the journal; a label has no room for names.
            reason = fact.by if fact.by in CONTROLS else "operator"
            self._observer.count("quantd_halts_total", 1, reason=reason)
        _log.warning("state_set", scope=fact.scope, state=fact.state.value, by=fact.by, reason=fact.why)

    def _faulted(self, fact: StrategyFaulted) -> None:
        self._observer.count("quantd_strategy_errors_total", 1, strategy=fact.strategy)
        self._observer.gauge("quantd_strategy_state", 3, strategy=fact.strategy)
        state = self._engine.state
        _log.error(
            "strategy_quarantined",
            strategy=fact.strategy,
            hook=fact.hook,
            error=fact.error,
            event_at_ns=fact.at_ns,
            orders=[one.client_order_id for one in state.orders.open_orders() if one.strategy == fact.strategy],
            books={
                book.instrument.id: str(book.quantity)
                for book in state.portfolio.books()
                if book.strategy == fact.strategy
            },
            replay="quantd replay CONFIG --inputs FILE, where journal.record is on; quantd why " + fact.strategy,
        )

    def _renewed(self, fact: StrategyRenewed) -> None:
        self._observer.count("quantd_strategy_restarts_total", 1, strategy=fact.strategy)
        _log.warning("strategy_renewed", strategy=fact.strategy, number=fact.number)

    def _reloaded(self, fact: StrategyReloaded) -> None:
        _log.warning("strategy_reloaded", strategy=fact.strategy, what=fact.what, by=fact.by)

    def _limits_set(self, fact: LimitsSet) -> None:
        result = "refused" if fact.refused else "loosened" if fact.loosened else "tightened"
        self._observer.count("quantd_limit_changes_total", 1, scope=fact.scope, result=result)
        _log.warning(
            f"limits_{result}",
            scope=fact.scope,
            limits=fact.limits,
            loosened=fact.loosened,
            by=fact.by,
            reason=fact.refused or fact.why,
        )

    def _soft_limit(self, fact: SoftLimitCrossed) -> None:
        if fact.is_over:
            self._observer.count("quantd_soft_limits_total", 1, scope=fact.scope, limit=fact.limit)
        _log.warning(
            "soft_limit_exceeded" if fact.is_over else "soft_limit_no_longer_exceeded",
            scope=fact.scope,
            limit=fact.limit,
            instrument=fact.instrument,
            soft=fact.soft,
            hard=fact.hard,
            observed=fact.observed,
        )

    def _reconciled(self, fact: f.Reconciled) -> None:
        count = sum(fact.differences.values())
        self._observer.gauge("quantd_reconcile_differences", count, venue=fact.venue)
        self._observer.count(
            "quantd_reconcile_runs_total", 1, venue=fact.venue, result="different" if count else "clean"
        )
        _log.info("reconciled", venue=fact.venue, differences=fact.differences)

    def _flowed(self, fact: f.CashFlowRecorded) -> None:
        flow = fact.flow
        (_log.warning if flow.inferred else _log.info)(
            "cash_flow_inferred" if flow.inferred else "cash_flow",
            venue=flow.venue,
            kind=flow.kind.value,
            asset=flow.asset,
            amount=str(flow.amount),
            instrument=flow.instrument,
        )

    def _venue_of(self, client_order_id: str) -> str:
        order = self._engine.state.orders.get(client_order_id)
        return _venue(order.instrument) if order is not None else "unknown"

    def _overdue(self, fact: ProtectionOverdue) -> None:
        known = {"strategy": fact.strategy, "instrument": fact.instrument, "client_order_id": fact.entry}
        if fact.action == OVER:
            _log.info("protection_restored", **known, seconds=fact.seconds, reason=fact.reason)
            return
        self._observer.count(
            "quantd_naked_positions_total", 1, strategy=fact.strategy, reason=fact.reason, outcome=fact.action
        )
        _log.error("position_unprotected", **known, seconds=fact.seconds, reason=fact.reason, action=fact.action)

    def _protection_settled(self, fact: ProtectionSettled) -> None:
        if fact.result != ACCEPTED:
            _log.warning(
                "protection_not_set", client_order_id=fact.client_order_id, result=fact.result, reason=fact.code
            )

    # -- the state -----------------------------------------------------------------------------------------------

    def sample(self) -> None:
        """Set the gauges that follow the state."""
        engine, observer = self._engine, self._observer
        state = engine.state
        observer.gauge("quantd_halted", 1.0 if state.latches else 0.0)
        open_orders: dict[tuple[str, str], int] = {}
        unknown: dict[str, int] = {venue: 0 for venue in engine.context.capabilities}
        for order in state.orders.open_orders():
            key = (_venue(order.instrument), strategy_label(order.strategy))
            open_orders[key] = open_orders.get(key, 0) + 1
            unknown[key[0]] = unknown.get(key[0], 0) + order.is_unknown
        for desk in engine.desks.values():
            for venue in {_venue(one) for one in desk.instruments}:
                count = open_orders.get((venue, desk.id), 0)
                observer.gauge("quantd_open_orders", count, venue=venue, strategy=desk.id)
            if not desk.is_quarantined:
                observer.gauge("quantd_strategy_state", 2 if desk.is_started else 1, strategy=desk.id)
            needed = [min(1.0, one.count / one.needed) for one in desk.series]
            observer.gauge("quantd_warmup_ratio", min(needed, default=1.0), strategy=desk.id)
            observer.gauge("quantd_warmup_gaps", sum(one.gaps for one in desk.series), strategy=desk.id)
        for venue, count in unknown.items():
            observer.gauge("quantd_unknown_operations", count, venue=venue)
        for venue, at_ns in engine.reconciler.agreed_at_ns.items():
            observer.gauge("quantd_reconcile_last_success_timestamp_seconds", at_ns / 1e9, venue=venue)
        for venue, count in self._estimated.items():
            observer.gauge("quantd_fills_awaiting_correction", count, venue=venue)
        self._nakedness()
        self._gauges.sample()

    def _nakedness(self) -> None:
        """Tell how long positions stand without their stops: the sum, and the longest of each strategy right now."""
        nakedness = self._engine.protection.nakedness
        longest = dict.fromkeys(self._engine.desks, 0.0)
        for episode in nakedness.episodes.values():
            longest[episode.strategy] = max(longest.get(episode.strategy, 0.0), episode.seconds)
        for strategy, seconds in longest.items():
            self._observer.gauge("quantd_naked_longest_seconds", seconds, strategy=strategy)
        for key, seconds in nakedness.totals.items():
            venue, strategy, reason = key
            more = seconds - self._naked.get(key, 0.0)
            if more:
                self._naked[key] = seconds
                self._observer.count("quantd_naked_seconds_total", more, venue=venue, strategy=strategy, reason=reason)


def _venue(instrument: str) -> str:
    return instrument.partition(":")[0]


def _text(value: Decimal | None) -> str:
    return "" if value is None else str(value)


_HANDLERS: Mapping[type, Any] = {
    ProtectionOverdue: Watcher._overdue,
    ProtectionSettled: Watcher._protection_settled,
    f.OrderIntended: Watcher._intended,
    f.RequestDenied: Watcher._denied,
    f.OperationSettled: Watcher._settled,
    f.OperationLost: Watcher._lost,
    f.OrderMoved: Watcher._moved,
    f.FillRecorded: Watcher._filled,
    f.FillCorrected: Watcher._corrected,
    f.StateSet: Watcher._state_set,
    StrategyFaulted: Watcher._faulted,
    StrategyRenewed: Watcher._renewed,
    StrategyReloaded: Watcher._reloaded,
    LimitsSet: Watcher._limits_set,
    SoftLimitCrossed: Watcher._soft_limit,
    f.Reconciled: Watcher._reconciled,
    f.CashFlowRecorded: Watcher._flowed,
}
