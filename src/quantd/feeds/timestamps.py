"""Times of recorded data, fast: ISO text or numbers since 1970 become integer nanoseconds UTC.

Used by `recorded` alone. Text without an offset is UTC. Never guesses a local time zone.
"""

import re
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

_HOUR_NS = 3_600_000_000_000
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_CACHED_MAX = 1 << 16
_END_NS = 1 << 63
"""Where nanoseconds since 1970 end: in the year 2262. A time beyond it has another unit than it was read in."""
_LAST_YEAR = 2261

_HEAD = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d))?")
_TAIL = re.compile(r"(?::(\d\d))?(?::(\d\d)(?:[.,](\d{1,9}))?)?\s*(?:Z|UTC|([+-])(\d\d):?(\d\d))?\s*")

_UNITS = {1_000_000_000: "seconds", 1_000_000: "milliseconds", 1_000: "microseconds", 1: "nanoseconds"}

HEAD_LENGTH = 13
"""Characters of a date with its hour: ``2022-01-31 17``."""


class Heads(dict[str, int]):
    """Nanoseconds of a text's date and hour, kept for the rows that share them; ``heads[text[:13]]``.

    Raises:
        ValueError: on a head that is no date.
    """

    def __missing__(self, text: str) -> int:
        """Parse a head that was not seen before."""
        found = _HEAD.fullmatch(text.strip())
        if found is None:
            raise ValueError(f"expected a time like 2022-01-31 17:00:00 or a number since 1970, found {text!r}...")
        year, month, day, hour = found.groups()
        if int(hour or 0) > 23:
            raise ValueError(f"expected an hour up to 23, found {text!r}")
        if int(year) > _LAST_YEAR:
            raise ValueError(f"expected a year up to {_LAST_YEAR}, found {text!r}")
        days = date(int(year), int(month), int(day)).toordinal() - _EPOCH_DAY
        if len(self) >= _CACHED_MAX:
            self.clear()
        self[text] = ns = (days * 24 + int(hour or 0)) * _HOUR_NS
        return ns


class Tails(dict[str, int]):
    """Nanoseconds of a text after its hour, its offset subtracted; ``tails[text[13:]]``.

    Raises:
        ValueError: on a tail that is no time of day.
    """

    def __missing__(self, text: str) -> int:
        """Parse a tail that was not seen before."""
        found = _TAIL.fullmatch(text)
        if found is None:
            raise ValueError(f"expected minutes, seconds and an offset like :05:00.250+00:00, found {text!r}")
        minute, second, fraction, sign, offset_hours, offset_minutes = found.groups()
        if int(minute or 0) > 59 or int(second or 0) > 59:
            raise ValueError(f"expected minutes and seconds up to 59, found {text!r}")
        ns = (int(minute or 0) * 60 + int(second or 0)) * 1_000_000_000 + int((fraction or "0").ljust(9, "0"))
        if sign:
            offset = (int(offset_hours) * 60 + int(offset_minutes)) * 60_000_000_000
            ns += offset if sign == "-" else -offset
        if len(self) >= _CACHED_MAX:
            self.clear()
        self[text] = ns
        return ns


def epoch_factor(first: Any) -> int | None:
    """Return the nanoseconds in one unit of a numeric time, told by its size; None when it is no number."""
    try:
        size = abs(Decimal(str(first).strip()))
    except InvalidOperation:
        return None
    if not size.is_finite():
        return None
    for limit, factor in ((10**11, 1_000_000_000), (10**14, 1_000_000), (10**17, 1_000)):
        if size < limit:
            return factor
    return 1


def epoch_ns(value: Any, factor: int) -> int:
    """Return a numeric time in nanoseconds.

    Raises:
        ValueError: when it is no finite number, or a time that lies beyond the year 2262: one of another unit than the
            file began with.
    """
    if type(value) is int:
        ns = value * factor
    else:
        try:
            ns = int(value) * factor if isinstance(value, str) else int(Decimal(str(value)) * factor)
        except (ValueError, ArithmeticError):
            ns = _exact_ns(value, factor)  # a fraction or no number
    if not -_END_NS <= ns < _END_NS:
        raise ValueError(f"expected {_UNITS[factor]} since 1970, as in the first row, found {value!r}")
    return ns


def _exact_ns(value: Any, factor: int) -> int:
    try:
        return int(Decimal(str(value).strip()) * factor)
    except (InvalidOperation, OverflowError, ValueError):
        found = "no value" if value is None else repr(value)
        raise ValueError(f"expected a number since 1970, found {found}") from None
