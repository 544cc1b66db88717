"""The frame of every Ripio answer, its formats, and its errors.

Used by all of the simulator's handlers. Amounts are JSON numbers, times ISO-8601 in UTC with milliseconds.
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from quantd.domain.numbers import plain
from quantd.ports import HttpResponse
from quantd.simulators.venue import Json

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
_JSON = {"content-type": "application/json; charset=utf-8"}
_HTML = {"content-type": "text/html"}
_ENCODER = msgspec.json.Encoder(decimal_format="number")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

INVALID = 40000
BELOW_MINIMUM = 40010
INSUFFICIENT_FUNDS = 40011
ALREADY_CANCELED = 40020
ALREADY_EXECUTED = 40021
UNSUPPORTED = 40090
UNAUTHORIZED = 40100
FORBIDDEN = 40300
NOT_FOUND = 40400
TOO_MANY = 42900
MAINTENANCE = 503

_STATUS = {MAINTENANCE: 503}


class Problem(Exception):
    """A request ends with a numbered error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = _STATUS.get(code, code // 100)


def encoded(tree: Any) -> bytes:
    """Return a tree as JSON; decimals as numbers."""
    return _ENCODER.encode(tree)


def good(data: Any, at_ms: int) -> Json:
    """Return the frame of a success."""
    return {"error_code": None, "message": None, "data": data, "timestamp": at_ms}


def bad(code: int, message: str, at_ms: int) -> Json:
    """Return the frame of a failure."""
    return {"error_code": code, "message": message, "data": None, "timestamp": at_ms}


def answered(status: int, frame: Json) -> HttpResponse:
    """Return a frame as a response."""
    return HttpResponse(status, _JSON, encoded(frame))


def gateway(status: int) -> HttpResponse:
    """Return what a gateway in front answers: a page, and no envelope."""
    return HttpResponse(status, _HTML, f"<html><body><h1>{status}</h1></body></html>".encode())


def number(value: Decimal) -> Decimal:
    """Return a decimal as JSON numbers have it here: ``1`` and not ``1.0``; small ones get an exponent."""
    return Decimal(plain(value))


def market_number(value: float, step: Decimal) -> Decimal:
    """Return a float of the market as the multiple of `step` that it means."""
    return number(Decimal(repr(value)).quantize(step))


def instant(at_ns: int) -> str:
    """Return a time as the venue writes it: ``2024-03-27T13:27:19.853Z``."""
    ms = at_ns // NS_PER_MS
    moment = datetime.fromtimestamp(ms // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03}Z"


def instant_ns(text: str) -> int | None:
    """Return the nanoseconds of an ISO-8601 text, UTC where it names no zone; None when it is none."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000
