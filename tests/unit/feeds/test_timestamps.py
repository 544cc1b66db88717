"""Times of recorded data: text and numbers, to the nanosecond."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantd.feeds.timestamps import HEAD_LENGTH, Heads, Tails, epoch_factor, epoch_ns

heads, tails = Heads(), Tails()


def at_ns(text: str) -> int:
    return heads[text[:HEAD_LENGTH]] + tails[text[HEAD_LENGTH:]]


def exact_ns(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1_000


@given(
    st.datetimes(datetime.fromisoformat("1900-01-01"), datetime.fromisoformat("2200-01-01")),
    st.none() | st.integers(-14 * 60, 14 * 60),
    st.sampled_from(["T", " "]),
)
def test_iso_text_agrees_with_the_standard_library(moment: datetime, offset: int | None, sep: str) -> None:
    zone = UTC if offset is None else timezone(timedelta(minutes=offset))
    aware = moment.replace(tzinfo=zone)
    text = (moment if offset is None else aware).isoformat(sep)
    assert at_ns(text) == exact_ns(aware)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01", 0),
        ("1970-01-01 01", 3_600_000_000_000),
        ("1970-01-01T00:00:00.123456789Z", 123_456_789),
        ("1970-01-01 00:01", 60_000_000_000),
        ("1970-01-01 00:00:00.5 UTC", 500_000_000),
        ("1970-01-01 02:00:00+0200", 0),
        ("2021-12-31 23:01:00.000000", 1_640_991_660_000_000_000),
    ],
)
def test_other_ways_to_write_a_time(text: str, expected: int) -> None:
    assert at_ns(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "2021-13-01 00:00", "2021-02-30", "2021-01-01 24:00", "2021-01-01 10:60", "2021-01-01 10:0"],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected|month|day"):
        at_ns(text)


@pytest.mark.parametrize("factor", [1_000_000_000, 1_000_000, 1_000, 1])
def test_the_unit_of_a_number_is_told_by_its_size(factor: int) -> None:
    ns = 1_640_991_660_000_000_000
    assert epoch_factor(str(ns // factor)) == factor
    assert epoch_ns(str(ns // factor), factor) == ns
    assert epoch_ns(ns // factor, factor) == ns


def test_fractions_of_a_second_are_exact() -> None:
    assert epoch_factor("1640991660.123456789") == 1_000_000_000
    assert epoch_ns("1640991660.123456789", 1_000_000_000) == 1_640_991_660_123_456_789
    assert epoch_ns(1640991660.5, 1_000_000_000) == 1_640_991_660_500_000_000


@pytest.mark.parametrize("value", ["nan", "inf", "1640991660x", ""])
def test_numbers_that_are_none_are_refused(value: str) -> None:
    with pytest.raises(ValueError, match="expected a number since 1970"):
        epoch_ns(value, 1)


def test_text_is_no_number() -> None:
    assert epoch_factor("2021-12-31 23:01:00") is None
    assert epoch_factor("nan") is None
