"""An event loop in virtual time: it jumps to the next timer instead of waiting for it.

For tests and simulations, ours and those of strategy authors: `asyncio.sleep`, `asyncio.timeout` and TaskGroups work
unchanged, virtual days pass in milliseconds, the same inputs give the same order of events, and a program that waits
for what can never come raises `Deadlock` instead of hanging. Has no place for sockets and threads: nothing would wait
for them.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from quantd.clock import LoopClock

_T = TypeVar("_T")

STARTED_AT_NS = 1_600_000_000_000_000_000
"""Wall time at which virtual runs start unless told otherwise: 2020-09-13 12:26:40 UTC."""


class Deadlock(Exception):
    """Every task waits for another one and no timer is set."""


class _JumpingSelector(selectors.SelectSelector):
    """Moves its own time forward instead of sleeping."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready:
            return ready
        if timeout is None:
            raise Deadlock(f"at {self.now_s} s virtual time every task waits and no timer is set")
        self.now_s += max(0.0, timeout)
        return []


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An asyncio loop whose `time()` starts at 0 and moves only from timer to timer."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Return virtual seconds since the loop was made."""
        return self._jumping.now_s


def run_virtual(main: Callable[[LoopClock], Coroutine[Any, Any, _T]], *, started_at_ns: int = STARTED_AT_NS) -> _T:
    """Run `main(clock)` in virtual time and return its result.

    Args:
        main: Gets the clock that follows the loop.
        started_at_ns: Wall time at the start, nanoseconds UTC.

    Raises:
        Deadlock: nothing can happen any more and `main` has not returned.
    """
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main(LoopClock(runner.get_loop(), started_at_ns)))
