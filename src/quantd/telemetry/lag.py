"""Measures how late the event loop wakes up, the one number that shows work blocking it.

Used by the composition root, which runs it as a task, and by the watchdog, which reads `turned_at_ns`. Never acts.
"""

import asyncio

from quantd.ports import Clock, Observer


class LoopLag:
    """Sleeps, and observes by how much the sleep was longer than asked, in `quantd_loop_lag_seconds`."""

    def __init__(self, clock: Clock, observer: Observer, *, interval_s: float = 0.25) -> None:
        """Take the clock whose monotonic time is compared.

        Raises:
            ValueError: when `interval_s` is not positive.
        """
        if interval_s <= 0:
            raise ValueError(f"interval_s is {interval_s}, expected more than 0")
        self._clock = clock
        self._observer = observer
        self._interval_s = interval_s
        self.turned_at_ns = clock.monotonic_ns()
        """Monotonic time of the loop's last turn seen here; other threads may read it."""

    async def run(self) -> None:
        """Measure for ever."""
        while True:
            before = self._clock.monotonic_ns()
            self.turned_at_ns = before
            await asyncio.sleep(self._interval_s)
            took_s = (self._clock.monotonic_ns() - before) / 1e9
            self._observer.observe("quantd_loop_lag_seconds", max(0.0, took_s - self._interval_s))
