"""The scheduler after its clock was set back: what goes by the time of day, and what goes by the beat."""

import asyncio
from collections.abc import Mapping
from itertools import pairwise

import pytest

from quantd.clock import LoopClock
from quantd.domain.events import Event, TimerFired
from quantd.engine.risk.limits import DayEnd
from quantd.engine.views import Timer
from quantd.runtime.scheduler import FLAT, START, Schedule, Scheduler
from quantd.testing.loop import run_virtual
from quantd.testing.observer import RecordingObserver
from tests.unit.runtime.test_scheduler import cron, fired, ns

S = 1_000_000_000
HOUR = 3_600 * S


class Machine(LoopClock):
    """The true time; its wall clock is ahead until it is put right after two and a half minutes, and what it tells never goes back."""

    ahead_ns = 0
    last = (0, 0)

    def wall_ns(self) -> int:
        return super().now_ns() + (self.ahead_ns if self.monotonic_ns() < 150 * S else 0)

    def now_ns(self) -> int:
        wall, monotonic, (last, at) = self.wall_ns(), self.monotonic_ns(), self.last
        self.last = (wall if wall > last else last + (monotonic - at) // 2), monotonic
        return self.last[0]


def ran(
    begun: str, hours: float, *timers: Timer, ahead_ns: int, schedules: Mapping[str, Schedule] | None = None
) -> list[tuple[float, Event]]:
    """Run for some hours from a true time on; (true hours since, event)."""

    async def main(loop_clock: LoopClock) -> list[tuple[float, Event]]:
        clock = Machine(asyncio.get_running_loop(), ns(begun))
        clock.ahead_ns = ahead_ns
        clock.now_ns()
        subject = Scheduler(
            clock, timers, schedules=schedules or {}, day_ends=DayEnd(), last_fired={}, observer=RecordingObserver()
        )
        events: list[tuple[float, Event]] = []
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(hours * 3_600):
                await subject.run(lambda event: events.append((clock.monotonic_ns() / HOUR, event)))
        return events

    return run_virtual(main)


def test_a_timer_of_every_minute_goes_on_slower_and_does_not_stop() -> None:
    """A strategy that looks after its exits by it would leave them alone for as long as the clock was set back."""
    told = [
        (at, event.scheduled_at_ns)
        for at, event in ran("2026-01-05T08:30:00", 5, Timer("s", "beat", None, 60.0), ahead_ns=2 * HOUR)
        if isinstance(event, TimerFired)
    ]
    silences = [later - earlier for (earlier, _), (later, _) in pairwise(told)]
    assert max(silences) * 60 < 2.1, "minutes"
    assert len({at for _, at in told}) == len(told), "each instant once"
    assert len(told) > 5 * 60 - 2 * 60 - 2


def test_a_close_of_the_day_is_not_left_out_that_the_clock_seemed_to_have_passed_at_the_start() -> None:
    """It was a day ahead when the daemon began, and was put right minutes later: today's close was planned for tomorrow."""
    schedule = Schedule(start_at="0 9 * * *", flat_by="55 16 * * *")
    events = [event for _, event in ran("2026-01-05T10:00:00", 8, ahead_ns=24 * HOUR, schedules={"s": schedule})]
    assert fired(events) == [(FLAT, "2026-01-05 16:55:00")]


def test_what_has_fired_by_a_clock_that_was_ahead_does_not_fire_again() -> None:
    schedule = Schedule(start_at="0 9 * * *", flat_by="55 16 * * *")
    told = ran("2026-01-05T08:59:30", 26, cron("0 10 * * *"), ahead_ns=HOUR, schedules={"s": schedule})
    assert [(round(at, 1), *one) for at, event in told for one in fired([event])] == [
        (0.0, "t", "2026-01-05 10:00:00"),
        (7.9, FLAT, "2026-01-05 16:55:00"),
        (24.0, START, "2026-01-06 09:00:00"),
        (25.0, "t", "2026-01-06 10:00:00"),
    ]
