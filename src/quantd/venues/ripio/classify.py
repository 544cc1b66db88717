"""What a Ripio answer means: for a write an Outcome, for a read an error to raise; pure.

Used by the connector as the hooks of `VenueHttp`. A write's answer that this table does not know is Unknown, never a
refusal: the order may stand at the venue. Codes are numbers, numbers as text, or the gateway's own words (`ERR_*`), and
may be missing: the HTTP status then decides.
"""

from collections.abc import Mapping

from quantd.domain.outcomes import Accepted, NotExecuted, Outcome, Rejected, Unknown
from quantd.errors import AuthFailed, RateLimited, Refused, Unavailable, VenueError
from quantd.venues.final_state import ASK_FINAL_STATE
from quantd.venues.http import retry_after_s
from quantd.venues.ripio import wire

DAILY_PAUSE_S = 900.0
"""Pause after the day's cap was reached. When it begins anew is not documented; a cancel must not wait for a guess of ours
until midnight, so it is tried again every quarter of an hour."""
FIREWALL_PAUSE_S = 60.0
"""Pause after the gateway has refused us without the venue's envelope, where it names none."""

DEFINITE: Mapping[int | str, str] = {
    40000: "invalid_parameters",
    40010: "below_minimum",
    40011: "insufficient_funds",
    40020: "already_cancelled",
    40021: "already_executed",
    40090: "unsupported",
    40100: "unauthorized",
    40300: "forbidden",
    40400: "not_found",
    "ERR_0008": "unauthorized",
}
"""Error codes with which nothing was done, by our name; they count with any status of 400 to 499."""
ENDED = frozenset({"already_cancelled", "already_executed", "not_found"})
"""Refusals of a cancel that say that there is nothing to cancel."""
RATE_CODES = frozenset({42900, "ERR_0012"})
AUTH_CODES = frozenset({"unauthorized", "forbidden"})
"""Refusals after which trading on the venue stops."""
CANCELS = frozenset({"cancel_order", "cancel_all"})
CREATES = frozenset({"create_order"})


def classify(operation: str, status: int, headers: Mapping[str, str], body: bytes) -> Outcome:
    """Return what became of the write `operation`.

    Accepted carries no reports: the caller reads them from the body. A cancel that found the order gone is
    Unknown(ASK_FINAL_STATE).
    """
    answer = wire.envelope(body)
    code = answer.error if answer is not None else None
    if status == 429 or (code in RATE_CODES and _is_client_error(status)):
        return NotExecuted("rate_limited", _rate_pause_s(answer, headers))
    if answer is None:
        return _without_envelope(status, headers)
    if 200 <= status < 300:
        return Accepted() if code is None else Unknown(f"error_{code}_with_{status}")
    name = DEFINITE.get(code) if code is not None else None
    if name is None and status == 401:
        name = "unauthorized"
    if name is None or not _is_client_error(status):
        return Unknown(f"http_{status}")
    if operation in CANCELS and name in ENDED:
        return Unknown(ASK_FINAL_STATE)
    if operation in CREATES and name in ("already_cancelled", "already_executed"):
        return Unknown(f"error_{code}_to_create")
    return Rejected(name, _words(answer))


def _without_envelope(status: int, headers: Mapping[str, str]) -> Outcome:
    if status == 401:
        return Rejected("unauthorized", "answered 401 without the envelope")
    if status == 403:
        return NotExecuted("firewall", _named_or(FIREWALL_PAUSE_S, headers))
    return Unknown(f"http_{status}_unreadable")


def classify_read(
    venue: str, operation: str, status: int, headers: Mapping[str, str], body: bytes
) -> VenueError | None:
    """Return the error that a read's answer means, None when it is good and its data can be decoded."""
    answer = wire.envelope(body)
    code = answer.error if answer is not None else None
    if status == 429 or (code in RATE_CODES and _is_client_error(status)):
        pause_s = _rate_pause_s(answer, headers)
        return RateLimited(venue, operation, f"answered {status}", retry_after_s=pause_s)
    if answer is None:
        if status == 401:
            return AuthFailed(venue, operation, "answered 401 without the envelope")
        if status == 403:
            pause_s = _named_or(FIREWALL_PAUSE_S, headers)
            return RateLimited(venue, operation, "refused by the gateway (403)", retry_after_s=pause_s)
        detail = f"answered {status} without the envelope"
        return Unavailable(venue, operation, detail, retry_after_s=_named(headers))
    if 200 <= status < 300 and code is None:
        return None
    detail = f"{'no code' if code is None else code} ({status}) {_words(answer)}"
    name = DEFINITE.get(code) if code is not None else None
    if name == "unauthorized" or (status == 401 and name is None):
        return AuthFailed(venue, operation, detail)
    if name is not None and _is_client_error(status):
        return Refused(venue, operation, name, detail)
    if code is None and status == 404:
        return Refused(venue, operation, "not_found", detail)
    return Unavailable(venue, operation, detail, retry_after_s=_named(headers))


def is_auth_failure(outcome: Outcome) -> bool:
    """Tell whether a write's answer means that token or secret are not accepted."""
    return isinstance(outcome, Rejected) and outcome.code in AUTH_CODES


def _rate_pause_s(answer: wire.Envelope | None, headers: Mapping[str, str]) -> float | None:
    """Return the pause after a refusal for too many requests; None leaves it to the budget's own back-off."""
    words = (answer.message or "").lower() if answer is not None else ""
    return _named_or(DAILY_PAUSE_S, headers) if "limit exceeded" in words else _named(headers)


def _named(headers: Mapping[str, str]) -> float | None:
    # No such header is documented; a date in it counts from the answer's own Date.
    seconds = retry_after_s(headers, 0)
    return seconds if seconds is None or seconds <= 86_400 else None


def _named_or(pause_s: float, headers: Mapping[str, str]) -> float:
    named = _named(headers)
    return pause_s if named is None else named


def _is_client_error(status: int) -> bool:
    return 400 <= status < 500


def _words(answer: wire.Envelope) -> str:
    return (answer.message or "")[:200]
