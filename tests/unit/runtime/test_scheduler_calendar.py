"""The calendar of the triggers: summer time in New York, London and on Lord Howe, leap days, every hour."""

from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantd.runtime.triggers import Cron


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000_000


def instants(line: str, begun_ns: int, until_ns: int) -> list[int]:
    """Return what comes due after `begun_ns` and not after `until_ns`."""
    trigger = Cron(line)
    found = []
    at = trigger.next_after(begun_ns)
    while at is not None and at <= until_ns:
        found.append(at)
        at = trigger.next_after(at)
    assert (found[-1] if found else None) == trigger.latest(begun_ns, until_ns) or until_ns - found[-1] > 367 * 86_400e9
    return found


@pytest.mark.parametrize(
    ("line", "begun", "until", "expected"),
    [
        pytest.param(
            "30 2 * * * America/New_York",
            "2026-03-07T12:00:00",
            "2026-03-09T12:00:00",
            ["2026-03-08 07:00:00", "2026-03-09 06:30:00"],
            id="a skipped time comes when the clocks jump",
        ),
        pytest.param(
            "30 1 * * * Europe/London",
            "2026-03-28T12:00:00",
            "2026-03-30T12:00:00",
            ["2026-03-29 01:00:00", "2026-03-30 00:30:00"],
            id="in London too",
        ),
        pytest.param(
            "*/15 1-3 8 3 * America/New_York",
            "2026-03-08T06:30:00",
            "2026-03-08T07:30:00",
            ["2026-03-08 06:45:00", "2026-03-08 07:00:00", "2026-03-08 07:15:00", "2026-03-08 07:30:00"],
            id="all skipped times come at once, and with what comes then anyway",
        ),
        pytest.param(
            "0 0 * * * America/New_York",
            "2026-03-07T12:00:00",
            "2026-03-10T12:00:00",
            ["2026-03-08 05:00:00", "2026-03-09 04:00:00", "2026-03-10 04:00:00"],
            id="midnight after the night of the jump is not lost",
        ),
        pytest.param(
            "0 * * * * Europe/London",
            "2026-03-28T23:30:00",
            "2026-03-29T02:00:00",
            ["2026-03-29 00:00:00", "2026-03-29 01:00:00", "2026-03-29 02:00:00"],
            id="every hour, the very hour of the jump included",
        ),
        pytest.param(
            "*/30 * * * * Australia/Lord_Howe",
            "2026-04-04T14:30:00",
            "2026-04-04T16:30:00",
            ["2026-04-04 15:00:00", "2026-04-04 15:30:00", "2026-04-04 16:00:00", "2026-04-04 16:30:00"],
            id="clocks that change by half an hour",
        ),
        pytest.param(
            "30 1 * * * America/New_York",
            "2026-10-31T12:00:00",
            "2026-11-02T12:00:00",
            ["2026-11-01 05:30:00", "2026-11-02 06:30:00"],
            id="a repeated time comes once, the first time",
        ),
        pytest.param(
            "0 1 * * * Europe/London",
            "2026-10-24T12:00:00",
            "2026-10-26T12:00:00",
            ["2026-10-25 00:00:00", "2026-10-26 01:00:00"],
            id="in London too, on the full hour",
        ),
        pytest.param(
            "30 * * * * America/New_York",
            "2026-11-01T04:00:00",
            "2026-11-01T08:00:00",
            ["2026-11-01 04:30:00", "2026-11-01 05:30:00", "2026-11-01 06:30:00", "2026-11-01 07:30:00"],
            id="every hour goes through the repeated hour",
        ),
        pytest.param(
            "30 * * * * America/New_York",
            "2026-03-08T06:00:00",
            "2026-03-08T09:00:00",
            ["2026-03-08 06:30:00", "2026-03-08 07:30:00", "2026-03-08 08:30:00"],
            id="every hour knows no gap",
        ),
        pytest.param(
            "55 16 * * mon-fri America/New_York",
            "2026-03-06T12:00:00",
            "2026-03-10T00:00:00",
            ["2026-03-06 21:55:00", "2026-03-09 20:55:00"],
            id="the close of the week moves with the clock",
        ),
        pytest.param(
            "0 12 29 2 * UTC",
            "2026-01-01T00:00:00",
            "2032-12-31T00:00:00",
            ["2028-02-29 12:00:00", "2032-02-29 12:00:00"],
            id="leap days",
        ),
    ],
)
def test_wall_clock_times_follow_the_zone(line: str, begun: str, until: str, expected: list[str]) -> None:
    found = instants(line, ns(begun), ns(until))
    assert [f"{datetime.fromtimestamp(at / 1e9, UTC):%Y-%m-%d %H:%M:%S}" for at in found] == expected


@given(
    zone=st.sampled_from(["America/New_York", "Europe/London", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"]),
    minute=st.integers(0, 59),
    hour=st.integers(0, 23),
    start=st.sampled_from(["2026-03-05", "2026-10-22", "2026-10-30", "2026-04-02", "2026-10-02"]),
)
def test_a_daily_time_comes_once_on_each_day(zone: str, minute: int, hour: int, start: str) -> None:
    begun = ns(f"{start}T00:00:00")
    times = instants(f"{minute} {hour} * * * {zone}", begun, begun + 8 * 86_400 * 10**9)
    assert 7 <= len(times) <= 9
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert all(22.9 * 3600e9 <= gap <= 25.1 * 3600e9 for gap in gaps)


@given(
    zone=st.sampled_from(["America/New_York", "Europe/London", "Australia/Lord_Howe", "Asia/Kolkata"]),
    minutes=st.sets(st.integers(0, 59), min_size=1, max_size=4),
    start=st.sampled_from(["2026-03-07", "2026-03-28", "2026-10-24", "2026-10-31", "2026-04-04", "2026-10-03"]),
)
def test_a_line_with_every_hour_fires_whenever_the_clock_shows_its_minutes(
    zone: str, minutes: set[int], start: str
) -> None:
    begun = ns(f"{start}T12:00:00")
    minutes_of_a_day = range(begun + 60 * 10**9, begun + 86_400 * 10**9, 60 * 10**9)
    shown = [at for at in minutes_of_a_day if datetime.fromtimestamp(at // 10**9, ZoneInfo(zone)).minute in minutes]
    line = f"{','.join(map(str, minutes))} * * * * {zone}"
    assert instants(line, begun, begun + 86_400 * 10**9 - 1) == shown
