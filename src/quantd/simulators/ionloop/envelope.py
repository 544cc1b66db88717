"""The frame of every ionloop answer, its formats, and its errors.

Used by all of the simulator's handlers. Decimals are text, times ISO-8601 in UTC with whole seconds.
"""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal

import msgspec

from quantd.domain.numbers import plain
from quantd.ports import HttpResponse
from quantd.simulators.venue import Json

NS_PER_S = 1_000_000_000
_JSON = {"content-type": "application/json"}
_HTML = {"content-type": "text/html"}

STATUS = {
    "UNAUTHORIZED": 401,
    "FORBIDDEN": 403,
    "VALIDATION_ERROR": 422,
    "RATE_LIMITED": 429,
    "NOT_FOUND": 404,
    "ORDER_REJECTED": 409,
    "INSUFFICIENT_BALANCE": 402,
    "MARKET_CLOSED": 503,
    "INTERNAL_ERROR": 500,
}
"""HTTP status by error code, where a route has none of its own."""


class Problem(Exception):
    """A request ends with an error in the envelope."""

    def __init__(
        self, code: str, message: str, *, status: int | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = STATUS[code] if status is None else status
        self.headers = headers or {}


class Answer(msgspec.Struct, frozen=True):
    """What a request came to, before the envelope is put around it: a key's replay gets a fresh envelope."""

    status: int
    data: Json | None = None
    code: str = ""
    message: str = ""
    headers: Mapping[str, str] = {}

    @classmethod
    def of(cls, problem: Problem) -> "Answer":
        """Return the answer that a problem is."""
        return cls(problem.status, None, problem.code, problem.message, problem.headers)


def enveloped(answer: Answer, request_id: str, timestamp: str) -> HttpResponse:
    """Return the bytes of an answer."""
    meta = {"requestId": request_id, "timestamp": timestamp}
    if answer.code:
        frame: Json = {
            "success": False, "error": {"code": answer.code, "message": answer.message}, "meta": meta,
        }  # fmt: skip
    else:
        frame = {"success": True, "data": answer.data, "meta": meta}
    return HttpResponse(answer.status, {**_JSON, **answer.headers}, msgspec.json.encode(frame))


def bare(status: int, headers: Mapping[str, str]) -> HttpResponse:
    """Return what a gateway or a firewall answers: a page, and no envelope."""
    return HttpResponse(status, {**_HTML, **headers}, f"<html><body>{status}</body></html>".encode())


def retry_after(seconds: float) -> dict[str, str]:
    """Return the header that asks for patience, in whole seconds, at least one."""
    return {"retry-after": str(max(1, math.ceil(seconds)))}


def instant(at_ns: int) -> str:
    """Return a time as the venue writes it."""
    return datetime.fromtimestamp(at_ns // NS_PER_S, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def instant_ns(text: str) -> int | None:
    """Return the nanoseconds of an ISO-8601 text with a zone, None when it is none."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    return round(moment.timestamp()) * NS_PER_S


def in_steps(value: Decimal | float, step: Decimal) -> str:
    """Return market data with the step's decimals: ``65100.10``."""
    exact = value if isinstance(value, Decimal) else Decimal(repr(value))
    return f"{exact.quantize(step):f}"


__all__ = ["NS_PER_S", "STATUS", "Answer", "Problem", "bare", "enveloped", "in_steps", "instant", "instant_ns", "plain",
           "retry_after"]  # fmt: skip
