"""The only reader of system time, and the clock that follows a virtual event loop.

Used by the composition root, the simulators and the tests. Everything else gets a `Clock` handed in.
"""

import asyncio
import time


class SystemClock:
    """Wall time that never goes back: after a step backwards it goes on at half its pace until it is caught up.

    Standing still it would hold up all that waits for it: exits to be tried again, unknown outcomes, naked positions.
    """

    def __init__(self) -> None:
        self._last: tuple[int, int] = (0, time.monotonic_ns())
        """The last answer, and the monotonic time at which it was given."""

    def now_ns(self) -> int:
        """Return nanoseconds since 1970 UTC, never smaller than the answer before."""
        monotonic_ns, wall_ns = time.monotonic_ns(), time.time_ns()
        last_ns, at_ns = self._last
        now_ns = wall_ns if wall_ns > last_ns else last_ns + max(monotonic_ns - at_ns, 0) // 2
        self._last = now_ns, monotonic_ns
        return now_ns

    def not_before(self, at_ns: int) -> None:
        """Answer nothing before `at_ns` any more: a process before this one has seen that time."""
        self._last = max(self._last[0], at_ns), time.monotonic_ns()

    def wall_ns(self) -> int:
        """Return the system's wall time as it is, for detecting jumps."""
        return time.time_ns()

    def monotonic_ns(self) -> int:
        """Return the system's monotonic time in nanoseconds."""
        return time.monotonic_ns()


class LoopClock:
    """Time of the running event loop, offset to a wall-clock start; exact under a virtual-time loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, started_at_ns: int) -> None:
        self._loop = loop
        self._started_at_ns = started_at_ns

    def now_ns(self) -> int:
        """Return the start plus the loop's time, in nanoseconds since 1970 UTC."""
        return self._started_at_ns + self.monotonic_ns()

    def monotonic_ns(self) -> int:
        """Return the loop's time in nanoseconds."""
        return round(self._loop.time() * 1_000_000_000)


class ManualClock:
    """A clock that stands still until it is told; for backtests and unit tests."""

    def __init__(self, now_ns: int = 0) -> None:
        self._now_ns = now_ns

    def now_ns(self) -> int:
        """Return the time set last, nanoseconds since 1970 UTC."""
        return self._now_ns

    def monotonic_ns(self) -> int:
        """Return the same time; it only moves forward."""
        return self._now_ns

    def set(self, now_ns: int) -> None:
        """Move to `now_ns`.

        Raises:
            ValueError: when that would go back.
        """
        if now_ns < self._now_ns:
            raise ValueError(f"time cannot go back: at {self._now_ns}, asked for {now_ns}")
        self._now_ns = now_ns
