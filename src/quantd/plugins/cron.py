"""Checks the text of a schedule: five cron fields and, optionally, a time zone.

Used by the settings of strategies. It only reads the text; firing times are worked out by the scheduler.
"""

import re
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_FIELDS: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of the month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("weekday", 0, 6, _DAYS),
)
_PART = re.compile(r"^(?:(\*)|([a-z]+|\d+)(?:-([a-z]+|\d+))?)(?:/(\d+))?$")


def is_time_zone(name: str) -> bool:
    """Return whether the IANA data base knows `name`."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def check_cron(text: str) -> str:
    """Return `text` with single spaces when it is a schedule such as ``55 16 * * mon-fri America/New_York``.

    Weekdays go by name only, because cron and its successors do not agree on which day is 0.

    Raises:
        ValueError: says what was expected.
    """
    words = text.split()
    if len(words) not in (5, 6):
        raise ValueError(
            "five cron fields (minute hour day month weekday) and, optionally, a time zone, "
            "such as 55 16 * * mon-fri America/New_York"
        )
    allowed = [
        _field(word.lower(), name, (low, high), names)
        for word, (name, low, high, names) in zip(words[:5], _FIELDS, strict=True)
    ]
    if min(allowed[2]) > max(_LONGEST[month - 1] for month in allowed[3]):
        raise ValueError("a date that exists: none of these months has such a day")
    if len(words) == 6 and not is_time_zone(words[5]):
        raise ValueError(f"a time zone of the IANA data base such as America/New_York at the end, not {words[5]!r}")
    return " ".join(words)


def _field(word: str, name: str, bounds: tuple[int, int], names: tuple[str, ...]) -> set[int]:
    low, high = bounds
    allowed: set[int] = set()
    for part in word.split(","):
        match = _PART.match(part)
        first = _value(match[2], bounds, names) if match and match[2] else low
        last = _value(match[3], bounds, names) if match and match[3] else (first if match and not match[1] else high)
        step = int(match[4]) if match and match[4] else 1
        if match and match[4] and match[2] and not match[3]:
            last = high
        if match is None or first is None or last is None or first > last or step < 1:
            span = f"{names[0]} to {names[-1]}" if names is _DAYS else f"{low} to {high}"
            raise ValueError(f"the {name} as {span}, a range such as a-b, a list such as a,b, or a step such as */n")
        allowed.update(range(first, last + 1, step))
    return allowed


def _value(word: str, bounds: tuple[int, int], names: tuple[str, ...]) -> int | None:
    low, high = bounds
    if word in names:
        return names.index(word) + low
    if word.isdecimal() and names is not _DAYS and low <= int(word) <= high:
        return int(word)
    return None
