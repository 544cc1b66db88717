"""The real daemon on a simulated machine: its disk is memory, its network is simulated, and it can die at any step.

Used by the simulation. Everything between (engine, runner, executor, followers, pollers, connector) is what runs live.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, cast

from quantd.app.daemon import Daemon
from quantd.app.storage import Storage
from quantd.domain.events import Event, OperationResolved, OutcomeReceived, TradingState, VenueChanged
from quantd.domain.facts import Fact
from quantd.domain.outcomes import Unknown
from quantd.domain.reports import OrderReport
from quantd.feeds.store import BarStore
from quantd.journal.latch import Halt, LatchContent
from quantd.journal.store import JournalStore
from quantd.journal.writer import JournalWriter
from quantd.telemetry.metrics import NullObserver, PrometheusObserver
from tests.sim.disk import MemoryLatch, MemoryStore, SlowJournal
from tests.sim.invariants import require
from tests.sim.network import SimTransport

if TYPE_CHECKING:
    from tests.sim.world import World

_REPEATED = (OrderReport, OutcomeReceived, OperationResolved)
_TASKS = ("quotes ", "status ", "books ", "bars ", "bar builder ", "orders ", "account ", "cash ", "stream ", "start ")


class _Latch(MemoryLatch):
    """One process's hold on the latch; a dead process changes nothing any more."""

    def __init__(self, shared: MemoryLatch, is_dead: Callable[[], bool]) -> None:
        super().__init__()
        self._shared = shared
        self._is_dead = is_dead

    def read(self) -> LatchContent:
        """Read."""
        return self._shared.read()

    def halt(self, halt: Halt) -> LatchContent:
        """Latch."""
        return self.read() if self._is_dead() else self._shared.halt(halt)

    def clear(self, scope: str, *, by: str, why: str, at_ns: int) -> LatchContent:
        """Clear."""
        return self.read() if self._is_dead() else self._shared.clear(scope, by=by, why=why, at_ns=at_ns)


def _says_unknown(event: Event) -> bool:
    """Whether an event only says that nothing is known: its repetition is recorded, and changes nothing else."""
    return isinstance(event, OutcomeReceived) and isinstance(event.outcome, Unknown)


class SimDaemon(Daemon):
    """One life of the daemon."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.is_dead = False
        self.receive: Callable[[Mapping[str, str], bytes], tuple[int, str]] | None = None
        super().__init__(
            world.settings,
            clock=world.clock,
            observer=cast(PrometheusObserver, NullObserver()),
            transport=lambda venue, url, idle_s: SimTransport(world.network, world, lambda: self.is_dead),
        )
        self.emit = self._emitted

    def crash(self) -> None:
        """Die: nothing of this process reaches disk, latch or network any more."""
        self.is_dead = True
        self.slow_journal.crash()

    def build(self) -> None:
        """Build, and watch the engine being given some events twice."""
        with self.world.scene.streamed(lambda: self.is_dead):
            super().build()
        handle, engine, rng = self.engine.handle, self.engine, self.world.rng("repeats")

        def handle_twice(event: Event) -> Sequence[Any]:
            commands = handle(event)
            if isinstance(event, _REPEATED) and rng.random() < 0.2 and not _says_unknown(event):
                self.world.struck["repeated_event"] += 1
                known = len(engine.context.facts)
                again = handle(event)
                require(not again, "a repeated event sends:", event, again)
                require(len(engine.context.facts) == known, "a repeated event changes:", event)
            return commands

        setattr(engine, "handle", handle_twice)  # noqa: B010 -- the only way that does not need a copy of the daemon

    @property
    def slow_journal(self) -> SlowJournal:
        """The journal, as what it is."""
        return cast(SlowJournal, self._journal)

    def _open_disk(self) -> None:
        world = self.world
        latch = _Latch(world.disk.latch, lambda: self.is_dead)
        self._storage = Storage(cast("JournalStore[Fact]", MemoryStore(world.disk)), latch, ExitStack())
        journal = SlowJournal(world.disk, world, world.rng("disk"), world.disk_weather(), self._journal_failed)
        self._journal = cast("JournalWriter[Fact]", journal)
        self.bars = cast(BarStore, world.disk.bars)

    async def _start_services(self) -> None:
        scene = self.world.scene
        self.receive = scene.receiver(self._shared, self.venues[scene.name])

    def _emitted(self, event: Event) -> None:
        if isinstance(event, VenueChanged) and event.state is TradingState.REDUCING:
            # What the supervisor keeps alive in production is a fault of ours here.
            self.world.check(lambda: require(not event.reason.startswith(_TASKS), "a task failed:", event.reason))
        self.inbox.put(event)

    def _watch(self, facts: Sequence[Fact]) -> None:
        super()._watch(facts)
        self.world.check(lambda: require(not self.executor.faults, "a connector failed in a write"))
        if not self.is_dead:
            self.world.heard(facts, self)
