"""What each OANDA answer means for each write and for reads."""

import json

import pytest

from quantd.domain.outcomes import Accepted, NotExecuted, Rejected, Unknown
from quantd.errors import AuthFailed, RateLimited, Refused, Unavailable, VenueError
from quantd.venues.final_state import ASK_FINAL_STATE
from quantd.venues.oanda.classify import RATE_PAUSE_S, classify, classify_read

WRITES = ("create_order", "replace_order", "cancel_order", "close_trade", "set_dependents")


def answer(**transactions: str) -> bytes:
    parts: dict[str, object] = {name: {"id": "7", "reason": reason} for name, reason in transactions.items()}
    return json.dumps(parts | {"lastTransactionID": "8", "aFieldFromTomorrow": 1}).encode()


def failure(code: str = "", message: str = "words") -> bytes:
    return json.dumps({"errorMessage": message} | ({"errorCode": code} if code else {})).encode()


CREATED = {"orderCreateTransaction": "CLIENT_ORDER"}
FILLED = {"orderFillTransaction": "MARKET_ORDER"}
CANCELLED = {"orderCancelTransaction": "MARKET_HALTED"}


def test_a_created_order_is_accepted_whatever_became_of_it_at_once() -> None:
    for more in ({}, FILLED, CANCELLED):
        assert classify("create_order", 201, {}, answer(**CREATED, **more)) == Accepted()


@pytest.mark.parametrize(
    ("operation", "status", "body"),
    [
        ("create_order", 201, answer()),
        ("create_order", 201, answer(**FILLED)),
        ("replace_order", 201, answer(**CREATED)),
        ("replace_order", 201, answer(**CANCELLED)),
        ("cancel_order", 200, answer()),
        ("close_trade", 200, answer(**CREATED)),
        ("close_trade", 200, answer(**FILLED)),
    ],
)
def test_a_good_status_without_the_proving_transactions_is_unknown(operation: str, status: int, body: bytes) -> None:
    assert classify(operation, status, {}, body) == Unknown(f"http_{status}_without_proof")


def test_each_write_is_accepted_by_its_own_transactions() -> None:
    assert classify("replace_order", 201, {}, answer(**CREATED, **CANCELLED)) == Accepted()
    assert classify("cancel_order", 200, {}, answer(**CANCELLED)) == Accepted()
    assert classify("close_trade", 200, {}, answer(**CREATED, **FILLED)) == Accepted()
    assert classify("set_dependents", 200, {}, answer(stopLossOrderTransaction="CLIENT_ORDER")) == Accepted()


def test_a_close_whose_order_was_cancelled_at_once_closed_nothing() -> None:
    outcome = classify("close_trade", 200, {}, answer(**CREATED, **CANCELLED))
    assert isinstance(outcome, Rejected)
    assert outcome.code == "market_halted"


@pytest.mark.parametrize("order", ["takeProfit", "stopLoss", "guaranteedStopLoss"])
def test_a_protection_that_was_created_and_cancelled_is_never_taken_for_standing(order: str) -> None:
    body = answer(**{f"{order}OrderTransaction": "", f"{order}OrderCreatedCancelTransaction": ""})
    assert classify("set_dependents", 200, {}, body) == Unknown(ASK_FINAL_STATE)


@pytest.mark.parametrize("operation", WRITES)
@pytest.mark.parametrize("body", [b"", b"<html>", b'{"orderCreateTransaction":{"id":"7"', b"[]", b"\xff"])
def test_an_unreadable_answer_to_a_write_is_unknown(operation: str, body: bytes) -> None:
    for status in (200, 201, 400, 401, 403, 404, 405, 500, 502, 503, 504):
        assert isinstance(classify(operation, status, {}, body), Unknown)


@pytest.mark.parametrize("operation", WRITES)
def test_a_servers_error_leaves_the_write_unknown(operation: str) -> None:
    for status in (302, 500, 502, 503, 504):
        body = failure(message="Timeout waiting for response.")
        assert classify(operation, status, {}, body) == Unknown(f"http_{status}")


@pytest.mark.parametrize("operation", WRITES)
def test_a_refusal_is_named_by_the_venues_reason_or_by_its_status(operation: str) -> None:
    reason = classify(operation, 400, {}, failure("INSUFFICIENT_MARGIN"))
    parameter = classify(operation, 400, {}, failure("oanda::rest::core::InvalidParameterException", "Invalid value"))
    assert reason == Rejected("insufficient_margin", "INSUFFICIENT_MARGIN words")
    assert isinstance(parameter, Rejected)
    assert parameter.code == "bad_request", "no name of unbounded words becomes a metric's label"
    for status, code in {401: "unauthorized", 403: "forbidden", 404: "not_found", 405: "method_not_allowed"}.items():
        assert classify(operation, status, {}, failure()) == Rejected(code, "words")


@pytest.mark.parametrize("code", ["ORDER_DOESNT_EXIST", "NO_SUCH_ORDER"])
def test_an_order_that_is_gone_is_asked_for(code: str) -> None:
    for operation in ("replace_order", "cancel_order"):
        assert classify(operation, 404, {}, failure(code)) == Unknown(ASK_FINAL_STATE)


@pytest.mark.parametrize("code", ["TRADE_DOESNT_EXIST", "NO_SUCH_TRADE"])
def test_what_is_asked_of_a_trade_that_is_gone_is_refused(code: str) -> None:
    for operation in ("create_order", "set_dependents", "close_trade"):
        assert isinstance(classify(operation, 404, {}, failure(code)), Rejected), "nothing was made on what is gone"


@pytest.mark.parametrize("operation", WRITES)
def test_too_many_requests_did_nothing_and_names_a_pause(operation: str) -> None:
    assert classify(operation, 429, {}, b"") == NotExecuted("rate_limited", RATE_PAUSE_S)
    assert classify(operation, 429, {"retry-after": "9"}, failure()) == NotExecuted("rate_limited", 9.0)


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (401, failure(), AuthFailed),
        (403, b"", AuthFailed),
        (404, failure("NO_SUCH_TRADE"), Refused),
        (416, failure(), Refused),
        (404, b"<html>", Unavailable),
        (429, b"", RateLimited),
        (502, failure(), Unavailable),
    ],
)
def test_a_read_that_failed_raises_its_class(status: int, body: bytes, error: type[VenueError]) -> None:
    assert type(classify_read("oanda", "trades", status, {}, body)) is error


def test_a_good_read_is_no_error() -> None:
    assert classify_read("oanda", "trades", 200, {}, b"{}") is None
