"""The venue's times, units and ids as text, both ways; pure.

Times keep their nanoseconds: they never pass through a float or a `datetime`.
"""

import re
from datetime import UTC, datetime
from decimal import Decimal

from quantd.domain.numbers import plain
from quantd.domain.orders import OrderSpec, Side
from quantd.venues.parsing import time_ns

SECOND_NS = 1_000_000_000
DATETIME_FORMAT = "RFC3339"
"""Asked for with every request; the answers may be in either format all the same."""
_RFC3339 = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?:Z|\+00:00)$")
_UNIX = re.compile(r"^(\d{1,18})(?:\.(\d{1,9}))?$")


def instant_ns(text: str) -> int | None:
    """Return nanoseconds UTC of a time in either of the venue's formats; None for none, and for the ``0`` of never."""
    found = _RFC3339.match(text)
    if found is not None:
        try:
            seconds = int(datetime.fromisoformat(found[1]).replace(tzinfo=UTC).timestamp())
        except ValueError:
            return None
    else:
        found = _UNIX.match(text)
        if found is None:
            return None
        seconds = int(found[1])
    return time_ns(seconds * SECOND_NS + int((found[2] or "0").ljust(9, "0")), 1)


def instant_text(at_ns: int) -> str:
    """Return RFC 3339 text with all nine digits."""
    seconds, fraction = divmod(at_ns, SECOND_NS)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{fraction:09d}Z"


def signed_units(spec: OrderSpec, quantity: Decimal) -> str:
    """Return units as an order has them: positive buys, negative sells."""
    return plain(quantity if spec.side is Side.BUY else -quantity)


def side_of(units: Decimal) -> Side:
    """Return the side that signed units mean."""
    return Side.BUY if units > 0 else Side.SELL


def reason_of(words: str) -> str:
    """Return a reason of the venue's as a bounded name."""
    return words.lower()[:60]
