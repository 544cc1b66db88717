"""What the parts of the engine share while one event is handled: the state, the time, and where results go.

Facts are applied as they are recorded; commands and notices are collected and leave when the event is done.
"""

from decimal import Decimal
from typing import Protocol

import msgspec

from quantd.domain.capabilities import Capabilities
from quantd.domain.commands import Command
from quantd.domain.events import Event, StrategyInterrupted, TradingState
from quantd.domain.facts import Fact, StateSet
from quantd.domain.instruments import Instrument, InstrumentId
from quantd.engine.differences import Policies, Suspicions
from quantd.engine.doubts import Doubts
from quantd.engine.ids import ClientOrderIds
from quantd.engine.inputs import input_of
from quantd.engine.rates import Rates
from quantd.engine.state import SEVERITY, State


class StrategySetup(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine needs to know of one strategy beside its class."""

    id: str
    instruments: tuple[InstrumentId, ...]
    roles: dict[str, InstrumentId] = {}
    bars_s: int = 60
    """Interval of bars where the strategy names none, in seconds."""
    max_gap_s: float | None = None
    """Longest gap between bars before the warm-up starts anew; ten intervals when none."""
    stage: str = "live"
    """``paper``, ``canary`` or ``live``."""
    at_shutdown: str = "cancel_entries"
    max_slippage_bps: Decimal | None = None
    seed: int = 0
    """Of the strategy's `random`."""
    max_errors: int = 1
    """Exceptions of its callbacks, the last of which quarantines it; counted afresh in each run of the daemon."""
    errors_within_s: float = 3_600.0
    """Older ones do not count."""
    at_fault: str = "cancel_entries"
    """What becomes of its orders and its book when it is quarantined: ``cancel_entries``, ``flatten`` or ``keep``."""
    restarts_max: int = 0
    """How often supervision gives it a fresh object; a person's resume begins a new count."""
    restart_after_s: float = 60.0
    """Before the first one; each further one waits twice as long as the one before."""


class EngineSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Daemon-wide constants of the engine."""

    journal_id: str
    epoch: int
    good_for_s: float = 2.0
    """How long a submit may wait before it is sent."""
    target_good_for_s: float = 60.0
    """How long a target is retried after transient refusals."""
    max_slippage_bps: Decimal = Decimal(50)
    """Cap of emulated market orders."""
    ioc_after_s: float = 3.0
    """How long an emulated market order may stand before the rest is cancelled."""
    clock_pause_s: float = 5.0
    """How long new exposure pauses after the wall clock jumped."""
    naked_after_s: float = 10.0
    """How long a position may stand without its stop while its market is open."""
    when_naked: str = "exit"
    """What follows then: ``exit``, ``halt`` or ``alert``; see `nakedness`."""
    notices_max: int = 1_000
    """Callbacks that one event may cause for one strategy; more is a storm and quarantines it."""


class Called(Protocol):
    """One strategy whose code is being called."""

    id: str
    callbacks: int
    """Callbacks begun in this process."""

    def cut_short(self, reason: str) -> None:
        """Interrupt the code; in the engine's thread only."""

    def cut_after_act(self, reason: str) -> None:
        """Interrupt it when the acting call that it is in has returned; in the engine's thread only."""


class Meter(Protocol):
    """Times callbacks; reads a clock, so it is handed in, and nothing that the engine decides depends on it."""

    def began(self) -> None:
        """A callback begins."""

    def ended(self, strategy: str, hook: str) -> None:
        """The callback that began last has returned."""


class Context:
    """The engine's shared working set; one for each engine."""

    def __init__(self, settings: EngineSettings, rates: Rates) -> None:
        self.settings = settings
        self.state = State(rates)
        self.now_ns = 0
        self.event: Event | None = None
        """What the engine is at."""
        self.commands: list[Command] = []
        self.facts: list[Fact] = []
        self.doubts = Doubts(self.state)
        self.ids = ClientOrderIds(settings.journal_id, settings.epoch)
        self.capabilities: dict[str, Capabilities] = {}
        self.policies: dict[str, Policies] = {}
        """By venue, what periodic snapshots are compared by; a venue without is taken at its word (a backtest's)."""
        self.suspicions = Suspicions(self.state)
        self.venue_reasons: dict[str, dict[str, str]] = {}
        """Venue -> each cause why it takes exits only now, in words; absent when it has none. See `VenueChanged`."""
        self.paused_until_ns = 0
        """New exposure waits until then, after a clock jump."""
        self.running: Called | None = None
        """Whose code is being called; other threads may read it."""
        self.interruptions: list[StrategyInterrupted] = []
        self.tolerated: list[tuple[str, str, str]] = []
        """Errors within a budget since somebody looked: strategy, hook, text."""
        self.meter: Meter | None = None
        """Set by the runtime; times a sample of the callbacks."""
        self.is_stopping = False
        """The daemon is about to stop: no new exposure."""

    @property
    def input(self) -> str:
        """What the engine is at, in a few words."""
        return input_of(self.event)

    def record(self, fact: Fact) -> None:
        """Apply a fact and keep it for the journal."""
        self.state.apply(fact)
        self.facts.append(fact)

    def latch(self, scope: str, state: TradingState, by: str, why: str) -> bool:
        """Latch a scope's state on behalf of a control; a stricter one that stands already stays.

        Returns:
            Whether the latch is new.
        """
        known = self.state.latches.get(scope)
        if known is not None and (SEVERITY[known.state] > SEVERITY[state] or (known.state is state and known.by == by)):
            return False
        self.record(StateSet(scope, state, by, why, self.state.halt_generation + 1, self.now_ns))
        return True

    def take_interruptions(self) -> list[StrategyInterrupted]:
        """Return the callbacks that were cut short since the last call: inputs, before the event that they came of."""
        cuts = self.interruptions
        if cuts:
            self.interruptions = []
        return cuts

    def pause(self, by_ns: int) -> None:
        """Open nothing for a while after the wall clock jumped; after a step backwards until it is caught up, too.

        How far the clock is still ahead of an earlier step backwards, another step adds to, or takes away.
        """
        ahead_until_ns = self.paused_until_ns - by_ns if self.paused_until_ns > self.now_ns else 0
        pause_ns = int(self.settings.clock_pause_s * 1e9) + max(-by_ns, 0)
        self.paused_until_ns = max(self.now_ns + pause_ns, ahead_until_ns)

    def send(self, command: Command) -> None:
        """Hand a command to the executor once the facts of this event are on disk."""
        self.commands.append(command)

    def reaches(self, instrument: str) -> bool:
        """Whether the venue of an instrument is configured: one that was taken out may have left orders and positions."""
        return instrument.partition(":")[0] in self.capabilities

    def instrument(self, instrument: InstrumentId) -> Instrument:
        """Return the rules of an instrument.

        Raises:
            KeyError: when it is not listed.
        """
        return self.state.portfolio.instruments[instrument]
