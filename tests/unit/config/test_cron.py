"""Schedules: what is accepted is what the scheduler's trigger accepts."""

import pytest
from apscheduler.triggers.cron import CronTrigger
from hypothesis import given
from hypothesis import strategies as st

from quantd.plugins.cron import check_cron

NUMBERS = {"minute": (0, 59), "hour": (0, 23), "day": (1, 31), "month": (1, 12)}


@pytest.mark.parametrize(
    "text",
    [
        "55 16 * * mon-fri America/New_York",
        "*/5 * * * *",
        "0,30 9-17 1 jan,jul * UTC",
        "0 0 29 feb *",
        "10-50/10 0 * * sun",
        "5/10 0 * * *",
        "0 9 1 * * Europe/Berlin",
    ],
)
def test_a_schedule_is_accepted_and_the_trigger_takes_it_too(text: str) -> None:
    fields = check_cron(text).split()

    CronTrigger.from_crontab(" ".join(fields[:5]), timezone=fields[5] if len(fields) == 6 else "UTC")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "five cron fields"),
        ("* * * *", "five cron fields"),
        ("* * * * * UTC extra", "five cron fields"),
        ("60 * * * *", "the minute as 0 to 59"),
        ("* 24 * * *", "the hour as 0 to 23"),
        ("* * 0 * *", "the day of the month as 1 to 31"),
        ("* * * 13 *", "the month as 1 to 12"),
        ("* * * * 1", "the weekday as mon to sun"),
        ("* * * * fri-mon", "the weekday as mon to sun"),
        ("*/0 * * * *", "the minute as 0 to 59"),
        ("5,, * * * *", "the minute as 0 to 59"),
        ("-5 * * * *", "the minute as 0 to 59"),
        ("0 0 31 feb,apr *", "a date that exists"),
        ("0 0 * * * Mars/Base", "a time zone"),
        ("0 0 * * * ../../etc/passwd", "a time zone"),
    ],
)
def test_what_is_no_schedule_is_refused_with_what_was_expected(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        check_cron(text)


@given(st.data())
def test_a_range_in_any_field_is_accepted_exactly_when_it_runs_forward(data: st.DataObject) -> None:
    parts = []
    forward = True
    for low, high in NUMBERS.values():
        first, last = (data.draw(st.integers(low, min(high, 28))) for _ in range(2))
        forward = forward and first <= last
        parts.append(f"{first}-{last}")
    text = " ".join([*parts, "*"])

    if forward:
        assert check_cron(text) == text
    else:
        with pytest.raises(ValueError, match="as "):
            check_cron(text)
