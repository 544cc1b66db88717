"""The engine's whole state as the fold of its facts.

`apply` is the only way to change it, live and at recovery alike, so that what a restart folds from the journal is what
the process before it knew. Market data is no fact and comes anew, but for the last prices of what is held.
"""

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from quantd.domain import facts as f
from quantd.domain.events import TradingState
from quantd.domain.instruments import InstrumentId
from quantd.domain.limit_facts import MarksRecorded
from quantd.domain.numbers import ZERO
from quantd.domain.orders import OperationKind, OperationTrigger, OrderState, Origin, Role, Trigger
from quantd.domain.strategy_facts import StrategyFaulted, StrategyReloaded, StrategySaved
from quantd.engine.baselines import Baselines
from quantd.engine.guarding import Guarding
from quantd.engine.lots import Lots
from quantd.engine.orders import LiveOrder, Operation, OrderBlotter, amended
from quantd.engine.portfolio import Portfolio
from quantd.engine.positions import positions, unrealised
from quantd.engine.rates import Mark, Pricing, Rates
from quantd.engine.reservations import NO_RESERVATION, locked_by_us, reservation_of
from quantd.engine.tallies import RECORD_ONLY, Tallies

SEVERITY = {TradingState.ACTIVE: 0, TradingState.REDUCING: 1, TradingState.HALTED: 2}


class State:
    """Orders, books, balances, latches, targets and daily counts; changed by `apply` alone."""

    def __init__(self, rates: Rates) -> None:
        self.rates = rates
        self.orders = OrderBlotter()
        self.portfolio = Portfolio()
        self.lots: dict[str, Lots] = {}
        """By venue."""
        self.latches: dict[str, f.StateSet] = {}
        """Scope -> the fact that latched it; ACTIVE scopes are absent."""
        self.halt_generation = 0
        self.targets: dict[tuple[str, InstrumentId], f.TargetSet] = {}
        self.guarding = Guarding(self.lots, self.orders)
        self.protections = self.guarding.held
        self.baselines = Baselines()
        self.saves: dict[str, StrategySaved] = {}
        self.cursors: dict[tuple[str, str], str] = {}
        self.timers: dict[tuple[str, str], int] = {}
        self.quarantined: dict[str, StrategyFaulted] = {}
        self.run: f.RunStarted | None = None
        self.last_order_id = ""
        self.last_order_event_ns: dict[InstrumentId, int] = {}
        """When an order of the instrument last changed: a difference to a snapshot asked before means nothing."""
        self.tallies = Tallies(self.orders, self.portfolio)
        self._tally = self.tallies.handlers
        self._apply: dict[type, Callable[[Any], None]] = {
            **self.guarding.handlers,
            **self.baselines.handlers,
            f.RunStarted: self._run_started,
            f.InstrumentRecorded: self._instrument,
            f.AccountRecorded: self._account,
            f.OrderIntended: self._intended,
            f.OrderReleased: self._released,
            f.AmendIntended: self._amend_intended,
            f.CancelIntended: self._cancel_intended,
            f.OperationSentRecorded: self._sent,
            f.OperationLost: self._lost,
            f.OperationSettled: self._settled,
            f.OrderAcknowledged: self._acknowledged,
            f.OrderAmended: self._amended,
            f.OrderMoved: self._moved,
            f.FillRecorded: self._filled,
            f.FillCorrected: self._corrected,
            f.ExternalOrderSeen: self._external_order,
            f.PositionAdjusted: self._adjusted,
            f.BalancesRecorded: self._balances,
            f.CashFlowRecorded: self._cash_flow,
            f.StateSet: self._state_set,
            f.TargetSet: self._target,
            MarksRecorded: self._marks,
            StrategySaved: self._saved,
            f.TimerRecorded: self._timer,
            f.CursorMoved: self._cursor,
            StrategyFaulted: self._faulted,
            StrategyReloaded: self._reloaded,
            **dict.fromkeys(RECORD_ONLY, self._nothing),
        }

    def apply(self, fact: f.Fact) -> None:
        """Change the state by one fact.

        Raises:
            AssertionError: when the fact contradicts the state: the journal or we are wrong.
        """
        kind = type(fact)
        count = self._tally.get(kind)
        if count is not None:
            count(fact)
        self._apply[kind](fact)

    # -- reading -------------------------------------------------------------------------------------------------

    def trading_state(self, scopes: Iterable[str]) -> TradingState:
        """Return the strictest latched state of `scopes`."""
        worst = TradingState.ACTIVE
        if self.latches:
            for scope in scopes:
                latch = self.latches.get(scope)
                if latch is not None and SEVERITY[latch.state] > SEVERITY[worst]:
                    worst = latch.state
        return worst

    def equity(self, venue: str, price_of: Pricing = Mark.exact) -> Decimal | None:
        """Return an account's worth in the base currency, None when a price or rate is missing.

        An asset that nothing here trades counts as nothing: a few coins of it leave the rest to be known.
        """
        account = self.portfolio.account(venue)
        total = ZERO
        for asset, amount in account.totals.items():
            if not amount:
                continue
            rate = self.rates.rate(asset, price_of)
            if rate is not None:
                total += amount * rate
            elif amount < 0 or asset == account.home or self.rates.is_traded(asset):
                return None
        if account.is_margin:
            profit = unrealised(positions(self.portfolio, self.lots, venue), self.rates, price_of)
            return None if profit is None else total + profit
        return total

    # -- facts ---------------------------------------------------------------------------------------------------

    def take_in(self, order: LiveOrder) -> None:
        """Take in an order from a snapshot of the journal, and count it into every sum."""
        self.orders.take_in(order)
        if order.is_open:
            self.portfolio.expect(order.strategy, order.instrument, order.spec.side, order.remaining, 1)
            self._reserve(order)
        if order.is_unknown:
            self.portfolio.nets[order.instrument].unknown += 1

    def _nothing(self, fact: f.Fact) -> None:
        """Some facts are told for the record only."""

    def _run_started(self, fact: f.RunStarted) -> None:
        if self.run is not None and self.run.base_currency not in ("", fact.base_currency):
            self.baselines.forget()
        self.run = fact

    def _instrument(self, fact: f.InstrumentRecorded) -> None:
        self.portfolio.listed(fact.instrument)
        self.rates.listed(fact.instrument)
        for order in self.orders.open_orders(fact.instrument.id):
            self._reserve(order)  # under other rules it costs another amount

    def _account(self, fact: f.AccountRecorded) -> None:
        self.portfolio.account(fact.account.venue).account = fact.account

    def _intended(self, fact: f.OrderIntended) -> None:
        order = LiveOrder(fact)
        self.orders.add(order)
        if (parent := self.orders.get(fact.parent)) is not None:
            parent.followed_by = fact.client_order_id
        if fact.origin is not Origin.EXTERNAL:
            self.last_order_id = fact.client_order_id
        spec = fact.spec
        self.portfolio.expect(fact.strategy, spec.instrument, spec.side, spec.quantity, 1)
        self._reserve(order)

    def _released(self, fact: f.OrderReleased) -> None:
        order = self.orders[fact.client_order_id]
        before, was_stop = order.remaining, order.spec.trigger is not None
        order.held = False
        order.spec = fact.spec
        order.exit = order.exit if fact.exit is None else fact.exit
        if was_stop and order.exit and order.role is Role.ENTRY:
            order.role = Role.STOP  # known only now: it may have been placed ahead of its position
        self._operate(order, OperationKind.SUBMIT, order.operations + 1, fact.at_ns)
        self._expect_change(order, before)

    def _operate(self, order: LiveOrder, kind: OperationKind, number: int, at_ns: int) -> Operation:
        assert order.operation is None, f"{order.client_order_id} has an operation in flight, {kind} cannot start"
        order.operation = Operation(kind, number, at_ns)
        order.operations = number
        return order.operation

    def _amend_intended(self, fact: f.AmendIntended) -> None:
        order = self.orders[fact.client_order_id]
        before = order.remaining
        operation = self._operate(order, OperationKind.AMEND, fact.operation, fact.at_ns)
        operation.quantity = fact.quantity
        operation.price = fact.price
        order.exit = order.exit if fact.exit is None else fact.exit
        self._expect_change(order, before)

    def _cancel_intended(self, fact: f.CancelIntended) -> None:
        order = self.orders[fact.client_order_id]
        order.cancel_wanted = fact.operation == 0
        order.cancelled_for = fact.why or order.cancelled_for or "asked"
        if fact.operation:
            self._operate(order, OperationKind.CANCEL, fact.operation, fact.at_ns)

    def _sent(self, fact: f.OperationSentRecorded) -> None:
        order = self.orders[fact.client_order_id]
        if order.operation is not None and order.operation.number == fact.operation:
            order.operation.move(OperationTrigger.SEND)
            order.operation.since_ns = fact.at_ns

    def _lost(self, fact: f.OperationLost) -> None:
        order = self.orders[fact.client_order_id]
        operation = order.operation
        assert operation is not None, f"no operation to lose: {fact}"
        assert operation.number == fact.operation, f"another operation is in flight: {fact}"
        if not order.is_unknown:
            self.portfolio.nets[order.instrument].unknown += 1
        operation.move(OperationTrigger.LOSE)
        operation.cause = fact.cause
        self._touched(order, fact.at_ns)

    def _settled(self, fact: f.OperationSettled) -> None:
        order = self.orders[fact.client_order_id]
        operation = order.operation
        assert operation is not None, f"no operation to settle: {fact}"
        assert operation.number == fact.operation, f"another operation is in flight: {fact}"
        before = order.remaining
        if order.is_unknown:
            self.portfolio.nets[order.instrument].unknown -= 1
        order.operation = operation.move(OperationTrigger.SETTLE)
        if operation.kind is OperationKind.CANCEL and fact.result == "not_executed":
            order.cancel_wanted = True  # it is still wanted, and leaves again at the next tick
        if operation.quantity is not None:
            self._expect_change(order, before)  # only an amendment reserves beyond the order's own terms
        self._fill_whole(order)
        self._touched(order, fact.at_ns)

    def _fill_whole(self, order: LiveOrder) -> None:
        """End an order that has all its quantity, once no larger one is in flight."""
        if order.is_open and order.filled >= order.worst_quantity:
            self.orders.move(order, Trigger.FILL_WHOLE)
            self._after_move(order, True, ZERO)

    def _acknowledged(self, fact: f.OrderAcknowledged) -> None:
        order = self.orders[fact.client_order_id]
        self.orders.acknowledge(order, fact.venue_order_id)
        self._touched(order, fact.at_ns)

    def _amended(self, fact: f.OrderAmended) -> None:
        order = self.orders[fact.client_order_id]
        before = order.remaining
        order.spec = amended(order.spec, fact.quantity, fact.price)
        self._expect_change(order, before)
        if order.operation is None:
            self._fill_whole(order)

    def _moved(self, fact: f.OrderMoved) -> None:
        order = self.orders[fact.client_order_id]
        was_open, before = order.is_open, order.remaining
        self.orders.move(order, fact.trigger)
        if fact.reason:
            order.reason = fact.reason
        self._after_move(order, was_open, before)
        self._touched(order, fact.at_ns)

    def _filled(self, fact: f.FillRecorded) -> None:
        order = self.orders[fact.client_order_id]
        was_open, before = order.is_open, order.remaining
        assert fact.cumulative > order.filled, f"a fill that adds nothing: {fact}"
        order.filled = fact.cumulative
        order.fills[fact.fill.id] = fact.fill
        if order.state is not OrderState.FILLED:
            whole = order.filled >= order.worst_quantity
            self.orders.move(order, Trigger.FILL_WHOLE if whole else Trigger.FILL)
        self._after_move(order, was_open, before)
        self.portfolio.fill(
            fact.strategy, fact.instrument, fact.side, fact.fill, fact.at_ns, fact.opened_at, fact.settled, fact.earned
        )
        if fact.fill.lot or order.lot:
            lots = self.lots.setdefault(fact.instrument.partition(":")[0], Lots())
            lots.filled(fact, order.lot)
        self._touched(order, fact.at_ns)

    def _corrected(self, fact: f.FillCorrected) -> None:
        order = self.orders.get(fact.client_order_id)
        if order is not None:
            order.fills[fact.after.id] = fact.after
        self.portfolio.correct(fact.strategy, fact.instrument, fact.side, (fact.before, fact.after), fact.at_ns)
        if fact.before.lot:
            self.lots.setdefault(fact.instrument.partition(":")[0], Lots()).corrected(fact)

    def _external_order(self, fact: f.ExternalOrderSeen) -> None:
        origin = Origin.VENUE if fact.lot else Origin.EXTERNAL
        intent = f.OrderIntended(
            fact.client_order_id, fact.strategy, fact.spec, origin, fact.role, 0, fact.at_ns,
            exit=bool(fact.lot), parent=fact.entry, lot=fact.lot,
        )  # fmt: skip
        self._intended(intent)
        order = self.orders[fact.client_order_id]
        order.operation = None
        self.orders.acknowledge(order, fact.venue_order_id)
        if fact.filled_quantity:
            before = order.remaining
            order.filled = fact.filled_quantity
            order.state = OrderState.PARTIALLY_FILLED
            self._expect_change(order, before)

    def _adjusted(self, fact: f.PositionAdjusted) -> None:
        self.portfolio.adjust(fact.strategy, fact.instrument, fact.quantity, fact.price)

    def _balances(self, fact: f.BalancesRecorded) -> None:
        account = self.portfolio.account(fact.venue)
        account.replace(
            fact.balances,
            fact.asked_at_ns,
            locked_by_us(self.orders, self.last_order_event_ns, fact.venue, fact.asked_at_ns),
        )
        account.margin_used = fact.margin_used
        account.margin_available = fact.margin_available
        if fact.lots is not None:
            moved = {one for one, at_ns in self.last_order_event_ns.items() if at_ns >= fact.asked_at_ns}
            self.lots.setdefault(fact.venue, Lots()).replace(fact.lots, fact.asked_at_ns, moved, self.orders)

    def _cash_flow(self, fact: f.CashFlowRecorded) -> None:
        self.portfolio.flow(fact.flow, fact.at_ns)

    def _state_set(self, fact: f.StateSet) -> None:
        if fact.state is TradingState.ACTIVE:
            self.latches.pop(fact.scope, None)
            if fact.scope.startswith("strategy:"):
                self.quarantined.pop(fact.scope.removeprefix("strategy:"), None)
        else:
            self.latches[fact.scope] = fact
        self.halt_generation = max(self.halt_generation, fact.generation)

    def _target(self, fact: f.TargetSet) -> None:
        if fact.quantity is None:
            self.targets.pop((fact.strategy, fact.instrument), None)
        else:
            self.targets[fact.strategy, fact.instrument] = fact

    def _marks(self, fact: MarksRecorded) -> None:
        self.rates.recorded = dict(fact.prices)

    def _saved(self, fact: StrategySaved) -> None:
        self.saves[fact.strategy] = fact

    def _timer(self, fact: f.TimerRecorded) -> None:
        self.timers[fact.strategy, fact.name] = fact.scheduled_at_ns

    def _cursor(self, fact: f.CursorMoved) -> None:
        self.cursors[fact.venue, fact.name] = fact.value

    def _faulted(self, fact: StrategyFaulted) -> None:
        self.quarantined[fact.strategy] = fact

    def _reloaded(self, fact: StrategyReloaded) -> None:
        self.run = self.run and self.run.reloaded(fact)

    # -- reservations --------------------------------------------------------------------------------------------

    def _touched(self, order: LiveOrder, at_ns: int) -> None:
        self.last_order_event_ns[order.instrument] = at_ns

    def _after_move(self, order: LiveOrder, was_open: bool, before: Decimal) -> None:
        """Bring the sums in line after a move, in which an order may have ended or come back."""
        count = int(order.is_open) - int(was_open)
        change = order.remaining - before
        if change or count:
            self.portfolio.expect(order.strategy, order.instrument, order.spec.side, change, count)
        self._reserve(order)

    def _expect_change(self, order: LiveOrder, before: Decimal) -> None:
        change = order.remaining - before
        if change:
            self.portfolio.expect(order.strategy, order.instrument, order.spec.side, change)
        self._reserve(order)

    def _reserve(self, order: LiveOrder) -> None:
        """Hold what the order may cost at worst; the difference to before moves the account's reservation."""
        portfolio = self.portfolio
        rules = portfolio.instruments[order.instrument]
        account = portfolio.account(rules.venue)
        reservation = reservation_of(order, rules, account) if order.is_open else NO_RESERVATION
        before, order.reservation = order.reservation, reservation
        if before != reservation:
            if before[1]:
                account.reserve(before[0], -before[1])
            if reservation[1]:
                account.reserve(*reservation)
