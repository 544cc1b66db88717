"""How text on a venue's wire becomes values: exact decimals to reckon with, and times that exist.

Used by the venues' `wire` and `translate` modules. Knows no venue.
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import get_args

import msgspec

from quantd.domain.numbers import decimal_from_text, is_sound
from quantd.domain.soundness import LATEST_NS

CANNOT_READ = (msgspec.DecodeError, ValueError, RecursionError)
"""What decoding an answer raises: no JSON, other fields, bytes that are no text, lists in lists without an end."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Finite(msgspec.Struct, frozen=True):
    """Base of payloads: no Decimal that is not a number, or none to reckon with."""

    def __post_init__(self) -> None:
        """Refuse ``NaN``, ``Infinity`` and ``1E+999999``, which Decimal would take; see `is_sound`."""
        for name in _decimals(type(self)):
            value = getattr(self, name)
            if isinstance(value, Decimal) and not is_sound(value):
                raise ValueError(f"expected a sound, finite decimal in {name}, found {value!s:.32}")


def expect_above_zero(payload: Finite, *names: str) -> None:
    """Refuse a payload that tells of an execution of nothing or at no price: what it is kept with would be spoilt for ever.

    Raises:
        ValueError: a field is zero or less; names it.
    """
    for name in names:
        value = getattr(payload, name)
        if value <= 0:
            raise ValueError(f"expected {name} above zero, found {value!s:.32}")


@cache
def _decimals(kind: type[Finite]) -> tuple[str, ...]:
    """Return the fields that hold a Decimal, or one or nothing."""
    fields = msgspec.structs.fields(kind)
    return tuple(field.name for field in fields if field.type is Decimal or Decimal in get_args(field.type))


def instant_ns(text: str | None) -> int | None:
    """Return nanoseconds UTC of an ISO-8601 text, None when it cannot be read or is no time; no zone means UTC."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return time_ns((moment - EPOCH) // _MICROSECOND, 1000)


def time_ns(count: int | None, unit_ns: int) -> int | None:
    """Return nanoseconds UTC of so many units since 1970; None for none, and for what no clock shows.

    Zero and what lies before are no times; what lies beyond the year 2262 could be written and not be read again.
    """
    if count is None or not 0 < count <= LATEST_NS // unit_ns:
        return None
    return count * unit_ns


def sound_decimal(text: str) -> Decimal:
    """Return the exact Decimal that `text` writes.

    Raises:
        ValueError: it is no number, or none to reckon with; see `is_sound`.
    """
    value = decimal_from_text(text)
    if not is_sound(value):
        raise ValueError(f"expected a decimal number of a sound size, found {text[:32]!r}")
    return value
