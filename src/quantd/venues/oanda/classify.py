"""What OANDA's answers mean: for a write an Outcome, for a read an error to raise; pure.

The transactions in an answer decide, never the status alone: 201 may carry an order that was cancelled at once. There
is no idempotency key and a client id is no guard, so what this table does not know is Unknown and never sent again.
"""

import re
from collections.abc import Mapping

from quantd.domain.outcomes import Accepted, NotExecuted, Outcome, Rejected, Unknown
from quantd.errors import AuthFailed, RateLimited, Refused, Unavailable, VenueError
from quantd.venues.final_state import ASK_FINAL_STATE
from quantd.venues.http import retry_after_s
from quantd.venues.oanda import wire

RATE_PAUSE_S = 1.0
"""Pause after a 429; assumed, as OANDA documents no Retry-After. Its limit counts by second and address."""


_ON_AN_ORDER = frozenset({"replace_order", "cancel_order"})
_GONE = frozenset({"ORDER_DOESNT_EXIST", "NO_SUCH_ORDER"})
_STATUS_CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    416: "range_not_available",
}
_REASON = re.compile(r"^[A-Z][A-Z_]{2,59}$")


def classify(operation: str, status: int, headers: Mapping[str, str], body: bytes) -> Outcome:
    """Return what became of the write `operation`.

    Operations are ``create_order``, ``replace_order``, ``cancel_order``, ``close_trade`` and ``set_dependents``.
    Accepted carries no reports: the caller reads them from the transactions in the body, which may say cancelled.
    """
    if 200 <= status < 300:
        if operation == "set_dependents":
            return _dependents(status, body)
        return _done(operation, status, body)
    if status == 429:
        # Documented is the status; that nothing was processed is assumed.
        return NotExecuted("rate_limited", _named_or(RATE_PAUSE_S, headers))
    told = wire.failure(body)
    if told is None or status not in _STATUS_CODES:
        return Unknown(f"http_{status}" if told is not None else f"http_{status}_unreadable")
    if operation in _ON_AN_ORDER and told.error_code in _GONE:
        # Gone by an earlier try of ours, or by a fill: this call did nothing, which tells not what the order became. A
        # trade that is gone is a plain no: its end is told by the log, and a repeated close is not judged by it.
        return Unknown(ASK_FINAL_STATE)
    return Rejected(_code(status, told.error_code), _words(told))


def _done(operation: str, status: int, body: bytes) -> Outcome:
    """Return what a good answer proves by the transactions that it names."""
    answer = wire.order_answer(body)
    if answer is None:
        return Unknown(f"http_{status}_unreadable")
    created = answer.order_create_transaction is not None
    filled = answer.order_fill_transaction is not None
    cancelled = answer.order_cancel_transaction
    if operation == "close_trade" and created and not filled and cancelled is not None:
        return Rejected(_code(status, cancelled.reason), f"closing order {cancelled.reason[:80]}")
    proved = {
        "create_order": created,
        "replace_order": created and cancelled is not None,
        "cancel_order": cancelled is not None,
        "close_trade": created and filled,
    }[operation]
    return Accepted() if proved else Unknown(f"http_{status}_without_proof")


def _dependents(status: int, body: bytes) -> Outcome:
    answer = wire.dependent_answer(body)
    if answer is None or not answer.last_transaction_id:
        return Unknown(f"http_{status}_unreadable")
    undone = (
        answer.take_profit_order_created_cancel_transaction,
        answer.stop_loss_order_created_cancel_transaction,
        answer.guaranteed_stop_loss_order_created_cancel_transaction,
    )
    return Accepted() if undone == (None, None, None) else Unknown(ASK_FINAL_STATE)


def classify_read(
    venue: str, operation: str, status: int, headers: Mapping[str, str], body: bytes
) -> VenueError | None:
    """Return the error that a read's answer means, None when it is good and its data can be decoded."""
    if 200 <= status < 300:
        return None
    told = wire.failure(body)
    detail = f"({status}) {_words(told) if told is not None else 'no error body'}"
    if status == 429:
        return RateLimited(venue, operation, detail, retry_after_s=_named_or(RATE_PAUSE_S, headers))
    if status in (401, 403):
        return AuthFailed(venue, operation, detail)
    if told is not None and status in _STATUS_CODES:
        # Of a range the status alone says what the log's reader must know, whatever the reason's name.
        code = _STATUS_CODES[416] if status == 416 else _code(status, told.error_code)
        return Refused(venue, operation, code, detail)
    return Unavailable(venue, operation, detail, retry_after_s=retry_after_s(headers, 0))


def _code(status: int, reason: str) -> str:
    # OANDA's reasons are an enum, open but bounded; anything else (a class name, words) is named by the status.
    if _REASON.match(reason):
        return reason.lower()
    return _STATUS_CODES.get(status, "cancelled_at_once")


def _named_or(pause_s: float, headers: Mapping[str, str]) -> float:
    named = retry_after_s(headers, 0)
    return pause_s if named is None else named


def _words(told: wire.Failure) -> str:
    return f"{told.error_code[:64]} {told.error_message[:200]}".strip()
