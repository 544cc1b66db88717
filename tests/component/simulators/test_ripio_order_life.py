"""Orders at the simulated Ripio Trade after they stand: cancelled, amended, looked up, traded between users."""

from decimal import Decimal
from typing import Any

import pytest

from quantd.simulators.ripio.options import PairRules
from tests.component.simulators.ripio_desk import LIMIT, OTHER, Desk

D = Decimal


@pytest.mark.parametrize(
    ("method", "path", "field"),
    [
        ("POST", "/orders/cancel", "id"), ("DELETE", "/orders", "id"),
        ("POST", "/orders/cancel-by-external-id", "external_id"), ("DELETE", "/orders/by-external-id", "external_id"),
    ],
)  # fmt: skip
def test_cancel_answers_the_order_and_a_second_one_is_40020(method: str, path: str, field: str) -> None:
    desk = Desk()
    order = desk.create()
    desk.quote(299_000, 299_010, size=0.004)
    shown = desk.data(method, path, {field: order[field]})
    assert shown["id"] == order["id"]
    assert (shown["status"], shown["executed_amount"], shown["total_value"]) == ("canceled", D("0.004"), 1200)
    assert (shown["price"], shown["type"]) == (300_000, "limit")
    assert shown["update_date"] > shown["create_date"]
    assert desk.balance("BRL") == (998_800, 0)
    assert desk.code(method, path, {field: order[field]}) == (400, 40020)
    assert desk.code(method, path, {field: "nobody"}) == (404, 40400)
    assert desk.code(method, path, {field: order[field], "more": 1}) == (400, 40000)
    assert desk.code(method, path, {}) == (400, 40000)


def test_cancel_of_an_executed_order_is_40021() -> None:
    desk = Desk()
    order = desk.create(price="301000")
    assert desk.code("POST", "/orders/cancel", {"id": order["id"]}) == (400, 40021)


def test_another_account_s_order_is_neither_found_nor_canceled() -> None:
    desk = Desk()
    order = desk.create()
    assert desk.code("GET", f"/orders/{order['id']}", who=OTHER) == (404, 40400)
    assert desk.code("GET", "/orders/by-external-id/one", who=OTHER) == (404, 40400)
    assert desk.code("POST", "/orders/cancel", {"id": order["id"]}, who=OTHER) == (404, 40400)
    assert desk.data("GET", "/orders?pair=BTC_BRL", who=OTHER)["orders"] == []


def test_cancel_all_takes_a_pair_s_orders_or_all_and_may_leave_some() -> None:
    desk = Desk(pairs=(PairRules(), PairRules("ETH_BRL")))
    desk.quote(10_000, 10_010, pair="ETH_BRL")
    first = desk.create()
    other = desk.create(pair="ETH_BRL", price="10000", external_id="two")
    assert desk.data("DELETE", "/orders/all", {"pair": "BTC_BRL"}) == [
        {"order_id": first["id"], "pair_code": "BTC_BRL", "success": True}
    ]
    assert desk.code("DELETE", "/orders/all", {"pair": "BTC_BRL"}) == (400, 40021)
    assert desk.code("DELETE", "/orders/all", {"pair": "ABC_DEF"}) == (400, 40000)
    third = desk.create(external_id="three")
    desk.switches.cancel_all_leaves = 1
    assert desk.data("DELETE", "/orders/all") == [
        {"order_id": other["id"], "pair_code": "ETH_BRL", "success": False},
        {"order_id": third["id"], "pair_code": "BTC_BRL", "success": True},
    ]
    assert desk.get(other["id"])["status"] == "open"
    assert desk.get(third["id"])["status"] == "canceled"


def test_external_id_is_not_unique_and_the_newest_is_found() -> None:
    desk = Desk()
    first, second = desk.create(), desk.create()
    assert desk.data("GET", "/orders/by-external-id/one")["id"] == second["id"]
    assert len({first["id"], second["id"]}) == 2
    assert desk.venue.counters()["violations"] == {"repeated_external_id": 1}
    desk.switches.unique_external_ids = True
    assert desk.refused() == 40000
    assert desk.create(external_id=None)["external_id"] is None


def test_look_up_can_lag_behind_the_create_and_a_cancel_does_not() -> None:
    desk = Desk()
    desk.switches.look_up_lag_s = 2
    order = desk.create()
    assert desk.code("GET", f"/orders/{order['id']}") == (404, 40400)
    assert desk.code("GET", "/orders/by-external-id/one") == (404, 40400)
    assert desk.data("GET", "/orders/open")["orders"] == desk.data("GET", "/orders?pair=BTC_BRL")["orders"] == []
    desk.wait(2)
    assert desk.get(order["id"])["status"] == "open"
    assert desk.data("POST", "/orders/cancel", {"id": desk.create(external_id="two")["id"]})["status"] == "canceled"


def test_new_order_can_be_shown_as_pending_creation() -> None:
    desk = Desk()
    desk.switches.pending_creation_s = 1
    order = desk.create()
    assert order["status"] == "pending_creation"
    desk.wait(1)
    assert desk.get(order["id"])["status"] == "open"


def test_amend_changes_price_and_amount_under_the_same_id() -> None:
    desk = Desk()
    order_id = desk.create()["id"]
    assert desk.data("PUT", "/orders", {"order_id": order_id, "unit_price": "299000"}) is None
    assert desk.data("PUT", "/orders", {"order_id": order_id, "amount": "0.02"}) is None
    shown = desk.get(order_id)
    assert (shown["price"], shown["requested_amount"], shown["requested_value"]) == (299_000, D("0.02"), 5980)
    assert desk.balance("BRL") == (994_020, 5980)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"unit_price": "300010"}, 40000), ({"unit_price": "299000.001"}, 40000), ({"unit_price": 299000}, 40000),
        ({"amount": "0.000001"}, 40010), ({"amount": "0.00003"}, 40010), ({"amount": "9"}, 40011), ({}, 40000),
        ({"price": "299000"}, 40000),
    ],
    ids=str,
)  # fmt: skip
def test_amend_that_cannot_be_is_refused_and_changes_nothing(change: dict[str, Any], code: int) -> None:
    desk = Desk()
    order_id = desk.create()["id"]
    assert desk.code("PUT", "/orders", {"order_id": order_id, **change}) == (400, code)
    shown = desk.get(order_id)
    assert (shown["price"], shown["requested_amount"]) == (300_000, D("0.01"))
    assert desk.balance("BRL") == (997_000, 3000)


def test_amend_of_what_ended_or_has_no_price_is_refused() -> None:
    desk = Desk()
    done = desk.create(price="301000")["id"]
    assert desk.code("PUT", "/orders", {"order_id": done, "amount": "1"}) == (400, 40021)
    gone = desk.create()["id"]
    desk.data("POST", "/orders/cancel", {"id": gone})
    assert desk.code("PUT", "/orders", {"order_id": gone, "amount": "1"}) == (400, 40020)
    trailing = desk.create(type="trailing", price=None, distance="1000")["id"]
    assert desk.code("PUT", "/orders", {"order_id": trailing, "amount": "1"}) == (400, 40090)
    assert desk.code("PUT", "/orders", {"order_id": "nobody", "amount": "1"}) == (404, 40400)


def test_user_who_may_not_trade_is_40300_on_writes_only() -> None:
    desk = Desk()
    order_id = desk.create()["id"]
    desk.switches.trading_blocked = True
    assert desk.code("POST", "/orders", LIMIT) == (403, 40300)
    assert desk.code("POST", "/orders/cancel", {"id": order_id}) == (403, 40300)
    assert desk.code("DELETE", "/orders/all") == (403, 40300)
    assert desk.code("PUT", "/orders", {"order_id": order_id, "amount": "1"}) == (403, 40300)
    assert desk.get(order_id)["status"] == "open"


def test_two_users_trade_with_each_other_and_money_is_kept() -> None:
    desk = Desk()
    maker = desk.create(side="sell", price="300005", amount="1")
    taker = desk.data("POST", "/orders", LIMIT | {"amount": "1", "price": "300005"}, who=OTHER)
    assert taker["status"] == "executed_completely"
    assert desk.get(maker["id"])["status"] == "executed_completely"
    assert desk.balance("BRL") == (1_000_000 + 300_005 - D("750.01"), 0)
    assert desk.balance("BTC", who=OTHER) == (D("0.995"), 0)
    (sold,) = desk.data("GET", "/user/trades?pair=BTC_BRL")["trades"]
    (bought,) = desk.data("GET", "/user/trades?pair=BTC_BRL", who=OTHER)["trades"]
    for trade in (sold, bought):
        assert (trade["maker_order_id"], trade["taker_order_id"]) == (maker["id"], taker["id"])
    assert (sold["taker_or_maker"], bought["taker_or_maker"]) == ("maker", "taker")
    assert sold["id"] == bought["id"] == desk.data("GET", "/trades?pair=BTC_BRL")["trades"][0]["id"]
    assert len(desk.data("GET", "/trades?pair=BTC_BRL")["trades"]) == 1, "public once"


def test_two_orders_of_one_user_trade_with_each_other_under_one_trade_id() -> None:
    desk = Desk()
    maker = desk.create(side="sell", price="300005", amount="1")["id"]
    taker = desk.create(price="300005", amount="1.2", external_id="two")["id"]
    rows = desk.data("GET", "/user/trades?pair=BTC_BRL")["trades"]
    assert [row["taker_or_maker"] for row in rows] == ["taker", "maker"], "a row for each side"
    assert len({row["id"] for row in rows}) == 1
    assert [row["fee_currency"] for row in rows] == ["BTC", "BRL"]
    for order_id, side in ((maker, "maker"), (taker, "taker")):
        (row,) = desk.data("GET", f"/orders/trades?order_id={order_id}")["trades"]
        assert (row["taker_or_maker"], row["amount"]) == (side, 1)


def test_trades_can_lag_behind_the_order_that_shows_them() -> None:
    desk = Desk()
    desk.switches.trade_lag_s = 2
    order = desk.create(price="301000")
    assert order["status"] == "executed_completely"
    assert desk.get(order["id"])["transactions"]
    paths = ("/user/trades?pair=BTC_BRL", f"/orders/trades?order_id={order['id']}")
    assert [desk.data("GET", path)["trades"] for path in paths] == [[], []]
    desk.wait(2)
    assert [len(desk.data("GET", path)["trades"]) for path in paths] == [1, 1]


def test_rest_of_an_order_that_never_rests_can_go_untold() -> None:
    desk = Desk()
    desk.switches.stuck_partials = True
    taken = desk.create(amount="1.5", price="300010", immediate_or_cancel=True)
    assert taken["status"] == desk.get(taken["id"])["status"] == "executed_partially"
    assert desk.data("GET", "/orders/open")["orders"] == []
    assert desk.code("POST", "/orders/cancel", {"id": taken["id"]}) == (400, 40020)
    assert desk.balance("BRL")[1] == 0
    resting = desk.create(amount="0.5", price="300000", external_id="two")
    desk.quote(299_000, 299_010, size=0.2)
    desk.data("POST", "/orders/cancel", {"id": resting["id"]})
    assert desk.get(resting["id"])["status"] == "canceled", "of a resting one it is told"
