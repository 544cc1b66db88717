"""What an ionloop answer means: for a write an Outcome, for a read an error to raise; pure.

Used by the connector as the hooks of `VenueHttp`. A write's answer that this table does not know is Unknown, never a
refusal: the order may stand at the venue. The code in the envelope decides before the HTTP status, for two codes come
with two statuses each.
"""

from collections.abc import Mapping

from quantd.domain.outcomes import Accepted, NotExecuted, Outcome, Rejected, Unknown
from quantd.errors import AuthFailed, RateLimited, Refused, Unavailable, VenueError
from quantd.venues.final_state import ASK_FINAL_STATE
from quantd.venues.http import retry_after_s
from quantd.venues.ionloop import wire

FIREWALL_PAUSE_S = 60.0
"""Cool-down after a web firewall has blocked us, where it names none."""
BAN_PAUSE_S = 120.0
"""Shortest ban of an address, where the answer names none."""
RATE_PAUSE_S = 1.0
"""Pause after a refusal for too many requests that comes with another status than 429 and names no time."""


DEFINITE = {
    "UNAUTHORIZED": "unauthorized",
    "FORBIDDEN": "forbidden",
    "VALIDATION_ERROR": "validation_error",
    "NOT_FOUND": "not_found",
    "ORDER_REJECTED": "order_rejected",
    "INSUFFICIENT_BALANCE": "insufficient_balance",
}
"""Error codes with which nothing was done, by our name; they count with any status of 400 to 499."""

AUTH_CODES = frozenset({"unauthorized", "forbidden"})
"""Refusals after which trading on the venue stops."""


class MarketClosed(Unavailable):
    """The market is halted or in maintenance; the read works again when it opens."""


def classify(operation: str, status: int, headers: Mapping[str, str], body: bytes) -> Outcome:
    """Return what became of the write `operation` (``create_order``, ``cancel_order``, ``create_webhook``).

    Accepted carries no reports: the caller reads them from the body. A cancel that found the order gone is
    Unknown(ASK_FINAL_STATE).
    """
    return judge(operation, status, headers, wire.envelope(body))


def judge(operation: str, status: int, headers: Mapping[str, str], answer: wire.Envelope | None) -> Outcome:
    """Return what `classify` does, of an envelope that is read already; None when the body has none."""
    if status == 418:
        return NotExecuted("banned", _named_or(BAN_PAUSE_S, headers))
    if answer is None:
        return _without_envelope(status, headers)
    if answer.success:
        return Accepted() if 200 <= status < 300 else Unknown(f"success_with_{status}")
    code = answer.error.code if answer.error is not None else ""
    if status == 429:
        return NotExecuted("rate_limited", _named(headers))
    if code == "RATE_LIMITED":
        return NotExecuted("rate_limited", _named_or(RATE_PAUSE_S, headers))
    if code == "MARKET_CLOSED" and (status == 503 or _is_client_error(status)):
        return Rejected("market_closed", _words(answer))
    if code in DEFINITE and _is_client_error(status):
        if operation == "cancel_order" and code in ("NOT_FOUND", "ORDER_REJECTED"):
            return Unknown(ASK_FINAL_STATE)
        return Rejected(DEFINITE[code], _words(answer))
    return Unknown(f"http_{status}")


def _without_envelope(status: int, headers: Mapping[str, str]) -> Outcome:
    if status == 429:
        return NotExecuted("rate_limited", _named(headers))
    if status == 403:
        return NotExecuted("firewall", _named_or(FIREWALL_PAUSE_S, headers))
    return Unknown(f"http_{status}_unreadable")


def classify_read(
    venue: str, operation: str, status: int, headers: Mapping[str, str], body: bytes
) -> VenueError | None:
    """Return the error that a read's answer means, None when it is good and its data can be decoded."""
    if status == 418:
        pause_s = _named_or(BAN_PAUSE_S, headers)
        return RateLimited(venue, operation, "this address is banned (418)", retry_after_s=pause_s)
    answer = wire.envelope(body)
    if answer is None:
        return _read_without_envelope(venue, operation, status, headers)
    if answer.success and 200 <= status < 300:
        return None
    code = answer.error.code if answer.error is not None else ""
    detail = f"{code or 'no error code'} ({status}) {_words(answer)}"
    if code == "RATE_LIMITED" or status == 429:
        return RateLimited(venue, operation, detail, retry_after_s=_named(headers))
    if code == "MARKET_CLOSED":
        return MarketClosed(venue, operation, detail, retry_after_s=_named(headers))
    if code == "UNAUTHORIZED" or (status == 401 and code not in DEFINITE):
        return AuthFailed(venue, operation, detail)
    if code in DEFINITE and _is_client_error(status):
        return Refused(venue, operation, DEFINITE[code], detail)
    return Unavailable(venue, operation, detail, retry_after_s=_named(headers))


def _read_without_envelope(venue: str, operation: str, status: int, headers: Mapping[str, str]) -> VenueError:
    detail = f"answered {status} without the envelope"
    if status == 429:
        return RateLimited(venue, operation, detail, retry_after_s=_named(headers))
    if status == 401:
        return AuthFailed(venue, operation, detail)
    if status == 403:
        pause_s = _named_or(FIREWALL_PAUSE_S, headers)
        return RateLimited(venue, operation, f"{detail}: blocked by a web firewall", retry_after_s=pause_s)
    return Unavailable(venue, operation, detail, retry_after_s=_named(headers))


def is_auth_failure(operation: str, status: int, outcome: Outcome) -> bool:
    """Tell whether a write's answer means that the key is not accepted any more.

    A key without the right to register webhooks trades as well as any.
    """
    if status == 401:
        return True
    codes = AUTH_CODES - {"forbidden"} if operation == "create_webhook" else AUTH_CODES
    return isinstance(outcome, Rejected) and outcome.code in codes


def _named(headers: Mapping[str, str]) -> float | None:
    # A date counts from the answer's own Date. Without one it would count from 1970, which no sound wait does;
    # `VenueHttp` reads it then, and where nothing is named at all it doubles its own wait with each refusal.
    return retry_after_s(headers, 0)


def _named_or(pause_s: float, headers: Mapping[str, str]) -> float:
    named = _named(headers)
    return pause_s if named is None else named


def _is_client_error(status: int) -> bool:
    return 400 <= status < 500


def _words(answer: wire.Envelope) -> str:
    words = answer.error.message if answer.error is not None else ""
    return f"{words[:200]} [{answer.meta.request_id[:64]}]"
