"""How text on a venue's wire becomes values: exact finite decimals, and times.

Used by the venues' `wire` and `translate` modules. Knows no venue.
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import get_args

import msgspec

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Finite(msgspec.Struct, frozen=True):
    """Base of payloads: no Decimal that is not a number."""

    def __post_init__(self) -> None:
        """Refuse ``NaN`` and ``Infinity``, which Decimal would take."""
        for name in _decimals(type(self)):
            value = getattr(self, name)
            if isinstance(value, Decimal) and not value.is_finite():
                raise ValueError(f"expected a finite decimal in {name}, found {value}")


@cache
def _decimals(kind: type[Finite]) -> tuple[str, ...]:
    """Return the fields that hold a Decimal, or one or nothing."""
    fields = msgspec.structs.fields(kind)
    return tuple(field.name for field in fields if field.type is Decimal or Decimal in get_args(field.type))


def instant_ns(text: str | None) -> int | None:
    """Return nanoseconds UTC of an ISO-8601 text, None when it cannot be read; no zone means UTC."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - EPOCH) // _MICROSECOND * 1000
