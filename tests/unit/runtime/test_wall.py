"""The wall clock against the monotonic one, in virtual time."""

import asyncio
import contextlib

import pytest

from quantd.clock import LoopClock
from quantd.domain.events import ClockJumped, Event
from quantd.runtime.wall import watch_wall
from quantd.testing.loop import run_virtual
from quantd.testing.observer import RecordingObserver

SECOND = 1_000_000_000


class Jumping:
    """A clock whose wall time can be moved."""

    def __init__(self, clock: LoopClock) -> None:
        self._clock = clock
        self.moved_ns = 0

    def now_ns(self) -> int:
        return self._clock.now_ns() + self.moved_ns

    def monotonic_ns(self) -> int:
        return self._clock.monotonic_ns()


@pytest.mark.parametrize(("moved_ns", "told"), [(30 * SECOND, 1), (-5 * SECOND, 1), (SECOND // 2, 0)])
def test_a_jump_of_more_than_a_second_is_told_once(moved_ns: int, told: int) -> None:
    observer = RecordingObserver()

    async def main(loop_clock: LoopClock) -> list[Event]:
        clock = Jumping(loop_clock)
        events: list[Event] = []
        async with asyncio.TaskGroup() as tasks:
            watch = tasks.create_task(watch_wall(clock, events.append, observer))
            await asyncio.sleep(10)
            clock.moved_ns = moved_ns
            await asyncio.sleep(10)
            watch.cancel()
        return events

    events = run_virtual(main)
    assert [event.by_ns for event in events if isinstance(event, ClockJumped)] == [moved_ns] * told
    assert observer.counted("quantd_clock_jumps_total") == told


def test_a_step_backwards_that_the_clock_holds_back_is_one_jump() -> None:
    class Held(Jumping):
        """As the system's clock: what it tells never goes back, what it reads does."""

        last_ns = 0

        def now_ns(self) -> int:
            self.last_ns = max(self.last_ns, super().now_ns())
            return self.last_ns

        def wall_ns(self) -> int:
            return super().now_ns()

    async def main(loop_clock: LoopClock) -> list[Event]:
        clock = Held(loop_clock)
        events: list[Event] = []
        async with asyncio.TaskGroup() as tasks:
            watch = tasks.create_task(watch_wall(clock, events.append, RecordingObserver()))
            await asyncio.sleep(10)
            clock.moved_ns = -20 * SECOND
            await asyncio.sleep(30)
            watch.cancel()
        return events

    (event,) = run_virtual(main)
    assert isinstance(event, ClockJumped)
    assert event.by_ns == -20 * SECOND


def test_a_clock_that_goes_on_from_a_journal_which_is_ahead_of_it_was_set_back() -> None:
    class Ahead(Jumping):
        """As the system's clock that begins no earlier than the run before it ended."""

        def now_ns(self) -> int:
            return super().now_ns() + 20 * SECOND

        def wall_ns(self) -> int:
            return super().now_ns()

    async def main(loop_clock: LoopClock) -> list[Event]:
        events: list[Event] = []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(10):
                await watch_wall(Ahead(loop_clock), events.append, RecordingObserver())
        return events

    (event,) = run_virtual(main)
    assert isinstance(event, ClockJumped)
    assert event.by_ns == -20 * SECOND
