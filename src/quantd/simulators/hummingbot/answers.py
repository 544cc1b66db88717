"""The server's answers: JSON, errors with a `detail`, and the plain text that stands for whatever was not handled."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from quantd.ports import HttpResponse

NS_PER_S = 1_000_000_000
_JSON = {"content-type": "application/json"}


class Problem(Exception):
    """A request ends with an error."""

    def __init__(self, status: int, detail: Any, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(str(detail))
        self.status = status
        self.detail = detail
        self.headers = headers or {}


class Crash(Exception):
    """The server's own code failed: a plain 500."""


def answered(payload: Any, status: int = 200) -> HttpResponse:
    """Return a good answer."""
    return HttpResponse(status, _JSON, msgspec.json.encode(payload))


def refused(problem: Problem) -> HttpResponse:
    """Return an error in the server's shape."""
    return HttpResponse(problem.status, {**_JSON, **problem.headers}, msgspec.json.encode({"detail": problem.detail}))


def crashed() -> HttpResponse:
    """Return what an unhandled error looks like."""
    return HttpResponse(500, {"content-type": "text/plain; charset=utf-8"}, b"Internal Server Error")


def gateway(status: int, headers: Mapping[str, str]) -> HttpResponse:
    """Return what a proxy in front of the server answers."""
    return HttpResponse(status, {"content-type": "text/html", **headers}, f"<html>{status}</html>".encode())


def missing(*fields: str) -> Problem:
    """Return the 422 of a body without some fields."""
    return Problem(
        422, [{"type": "missing", "loc": ["body", name], "msg": "Field required", "input": {}} for name in fields]
    )


def unfit(field: str, kind: str, message: str, found: object) -> Problem:
    """Return the 422 of a field that does not fit."""
    return Problem(422, [{"type": kind, "loc": ["body", field], "msg": message, "input": found}])


def instant(at_ns: int) -> str:
    """Return a time as the server writes it: ISO 8601 with microseconds and an offset."""
    moment = datetime.fromtimestamp(at_ns // NS_PER_S, UTC)
    return moment.replace(microsecond=at_ns % NS_PER_S // 1_000).isoformat(timespec="microseconds")


def number(value: Decimal) -> float:
    """Return a number as lists show it: a JSON float."""
    return float(value)


def text(value: Decimal) -> str:
    """Return a number as the answer to a placement shows it."""
    return str(value)
