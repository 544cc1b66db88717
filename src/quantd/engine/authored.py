"""What an author's code hands in, as values that the journal can hold and read back.

Types are promises that nothing keeps: a float may be numpy's, a reason None, a time a float. What is written into a fact as
it came either cannot be written, which ends the daemon, or cannot be read, which keeps it from ever starting again. What is
no such value at all raises in the author's own callback.
"""

import re
from decimal import Decimal
from typing import Any, Final

from quantd.domain.orders import How, Limit, Market, Protect, Stop, StopLimit, TimeInForce

_INT_MAX: Final = 1 << 63
_SECONDS_MAX: Final = 1e9
_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def text(value: object) -> str:
    """Return a text of whole characters; empty for None."""
    if type(value) is str and value.isascii():
        return value
    return "" if value is None else str(value).encode("utf-8", "replace").decode()


def fault(error: BaseException | None) -> str:
    """Return what was raised in words, also where it cannot be put into any."""
    try:
        return text(f"{type(error).__name__}: {error}")
    except Exception:  # noqa: BLE001 -- boundary: an author's exception, whose own words may fail
        return type(error).__name__


def interval_s(value: object) -> int:
    """Return the seconds of an interval such as ``2s``, ``1m``, ``4h`` or ``1d``; whole seconds pass through.

    Raises:
        ValueError: says what was expected.
    """
    if isinstance(value, int) and value > 0:
        return value
    match = re.fullmatch(r"([1-9]\d{0,6})([smhd])", str(value))
    if match is None:
        raise ValueError("an interval with its unit, such as 2s, 1m, 4h or 1d")
    return int(match[1]) * _UNITS[match[2]]


def how_of(how: How) -> How:
    """Return how an order is to trade.

    Raises:
        TypeError: it is none of the four, or holds what is no number.
        ValueError: likewise, or a time in force that does not exist, or a time that no clock will show.
    """
    if not isinstance(how, Market | Limit | Stop | StopLimit):
        raise TypeError(
            f"how: expected Market(), Limit(price), Stop(trigger) or StopLimit(trigger, price), found {how!r}"
        )
    reduces, good_for_s = _flag(how.reduce_only), _seconds(how.good_for_s)
    if isinstance(how, Market):
        return Market(reduces, good_for_s)
    if isinstance(how, Limit):
        expires = how.expires_at_ns
        return Limit(
            _price(how.price),
            TimeInForce(how.time_in_force),
            _flag(how.post_only),
            reduces,
            good_for_s,
            None if expires is None else _instant(expires),
        )
    if isinstance(how, StopLimit):
        return StopLimit(_price(how.trigger), _price(how.price), reduces, good_for_s)
    return Stop(_price(how.trigger), reduces, good_for_s)


def protect_of(protect: Protect | None) -> Protect | None:
    """Return exits; None for none.

    Raises:
        TypeError: a price is no number.
        ValueError: likewise.
    """
    if protect is None:
        return None
    if not isinstance(protect, Protect):
        raise TypeError(f"protect: expected Protect(stop=..., take=..., trail=...), found {protect!r}")
    stop, take, trail = (None if one is None else _price(one) for one in (protect.stop, protect.take, protect.trail))
    return Protect(stop, take, trail)


def _price(value: Decimal | float) -> Decimal | float:
    kind = type(value)
    if kind is float or kind is Decimal or (kind is int and -_INT_MAX < value < _INT_MAX):
        return value
    return Decimal(value) if isinstance(value, Decimal | int) else float(value)


def _flag(value: Any) -> bool:
    return value if type(value) is bool else bool(value)


def _seconds(value: Any) -> float | None:
    if value is None:
        return None
    seconds = float(value)
    if not seconds <= _SECONDS_MAX:
        raise ValueError(f"good_for_s: expected at most {_SECONDS_MAX:g} s, found {value}")
    return seconds


def _instant(value: Any) -> int:
    if not -_INT_MAX < value < _INT_MAX:
        raise ValueError(f"expires_at_ns: expected nanoseconds since 1970, found {value}")
    return int(value)
