"""What the server's answers mean: for a write an Outcome, for a read an error to raise; pure.

Which of them prove that nothing was scheduled was read from the server's source (dossier, section 12). 201 proves only
that something was. What this table does not know is Unknown.
"""

import re
from collections.abc import Mapping

import msgspec

from quantd.domain.outcomes import NotExecuted, Outcome, Rejected, Scheduled, Unknown
from quantd.errors import AuthFailed, RateLimited, Refused, Unavailable, VenueError
from quantd.venues.http import retry_after_s
from quantd.venues.hummingbot import wire
from quantd.venues.parsing import CANNOT_READ

RULES_PAUSE_S = 2.0
"""Pause after "trading rules not yet loaded"; the server says "in a moment"."""
NETWORK_PAUSE_S = 5.0
"""Pause after the server could not reach the exchange before it scheduled anything."""

CANCEL_REQUESTED = "cancel_requested"
"""Cause of the Unknown that a cancel's 200 gives: it was scheduled, and may have no effect."""
NOT_TRACKED = "not_tracked"
"""Cause of the Unknown that a cancel's 404 gives: ended, lost, or never known; asking tells."""

_CODES = (
    (re.compile(r"^Price is required"), "price_missing"),
    (re.compile(r"^Trading pair .* not supported"), "unknown_pair"),
    (re.compile(r"^Order type .* not supported"), "unsupported"),
    (re.compile(r"below minimum order size"), "below_minimum"),
    (re.compile(r"below minimum notional size"), "below_min_notional"),
)
_DOUBT = re.compile(r"HTTP status is 408|-100[67]\b|status unknown", re.IGNORECASE)
_NETWORK = re.compile(r"Cannot connect to host|Timeout|timed out|Connection", re.IGNORECASE)


def classify(operation: str, status: int, headers: Mapping[str, str], body: bytes) -> Outcome:
    """Return what became of the write `operation` (``place_order``, ``cancel_order``)."""
    if 200 <= status < 300:
        return _scheduled(operation, status, body)
    detail = detail_of(body)
    if detail is None:
        return _without_detail(status, headers)
    if status == 401:
        return Rejected("unauthorized", detail)
    if operation == "cancel_order":
        return _cancelled(status, detail)
    if status in (400, 404, 405, 422):
        return Rejected(_code(status, detail), detail)
    if status == 503 and detail.startswith("Trading rules not yet loaded"):
        return NotExecuted("rules_not_loaded", RULES_PAUSE_S)
    if status == 500 and detail.startswith(("Unexpected error placing trade", "Failed to place trade")):
        if _NETWORK.search(detail):
            return NotExecuted("exchange_unreachable", NETWORK_PAUSE_S)
        return Rejected("server_misconfigured", detail)
    return Unknown(f"http_{status}")


def _scheduled(operation: str, status: int, body: bytes) -> Outcome:
    """Return what a good answer proves: that the server took a task on."""
    if operation == "place_order" and status == 201:
        try:
            return Scheduled(msgspec.json.decode(body, type=wire.Scheduled).order_id)
        except CANNOT_READ:
            return Unknown("scheduled_but_unreadable")
    if operation == "cancel_order" and status == 200 and detail_of(body) is not None:
        return Unknown(CANCEL_REQUESTED)
    return Unknown(f"http_{status}")


def _cancelled(status: int, detail: str) -> Outcome:
    if status == 404 and detail.startswith("Order"):
        return Unknown(NOT_TRACKED)
    if status in (400, 404, 405, 422):
        return Rejected("cancel_refused", detail)
    if status == 500 and detail.startswith(("Error cancelling order", "Failed to initiate order cancellation")):
        return NotExecuted("cancel_not_sent", 1.0)
    return Unknown(f"http_{status}")


def _without_detail(status: int, headers: Mapping[str, str]) -> Outcome:
    if status == 429:
        return NotExecuted("rate_limited", retry_after_s(headers, 0))
    return Unknown(f"http_{status}_unreadable")


def classify_read(
    venue: str, operation: str, status: int, headers: Mapping[str, str], body: bytes
) -> VenueError | None:
    """Return the error that a read's answer means, None when it is good and its data can be decoded."""
    detail = detail_of(body)
    words = f"({status}) {detail or 'no detail'}"
    if 200 <= status < 300:
        return None
    if status == 429:
        return RateLimited(venue, operation, words, retry_after_s=retry_after_s(headers, 0))
    if status == 401:
        return AuthFailed(venue, operation, words)
    if status in (400, 404, 405, 422):
        return Refused(venue, operation, _code(status, detail or ""), words)
    return Unavailable(venue, operation, words, retry_after_s=retry_after_s(headers, 0))


def detail_of(body: bytes) -> str | None:
    """Return the words of a JSON answer, shortened; None when it is none of the server's."""
    try:
        raw = msgspec.json.decode(body, type=wire.Detail).detail
        if not raw:
            return ""
        found = msgspec.json.decode(raw)
    except CANNOT_READ:
        return None
    return str(found)[:300]


def _code(status: int, detail: str) -> str:
    for pattern, code in _CODES:
        if pattern.search(detail):
            return code
    return {400: "bad_request", 404: "not_found", 405: "not_found", 422: "validation_error"}[status]


def failure_of(error: str) -> str:
    """Return what a FAILED row's text proves: ``refused``, ``not_sent``, or nothing: the order may live.

    The source is the dossier's section 12: an answer of the exchange with 4xx is its refusal; local checks and a
    refused connection never sent anything; all else, an empty text included, is only believed lost. A 4xx by which the
    exchange says that it does not know either (a time-out; its codes -1006 and -1007, documented by Binance) is none.
    """
    if _DOUBT.search(error):
        return ""
    if re.search(r"HTTP status is 4\d\d", error):
        return "refused"
    if error.startswith(("Cannot connect to host", "Order amount", "Order notional")):
        return "not_sent"
    return ""
