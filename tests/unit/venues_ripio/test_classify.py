"""What each documented answer means, row by row of the venue's error table; what is in no row is unknown."""

import json

import pytest

from quantd.domain.outcomes import Accepted, NotExecuted, Outcome, Rejected, Unknown
from quantd.errors import AuthFailed, RateLimited, Refused, Unavailable, VenueError
from quantd.venues.final_state import ASK_FINAL_STATE
from quantd.venues.ripio.classify import DAILY_PAUSE_S, classify, classify_read, is_auth_failure


def failed(code: object, words: str = "words", key: str = "error_code") -> bytes:
    return json.dumps({key: code, "message": words, "data": None, "timestamp": 1713278400000}).encode()


GOOD = b'{"error_code":null,"message":null,"data":{"id":"A"},"timestamp":1713278400000}'
TABLE: list[tuple[int, int, Outcome, Outcome]] = [
    (40000, 400, Rejected("invalid_parameters", "words"), Rejected("invalid_parameters", "words")),
    (40010, 400, Rejected("below_minimum", "words"), Rejected("below_minimum", "words")),
    (40011, 400, Rejected("insufficient_funds", "words"), Rejected("insufficient_funds", "words")),
    (40020, 400, Unknown("error_40020_to_create"), Unknown(ASK_FINAL_STATE)),
    (40021, 400, Unknown("error_40021_to_create"), Unknown(ASK_FINAL_STATE)),
    (40090, 400, Rejected("unsupported", "words"), Rejected("unsupported", "words")),
    (40100, 401, Rejected("unauthorized", "words"), Rejected("unauthorized", "words")),
    (40300, 403, Rejected("forbidden", "words"), Rejected("forbidden", "words")),
    (40400, 404, Rejected("not_found", "words"), Unknown(ASK_FINAL_STATE)),
    (42900, 429, NotExecuted("rate_limited"), NotExecuted("rate_limited")),
    (50000, 500, Unknown("http_500"), Unknown("http_500")),
    (50001, 500, Unknown("http_500"), Unknown("http_500")),
    (50002, 500, Unknown("http_500"), Unknown("http_500")),
    (50003, 500, Unknown("http_500"), Unknown("http_500")),
    (503, 503, Unknown("http_503"), Unknown("http_503")),
]


@pytest.mark.parametrize(("code", "status", "create", "cancel"), TABLE)
def test_each_code_of_the_table(code: int, status: int, create: Outcome, cancel: Outcome) -> None:
    for told in (code, str(code)):  # a number, or the same as text
        for key in ("error_code", "code"):  # as the samples and as the documents' text call it
            body = failed(told, key=key)
            assert classify("create_order", status, {}, body) == create
            assert classify("cancel_order", status, {}, body) == cancel
            assert classify("cancel_all", status, {}, body) == cancel


@pytest.mark.parametrize("code", [40030, 40031, 40032, 40033, 40034, 40035, 40040, 40041, 40050, 49999])
def test_a_refusal_of_something_that_we_never_asked_for_is_unknown(code: int) -> None:
    assert classify("create_order", 400, {}, failed(code)) == Unknown("http_400")


def test_the_gateway_s_own_words_are_understood() -> None:
    assert classify("create_order", 401, {}, failed("ERR_0008")) == Rejected("unauthorized", "words")
    assert classify("create_order", 429, {}, failed("ERR_0012")) == NotExecuted("rate_limited")
    assert classify("create_order", 400, {}, failed("ERR_9999")) == Unknown("http_400")


def test_an_amendment_that_comes_too_late_is_a_definite_no() -> None:
    assert classify("amend_order", 400, {}, failed(40021)) == Rejected("already_executed", "words")
    assert classify("amend_order", 404, {}, failed(40400)) == Rejected("not_found", "words")


def test_both_forms_of_429_come_without_a_code_and_the_day_s_cap_pauses_longer() -> None:
    second = b'{"message":"Too many requests"}'
    day = b'{"message":"Limit Exceeded"}'
    assert classify("cancel_order", 429, {}, second) == NotExecuted("rate_limited", None)
    assert classify("cancel_order", 429, {}, day) == NotExecuted("rate_limited", DAILY_PAUSE_S)
    assert classify("cancel_order", 429, {"retry-after": "7"}, day) == NotExecuted("rate_limited", 7.0)
    error = classify_read("ripio", "ticker", 429, {}, day)
    assert isinstance(error, RateLimited)
    assert error.retry_after_s == DAILY_PAUSE_S


@pytest.mark.parametrize("status", [200, 201, 302, 400, 404, 408, 418, 500, 502, 503, 504, 520])
def test_what_has_no_envelope_is_unknown(status: int) -> None:
    for body in (b"", b"<html>gateway</html>", b'{"error_code": nul', b"[]"):
        assert isinstance(classify("create_order", status, {}, body), Unknown)
        assert isinstance(classify("cancel_order", status, {}, body), Unknown)
        assert isinstance(classify_read("ripio", "ticker", status, {}, body), Unavailable)


def test_a_gateway_that_refuses_without_the_envelope_has_processed_nothing() -> None:
    assert classify("create_order", 403, {}, b"<html>") == NotExecuted("firewall", 60.0)
    assert classify("create_order", 401, {}, b"") == Rejected("unauthorized", "answered 401 without the envelope")


def test_a_success_counts_only_without_an_error_in_it() -> None:
    assert classify("create_order", 200, {}, GOOD) == Accepted()
    assert classify("create_order", 200, {}, b'{"data":{"id":"A"}}') == Accepted(), (
        "keys of the envelope may be missing"
    )
    assert classify("create_order", 200, {}, failed(40011)) == Unknown("error_40011_with_200")
    assert classify_read("ripio", "ticker", 200, {}, GOOD) is None
    assert isinstance(classify_read("ripio", "ticker", 200, {}, failed(50000)), Unavailable)


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        (40000, 400, Refused), (40300, 403, Refused), (40400, 404, Refused), (40100, 401, AuthFailed),
        (None, 401, AuthFailed), (None, 404, Refused), (42900, 429, RateLimited), (50000, 500, Unavailable),
        (50001, 500, Unavailable), (50002, 500, Unavailable), (50003, 500, Unavailable), (503, 503, Unavailable),
        (49999, 400, Unavailable),
    ],
)  # fmt: skip
def test_what_a_failed_read_means(code: int | None, status: int, kind: type[VenueError]) -> None:
    error = classify_read("ripio", "list_orders", status, {}, failed(code))
    assert type(error) is kind


def test_only_refused_credentials_stop_trading() -> None:
    assert is_auth_failure(Rejected("unauthorized", ""))
    assert is_auth_failure(Rejected("forbidden", ""))
    assert not is_auth_failure(Rejected("insufficient_funds", ""))
    assert not is_auth_failure(Unknown("http_500"))
