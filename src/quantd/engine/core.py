"""The engine: `handle(event) -> commands`, deterministic, and the only consumer of events.

One event at a time: apply it, let protection and targets follow, call strategies, drain what their calls caused, return
the commands. The facts of the event are taken with `take_facts` and must be on disk before a command leaves.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from quantd.domain import events as e
from quantd.domain.capabilities import Capabilities
from quantd.domain.commands import Command
from quantd.domain.facts import (
    AccountRecorded,
    CursorMoved,
    Fact,
    InstrumentRecorded,
    OperationSentRecorded,
    RunStarted,
    TimerRecorded,
)
from quantd.domain.fills import Fill
from quantd.domain.instruments import InstrumentId
from quantd.domain.market import Bar, Book, Quote, StatusChanged
from quantd.domain.orders import ENDS, OperationPhase, Side
from quantd.domain.reports import AccountSnapshot, OrderReport
from quantd.engine.context import Context, EngineSettings, StrategySetup
from quantd.engine.desk import Desk
from quantd.engine.intake import Intake
from quantd.engine.notices import Notices
from quantd.engine.operator import Operator
from quantd.engine.orders import LiveOrder, view_of
from quantd.engine.protection import Protection
from quantd.engine.rates import Rates
from quantd.engine.reconcile import Reconciler
from quantd.engine.recovery import count_on, lose_in_flight
from quantd.engine.renewal import Renewals
from quantd.engine.replacing import Replacements
from quantd.engine.risk.changes import RiskOffice
from quantd.engine.risk.controls import DEFAULTS
from quantd.engine.risk.limits import Limits, RiskSettings
from quantd.engine.risk.wish import Denial, Denied
from quantd.engine.series import Series
from quantd.engine.state import State
from quantd.engine.strategy import Strategy
from quantd.engine.targets import Targets
from quantd.engine.trading import Trading
from quantd.engine.views import Job, Random, StrategyLog


class Engine:
    """The deterministic core. Same events in the same order give the same commands and facts."""

    _savers: Sequence[Desk] = ()
    """The desks whose strategies save state; known once they have declared themselves."""

    def __init__(  # noqa: PLR0913 -- the parts it is made of
        self,
        settings: EngineSettings,
        risk: RiskSettings,
        strategies: Iterable[tuple[StrategySetup, Strategy, Limits]],
        *,
        make_random: Callable[[int], Random],
        log: Callable[[str], StrategyLog],
        defaults: Limits = DEFAULTS,
    ) -> None:
        strategies = list(strategies)
        self.context = Context(settings, Rates(risk.base_currency))
        self.risk = RiskOffice(self.context, risk, [(setup, own) for setup, _, own in strategies], defaults)
        self.guards = self.risk.guards
        self.trading = Trading(self.context, self.risk.gate, self.guards.trips)
        self.targets = Targets(self.context, self.trading, self._target_denied)
        self._by_instrument: dict[InstrumentId, list[Desk]] = {}
        self.protection = Protection(self.context, self.trading, lambda one: len(self._by_instrument.get(one, ())) > 1)
        self.intake = Intake(self.context, self.trading, self._order_changed)
        self.reconciler = Reconciler(self.context, self.trading, self.intake, self.targets)
        self.desks: dict[str, Desk] = {
            setup.id: Desk(
                setup,
                strategy,
                context=self.context,
                trading=self.trading,
                targets=self.targets,
                random=make_random(setup.seed),
                log=log(setup.id),
            )
            for setup, strategy, _ in strategies
        }
        self._notices = Notices(settings.notices_max)
        self.operator = Operator(self.context, self.trading, self.targets, self.desks)
        self._join()
        self._bars: dict[InstrumentId, list[tuple[int, Series, Desk]]] = {}
        self._quotes: dict[InstrumentId, list[Desk]] = {}
        self._books: dict[InstrumentId, list[Desk]] = {}
        self._handlers: dict[type, Callable[[Any], None]] = {
            Bar: self._bar,
            Quote: self._quote,
            Book: self._book,
            StatusChanged: self._status,
            e.InstrumentListed: self._instrument,
            e.AccountOpened: self._account,
            AccountSnapshot: self._snapshot,
            OrderReport: self.intake.report,
            e.OperationSent: self._sent,
            e.OutcomeReceived: self._outcome,
            e.OperationResolved: self.intake.resolved,
            e.CashMoved: self.reconciler.flows.moved,
            e.TimerFired: self._timer,
            e.DayRolled: self._day,
            e.JobDone: self._job_done,
            e.TimePassed: self._time,
            e.ClockJumped: self._clock_jumped,
            e.CursorAdvanced: self._cursor,
            e.StrategyInterrupted: self._interrupted,
            e.StrategyStarted: self._started,
            e.StrategiesReplaced: self.replacements.replace,
            e.LimitsChanged: self.risk.change,
            e.ReconcileOrdered: self.reconciler.run,
            **self.operator.handlers(),
        }

    def _join(self) -> None:
        self.renewals = Renewals(self.context, self.desks, lambda _: self._hear())
        self.replacements = Replacements(
            self.context, self.desks, operator=self.operator, targets=self.targets, replaced=self._hear
        )
        self.trading.changed = lambda order: self._order_changed(order, None)
        self.protection.exits.report, self.reconciler.adjusted = self.intake.report, self.protection.adjusted
        self.guards.losses.tripped, self.guards.trips.followed = self.operator.tripped, self.operator.reduced

    # -- the two calls that matter -------------------------------------------------------------------------------

    def handle(self, event: e.Event) -> Sequence[Command]:
        """Take in one event and return what must be done; see `take_facts`.

        Raises:
            AssertionError: when the event contradicts what is known: a crash with a journal, not a guess.
        """
        context = self.context
        context.now_ns = event.received_at_ns
        context.event = event
        self._handlers[type(event)](event)
        if self._notices.waiting:
            self._notices.drain()
        if self._savers and type(event) is not e.StrategyInterrupted:
            for desk in self._savers:
                desk.keep()
        commands = context.commands
        if commands:
            context.commands = []
        return commands

    def take_facts(self) -> list[Fact]:
        """Return what was recorded since the last call, in order; on disk before the commands leave."""
        facts = self.context.facts
        if facts:
            self.context.facts = []
        return facts

    # -- building ------------------------------------------------------------------------------------------------

    def connect(self, venue: str, capabilities: Capabilities) -> None:
        """Say what a venue can do; before any order for it."""
        self.context.capabilities[venue] = capabilities

    def declare(self) -> None:
        """Run every strategy's `setup` and note what it wants to see.

        Raises:
            Exception: whatever a `setup` raises; the loader reports it.
        """
        for desk in self.desks.values():
            desk.declare()
        self._hear()

    def _hear(self) -> None:
        """Note who wants to see what; anew when a strategy has a fresh object."""
        self._savers = [desk for desk in self.desks.values() if type(desk.strategy).save is not Strategy.save]
        for heard in (self._bars, self._quotes, self._books, self._by_instrument):
            heard.clear()
        for desk in self.desks.values():
            for series in desk.series:
                entry = (int(series.every_s * 1e9), series, desk)
                self._bars.setdefault(series.instrument, []).append(entry)
            named = ((self._quotes, desk.quotes), (self._books, desk.books), (self._by_instrument, desk.instruments))
            for listeners, instruments in named:
                for instrument in instruments:
                    listeners.setdefault(instrument, []).append(desk)

    def restored(self) -> None:
        """Set what is derived from the folded state; call once after a fold, before the first event."""
        count_on(self.context)
        self.risk.restored()
        self.protection.restore()
        self.targets.restore(self.desks)
        self.trading.forsaken = {one.strategy for one in self.state.orders.open_orders()} - {"", *self.desks}

    def lose_in_flight(self, cause: str, now_ns: int) -> None:
        """After a fold: what was pending or sent may or may not have happened. A stale intent is never sent late."""
        self.context.now_ns = now_ns
        intake, trading, protection = self.intake, self.trading, self.protection
        lose_in_flight(self.context, intake=intake, trading=trading, protection=protection, cause=cause)

    def begin(self, run: RunStarted) -> None:
        """Record what this process is made of; the first fact of every run."""
        self.context.now_ns = run.at_ns
        self.context.record(run)

    @property
    def state(self) -> State:
        """The state, for reading."""
        return self.context.state

    @property
    def awaits_time(self) -> bool:
        """Whether `TimePassed` may have anything to do: a backtest leaves it out otherwise."""
        return self.targets.waits or self.trading.waits or self.protection.waits

    def take_jobs(self) -> list[Job]:
        """Return the slow work that strategies gave away since the last call."""
        jobs: list[Job] = []
        for desk in self.desks.values():
            if desk.jobs:
                jobs += desk.jobs
                desk.jobs = []
        return jobs

    # -- market --------------------------------------------------------------------------------------------------

    def _bar(self, bar: Bar) -> None:
        instrument = bar.instrument
        mark = self.context.state.rates.marks.get(instrument)
        # A longer bar ends with its last part at the earliest, and after a hole long after newer prices.
        if mark is not None and bar.closed_at_ns > mark.closed_at_ns and not mark.quoted and not bar.is_history:
            mark.set_close(bar)
            if self.guards.watches or not self.protection.is_idle:
                self._marked(instrument)
        if not bar.complete:
            return
        interval = bar.closed_at_ns - bar.opened_at_ns
        for wanted, series, desk in self._bars.get(instrument, ()):
            if wanted == interval:
                desk.on_bar(series, bar)

    def _quote(self, quote: Quote) -> None:
        instrument = quote.instrument
        mark = self.context.state.rates.marks.get(instrument)
        if mark is None:
            return
        mark.set_quote(quote.bid, quote.ask, quote.received_at_ns)
        self._marked(instrument)
        for desk in self._quotes.get(instrument, ()):
            desk.on_quote(quote)

    def _marked(self, instrument: InstrumentId) -> None:
        """Let held exits and loss limits follow a price; nearly free while nothing is held."""
        if not self.protection.is_idle:
            self.protection.marked(self.context.state.rates.marks[instrument])
        if self.guards.watches:
            self.guards.marked(instrument)

    def _book(self, book: Book) -> None:
        for desk in self._books.get(book.instrument, ()):
            if desk.is_started:
                desk.call(desk.strategy.on_book, book)

    def _status(self, event: StatusChanged) -> None:
        mark = self.context.state.rates.marks.get(event.instrument)
        if mark is None or mark.status is event.status:
            return
        mark.set_status(event.status, event.received_at_ns)
        for desk in self._by_instrument.get(event.instrument, ()):
            if desk.is_started:
                desk.call(desk.strategy.on_status, event)

    def _instrument(self, event: e.InstrumentListed) -> None:
        known = self.state.portfolio.instruments.get(event.instrument.id)
        if known != event.instrument:
            self.context.record(InstrumentRecorded(event.instrument, self.context.now_ns))
        self.state.rates.listed(event.instrument)

    # -- accounts and orders --------------------------------------------------------------------------------------

    def _account(self, event: e.AccountOpened) -> None:
        if self.state.portfolio.account(event.account.venue).account != event.account:
            self.context.record(AccountRecorded(event.account, self.context.now_ns))

    def _snapshot(self, snapshot: AccountSnapshot) -> None:
        self.reconciler.look(snapshot)
        self.protection.look()

    def _sent(self, event: e.OperationSent) -> None:
        order = self.state.orders.get(event.client_order_id)
        operation = None if order is None else order.operation
        if operation is None or operation.number != event.operation:
            return
        if operation.phase is OperationPhase.PENDING:
            self.context.record(OperationSentRecorded(event.client_order_id, event.operation, self.context.now_ns))

    def _outcome(self, event: e.OutcomeReceived) -> None:
        order = self.state.orders.get(event.client_order_id)
        if order is None:
            self.protection.outcome(event)
        was_open = order is not None and order.is_open
        self.intake.outcome(event)
        if order is not None:
            self.guards.outcome(order, event.outcome)
        refused = getattr(event.outcome, "reason", None)
        if refused is not None and order is not None and was_open and not order.is_open and order.strategy:
            denied = Denied(Denial.NOT_EXECUTED, 0, "order", "sent", refused)
            desk = self.desks.get(order.strategy)
            if desk is not None:
                self._notices.add(desk, lambda: desk.strategy.on_denied(denied, order.instrument))

    def _order_changed(self, order: LiveOrder, fill: Fill | None) -> None:
        """Follow up a change: protection, targets, loss limits, and the strategy's hooks once it may be called."""
        if fill is not None:
            signed = fill.quantity if order.spec.side is Side.BUY else -fill.quantity
            self.protection.filled(order, signed, fill)
            if self.guards.watches:
                self.guards.marked(order.instrument)
        if order.state in ENDS:
            self.protection.ended(order)
            self.targets.order_changed(order)
        elif fill is None:
            self.protection.changed(order)
        desk = self.desks.get(order.strategy)
        if desk is None:
            return
        if fill is not None and type(desk.strategy).on_fill is not Strategy.on_fill:
            self._notices.add(desk, lambda: desk.strategy.on_fill(view_of(order), fill))
        if type(desk.strategy).on_order is not Strategy.on_order:
            self._notices.add(desk, lambda: desk.strategy.on_order(view_of(order)))

    def _target_denied(self, strategy: str, instrument: InstrumentId, denied: Denied) -> None:
        desk = self.desks.get(strategy)
        if desk is not None:  # else it is a book that is closed, of a strategy that is no longer configured
            self._notices.add(desk, lambda: desk.strategy.on_denied(denied, instrument))

    # -- time ----------------------------------------------------------------------------------------------------

    def _time(self, event: e.TimePassed) -> None:
        self.trading.time_passed()
        self.protection.time_passed()
        self.targets.time_passed()
        self.guards.time_passed()
        self.renewals.time_passed()

    def _clock_jumped(self, event: e.ClockJumped) -> None:
        self.context.pause(event.by_ns)

    def _timer(self, event: e.TimerFired) -> None:
        desk = self.desks.get(event.strategy)
        if desk is not None and not desk.is_started and not event.name.startswith("@"):
            # Not recorded before it is called: a restart in between fires it again.
            desk.waiting_timers[event.name] = event
            return
        self.context.record(TimerRecorded(event.strategy, event.name, event.scheduled_at_ns, self.context.now_ns))
        if event.name.startswith("@"):
            self.operator.schedule(event.strategy, event.name)
        elif desk is not None:
            desk.call(desk.strategy.on_timer, event.name)

    def _day(self, event: e.DayRolled) -> None:
        if event.day > self.state.baselines.day:  # a clock that was set back begins no day again
            self.guards.losses.day_began(event.day)

    def _job_done(self, event: e.JobDone) -> None:
        desk = self.desks.get(event.strategy)
        if desk is not None and desk.is_started:
            desk.call(
                desk.strategy.on_job,
                event.name,
                msgspec.json.decode(event.result) if event.result else None,
                event.error,
            )

    # -- life cycle ----------------------------------------------------------------------------------------------

    def _cursor(self, event: e.CursorAdvanced) -> None:
        if self.state.cursors.get((event.venue, event.name)) != event.value:
            self.context.record(CursorMoved(event.venue, event.name, event.value, self.context.now_ns))

    def _interrupted(self, event: e.StrategyInterrupted) -> None:
        desk = self.desks.get(event.strategy)
        if desk is not None and event.callback:
            desk.expect(event)
        elif desk is not None and not desk.is_quarantined:
            desk.quarantine(event.hook, event.reason)

    def _started(self, event: e.StrategyStarted) -> None:
        desk = self.desks.get(event.strategy)
        if desk is not None:
            desk.start()
            waiting, desk.waiting_timers = desk.waiting_timers, {}
            for timer in waiting.values():
                self._timer(timer)
