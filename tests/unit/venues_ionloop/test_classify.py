"""What each answer means for each write and for reads: the whole table."""

import json
from itertools import product

import pytest

from quantd.domain.outcomes import Accepted, NotExecuted, Outcome, Rejected, Unknown
from quantd.errors import AuthFailed, RateLimited, Refused, Unavailable, VenueError
from quantd.venues.final_state import ASK_FINAL_STATE
from quantd.venues.ionloop.classify import MarketClosed, classify, classify_read, is_auth_failure

WRITES = ("create_order", "cancel_order", "create_webhook")


def failure(code: str) -> bytes:
    return json.dumps(
        {"success": False, "error": {"code": code, "message": "words"}, "meta": {"requestId": "req_7"}}
    ).encode()


GOOD = b'{"success":true,"data":{"id":"ord_1"},"meta":{"requestId":"req_1","timestamp":"2026-05-14T12:00:00Z"}}'
DOCUMENTED: dict[str, int] = {
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
EXPECTED: dict[str, type[Outcome]] = {
    "UNAUTHORIZED": Rejected,
    "FORBIDDEN": Rejected,
    "VALIDATION_ERROR": Rejected,
    "RATE_LIMITED": NotExecuted,
    "NOT_FOUND": Rejected,
    "ORDER_REJECTED": Rejected,
    "INSUFFICIENT_BALANCE": Rejected,
    "MARKET_CLOSED": Rejected,
    "INTERNAL_ERROR": Unknown,
}


@pytest.mark.parametrize(("operation", "code"), list(product(WRITES, DOCUMENTED)))
def test_every_code_has_its_outcome_for_every_write(operation: str, code: str) -> None:
    outcome = classify(operation, DOCUMENTED[code], {}, failure(code))
    if operation == "cancel_order" and code in ("NOT_FOUND", "ORDER_REJECTED"):
        assert outcome == Unknown(ASK_FINAL_STATE)
        return
    assert type(outcome) is EXPECTED[code]
    if isinstance(outcome, Rejected):
        assert outcome.code == code.lower()
        assert "req_7" in outcome.detail, "the request's id helps the venue's support"


@pytest.mark.parametrize("operation", WRITES)
@pytest.mark.parametrize("status", [200, 201, 202])
def test_any_2xx_with_success_is_accepted(operation: str, status: int) -> None:
    assert classify(operation, status, {}, GOOD) == Accepted()


@pytest.mark.parametrize("operation", WRITES)
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b""),
        (200, b"<html>"),
        (200, failure("SOMETHING_NEW")),
        (204, b""),
        (302, b""),
        (400, b"bad"),
        (401, b"<html>"),
        (404, b"<html>"),
        (409, b""),
        (422, b""),
        (422, failure("SOMETHING_NEW")),
        (500, b""),
        (500, failure("INTERNAL_ERROR")),
        (500, failure("VALIDATION_ERROR")),
        (500, GOOD),
        (502, b"<html>"),
        (503, b""),
        (503, failure("INTERNAL_ERROR")),
        (504, b"upstream request timeout"),
        (200, GOOD[:-5]),
        (500, failure("MARKET_CLOSED")),
        (599, b'{"success":false}'),
    ],
)
def test_what_the_table_does_not_know_is_unknown(operation: str, status: int, body: bytes) -> None:
    assert isinstance(classify(operation, status, {}, body), Unknown)


@pytest.mark.parametrize("operation", WRITES)
def test_only_market_closed_makes_a_503_definite(operation: str) -> None:
    assert classify(operation, 503, {}, failure("MARKET_CLOSED")) == Rejected("market_closed", "words [req_7]")


@pytest.mark.parametrize("operation", WRITES)
def test_refusals_before_processing_name_their_pause(operation: str) -> None:
    assert classify(operation, 429, {"retry-after": "3"}, failure("RATE_LIMITED")) == NotExecuted("rate_limited", 3.0)
    assert classify(operation, 429, {"retry-after": "3"}, b"<html>") == NotExecuted("rate_limited", 3.0)
    assert classify(operation, 418, {"retry-after": "300"}, b"") == NotExecuted("banned", 300.0)
    assert classify(operation, 418, {}, GOOD) == NotExecuted("banned", 120.0)
    assert classify(operation, 403, {}, b"<html>blocked</html>") == NotExecuted("firewall", 60.0)


def test_retry_after_may_be_a_date() -> None:
    dates = {"retry-after": "Thu, 14 May 2026 12:00:30 GMT", "date": "Thu, 14 May 2026 12:00:00 GMT"}
    assert classify("create_order", 429, dates, failure("RATE_LIMITED")) == NotExecuted("rate_limited", 30.0)
    for headers in ({"retry-after": "soon"}, {"retry-after": dates["retry-after"]}, {"retry-after": "nan"}):
        assert classify("create_order", 429, headers, b"") == NotExecuted("rate_limited", None)


def test_the_validation_code_counts_with_both_of_its_statuses() -> None:
    assert isinstance(classify("create_order", 400, {}, failure("VALIDATION_ERROR")), Rejected)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (401, failure("UNAUTHORIZED"), True),
        (401, b"<html>", True),
        (403, failure("FORBIDDEN"), True),
        (403, b"<html>", False),
        (402, failure("INSUFFICIENT_BALANCE"), False),
        (200, GOOD, False),
    ],
)
def test_a_key_that_is_not_accepted_is_told_apart(status: int, body: bytes, expected: bool) -> None:
    assert is_auth_failure("create_order", status, classify("create_order", status, {}, body)) is expected


READS: list[tuple[int, bytes, type[VenueError] | None]] = [
    (200, GOOD, None),
    (200, b"<html>", Unavailable),
    (200, failure("SOMETHING_NEW"), Unavailable),
    (400, failure("VALIDATION_ERROR"), Refused),
    (401, failure("UNAUTHORIZED"), AuthFailed),
    (401, b"", AuthFailed),
    (402, failure("INSUFFICIENT_BALANCE"), Refused),
    (403, failure("FORBIDDEN"), Refused),
    (403, b"<html>", RateLimited),
    (404, failure("NOT_FOUND"), Refused),
    (404, b"<html>", Unavailable),
    (409, failure("ORDER_REJECTED"), Refused),
    (418, b"", RateLimited),
    (422, failure("VALIDATION_ERROR"), Refused),
    (429, failure("RATE_LIMITED"), RateLimited),
    (429, b"", RateLimited),
    (500, failure("INTERNAL_ERROR"), Unavailable),
    (502, b"<html>", Unavailable),
    (503, failure("MARKET_CLOSED"), MarketClosed),
    (503, failure("INTERNAL_ERROR"), Unavailable),
    (504, b"", Unavailable),
]


@pytest.mark.parametrize(("status", "body", "expected"), READS)
def test_every_answer_to_a_read_has_its_error(status: int, body: bytes, expected: type[VenueError] | None) -> None:
    error = classify_read("ionloop", "get_order", status, {}, body)
    assert type(error) is (expected or type(None))
    if isinstance(error, VenueError):
        assert (error.venue, error.operation) == ("ionloop", "get_order")


def test_a_refused_read_carries_our_name_of_the_code() -> None:
    error = classify_read("ionloop", "get_order", 404, {}, failure("NOT_FOUND"))
    assert isinstance(error, Refused)
    assert error.code == "not_found"
