"""Joins watchdog, kill path, halt latch and rate budgets of one daemon.

Used by the daemon, which asks it for halts and tells it of orders, and by the command line, which starts the thread. A
simulation never starts it.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from quantd.config import Settings
from quantd.domain.events import ALL, TradingState
from quantd.domain.instruments import InstrumentId
from quantd.engine.core import Engine
from quantd.journal.latch import Halt, HaltLatch
from quantd.ports import Clock
from quantd.runtime.kill import KillPath, WorkingOrders
from quantd.runtime.watchdog import Watchdog
from quantd.runtime.writes import Write
from quantd.venues.parts import VenueParts

KILL_FILE = "kill"
"""Name of the file in the state folder that stands for a kill."""
_SILENCE_S = 2.0


class Safety:
    """The watchdog's side of one daemon.

    Args:
        venues: All venues.
        latch: What the executor asks for halts.
        engine: For the working orders, and for whose code runs.
        clock: Time.
    """

    def __init__(self, venues: Mapping[str, VenueParts], latch: HaltLatch, engine: Engine, clock: Clock) -> None:
        self.working = WorkingOrders()
        self.working.fill(engine.state.orders.open_orders())
        self._venues = venues
        self._latch = latch
        self._engine = engine
        self._clock = clock
        # A latch of its own on the same file: the kill path must not wait for a lock that the loop holds.
        self._own_latch = HaltLatch(latch.path)
        self._loop: asyncio.AbstractEventLoop | None = None
        self.kill = KillPath(
            {name: parts.kill for name, parts in venues.items() if parts.kill is not None},
            self.working,
            latch=self._write,
            clock=clock,
            ended=self._ended,
        )

    def scopes(self, write: Write) -> tuple[str, ...]:
        """Return the scopes whose halts concern a write."""
        order = self._engine.state.orders.get(write.client_order_id)
        strategy = order.strategy if order is not None else ""
        venue = write.instrument.partition(":")[0]
        return (f"venue:{venue}", f"instrument:{write.instrument}", f"strategy:{strategy}")

    def halted(self, scopes: tuple[str, ...]) -> TradingState:
        """Return the strictest state for these scopes: what the file says, and a kill that no disk has taken yet."""
        unlatched = self.kill.unlatched
        if unlatched and (ALL in unlatched or not unlatched.isdisjoint(scopes)):
            return TradingState.HALTED
        return self._latch.read().state_of(scopes)

    @contextmanager
    def watched(self, settings: Settings) -> Iterator[Watchdog]:
        """Run the watchdog while the daemon runs in this thread's event loop."""
        self._loop = asyncio.get_running_loop()
        watchdog = Watchdog(
            self._engine.context,
            {one.id: one.callback_deadline_s for one in settings.strategies},
            clock=self._clock,
            beat=self._loop.call_soon_threadsafe,
            kill=self._fire,
            kill_file=settings.journal.state_dir / KILL_FILE,
        )
        watchdog.start()
        try:
            yield watchdog
        finally:
            watchdog.stop()

    def _fire(self, by: str, why: str, scope: str) -> None:
        if not self._is_known(scope):
            why, scope = f"{why}, whose scope {scope} holds nothing that is known here", ALL
        self.kill.fire(by, why, scope)
        self._call(self._silence)

    def _is_known(self, scope: str) -> bool:
        """Whether a scope names something: a misspelt one must not kill nothing. In the watchdog's thread."""
        kind, _, name = scope.partition(":")
        match kind:
            case "venue":
                return name in self._venues
            case "strategy":
                return name in self._engine.desks
            case "instrument":
                return InstrumentId(name) in self._engine.state.portfolio.instruments
        return True

    def _write(self, scope: str, by: str, why: str) -> None:
        self._own_latch.halt(Halt(scope, TradingState.HALTED, by, f"kill: {why}", self._clock.now_ns()))

    # -- in the loop, if it turns --------------------------------------------------------------------------------

    def _silence(self) -> None:
        """Keep everything else off the venues at which the kill path spends the whole rate."""
        for venue in self.kill.busy:
            budget = self._venues[venue].budget
            if budget is not None:
                budget.silence(_SILENCE_S)
        if self.kill.busy and self._loop is not None:
            self._loop.call_later(_SILENCE_S / 2, self._silence)

    def _ended(self, venue: str, count: int) -> None:
        parts = self._venues[venue]
        if parts.budget is not None and parts.kill is not None and count:
            self._call(parts.budget.spent, parts.kill.route, count)

    def _call(self, function: Callable[..., None], *args: object) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: the process is about to end
                self._loop.call_soon_threadsafe(function, *args)
