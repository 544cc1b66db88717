"""The scheduler: every instant once, in order, across restarts, gaps and summer time."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from quantd.clock import LoopClock, ManualClock
from quantd.domain.events import DayRolled, Event, TimerFired
from quantd.engine.risk.limits import DayEnd
from quantd.engine.views import Timer
from quantd.runtime.scheduler import FLAT, START, STOP, Schedule, Scheduler
from quantd.testing.loop import run_virtual
from quantd.testing.observer import RecordingObserver

NOTHING: Mapping[tuple[str, str], int] = {}


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000_000


def scheduler(
    begun: str,
    *timers: Timer,
    schedules: Mapping[str, Schedule] | None = None,
    day_ends: DayEnd | None = None,
    last_fired: Mapping[tuple[str, str], int] = NOTHING,
    observer: RecordingObserver | None = None,
) -> Scheduler:
    return Scheduler(
        ManualClock(ns(begun)),
        timers,
        schedules=schedules or {},
        day_ends=day_ends or DayEnd(),
        last_fired=last_fired,
        observer=observer or RecordingObserver(),
    )


def cron(line: str, name: str = "t") -> Timer:
    return Timer("s", name, line, None)


def fired(events: list[Event]) -> list[tuple[str, str]]:
    """Return (name, scheduled time) of the timers."""
    times = ((event.name, event.scheduled_at_ns) for event in events if isinstance(event, TimerFired))
    return [(name, f"{datetime.fromtimestamp(at / 1e9, UTC):%Y-%m-%d %H:%M:%S}") for name, at in times]


def days(events: list[Event]) -> list[str]:
    return [event.day for event in events if isinstance(event, DayRolled)]


def walk(subject: Scheduler, until: str) -> list[Event]:
    """Step from instant to instant, as the backtest does."""
    events: list[Event] = []
    while (at := subject.next_at_ns) is not None and at <= ns(until):
        events += subject.due(at)
    return events


def test_a_timer_fires_at_its_time_and_not_before() -> None:
    subject = scheduler("2026-01-05T08:59:00", cron("0 9 * * mon UTC"))
    assert fired(subject.due(ns("2026-01-05T08:59:59"))) == []
    assert subject.next_at_ns == ns("2026-01-05T09:00:00")
    assert fired(subject.due(ns("2026-01-05T09:00:00"))) == [("t", "2026-01-05 09:00:00")]
    assert fired(subject.due(ns("2026-01-05T09:00:00"))) == []
    assert subject.next_at_ns == ns("2026-01-06T00:00:00"), "the end of the day"


def test_weekdays_are_cron_s_names_and_not_apscheduler_s_numbers() -> None:
    subject = scheduler("2026-01-05T00:00:00", cron("0 12 * * sun"))  # a Monday
    assert fired(walk(subject, "2026-01-18T23:00:00")) == [("t", "2026-01-11 12:00:00"), ("t", "2026-01-18 12:00:00")]


def test_steps_lists_ranges_and_names_mean_what_cron_means() -> None:
    lines = {
        "a": "*/20 3 5 1 * UTC",
        "b": "10-12 3 5 jan * UTC",
        "c": "50/5 3 5 1-2 mon,sat UTC",
        "d": "0 3 1-7 jan-mar/2 tue UTC",
    }
    subject = scheduler("2026-01-05T02:00:00", *(cron(line, name) for name, line in lines.items()))
    assert fired(walk(subject, "2026-01-05T23:00:00")) == [
        *(("a", "2026-01-05 03:00:00"), ("b", "2026-01-05 03:10:00"), ("b", "2026-01-05 03:11:00")),
        *(("b", "2026-01-05 03:12:00"), ("a", "2026-01-05 03:20:00"), ("a", "2026-01-05 03:40:00")),
        *(("c", "2026-01-05 03:50:00"), ("c", "2026-01-05 03:55:00")),
    ]
    later = [time for name, time in fired(walk(subject, "2026-05-01T00:00:00")) if name == "d"]
    assert later == ["2026-01-06 03:00:00", "2026-03-03 03:00:00"], "the first Tuesdays of January and March"


@pytest.mark.parametrize("line", ["* * * *", "60 * * * *", "* * * * 1", "a * * * *", "*/0 * * * *", "5-1 * * * *"])
def test_a_wrong_line_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"expected five|is no"):
        scheduler("2026-01-05T00:00:00", cron(line))


def test_two_timers_of_one_name_and_reserved_names_are_refused() -> None:
    with pytest.raises(ValueError, match="is there twice"):
        scheduler("2026-01-05T00:00:00", cron("0 9 * * *"), cron("0 8 * * *"))
    with pytest.raises(ValueError, match="names that begin with @"):
        scheduler("2026-01-05T00:00:00", cron("0 9 * * *", "@start"))


# -- intervals ---------------------------------------------------------------------------------------------------------


def test_an_interval_keeps_its_beat_whenever_the_daemon_starts() -> None:
    timer = Timer("s", "beat", None, 90.0)
    first = fired(walk(scheduler("2026-01-05T00:00:10", timer), "2026-01-05T00:06:00"))
    second = fired(walk(scheduler("2026-01-05T00:02:00", timer), "2026-01-05T00:06:00"))
    assert [time[-5:] for _, time in first] == ["01:30", "03:00", "04:30", "06:00"]
    assert second == first[1:]


def test_a_fraction_of_a_second_is_exact_after_many_days() -> None:
    subject = scheduler("2026-01-05T00:00:00", Timer("s", "beat", None, 0.1))
    begun = ns("2026-01-05T00:00:00")
    for number in range(1, 1_000):
        subject.due(begun + number * 100_000_000)
        assert subject.next_at_ns == begun + (number + 1) * 100_000_000


@pytest.mark.parametrize("every_s", [0.0, -1.0, float("nan"), float("inf")])
def test_an_impossible_interval_is_refused(every_s: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        scheduler("2026-01-05T00:00:00", Timer("s", "beat", None, every_s))


# -- gaps and restarts -------------------------------------------------------------------------------------------------


def test_after_a_gap_a_timer_fires_once_for_all_that_it_missed_and_is_counted() -> None:
    observer = RecordingObserver()
    subject = scheduler("2026-01-05T00:00:00", cron("*/5 * * * *"), observer=observer)
    subject.due(ns("2026-01-05T00:05:00"))
    assert observer.counted("quantd_scheduler_misfires_total") == 0
    assert fired(subject.due(ns("2026-01-05T00:21:00"))) == [("t", "2026-01-05 00:20:00")]
    assert observer.counted("quantd_scheduler_misfires_total", strategy="s") == 1
    assert fired(subject.due(ns("2026-01-05T00:25:04"))) == [("t", "2026-01-05 00:25:00")]
    assert observer.counted("quantd_scheduler_misfires_total") == 1, "four seconds are no misfire"


def test_a_timer_that_never_fired_waits_for_its_first_time() -> None:
    subject = scheduler("2026-01-05T11:00:00", cron("0 9 * * mon"))
    assert fired(walk(subject, "2026-01-13T00:00:00")) == [("t", "2026-01-12 09:00:00")]


def test_a_restart_fires_what_was_missed_once_and_nothing_twice() -> None:
    known = {("s", "t"): ns("2026-01-05T09:00:00")}
    observer = RecordingObserver()
    in_time = scheduler("2026-01-05T09:00:00", cron("0 9 * * mon"), last_fired=known)
    assert fired(in_time.due(ns("2026-01-05T09:00:01"))) == []
    late = scheduler("2026-01-26T11:00:00", cron("0 9 * * mon"), last_fired=known, observer=observer)
    assert fired(late.due(ns("2026-01-26T11:00:00"))) == [("t", "2026-01-26 09:00:00")]
    assert observer.counted("quantd_scheduler_misfires_total", strategy="s") == 1
    assert fired(late.due(ns("2026-01-26T12:00:00"))) == []


def test_a_clock_that_was_set_back_between_two_runs_repeats_nothing() -> None:
    known = {("s", "t"): ns("2026-01-05T09:00:00")}
    subject = scheduler("2026-01-05T08:00:00", cron("0 9 * * *"), last_fired=known)
    assert fired(walk(subject, "2026-01-06T10:00:00")) == [("t", "2026-01-06 09:00:00")]


def test_a_gap_of_a_year_of_minutes_is_crossed_at_once() -> None:
    known = {("s", "t"): ns("2025-01-05T09:00:00")}
    subject = scheduler("2026-01-05T09:00:30", cron("* * * * *"), last_fired=known)
    assert fired(subject.due(ns("2026-01-05T09:00:30"))) == [("t", "2026-01-05 09:00:00")]


def test_what_came_due_together_is_told_in_the_order_of_its_times() -> None:
    subject = scheduler("2026-01-05T00:00:00", cron("0 3 * * *", "late"), cron("0 1 * * *", "early"))
    assert [name for name, _ in fired(subject.due(ns("2026-01-05T04:00:00")))] == ["early", "late"]


# -- trading schedules -------------------------------------------------------------------------------------------------

OFFICE = Schedule("0 8 * * mon-fri", "0 17 * * mon-fri", "55 16 * * mon-fri")


def test_a_schedule_opens_flattens_and_closes() -> None:
    subject = scheduler(
        "2026-01-05T07:00:00", schedules={"s": OFFICE}, last_fired={("s", START): ns("2026-01-02T08:00:00")}
    )
    subject.due(ns("2026-01-05T07:00:00"))
    assert fired(walk(subject, "2026-01-05T20:00:00")) == [
        (START, "2026-01-05 08:00:00"),
        (FLAT, "2026-01-05 16:55:00"),
        (STOP, "2026-01-05 17:00:00"),
    ]


def test_a_first_start_outside_the_hours_is_told_that_they_are_over() -> None:
    observer = RecordingObserver()
    evening = scheduler("2026-01-05T20:00:00", schedules={"s": OFFICE}, observer=observer)
    assert [name for name, _ in fired(evening.due(ns("2026-01-05T20:00:00")))] == [FLAT, STOP]
    assert observer.counted("quantd_scheduler_misfires_total") == 0
    noon = scheduler("2026-01-05T12:00:00", schedules={"s": OFFICE})
    assert fired(noon.due(ns("2026-01-05T12:00:00"))) == []


def test_a_restart_makes_up_for_a_close_that_it_slept_through() -> None:
    known = {("s", name): ns("2026-01-05T08:00:00") for name in (START, STOP, FLAT)}
    subject = scheduler("2026-01-05T18:00:00", schedules={"s": OFFICE}, last_fired=known)
    assert [name for name, _ in fired(subject.due(ns("2026-01-05T18:00:00")))] == [FLAT, STOP]


def test_flat_by_alone_starts_again_with_the_next_trading_day() -> None:
    fx = DayEnd(hour=17, time_zone="America/New_York")
    schedule = Schedule(flat_by="55 16 * * mon-fri America/New_York")
    subject = scheduler("2026-01-05T12:00:00", schedules={"s": schedule}, day_ends=fx)
    assert fired(walk(subject, "2026-01-06T12:00:00")) == [
        (FLAT, "2026-01-05 21:55:00"),
        (START, "2026-01-05 22:00:00"),
    ]


# -- trading days ------------------------------------------------------------------------------------------------------


def test_a_run_begins_with_the_day_that_it_is_and_midnight_brings_the_next() -> None:
    subject = scheduler("2028-02-28T23:59:59")
    assert days(subject.due(ns("2028-02-28T23:59:59"))) == ["2028-02-28"]
    assert days(subject.due(ns("2028-02-29T00:00:00"))) == ["2028-02-29"]
    assert days(subject.due(ns("2028-03-01T00:00:00"))) == ["2028-03-01"]


def test_a_day_that_ends_at_17_in_new_york_has_the_date_on_which_it_ends() -> None:
    fx = DayEnd(hour=17, time_zone="America/New_York")
    subject = scheduler("2026-03-06T21:00:00", day_ends=fx)
    events = walk(subject, "2026-03-09T22:00:00")
    assert days(events) == ["2026-03-06", "2026-03-07", "2026-03-08", "2026-03-09", "2026-03-10"]
    assert [f"{datetime.fromtimestamp(e.received_at_ns / 1e9, UTC):%d %H:%M}" for e in events] == [
        *("06 21:00", "06 22:00", "07 22:00", "08 21:00", "09 21:00"),
    ], "an hour earlier once the clocks went forward"


def test_a_start_at_the_very_end_of_a_day_tells_it_once() -> None:
    subject = scheduler("2026-01-06T00:00:00")
    assert days(walk(subject, "2026-01-06T12:00:00")) == ["2026-01-06"]


# -- running -----------------------------------------------------------------------------------------------------------


def test_a_run_emits_everything_on_time() -> None:
    async def main(clock: LoopClock) -> list[tuple[str, int]]:
        subject = Scheduler(
            clock,
            [Timer("s", "beat", None, 2.5), Timer("s", "hour", "0 * * * *", None)],
            schedules={},
            day_ends=DayEnd(),
            last_fired={},
            observer=RecordingObserver(),
        )
        events: list[Event] = []
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3_600):
                await subject.run(events.append)
        timers = [event for event in events if isinstance(event, TimerFired)]
        return [(event.name, event.received_at_ns - event.scheduled_at_ns) for event in timers]

    told = run_virtual(main, started_at_ns=ns("2026-01-05T08:59:59"))
    assert [name for name, _ in told].count("beat") == 1_440
    assert [name for name, _ in told].count("hour") == 1
    assert max(late for _, late in told) < 1_000_000


def test_what_is_due_at_a_time_of_day_comes_by_the_wall_clock_while_ours_is_ahead_of_it() -> None:
    """A clock that was set back by an hour is told slower than it goes, until it is right again."""

    class Ahead(LoopClock):
        def wall_ns(self) -> int:
            return super().now_ns()

        def now_ns(self) -> int:
            return super().now_ns() + 3_600_000_000_000

    async def main(loop_clock: LoopClock) -> list[Event]:
        clock = Ahead(asyncio.get_running_loop(), ns("2026-01-05T08:30:00"))
        subject = Scheduler(
            clock, [cron("0 9 * * *")], schedules={}, day_ends=DayEnd(), last_fired={}, observer=RecordingObserver()
        )
        events: list[Event] = []
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3_600):
                await subject.run(events.append)
        return events

    events = run_virtual(main)
    assert fired(events) == [("t", "2026-01-05 09:00:00")]
    (timer,) = [event for event in events if isinstance(event, TimerFired)]
    assert timer.received_at_ns - timer.scheduled_at_ns < 1_000_000_000
