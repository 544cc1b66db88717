"""What each documented answer of the server means, row by row; what is in no row is unknown."""

import json

import pytest

from quantd.domain.outcomes import NotExecuted, Outcome, Rejected, Scheduled, Unknown
from quantd.errors import AuthFailed, RateLimited, Refused, Unavailable
from quantd.venues.hummingbot.classify import CANCEL_REQUESTED, NOT_TRACKED, classify, classify_read, failure_of

JSON = {"content-type": "application/json"}
PLAIN = {"content-type": "text/plain; charset=utf-8"}


def detail(words: object) -> bytes:
    return json.dumps({"detail": words}).encode()


PLACED = json.dumps({"order_id": "x-1", "status": "submitted", "amount": "4.9E+4", "price": None}).encode()
ROWS: list[tuple[str, int, bytes, Outcome]] = [
    ("taken on, no more", 201, PLACED, Scheduled("x-1")),
    ("no price", 400, detail("Price is required for LIMIT and LIMIT_MAKER orders"), Rejected("price_missing", "")),
    ("no such pair", 400, detail("Trading pair 'X' not supported on C. Available"), Rejected("unknown_pair", "")),
    ("no such type", 400, detail("Order type 'X' not supported. Supported types: []"), Rejected("unsupported", "")),
    ("too small", 400, detail("Order amount 1 is below minimum order size 2 for P"), Rejected("below_minimum", "")),
    (
        "too cheap", 400, detail("Order notional value 1 is below minimum notional size 5 for P."),
        Rejected("below_min_notional", ""),
    ),
    ("credentials", 401, detail("Incorrect username or password"), Rejected("unauthorized", "")),
    ("no account", 404, detail("Account 'X' not found"), Rejected("not_found", "")),
    ("a path with a slash", 404, detail("Not Found"), Rejected("not_found", "")),
    ("another method", 405, detail("Method Not Allowed"), Rejected("not_found", "")),
    ("a field is missing", 422, detail([{"type": "missing"}]), Rejected("validation_error", "")),
    ("keys are missing", 500, detail("Unexpected error placing trade: missing 1 required positional argument"),
     Rejected("server_misconfigured", "")),
    ("the exchange is out of reach", 500, detail("Unexpected error placing trade: Cannot connect to host api:443"),
     NotExecuted("exchange_unreachable", 5.0)),
    ("rules are not loaded", 503, detail("Trading rules not yet loaded for C. Please try again in a moment."),
     NotExecuted("rules_not_loaded", 2.0)),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "outcome"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_a_documented_answer_to_a_placement(status: int, body: bytes, outcome: Outcome) -> None:
    found = classify("place_order", status, JSON, body)
    if isinstance(outcome, Rejected):
        assert isinstance(found, Rejected)
        assert found.code == outcome.code
        assert found.detail
    else:
        assert found == outcome


@pytest.mark.parametrize("status", [500, 502, 503, 504, 520, 302, 418])
def test_what_the_table_does_not_know_is_unknown(status: int) -> None:
    for body in (b"<html>gateway</html>", b"", detail("Something else"), b'{"order_id": "x'):
        assert isinstance(classify("place_order", status, JSON, body), Unknown)
        assert isinstance(classify("cancel_order", status, JSON, body), Unknown)


def test_a_good_answer_that_names_no_order_is_unknown() -> None:
    for body in (b"{}", b"[]", b"", b'{"order_id": 7}'):
        assert isinstance(classify("place_order", 201, JSON, body), Unknown)
    assert isinstance(classify("place_order", 200, JSON, PLACED), Unknown)


def test_the_plain_text_of_whatever_was_not_handled_does_not_prove_that_nothing_was_scheduled() -> None:
    for operation in ("place_order", "cancel_order"):
        assert classify(operation, 500, PLAIN, b"Internal Server Error") == Unknown("http_500_unreadable")


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (200, b'{"message":"Order cancellation initiated for x-1"}', Unknown(CANCEL_REQUESTED)),
        (404, detail("Order 'x-1' not found in active orders"), Unknown(NOT_TRACKED)),
        (500, detail("Error cancelling order: timed out"), NotExecuted("cancel_not_sent", 1.0)),
        (500, detail("Failed to initiate order cancellation: x"), NotExecuted("cancel_not_sent", 1.0)),
    ],
)
def test_a_cancel_is_never_done_by_its_answer_alone(status: int, body: bytes, outcome: Outcome) -> None:
    assert classify("cancel_order", status, JSON, body) == outcome


def test_a_cancel_for_an_account_that_is_not_there_is_refused() -> None:
    assert isinstance(classify("cancel_order", 404, JSON, detail("Account 'x' not found")), Rejected)


@pytest.mark.parametrize(
    ("status", "kind"), [(401, AuthFailed), (404, Refused), (422, Refused), (500, Unavailable), (429, RateLimited)]
)
def test_reads_raise_what_their_answer_means(status: int, kind: type[Exception]) -> None:
    assert isinstance(classify_read("v", "active_orders", status, JSON, detail("words")), kind)
    assert classify_read("v", "active_orders", 200, JSON, b"{}") is None


@pytest.mark.parametrize(
    ("error", "proof"),
    [
        ("Error executing request POST https://x. HTTP status is 400. Error: {}", "refused"),
        ("Error executing request POST https://x. HTTP status is 503. Error: {}", ""),
        ("Error executing request POST https://x. HTTP status is 408. Error: {}", ""),
        ('Error executing request POST https://x. HTTP status is 400. Error: {"code":-1007,"msg":"Timeout"}', ""),
        ('Error executing request POST https://x. HTTP status is 400. Error: {"code":-1006,"msg":"?"}', ""),
        ("Error executing request POST https://x. HTTP status is 400. Error: Execution status unknown.", ""),
        ('Error executing request POST https://x. HTTP status is 400. Error: {"code":-1013}', "refused"),
        ("Server disconnected", ""),
        ("Order failed: MarketOrderFailureEvent", ""),
        ("", ""),
        ("Cannot connect to host api.binance.com:443", "not_sent"),
        ("Order amount 0.1 is lower than minimum order size", "not_sent"),
        ("Order notional 1 is lower", "not_sent"),
    ],
)
def test_a_failed_row_is_an_end_only_where_its_text_proves_it(error: str, proof: str) -> None:
    assert failure_of(error) == proof
