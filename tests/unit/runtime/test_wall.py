"""The wall clock against the monotonic one, in virtual time."""

import asyncio

import pytest

from quantd.clock import LoopClock
from quantd.domain.events import ClockJumped, Event
from quantd.runtime.wall import watch_wall
from quantd.testing.loop import run_virtual

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
    async def main(loop_clock: LoopClock) -> list[Event]:
        clock = Jumping(loop_clock)
        events: list[Event] = []
        async with asyncio.TaskGroup() as tasks:
            watch = tasks.create_task(watch_wall(clock, events.append))
            await asyncio.sleep(10)
            clock.moved_ns = moved_ns
            await asyncio.sleep(10)
            watch.cancel()
        return events

    events = run_virtual(main)
    assert [event.by_ns for event in events if isinstance(event, ClockJumped)] == [moved_ns] * told
