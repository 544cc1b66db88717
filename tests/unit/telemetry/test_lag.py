"""The loop's lag: zero while it turns on time, the length of the block when something holds it."""

import asyncio

import pytest

from quantd.clock import LoopClock
from quantd.telemetry.lag import LoopLag
from quantd.testing.loop import run_virtual
from quantd.testing.observer import RecordingObserver


class SlipperyClock:
    """The loop's clock, to which a test adds the time that blocking work would take."""

    def __init__(self, clock: LoopClock) -> None:
        self._clock = clock
        self.blocked_ns = 0

    def now_ns(self) -> int:
        return self._clock.now_ns() + self.blocked_ns

    def monotonic_ns(self) -> int:
        return self._clock.monotonic_ns() + self.blocked_ns


def test_a_loop_that_turns_on_time_has_no_lag_and_a_blocked_one_shows_it() -> None:
    observer = RecordingObserver()

    async def main(clock: LoopClock) -> None:
        slippery = SlipperyClock(clock)
        lag = LoopLag(slippery, observer, interval_s=0.5)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(lag.run())
            await asyncio.sleep(1.25)
            assert lag.turned_at_ns == 1_000_000_000
            slippery.blocked_ns = 2_000_000_000
            await asyncio.sleep(0.5)
            task.cancel()

    run_virtual(main)
    assert observer.observed("quantd_loop_lag_seconds") == [0.0, 0.0, pytest.approx(2.0)]


def test_an_interval_that_is_no_time_is_refused() -> None:
    async def main(clock: LoopClock) -> None:
        with pytest.raises(ValueError, match="interval_s is 0"):
            LoopLag(clock, RecordingObserver(), interval_s=0)

    run_virtual(main)
