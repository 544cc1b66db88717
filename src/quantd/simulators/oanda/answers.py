"""The shapes of OANDA's answers: decimals as text, times by the client's wish, errors with words and perhaps a code.

Used by every desk of the venue. A refusal for reasons of business carries the transaction that records it; what is
malformed carries none.
"""

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from quantd.domain.numbers import decimal_from_text, plain
from quantd.ports import HttpResponse
from quantd.simulators.venue import Json

NS_PER_S = 1_000_000_000
MALFORMED = "oanda::rest::core::InvalidParameterException"
MISSING = "oanda::rest::core::MissingParameterException"
_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")
_UNIX = re.compile(r"(\d{1,11})(?:\.(\d{1,9}))?")
_decoder = msgspec.json.Decoder(float_hook=Decimal)


class At:
    """A moment in an answer, written as the client wants it."""

    __slots__ = ("ns",)

    def __init__(self, ns: int) -> None:
        self.ns = ns

    def __repr__(self) -> str:
        """Show it as RFC 3339."""
        return f"At({rfc3339(self)})"


def rfc3339(at: object) -> str:
    """Return a moment with nine digits of a second."""
    assert isinstance(at, At), f"{at!r} cannot be told"
    seconds, rest = divmod(at.ns, NS_PER_S)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09}Z"


def unix(at: object) -> str:
    """Return a moment as seconds, with nine digits behind the point."""
    assert isinstance(at, At), f"{at!r} cannot be told"
    return f"{at.ns // NS_PER_S}.{at.ns % NS_PER_S:09}"


_RFC3339_ENCODER = msgspec.json.Encoder(enc_hook=rfc3339)
_UNIX_ENCODER = msgspec.json.Encoder(enc_hook=unix)


def encoded(payload: Any, *, is_unix: bool) -> bytes:
    """Return JSON with times in the client's format."""
    return (_UNIX_ENCODER if is_unix else _RFC3339_ENCODER).encode(payload)


class Answer(msgspec.Struct, frozen=True):
    """What a desk answers, before it is written down."""

    payload: Json
    status: int = 200
    headers: dict[str, str] = {}


class Failed(Exception):
    """Ends a request with an error; nothing was done but what `extra` records.

    Args:
        status: Of the answer.
        words: For people.
        code: For programs; empty where the venue gives none.
        extra: Further members: the rejecting transaction and ids.
    """

    def __init__(self, status: int, words: str, code: str = "", extra: Json | None = None) -> None:
        super().__init__(words)
        self.status = status
        self.words = words
        self.code = code
        self.extra: Json = extra or {}


def malformed(name: str) -> Failed:
    """Return the error for a parameter that cannot be read; it is recorded nowhere."""
    return Failed(400, f"Invalid value specified for '{name}'", MALFORMED)


def missing(name: str) -> Failed:
    """Return the error for a query parameter that has to be there."""
    return Failed(400, f"Missing '{name}' parameter", MISSING)


def written(answer: Answer, request_id: str, *, is_unix: bool) -> HttpResponse:
    """Return an answer as it goes out."""
    headers = {"content-type": "application/json", "requestid": request_id, **answer.headers}
    return HttpResponse(answer.status, headers, encoded(answer.payload, is_unix=is_unix))


def error(failure: Failed, request_id: str, *, is_unix: bool) -> HttpResponse:
    """Return an error as it goes out."""
    payload = {**failure.extra, "errorMessage": failure.words}
    if failure.code:
        payload["errorCode"] = failure.code
    return written(Answer(payload, failure.status), request_id, is_unix=is_unix)


# --- reading ----------------------------------------------------------------------------------------------------------


def read_body(body: bytes, *, required: bool = True) -> Json:
    """Return the members of a JSON object with exact numbers.

    Raises:
        Failed: it is none (400).
    """
    if not body.strip():
        if required:
            raise Failed(400, "Missing JSON body")
        return {}
    try:
        found = _decoder.decode(body)
    except msgspec.DecodeError as failure:
        raise Failed(400, "Invalid JSON, ParseErrorCode: 0, Message: malformed") from failure
    if not isinstance(found, dict):
        raise Failed(400, "Invalid JSON, expected an object")
    return found


def decimal_of(value: object, name: str) -> Decimal:
    """Return a member that is the text of a decimal, or (tolerated) a number.

    Raises:
        Failed: it is neither (400).
    """
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise malformed(name)
    try:
        return decimal_from_text(str(value))
    except ValueError as failure:
        raise malformed(name) from failure


def moment_of(value: object, name: str) -> int:
    """Return a time in nanoseconds; either format is taken (assumed).

    Raises:
        Failed: it is neither (400).
    """
    text = str(value)
    found = _UNIX.fullmatch(text)
    if found is not None:
        return int(found[1]) * NS_PER_S + int((found[2] or "").ljust(9, "0"))
    found = _RFC3339.fullmatch(text)
    if found is None:
        raise malformed(name)
    try:
        whole = datetime.fromisoformat(f"{found[1]}T{found[2]}{found[4].replace('Z', '+00:00')}")
    except ValueError as failure:
        raise malformed(name) from failure
    return int(whole.timestamp()) * NS_PER_S + int((found[3] or "").ljust(9, "0"))


# --- numbers ----------------------------------------------------------------------------------------------------------


def money(value: Decimal) -> str:
    """Return an amount in the home currency."""
    return f"{value:.4f}"


def units_text(value: Decimal) -> str:
    """Return signed units without needless digits."""
    return plain(value)
