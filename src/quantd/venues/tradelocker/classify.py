"""What TradeLocker's answers mean: for a write an Outcome, for a read an error to raise; pure.

Status 200 alone means nothing: ``s`` decides. What this table does not know is Unknown. Documented: 200 with ``s`` ok,
204, 400 of log-in. Observed: refusals with status 200, 429 as text of the edge. Assumed: 401, 403 and 429 are decided
before anything is executed.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from quantd.domain.outcomes import Accepted, NotExecuted, Outcome, Rejected, Unknown
from quantd.errors import AuthFailed, RateLimited, Refused, Unavailable, VenueError
from quantd.venues.final_state import ASK_FINAL_STATE
from quantd.venues.http import retry_after_s
from quantd.venues.parsing import CANNOT_READ

RATE_PAUSE_S = 1.0
"""Pause after a 429 that names none."""
EDGE_PAUSE_S = 60.0
"""Pause after the edge in front of the server has blocked this address, where it names none."""
UNAUTHORIZED = "unauthorized"
"""Code of a 401: the token is not accepted, nothing was done."""

_OF_ORDERS = frozenset({"cancel_order", "modify_order"})

_CODES = (
    (re.compile(r"not enough margin", re.IGNORECASE), "insufficient_margin"),
    (re.compile(r"out of session", re.IGNORECASE), "market_closed"),
    (re.compile(r"only positions closing", re.IGNORECASE), "reduce_only_market"),
    (re.compile(r"order type is not allowed", re.IGNORECASE), "order_type_not_allowed"),
    (re.compile(r"\b(SL|TP) price is not valid"), "bad_protection"),
    (re.compile(r"qty=\["), "bad_quantity"),
)


class Envelope(msgspec.Struct, frozen=True):
    """What every answer under ``/trade`` has around it."""

    s: str
    d: msgspec.Raw = msgspec.Raw()
    errmsg: str = ""
    nb: Any = None
    """Opening, in milliseconds, of the next bar behind an empty range; its place and unit are assumed."""


class _OrderId(msgspec.Struct, frozen=True):
    orderId: str | int


def envelope(body: bytes) -> Envelope | None:
    """Return an answer's envelope, None where it has none."""
    try:
        return msgspec.json.decode(body, type=Envelope)
    except CANNOT_READ:
        return None


def order_id(body: bytes) -> str:
    """Return the id that a create's answer tells, as text with all its digits; nothing where it tells none."""
    told = envelope(body)
    try:
        return "" if told is None or not told.d else str(msgspec.json.decode(told.d, type=_OrderId).orderId)
    except CANNOT_READ:
        return ""


def classify(operation: str, status: int, headers: Mapping[str, str], body: bytes) -> Outcome:
    """Return what became of the write `operation` (``place_order``, ``cancel_order``, ``close_position``, ...).

    Accepted carries no reports: that a create is accepted does not say that it was filled.
    """
    places = operation == "place_order"
    if status == 204:
        return Unknown("accepted_without_id") if places else Accepted()
    if status == 200:
        return _by_envelope(operation, body)
    words = _words(body)
    match status:
        case 429:
            return NotExecuted("rate_limited", _pause_s(headers, body))
        case 400:
            return Rejected("bad_request", words)
        case 401:
            return Rejected(UNAUTHORIZED, words)
        case 403 if _is_json(body):
            return Rejected("forbidden", words)
        case 403:
            return NotExecuted("firewall", _pause_s(headers, body))
        case 404 if _is_json(body):
            # Of a position that is gone nothing was closed by this request; an order may have ended as something.
            return Unknown(ASK_FINAL_STATE) if operation in _OF_ORDERS else Rejected("not_found", words)
        case _:
            return Unknown(f"http_{status}")


def _by_envelope(operation: str, body: bytes) -> Outcome:
    told = envelope(body)
    if told is None:
        return Unknown("http_200_unreadable")
    if told.s == "ok":
        return Accepted() if operation != "place_order" or order_id(body) else Unknown("accepted_without_id")
    if told.s != "error":
        return Unknown(f"unknown_word_{told.s[:32]}")
    # A cancel is refused when the order has ended, and what it ended as must be asked.
    return (
        Unknown(ASK_FINAL_STATE) if operation == "cancel_order" else Rejected(code_of(told.errmsg), told.errmsg[:200])
    )


def code_of(words: str) -> str:
    """Return our name for the words of a refusal; the venue has no codes."""
    for pattern, code in _CODES:
        if pattern.search(words):
            return code
    return "refused"


def classify_read(
    venue: str, operation: str, status: int, headers: Mapping[str, str], body: bytes
) -> VenueError | None:
    """Return the error that a read's answer means, None when it is good; ``no_data`` is no error."""
    words = f"({status}) {_words(body)}"
    if operation in ("log_in", "refresh", "all_accounts") and status in (200, 201):
        return None
    if status == 200:
        told = envelope(body)
        if told is None:
            return Unavailable(venue, operation, "answered 200 without the envelope")
        if told.s in ("ok", "no_data"):
            return None
        return Refused(venue, operation, code_of(told.errmsg), told.errmsg[:200])
    if status == 429:
        return RateLimited(venue, operation, words, retry_after_s=_pause_s(headers, body))
    if status == 401 or (status == 400 and operation == "log_in"):
        return AuthFailed(venue, operation, words)
    if status == 403:
        if _is_json(body):
            return AuthFailed(venue, operation, words)
        return RateLimited(venue, operation, f"{words}: blocked by the edge", retry_after_s=_pause_s(headers, body))
    if status in (400, 404) and _is_json(body):
        return Refused(venue, operation, "bad_request" if status == 400 else "not_found", words)
    return Unavailable(venue, operation, words, retry_after_s=retry_after_s(headers, 0))


def _pause_s(headers: Mapping[str, str], body: bytes) -> float:
    named = retry_after_s(headers, 0)
    if named is not None:
        return named
    return RATE_PAUSE_S if _is_json(body) else EDGE_PAUSE_S


def _is_json(body: bytes) -> bool:
    try:
        return isinstance(msgspec.json.decode(body), dict)
    except CANNOT_READ:
        return False


def _words(body: bytes) -> str:
    return body[:200].decode("utf-8", "replace")
