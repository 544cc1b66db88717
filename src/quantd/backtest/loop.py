"""The loop: one market event after the other through the exchange and the engine, in virtual time.

For each event: what is due before it (bars, timers, the engine's tick), then the exchange matches and its reports go to
the engine, then the engine sees the event, then its commands go to the exchange and their outcomes come back, until
nothing more follows. An order never fills on the event that caused it.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, islice

import msgspec

from quantd.backtest.equity import EquityCurve
from quantd.backtest.jobs import do
from quantd.backtest.orders import perform
from quantd.clock import ManualClock
from quantd.domain.capabilities import Capabilities, LotWrite
from quantd.domain.cash import Account
from quantd.domain.commands import CancelAll, Command
from quantd.domain.events import (
    AccountOpened,
    Event,
    InstrumentListed,
    MarketEvent,
    OutcomeReceived,
    StrategyStarted,
    TimePassed,
    TradingState,
    VenueChanged,
)
from quantd.domain.facts import (
    BalancesRecorded,
    CashFlowRecorded,
    Fact,
    FillCorrected,
    FillRecorded,
    InstrumentRecorded,
    PositionAdjusted,
    RequestDenied,
    RunStarted,
)
from quantd.domain.instruments import Instrument, InstrumentId
from quantd.domain.market import Bar
from quantd.domain.strategy_facts import StrategyFaulted
from quantd.engine.core import Engine
from quantd.engine.desk import Desk
from quantd.errors import ConfigError, QuantdError
from quantd.exchange import Exchange
from quantd.feeds.bar_makers import NEVER, BarMakers
from quantd.journal.memory import MemoryJournal
from quantd.ports import Clock
from quantd.runtime.scheduler import Scheduler

CHUNK = 2_048
"""Events between two reports of progress."""
TICK_NS = 1_000_000_000
"""The engine's regular tick, in market time: one after an event, left out while nothing waits for it. While a target or
an exit is held up, more of them: after 1, 3, 7, ... seconds."""
_NS_PER_S = 1_000_000_000
COMMANDS_MAX = 10_000
"""Commands at one instant, above which a strategy is taken to send for ever."""


class BacktestFailed(QuantdError):
    """The run could not go on; the message names the instant and the reason."""


class SimulatedVenue(msgspec.Struct, frozen=True):
    """One account of the backtest: the exchange that executes for it, and what the engine must know of it."""

    account: Account
    capabilities: Capabilities
    exchange: Exchange
    instruments: tuple[Instrument, ...]


_WEIGHTY = frozenset(
    {BalancesRecorded, CashFlowRecorded, FillCorrected, FillRecorded, InstrumentRecorded, PositionAdjusted}
)
"""Facts that change what the accounts are worth at given prices."""
_TELLING = _WEIGHTY | {RequestDenied, StrategyFaulted}
"""Facts that the loop looks at; most are for the journal only."""

MakeScheduler = Callable[[Clock], Scheduler]
"""Makes the scheduler on the clock of the run, which stands at the first event."""


class Backtest:
    """One run over history.

    Args:
        engine: With its strategies declared; nobody else may call `handle`.
        venues: The accounts.
        events: Market data in the order of `received_at_ns`.
        journal: Takes all facts.
        scheduler: Makes what fires timers and ends days; none without it.
        run: The first record; a plain one without it.
    """

    def __init__(  # noqa: PLR0913 -- what a run is made of
        self,
        engine: Engine,
        venues: Sequence[SimulatedVenue],
        events: Iterable[MarketEvent],
        *,
        journal: MemoryJournal[Fact] | None = None,
        scheduler: MakeScheduler | None = None,
        run: RunStarted | None = None,
    ) -> None:
        self.engine = engine
        self.journal: MemoryJournal[Fact] = MemoryJournal() if journal is None else journal
        self.equity = EquityCurve(engine.state)
        self.fills: list[FillRecorded] = []
        self.denials: dict[tuple[str, str], int] = {}
        """(strategy, code) -> how often."""
        self.faults: list[StrategyFaulted] = []
        self.events = 0
        """Market events so far."""
        self.started_at_ns = 0
        self.ended_at_ns = 0
        self._venues = {venue.account.venue: venue for venue in venues}
        self._holding = {
            name: one for name, one in self._venues.items() if LotWrite.PROTECT in one.capabilities.lot_writes
        }
        """Those that hold exits."""
        self._venue_of = {one.id: venue for venue in venues for one in venue.instruments}
        self._events = iter(events)
        self._make_scheduler = scheduler
        self._run_started = run
        self._bars = BarMakers(_wanted(engine))
        self._scheduler: Scheduler | None = None
        self._timer_at_ns = NEVER
        self._tick_at_ns = NEVER
        self._tick_in_ns = TICK_NS
        self._due_at_ns = NEVER
        self._waits = False
        """Whether the engine's tick has anything to do; one tick follows each market event while it has."""
        for venue in venues:
            engine.connect(venue.account.venue, venue.capabilities)

    # -- the run -------------------------------------------------------------------------------------------------

    def run(self, on_progress: Callable[[int, int], None] | None = None) -> "Backtest":
        """Run to the end of the data.

        Args:
            on_progress: Called now and then with the number of events since the last call and the market's time.

        Raises:
            ConfigError: the data are empty or do not fit the strategies.
            BacktestFailed: the strategies send without end.
        """
        first = next(self._events, None)
        if first is None:
            raise ConfigError("the data hold no events")
        self._start(first.opened_at_ns if isinstance(first, Bar) else first.received_at_ns)
        events = chain((first,), self._events)
        while chunk := list(islice(events, CHUNK)):
            self._work(chunk)
            self.events += len(chunk)
            self.ended_at_ns = chunk[-1].received_at_ns
            if on_progress is not None:
                on_progress(len(chunk), self.ended_at_ns)
        return self

    def _work(self, events: Sequence[MarketEvent]) -> None:  # noqa: C901 -- the hot loop: a call costs a tenth of it
        """Take in a chunk of events. Everything that most events do not need is behind one test each."""
        handle, context = self.engine.handle, self.engine.context
        handlers = {instrument: venue.exchange.handle for instrument, venue in self._venue_of.items()}
        watched, equity, desks = self._bars.watched, self.equity, tuple(self.engine.desks.values())
        add_time, add_value, values = equity.times.append, equity.values.append, equity.values
        sampled_at_ns = equity.times[-1] if equity.times else -1
        for event in events:
            now_ns = event.received_at_ns
            if now_ns >= self._due_at_ns:
                self._pass_time(now_ns)
            reports = handlers[event.instrument](event)
            if reports:
                # All are told before what follows from one is carried out: an answer would tell of a later one's fill first.
                self._follow([command for told in reports for command in handle(told.report)])
            for desk in desks:
                if not desk.is_started and isinstance(event, Bar):
                    self._start_ready(desk, now_ns, event)
            commands = handle(event)
            if commands or context.facts:
                self._follow(commands)
            if self._waits:
                self._tick_soon(now_ns)
            for desk in desks:
                if desk.jobs:
                    self._tick_soon(now_ns)
                if not desk.is_started:
                    self._start_ready(desk, now_ns)
            if event.instrument in watched:
                for bar in self._bars.take(event):
                    self._tell_bar(bar, now_ns)
                self._await(now_ns)
                self._plan()
            if equity.is_steady or equity.refresh():
                value = equity.constant
                for mark, weight in equity.terms:
                    value += weight * mark.last
                if now_ns == sampled_at_ns:
                    values[-1] = value  # between two prices of one time, a hedge would look like a loss
                else:
                    sampled_at_ns = now_ns
                    add_time(now_ns)
                    add_value(value)

    def _start(self, now_ns: int) -> None:
        """Tell the engine of its accounts and start the strategies, a moment before the first event."""
        self.started_at_ns = now_ns
        self.engine.begin(self._run_started or RunStarted("backtest", "", {}, "backtest", 0, now_ns))
        for name, venue in self._venues.items():
            self._tell(AccountOpened(venue.account, now_ns))
            for instrument in venue.instruments:
                self._tell(InstrumentListed(instrument, now_ns))
            self._tell(venue.exchange.snapshot(venue.account.id, name, now_ns))
            self._tell(VenueChanged(name, TradingState.ACTIVE, "", now_ns))
        if self._make_scheduler is not None:
            self._scheduler = self._make_scheduler(ManualClock(now_ns))
            for event in self._scheduler.due(now_ns):
                self._tell(event)
        self._plan()

    def _start_ready(self, desk: Desk, now_ns: int, bar: Bar | None = None) -> None:
        """Start a strategy, as live, once all its instruments have prices and all its series are warm.

        A bar that is about to be told counts, so that the strategy gets the one that ends its warm-up.
        """
        marks, told = self.engine.state.rates.marks, bar.instrument if bar is not None else ""
        if any(one != told and not (one in marks and marks[one].last > 0) for one in desk.instruments):
            return
        length_ns = bar.interval_ns if bar is not None else 0
        for series in desk.series:
            is_fed = series.instrument == told and series.every_s * _NS_PER_S == length_ns
            if series.count + is_fed < series.needed:
                return
        self._tell(StrategyStarted(desk.id, now_ns))

    def _tell_bar(self, bar: Bar, now_ns: int) -> None:
        """Tell of a bar that the data do not have."""
        for desk in self.engine.desks.values():
            if not desk.is_started:
                self._start_ready(desk, now_ns, bar)
        self._tell(bar)

    # -- time ----------------------------------------------------------------------------------------------------

    def _pass_time(self, now_ns: int) -> None:
        """Do what falls due up to `now_ns`, in the order of its times: bars, then timers, then the tick."""
        while self._due_at_ns <= now_ns:
            at_ns = self._due_at_ns
            if self._bars.due_at_ns == at_ns:
                for bar in self._bars.due(at_ns):
                    self._tell_bar(bar, at_ns)
                self._await(at_ns)
            elif self._timer_at_ns == at_ns:
                assert self._scheduler is not None
                for event in self._scheduler.due(at_ns):
                    self._tell(event)
                self._await(at_ns)
            else:
                self._tick_at_ns = NEVER
                self._look(at_ns)
                self._tell(TimePassed(at_ns))
                if self._is_held_up():
                    self._tick_in_ns *= 2
                    self._tick_at_ns = at_ns + self._tick_in_ns
                self._jobs(at_ns)
            self._plan()

    def _plan(self) -> None:
        """Find the next time at which something is due."""
        if self._scheduler is not None:
            next_at_ns = self._scheduler.next_at_ns
            self._timer_at_ns = NEVER if next_at_ns is None else next_at_ns
        self._due_at_ns = min(self._bars.due_at_ns, self._timer_at_ns, self._tick_at_ns)

    def _is_held_up(self) -> bool:
        """Whether a target or an exit waits to be tried again: as live, before the next price."""
        return self.engine.targets.is_held_up or self.engine.protection.is_held_up

    def _await(self, now_ns: int) -> None:
        """Have a tick follow what came between two market events, too, where the engine waits for one."""
        if self._waits:
            self._tick_soon(now_ns)

    def _tick_soon(self, now_ns: int) -> None:
        """Have the engine's tick follow after a second, unless it is due already."""
        if self._tick_at_ns > now_ns + TICK_NS:
            self._tick_in_ns = TICK_NS
            self._tick_at_ns = now_ns + TICK_NS
            self._due_at_ns = min(self._due_at_ns, self._tick_at_ns)

    def _look(self, now_ns: int) -> None:
        """Show the accounts whose venue holds exits, as live after a fill: until one is shown none is known to stand."""
        if self.engine.state.protections:
            for name, venue in self._holding.items():
                self._tell(venue.exchange.snapshot(venue.account.id, name, now_ns))

    def _jobs(self, now_ns: int) -> None:
        """Do slow work on the spot; its result arrives a tick after it was asked for."""
        for job in self.engine.take_jobs():
            self._tell(do(job, now_ns))

    # -- events and commands -------------------------------------------------------------------------------------

    def _tell(self, event: Event) -> None:
        self._follow(self.engine.handle(event))

    def _follow(self, commands: Sequence[Command]) -> None:
        """Carry out commands and what follows from them, then take in the facts."""
        engine = self.engine
        if commands:
            now_ns = engine.context.now_ns
            waiting = deque(commands)
            sent = 0
            while waiting:
                waiting += self._carry_out(waiting.popleft(), now_ns)
                sent += 1
                if sent > COMMANDS_MAX:
                    raise BacktestFailed(
                        f"more than {COMMANDS_MAX} commands at {now_ns} ns: a strategy sends without end"
                    )
        facts = engine.take_facts()
        if facts:
            self._take_facts(facts)
        self._waits = engine.awaits_time

    def _carry_out(self, command: Command, now_ns: int) -> Sequence[Command]:
        """Hand one command to its exchange and the outcome to the engine; return what follows."""
        handle = self.engine.handle
        if isinstance(command, CancelAll):
            venue = self._venues[command.venue]
            done = venue.exchange.cancel_all(venue.account.id, now_ns, instrument=command.instrument)
            return [following for one in done for following in handle(one.report)]
        if not command.operation:
            return ()  # takes back a submit that waits to be sent; here none ever waits
        venue = self._venue_of[command.instrument]
        outcome = perform(venue.exchange, venue.account.id, command, now_ns)
        return handle(OutcomeReceived(command.client_order_id, command.operation, outcome, now_ns))

    def _take_facts(self, facts: list[Fact]) -> None:
        """Journal facts, count them, and weigh the equity anew."""
        self.journal.append(facts)
        weighs = False
        for fact in facts:
            kind = fact.__class__
            if kind not in _TELLING:
                continue
            weighs = weighs or kind in _WEIGHTY
            if isinstance(fact, FillRecorded):
                self.fills.append(fact)
            elif isinstance(fact, RequestDenied):
                key = (fact.strategy, fact.code)
                self.denials[key] = self.denials.get(key, 0) + 1
            elif isinstance(fact, StrategyFaulted):
                self.faults.append(fact)
        if weighs:
            self.equity.refresh()


def _wanted(engine: Engine) -> dict[InstrumentId, set[int]]:
    wanted: dict[InstrumentId, set[int]] = {}
    for desk in engine.desks.values():
        for series in desk.series:
            wanted.setdefault(series.instrument, set()).add(series.every_s)
    return wanted
