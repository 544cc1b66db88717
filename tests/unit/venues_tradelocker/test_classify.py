"""What TradeLocker's answers mean, row by row of the dossier's table."""

import msgspec
import pytest

from quantd.domain.outcomes import Accepted, NotExecuted, Outcome, Rejected, Unknown
from quantd.errors import AuthFailed, RateLimited, Refused, Unavailable
from quantd.venues.final_state import ASK_FINAL_STATE
from quantd.venues.tradelocker.classify import EDGE_PAUSE_S, classify, classify_read, order_id
from quantd.venues.tradelocker.columns import NEEDED, ColumnMap, RateLimitWire
from quantd.venues.tradelocker.limits import BEFORE_CONFIG, told

_PLACED = b'{"s":"ok","d":{"orderId":"7277816997907785466"}}'
_MODIFIED = b'{"s":"ok","d":{"orders":[]}}'
_WRITES = ("cancel_order", "cancel_orders", "modify_order", "modify_position", "close_position", "close_positions")


def refusal(words: str) -> bytes:
    return msgspec.json.encode({"s": "error", "errmsg": words})


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, _PLACED, Accepted()),
        (200, b'{"s":"ok"}', Unknown("accepted_without_id")),
        (200, b'{"s":"ok","d":{}}', Unknown("accepted_without_id")),
        (204, b"", Unknown("accepted_without_id")),
        (200, b"", Unknown("http_200_unreadable")),
        (200, b"<html>", Unknown("http_200_unreadable")),
        (200, b'{"s":"maybe"}', Unknown("unknown_word_maybe")),
        (500, b"", Unknown("http_500")),
        (502, b"error code: 502", Unknown("http_502")),
        (404, b"<html>", Unknown("http_404")),
        (302, b"", Unknown("http_302")),
        (403, b"<html>", NotExecuted("firewall", EDGE_PAUSE_S)),
        (429, b'{"message":"Too Many Requests"}', NotExecuted("rate_limited", 1.0)),
        (429, b"error code: 1015", NotExecuted("rate_limited", EDGE_PAUSE_S)),
    ],
)
def test_an_answer_to_a_create(status: int, body: bytes, expected: Outcome) -> None:
    assert classify("place_order", status, {}, body) == expected


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("Not enough margin to create Order #7 Sell   0.64  Price 43020.00 ", "insufficient_margin"),
        ("Order cannot be created since trading out of session is forbidden.", "market_closed"),
        ("Order cannot be created. Only positions closing is allowed", "reduce_only_market"),
        ("Order cannot be created since order type is not allowed for current session.", "order_type_not_allowed"),
        ("SL price is not valid for the order. ", "bad_protection"),
        ("{qty=[must be greater than 0]}", "bad_quantity"),
        ("words that nobody has seen", "refused"),
    ],
)
def test_refusals_are_known_by_their_words_with_status_200(words: str, code: str) -> None:
    assert classify("place_order", 200, {}, refusal(words)) == Rejected(code, words)


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_definite_statuses_of_a_create_are_refusals(status: int) -> None:
    assert isinstance(classify("place_order", status, {}, b'{"message":"no"}'), Rejected)


@pytest.mark.parametrize("operation", _WRITES)
def test_other_writes_are_accepted_with_and_without_a_body(operation: str) -> None:
    for status, body in ((204, b""), (200, b'{"s":"ok"}'), (200, _MODIFIED)):
        assert classify(operation, status, {}, body) == Accepted()
    is_of_order = operation in ("cancel_order", "modify_order")
    gone = Unknown(ASK_FINAL_STATE) if is_of_order else Rejected("not_found", "{}")
    assert classify(operation, 404, {}, b"{}") == gone
    assert classify(operation, 503, {}, b"{}") == Unknown("http_503")


def test_a_refused_cancel_asks_for_the_end() -> None:
    assert classify("cancel_order", 200, {}, refusal("Order is in final state")) == Unknown(ASK_FINAL_STATE)


def test_an_id_keeps_all_its_digits_as_text_or_number() -> None:
    assert order_id(_PLACED) == order_id(_PLACED.replace(b'"7277816997907785466"', b"7277816997907785466"))
    assert order_id(_PLACED) == "7277816997907785466"


@pytest.mark.parametrize(
    ("operation", "status", "body", "kind"),
    [
        ("orders", 200, b'{"s":"ok","d":{}}', type(None)),
        ("history", 200, b'{"s":"no_data","nb":1}', type(None)),
        ("log_in", 201, b'{"accessToken":"x"}', type(None)),
        ("orders", 200, refusal("no"), Refused),
        ("orders", 200, b"<html>", Unavailable),
        ("orders", 400, b"{}", Refused),
        ("orders", 401, b"{}", AuthFailed),
        ("log_in", 400, b"{}", AuthFailed),
        ("orders", 403, b"{}", AuthFailed),
        ("orders", 403, b"<html>", RateLimited),
        ("orders", 404, b"{}", Refused),
        ("orders", 404, b"<html>", Unavailable),
        ("orders", 429, b"error code: 1015", RateLimited),
        ("orders", 502, b"", Unavailable),
    ],
)
def test_a_read_s_answer(operation: str, status: int, body: bytes, kind: type) -> None:
    assert type(classify_read("tl", operation, status, {}, body)) is kind


def test_columns_are_found_by_name_wherever_they_stand() -> None:
    names = ["new", *reversed(NEEDED["positionsConfig"])]
    found = ColumnMap("tl", "positionsConfig", names).cells(
        ["x", *reversed(["1", "2", "buy", "3", "4"]), *[None] * 3, ""]
    )
    assert "strategyId" not in {name for name, cell in found.items() if cell == ""}
    assert found["new"] == "x"


def test_a_missing_column_and_a_row_of_another_length_are_named() -> None:
    with pytest.raises(Refused, match="positionsConfig has no column strategyId"):
        ColumnMap("tl", "positionsConfig", NEEDED["positionsConfig"][:-1])
    with pytest.raises(Refused, match="has 1 cells, expected 9"):
        ColumnMap("tl", "positionsConfig", NEEDED["positionsConfig"]).cells(["1"])


def test_budgets_are_the_server_s_and_ours_only_for_what_it_lists_none_for() -> None:
    limits = told("tl", [RateLimitWire("GET_ORDERS", "SECONDS", 2, 3), RateLimitWire("TRADES", "SECONDS", 1, 5)])
    assert limits[: len(BEFORE_CONFIG)] == BEFORE_CONFIG
    (orders,) = limits[len(BEFORE_CONFIG) :]
    assert (orders.routes, orders.model.capacity) == ({"orders": 1}, 3)
    with pytest.raises(Refused, match="GET_ORDERS: 3 in 1 HOURS"):
        told("tl", [RateLimitWire("GET_ORDERS", "HOURS", 1, 3)])
