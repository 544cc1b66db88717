"""Orders at the simulated Ripio Trade: every type, its refusals, and the exact money that it moves."""

from decimal import Decimal
from typing import Any

import pytest

from tests.component.simulators.ripio_desk import LIMIT, Desk, market

D = Decimal
UPPER_UUID = r"[0-9A-F]{8}-[0-9A-F]{4}-4[0-9A-F]{3}-[89AB][0-9A-F]{3}-[0-9A-F]{12}"


def test_create_answers_the_short_form_with_numbers() -> None:
    desk = Desk()
    shown = desk.create()
    assert shown == {
        "id": shown["id"], "external_id": "one", "pair": "BTC_BRL", "side": "buy", "status": "open",
        "create_date": "2026-05-28T20:26:40.001Z", "requested_amount": D("0.01"), "requested_value": 3000,
        "executed_amount": 0, "remaining_amount": D("0.01"), "remaining_value": 3000,
    }  # fmt: skip
    assert desk.balance("BRL") == (997_000, 3000), "price times amount is locked"
    assert not desk.venue.desk.violations


def test_older_deployments_answer_a_create_with_the_id_alone() -> None:
    desk = Desk()
    desk.switches.short_create = True
    assert set(desk.create()) == {"id"}


def test_ids_are_upper_case_uuids_and_are_found_in_either_case() -> None:
    desk = Desk()
    order_id = desk.create()["id"]
    assert order_id == order_id.upper()
    assert desk.get(order_id.lower())["id"] == order_id
    desk.wait(1)
    assert Desk().create()["id"] == order_id, "equal runs have equal ids"


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": 0.01, "price": 300000}, {"amount": "0.01", "price": "300000.00"}, {"amount": 0.01, "price": 3.0e5},
    ],
    ids=str,
)  # fmt: skip
def test_numbers_are_taken_as_numbers_and_as_text(changes: dict[str, Any]) -> None:
    assert Desk().create(**changes)["requested_value"] == 3000


@pytest.mark.parametrize(
    ("changes", "violation"),
    [
        ({"type": "stop"}, "bad_type"), ({"type": None}, "bad_type"), ({"side": "BUY"}, "bad_side"),
        ({"side": None}, "bad_side"), ({"price": None}, "missing_field"), ({"amount": None}, "missing_field"),
        ({"value": "100"}, "unknown_field"), ({"stop_price": "1"}, "unknown_field"), ({"foo": 1}, "unknown_field"),
        ({"amount": "1e-2"}, "bad_decimal"), ({"amount": "-1"}, "bad_decimal"), ({"amount": "0"}, "bad_decimal"),
        ({"amount": True}, "bad_decimal"), ({"amount": " 1"}, "bad_decimal"), ({"price": [1]}, "bad_decimal"),
        ({"price": "300000.001"}, "wrong_tick"), ({"amount": "0.010000001"}, "wrong_tick"),
        ({"post_only": "true"}, "bad_flag"), ({"post_only": True, "fill_or_kill": True}, "bad_flag"),
        ({"expiration": 1_780_000_000}, "bad_expiration"), ({"expiration": 1_790_000_000_000}, "bad_expiration"),
        ({"expiration": "1790000000"}, "bad_expiration"),
        ({"expiration": 1_790_000_000, "fill_or_kill": True}, "bad_expiration"),
        ({"external_id": "x" * 37}, "bad_external_id"), ({"external_id": 7}, "bad_external_id"),
        ({"external_id": ""}, "bad_external_id"),
        ({"type": "market", "price": None, "amount": None}, "missing_field"),
        ({"type": "market", "price": None, "value": "100"}, "missing_field"),
        ({"type": "market"}, "unknown_field"), ({"type": "market", "price": None, "post_only": True}, "unknown_field"),
        ({"type": "stop_limit"}, "missing_field"), ({"type": "trailing", "price": None}, "missing_field"),
        ({"type": "trailing", "price": None, "side": "sell", "distance": "400000"}, "bad_distance"),
        ({"type": "iceberg"}, "missing_field"), ({"type": "iceberg", "step_amount": "0.0009"}, "bad_step"),
        ({"type": "iceberg", "step_amount": "0.02"}, "bad_step"), ({"type": "ceiling"}, "unknown_field"),
    ],
    ids=str,
)  # fmt: skip
def test_create_that_is_not_to_the_letter_is_40000_and_counted(changes: dict[str, Any], violation: str) -> None:
    desk = Desk()
    assert desk.refused(**changes) == 40000
    assert desk.venue.counters()["violations"] == {violation: 1}
    assert not desk.venue.desk.orders


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff", b'"x"'])
def test_body_that_is_no_object_is_40000(body: bytes) -> None:
    desk = Desk()
    assert desk.code("POST", "/orders", body) == (400, 40000)
    assert desk.code("POST", "/orders", LIMIT, content_type="text/plain") == (400, 40000)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"amount": "0.000009"}, 40010), ({"amount": "0.00003", "price": "300000"}, 40010),
        (market(amount=None, value="9.99"), 40010), (market(amount="0.00003"), 40010),
        ({"amount": "4"}, 40011), ({"side": "sell", "amount": "2.1", "price": "301000"}, 40011),
        (market(side="sell", amount="2.1"), 40011),
        ({"price": "269999"}, 40000), ({"price": "330012"}, 40000), ({"post_only": True, "price": "300010"}, 40000),
        ({"pair": "ABC_DEF"}, 40000), ({"pair": None}, 40000),
    ],
    ids=str,
)  # fmt: skip
def test_what_rules_and_funds_forbid_has_its_number(changes: dict[str, Any], code: int) -> None:
    desk = Desk()
    assert desk.refused(**changes) == code
    assert not desk.venue.desk.orders
    assert desk.balance("BRL") == (1_000_000, 0)


def test_disabled_pair_takes_no_order_and_fills_none() -> None:
    desk = Desk()
    order_id = desk.create()["id"]
    desk.venue.command("market", {"pair": "BTC_BRL", "enabled": False})
    assert desk.refused() == 40000
    desk.quote(299_000, 299_010)
    assert desk.get(order_id)["status"] == "open"
    desk.venue.command("market", {"pair": "BTC_BRL", "enabled": True})
    desk.quote(299_000, 299_010)
    assert desk.get(order_id)["status"] == "executed_completely"


def test_limit_that_rests_is_filled_as_maker_with_the_fee_in_what_it_receives() -> None:
    desk = Desk()
    order_id = desk.create()["id"]
    desk.quote(299_000, 299_010, size=0.004)
    shown = desk.get(order_id)
    assert (shown["status"], shown["executed_amount"], shown["remaining_amount"]) == (
        "executed_partially", D("0.004"), D("0.006"),
    )  # fmt: skip
    assert (shown["total_value"], shown["remaining_value"]) == (1200, 1800)
    desk.quote(299_000, 299_010)
    shown = desk.get(order_id)
    assert shown["status"] == "executed_completely"
    assert (shown["remaining_amount"], shown["remaining_value"], shown["total_value"]) == (0, 0, 3000)
    assert (shown["average_execution_price"], shown["price"]) == (300_000, 300_000)
    assert shown["fee"] == D("0.000025"), "a quarter of a percent, in BTC"
    assert [(row["amount"], row["fee"], row["fee_currency"]) for row in shown["transactions"]] == [
        (D("0.004"), D("0.00001"), "BTC"), (D("0.006"), D("0.000015"), "BTC"),
    ]  # fmt: skip
    assert desk.balance("BTC") == (D("2.009975"), 0)
    assert desk.balance("BRL") == (997_000, 0)


def test_limit_that_crosses_is_filled_at_once_as_taker() -> None:
    desk = Desk()
    shown = desk.create(price="301000")
    assert (shown["status"], shown["executed_amount"]) == ("executed_completely", D("0.01"))
    (trade,) = desk.data("GET", "/user/trades?pair=BTC_BRL")["trades"]
    assert (trade["price"], trade["taker_or_maker"], trade["fee"]) == (300_010, "taker", D("0.00005"))
    desk.switches.match_at_once = False
    later = desk.create(price="301000", external_id="two")
    assert later["status"] == "open"
    desk.quote(300_000, 300_010)
    assert desk.get(later["id"])["status"] == "executed_completely"


def test_immediate_or_cancel_cancels_the_rest_and_keeps_the_fill() -> None:
    shown = Desk().create(amount="1.5", price="300010", immediate_or_cancel=True)
    assert (shown["status"], shown["executed_amount"]) == ("canceled", 1)
    assert shown["remaining_amount"] == D("0.5")


def test_fill_or_kill_that_cannot_fill_is_canceled_with_a_200() -> None:
    desk = Desk()
    shown = desk.create(amount="1.5", price="300010", fill_or_kill=True)
    assert (shown["status"], shown["executed_amount"]) == ("canceled", 0)
    assert desk.create(amount="1", price="300010", fill_or_kill=True)["status"] == "executed_completely"


def test_post_only_that_rests_is_taken() -> None:
    assert Desk().create(post_only=True)["status"] == "open"


def test_expiration_in_seconds_ends_an_order_as_canceled() -> None:
    desk = Desk()
    order_id = desk.create(expiration=1_780_000_060)["id"]
    desk.wait(59)
    assert desk.get(order_id)["status"] == "open"
    desk.wait(2)
    assert desk.get(order_id)["status"] == "canceled"
    assert desk.balance("BRL") == (1_000_000, 0)


def test_market_order_by_amount_takes_what_there_is() -> None:
    desk = Desk()
    shown = desk.create(**market(side="sell", amount="0.5"))
    assert (shown["status"], shown["executed_amount"]) == ("executed_completely", D("0.5"))
    whole = desk.get(shown["id"])
    assert (whole["total_value"], whole["fee"], whole["price"]) == (150_000, 750, None)
    assert desk.balance("BRL") == (1_149_250, 0)
    rest = desk.create(**market(side="sell", amount="1"))
    assert (rest["status"], rest["executed_amount"]) == ("canceled", D("0.5")), "what was left at the bid"


def test_market_order_by_value_buys_what_the_value_pays() -> None:
    desk = Desk()
    shown = desk.create(**market(amount=None, value="1000"))
    assert shown["status"] == "executed_completely"
    whole = desk.get(shown["id"])
    assert (whole["requested_value"], whole["remaining_value"]) == (1000, 0)
    assert 999 < whole["total_value"] <= 1000
    assert whole["executed_amount"] == D("0.00333322"), "rounded down to the tick"
    available, locked = desk.balance("BRL")
    assert (available, locked) == (1_000_000 - whole["total_value"], 0)


def test_whole_balance_can_be_spent_by_value() -> None:
    desk = Desk(balances={"main": {"BRL": D(1000)}})
    assert desk.create(**market(amount=None, value="1000"))["status"] == "executed_completely"
    assert 0 <= desk.balance("BRL")[0] < 1


def test_ceiling_order_spends_a_value() -> None:
    desk = Desk()
    shown = desk.create(type="ceiling", price=None, amount=None, value="3000.10")
    assert (shown["status"], shown["executed_amount"]) == ("executed_completely", D("0.01"))
    assert desk.get(shown["id"])["type"] == "ceiling"
    killed = desk.create(type="ceiling", price=None, amount=None, value="900000", fill_or_kill=True)
    assert (killed["status"], killed["executed_amount"]) == ("canceled", 0)


def test_stop_limit_waits_for_its_stop_and_rests_at_its_limit() -> None:
    desk = Desk()
    shown = desk.create(type="stop_limit", side="sell", stop_price="295000", price="296000", amount="0.5")
    assert shown["status"] == "open"
    assert desk.get(shown["id"])["stop_price"] == 295_000
    assert desk.balance("BTC") == (D("1.5"), D("0.5"))
    desk.quote(295_001, 295_010)
    assert desk.get(shown["id"])["executed_amount"] == 0
    desk.quote(294_900, 294_910)
    assert desk.get(shown["id"])["executed_amount"] == 0, "its limit is above the market"
    desk.quote(296_100, 296_110)
    assert desk.get(shown["id"])["status"] == "executed_completely"


def test_trailing_order_follows_the_market_and_fires_on_the_way_back() -> None:
    desk = Desk()
    shown = desk.create(type="trailing", side="sell", price=None, distance="1000", amount="0.5")
    assert desk.get(shown["id"])["distance"] == 1000
    for bid in (301_000, 305_000, 304_001):
        desk.quote(bid, bid + 10)
        assert desk.get(shown["id"])["status"] == "open", bid
    desk.quote(303_999, 304_009)
    whole = desk.get(shown["id"])
    assert (whole["status"], whole["average_execution_price"]) == ("executed_completely", 303_999)


def test_trailing_buy_follows_the_market_down() -> None:
    desk = Desk()
    shown = desk.create(type="trailing", price="300010", distance="1000", amount="0.5")
    for ask in (296_000, 296_999):
        desk.quote(ask - 10, ask)
        assert desk.get(shown["id"])["status"] == "open", ask
    desk.quote(296_990, 297_000)
    assert desk.get(shown["id"])["status"] == "executed_completely"


def test_iceberg_shows_its_step_and_fills_whole() -> None:
    desk = Desk()
    shown = desk.create(type="iceberg", amount="1", step_amount="0.3", price="300005")
    book = desk.data("GET", "/book/orders/level-2?pair=BTC_BRL&limit=1")
    assert book["bids"] == [{"price": 300_005, "amount": D("0.3")}]
    assert desk.balance("BRL") == (699_995, 300_005), "all of it is locked"
    desk.quote(299_990, 300_000, size=0.4)
    book = desk.data("GET", "/book/orders/level-2?pair=BTC_BRL&limit=1")
    assert book["bids"] == [{"price": 300_005, "amount": D("0.2")}], "what is left of the second step"
    desk.quote(299_990, 300_000)
    assert desk.get(shown["id"])["status"] == "executed_completely"


def test_iceberg_hides_nothing_once_it_is_gone_nor_before_it_is_there() -> None:
    desk = Desk()
    gone = desk.create(type="iceberg", amount="1", step_amount="0.3", price="300005")["id"]
    desk.create(price="300005", amount="0.5", external_id="two")
    desk.data("POST", "/orders/cancel", {"id": gone})
    assert desk.data("GET", "/book/orders/level-2?pair=BTC_BRL&limit=1")["bids"][0]["amount"] == D("0.5")
    slow = Desk(latency_s=1)
    slow.create(type="iceberg", amount="2", step_amount="0.3", price="300000")
    assert slow.data("GET", "/book/orders/level-2?pair=BTC_BRL&limit=1")["bids"] == [{"price": 300_000, "amount": 0}]
