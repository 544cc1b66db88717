"""The dead-man's switch: where nobody has given a sign of life for too long, the daemon may only reduce.

Signs of life are `POST /v1/heartbeat`. The switch is armed from the start of the daemon on. What it latches is a halt
like any other: entries are cancelled, protective exits stay, and a person resumes; a resume without a new sign of life
does not hold.
"""

import asyncio

import structlog

from quantd.control.daemon_access import DaemonAccess
from quantd.domain.events import ALL, HaltOrdered, TradingState
from quantd.errors import JournalError
from quantd.journal.latch import Halt
from quantd.ports import Observer

BY = "dead_man"
"""In whose name it latches."""
LOOK_EVERY_S = 1.0
_log = structlog.get_logger("quantd.control")


class DeadMan:
    """Counts how long nobody was heard, and latches.

    Args:
        daemon: What it acts on.
        limit_s: Silence that is allowed, in seconds of monotonic time.
        observer: Told when the last sign of life was.
    """

    def __init__(self, daemon: DaemonAccess, limit_s: float, observer: Observer) -> None:
        self.limit_s = limit_s
        self._daemon = daemon
        self._observer = observer
        self.beat()

    @property
    def silent_s(self) -> float:
        """Seconds since the last sign of life, or since the start."""
        return (self._daemon.clock.monotonic_ns() - self._heard_ns) / 1e9

    def beat(self) -> None:
        """Note a sign of life."""
        self._heard_ns = self._daemon.clock.monotonic_ns()
        self._observer.gauge("quantd_heartbeat_last_timestamp_seconds", self._daemon.clock.now_ns() / 1e9)

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> None:
        """Latch once the silence is too long, unless all is latched already: the file first, then the engine."""
        daemon, silent_s = self._daemon, self.silent_s
        if silent_s <= self.limit_s or ALL in daemon.engine.state.latches:
            return
        why = f"no heartbeat for {silent_s:.0f} s, expected every {self.limit_s:g} s; send one before you resume"
        now_ns, generation = daemon.clock.now_ns(), daemon.engine.state.halt_generation + 1
        _log.error("heartbeat_missing", silent_s=round(silent_s, 1), limit_s=self.limit_s)
        try:
            content = await asyncio.to_thread(daemon.latch.halt, Halt(ALL, TradingState.REDUCING, BY, why, now_ns))
            generation = max(generation, content.generation)
        except JournalError as error:  # the halt holds in this process all the same, and the engine journals it
            _log.error("halt_latch_not_written", error=str(error))
        daemon.emit(HaltOrdered(ALL, TradingState.REDUCING, BY, why, generation, daemon.clock.now_ns()))
