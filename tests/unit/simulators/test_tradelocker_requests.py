"""The simulated TradeLocker, by requests and answers: sessions, limits, orders, positions, lists, market data."""

import base64
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from quantd.domain.cash import PositionMode
from quantd.ports import HttpRequest
from quantd.simulators.tradelocker.options import AccountRules, InstrumentRules, Setup
from quantd.simulators.tradelocker.routes import ROUTES
from tests.unit.simulators.tradelocker_client import ACCOUNT, LOG_IN, START_NS, Client


def test_log_in_answers_201_with_a_token_that_tells_its_end() -> None:
    client = Client()
    answer = client.ask("POST", "/auth/jwt/token", LOG_IN)
    told = msgspec.json.decode(answer.body)
    claims = told["accessToken"].split(".")[1]
    decoded = msgspec.json.decode(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    assert answer.status == 201
    assert decoded["exp"] == START_NS // 1_000_000_000 + 3600
    assert told["expireDate"] == "2026-01-09T10:46:31.000Z"


def test_wrong_log_in_is_a_400_without_an_envelope() -> None:
    answer = Client().ask("POST", "/auth/jwt/token", {**LOG_IN, "password": "x"})
    assert answer.status == 400
    assert "s" not in msgspec.json.decode(answer.body)


def test_refresh_changes_both_tokens_and_is_good_once() -> None:
    client = Client()
    fresh = client.json("POST", "/auth/jwt/refresh", {"refreshToken": client.tokens["refreshToken"]})
    assert fresh["accessToken"] != client.tokens["accessToken"]
    assert fresh["refreshToken"] != client.tokens["refreshToken"]
    assert client.ask("POST", "/auth/jwt/refresh", {"refreshToken": client.tokens["refreshToken"]}).status == 401


def test_access_token_ends_by_itself() -> None:
    client = Client()
    client.wait(3600.0)
    assert client.ask("GET", "/trade/config").status == 401


def test_missing_or_foreign_account_number_is_refused() -> None:
    client = Client()
    client.headers["accNum"] = "1"
    assert client.ask("GET", f"{ACCOUNT}/state").status == 403
    del client.headers["accNum"]
    assert client.ask("GET", "/trade/config").status == 403
    assert client.json("GET", "/auth/jwt/all-accounts")["accounts"][0]["accNum"] == "60"


def test_every_limit_of_the_configuration_is_enforced_and_ends_with_its_window() -> None:
    client = Client(enforce_limits=True)
    limits = {one["rateLimitType"]: one for one in client.json("GET", "/trade/config")["d"]["rateLimits"]}
    values = {"account": "1000001", "instrument": "206", "session": "1547", "order": "1", "position": "1"}
    for name, method, path, kind in ROUTES:
        if not kind:
            continue
        client.wait(120.0)
        target = path.format(**values)
        for _ in range(limits[kind]["limit"]):
            assert client.ask(method, target, {} if method != "GET" else None).status != 429, name
        assert client.ask(method, target, {} if method != "GET" else None).status == 429, name
    client.wait(120.0)
    assert client.ask("GET", f"{ACCOUNT}/orders").status == 200


def test_edge_limits_answer_text() -> None:
    client = Client(enforce_limits=True, edge_limits=True)
    client.ask("GET", f"{ACCOUNT}/orders")
    assert client.ask("GET", f"{ACCOUNT}/orders").body == b"error code: 1015"


def test_market_order_fills_at_once_and_opens_a_position_with_its_own_id_and_the_tag() -> None:
    client = Client()
    order_id = client.order(strategyId="q1-abc")["d"]["orderId"]
    (row,), (position,) = client.rows("ordersHistory"), client.rows("positions")
    assert (row["id"], row["status"], row["filledQty"], row["avgPrice"]) == (order_id, "Filled", "0.1", "65010")
    assert row["positionId"] == position["id"] != order_id
    assert (row["strategyId"], position["strategyId"]) == ("q1-abc", "q1-abc")
    assert client.rows("orders") == []
    assert client.rows("executions")[0]["orderId"] == order_id


def test_ids_are_beyond_what_a_float_can_tell_apart() -> None:
    client = Client()
    first, second = (client.limit("60000.00")["d"]["orderId"] for _ in range(2))
    assert first != second
    assert float(first) == float(second)
    assert 2**62 <= int(first) < 2**63


def test_strategy_id_is_neither_unique_nor_longer_than_32() -> None:
    client = Client()
    assert client.limit("60000.00", strategyId="x" * 32)["s"] == "ok"
    assert client.limit("60000.00", strategyId="x" * 32)["s"] == "ok"
    assert client.limit("60000.00", strategyId="x" * 33)["s"] == "error"
    assert client.venue.counters()["violations"] == {"strategy_id_twice": 1}


@pytest.mark.parametrize(
    "changes",
    [
        {"qty": "0"},
        {"qty": "-0.05"},
        {"qty": "0.001"},
        {"qty": "0.129"},
        {"validity": "GTC"},
        {"type": "limit", "price": "60000.00"},
        {"type": "limit", "validity": "GTC"},
        {"type": "stop", "validity": "GTC"},
        {"tradableInstrumentId": 236},
        {"routeId": 452},
        {"qty": "1000000"},
        {"stopLoss": "70000", "stopLossType": "absolute"},
        {"takeProfit": "60000", "takeProfitType": "absolute"},
    ],
)
def test_what_rules_forbid_is_refused_with_status_200(changes: dict[str, Any]) -> None:
    client = Client()
    told = client.order(**changes)
    assert told["s"] == "error"
    assert "d" not in told
    assert told["errmsg"]
    assert client.rows("positions") == client.rows("orders") == []


@pytest.mark.parametrize("changes", [{"qty": "much"}, {"qty": True}, {"side": "long"}, {"type": "stop_limit"}])
def test_malformed_create_is_a_400(changes: dict[str, Any]) -> None:
    client = Client()
    body = {
        "tradableInstrumentId": 206, "routeId": 9912, "side": "buy", "type": "market", "validity": "IOC", "qty": 1,
        **changes,
    }  # fmt: skip
    assert client.ask("POST", f"{ACCOUNT}/orders", body).status == 400


def test_malformed_json_is_a_400_and_an_unknown_route_a_404() -> None:
    client = Client()
    asked = HttpRequest("POST", f"/backend-api{ACCOUNT}/orders", client.headers, b"{")
    assert client.venue.handle(asked).status == 400
    assert client.ask("GET", f"{ACCOUNT}/orders/7").status == 404


def test_exit_without_its_type_is_silently_ignored() -> None:
    client = Client()
    client.order(stopLoss="60000", takeProfit="70000")
    assert client.rows("positions")[0]["stopLossId"] is None
    assert client.rows("orders") == []


def test_exits_of_an_entry_become_orders_of_its_position_that_end_together() -> None:
    client = Client()
    client.order(stopLoss="60000", stopLossType="absolute", takeProfit="70000", takeProfitType="absolute")
    (position,) = client.rows("positions")
    exits = {row["id"]: row for row in client.rows("orders")}
    assert exits[position["stopLossId"]]["stopPrice"] == "60000"
    assert exits[position["takeProfitId"]]["price"] == "70000"
    assert {row["positionId"] for row in exits.values()} == {position["id"]}
    client.price(59_990.0)
    client.price(59_990.0)
    assert client.rows("positions") == client.rows("orders") == []
    ended = {row["id"]: row["status"] for row in client.rows("ordersHistory")}
    assert (ended[position["stopLossId"]], ended[position["takeProfitId"]]) == ("Filled", "Cancelled")


def test_position_exits_are_set_moved_under_the_same_id_and_taken_away_by_null() -> None:
    client = Client()
    client.order()
    path = f"/trade/positions/{client.rows('positions')[0]['id']}"
    assert client.json("PATCH", path, {"stopLoss": 60_000, "takeProfit": 70_000}) == {"s": "ok"}
    first = client.rows("positions")[0]
    client.json("PATCH", path, {"stopLoss": "61000"})
    second = client.rows("positions")[0]
    assert first["stopLossId"] == second["stopLossId"]
    assert {row["stopPrice"] or row["price"] for row in client.rows("orders")} == {"61000", "70000"}
    client.json("PATCH", path, {"stopLoss": None})
    third = client.rows("positions")[0]
    assert (third["stopLossId"], third["takeProfitId"]) == (None, first["takeProfitId"])


def test_partial_close_keeps_the_position_and_repeats_close_more() -> None:
    client = Client()
    client.order(strategyId="mine")
    position = client.rows("positions")[0]["id"]
    for left in ("0.06", "0.02"):
        assert client.json("DELETE", f"/trade/positions/{position}", {"qty": "0.04"}) == {"s": "ok"}
        assert [(row["id"], row["qty"]) for row in client.rows("positions")] == [(position, left)]
    closes = [row for row in client.rows("ordersHistory") if row["side"] == "sell"]
    assert [(row["positionId"], row["strategyId"]) for row in closes] == [(position, None)] * 2
    assert client.json("DELETE", f"/trade/positions/{position}", {"qty": "0.50"})["s"] == "error"
    client.json("DELETE", f"/trade/positions/{position}", {"qty": 0})
    assert client.rows("positions") == []
    assert client.ask("DELETE", f"/trade/positions/{position}", {"qty": 0}).status == 404


def test_hedging_account_keeps_both_sides_and_a_netting_one_does_not() -> None:
    for mode, sides in ((PositionMode.HEDGING, ["buy", "sell"]), (PositionMode.NETTING, [])):
        client = Client(Setup(accounts=(AccountRules(mode=mode),)))
        client.order(side="buy")
        client.order(side="sell")
        assert sorted(row["side"] for row in client.rows("positions")) == sides


def test_close_all_closes_positions_and_cancel_all_leaves_their_exits() -> None:
    client = Client()
    client.order(stopLoss="60000", stopLossType="absolute")
    client.limit("50000.00")
    assert client.json("DELETE", f"{ACCOUNT}/orders?tradableInstrumentId=206") == {"s": "ok"}
    assert [row["stopPrice"] for row in client.rows("orders")] == ["60000"]
    assert client.json("DELETE", f"{ACCOUNT}/positions") == {"s": "ok"}
    assert client.rows("positions") == client.rows("orders") == []


def test_modified_order_keeps_its_id_and_takes_its_new_terms() -> None:
    client = Client()
    order_id = client.limit("60000.00")["d"]["orderId"]
    told = client.json("PATCH", f"/trade/orders/{order_id}", {"price": "61000.00", "qty": "0.20"})
    (row,) = client.rows("orders")
    assert told["d"]["orders"] == [list(row.values())]
    assert (row["id"], row["price"], row["qty"], row["status"]) == (order_id, "61000", "0.20", "New")


def test_cancel_of_a_working_order_works_and_of_an_ended_one_is_refused() -> None:
    client = Client()
    order_id = client.limit("60000.00")["d"]["orderId"]
    assert client.json("DELETE", f"/trade/orders/{order_id}") == {"s": "ok"}
    assert client.rows("ordersHistory")[0]["status"] == "Cancelled"
    again = client.ask("DELETE", f"/trade/orders/{order_id}")
    assert (again.status, msgspec.json.decode(again.body)["s"]) == (200, "error")
    assert client.ask("DELETE", "/trade/orders/7277816997907785466").status == 404


def test_position_id_is_no_order_id_and_the_other_way_round() -> None:
    client = Client()
    order_id = client.order()["d"]["orderId"]
    position_id = client.rows("positions")[0]["id"]
    assert client.ask("DELETE", f"/trade/orders/{position_id}").status == 404
    assert client.ask("DELETE", f"/trade/positions/{order_id}", {"qty": 0}).status == 404


def test_writes_answer_a_bare_204_when_told_to() -> None:
    client = Client(no_content=True)
    order_id = client.limit("60000.00")["d"]["orderId"]
    for method, body in (("PATCH", {"price": "61000"}), ("DELETE", None)):
        answer = client.ask(method, f"/trade/orders/{order_id}", body)
        assert (answer.status, answer.body) == (204, b"")


def test_new_orders_and_positions_are_seen_after_the_lag() -> None:
    client = Client(look_up_lag_s=3.0)
    client.limit("60000.00")
    client.order()
    assert client.rows("orders") == client.rows("positions") == client.rows("ordersHistory") == []
    client.wait(3.0)
    assert len(client.rows("orders")) == len(client.rows("positions")) == len(client.rows("ordersHistory")) == 1


def test_refused_create_is_listed_when_told_to() -> None:
    client = Client(list_refused=True)
    assert "Not enough margin" in client.order(qty="500")["errmsg"]
    assert [row["status"] for row in client.rows("ordersHistory")] == ["Refused"]


def test_history_is_newest_first_filtered_by_time_and_capped() -> None:
    client = Client(Setup(limits={"MAX_ORDERS_COUNT_IN_HISTORY": 2}))
    ids = []
    for _ in range(3):
        ids.append(client.order()["d"]["orderId"])
        client.wait(1.0)
    told = client.json("GET", f"{ACCOUNT}/ordersHistory")["d"]
    assert ([row[0] for row in told["ordersHistory"]], told["hasMore"]) == (ids[:0:-1], True)
    since = START_NS // 1_000_000 + 500
    assert [row["id"] for row in client.rows("ordersHistory", f"?from={since}&to={since + 1000}")] == [ids[1]]
    assert client.rows("ordersHistory", "?tradableInstrumentId=999") == []
    assert client.ask("GET", f"{ACCOUNT}/ordersHistory?from=soon").status == 400


def test_columns_can_move_and_rows_follow_their_map() -> None:
    client = Client(more_columns=True)
    order_id = client.limit("60000.00")["d"]["orderId"]
    config = client.json("GET", "/trade/config")["d"]
    assert config["ordersConfig"]["columns"][0] != {"id": "id"}
    assert client.rows("orders")[0]["id"] == order_id
    assert client.rows("orders")[0]["lastModified"] < client.rows("orders")[0]["createdDate"]


def test_state_adds_up() -> None:
    client = Client()
    client.order(qty="2")
    client.price(65_100.0)
    columns = [one["id"] for one in client.json("GET", "/trade/config")["d"]["accountDetailsConfig"]["columns"]]
    raw = client.ask("GET", f"{ACCOUNT}/state").body
    found = msgspec.json.Decoder(float_hook=Decimal).decode(raw)["d"]["accountDetailsData"]
    state = dict(zip(columns, found, strict=True))
    assert state["openGrossPnL"] == 180
    assert state["projectedBalance"] == state["balance"] + state["openGrossPnL"]
    assert state["availableFunds"] == state["projectedBalance"] - state["initialMarginReq"]
    assert (state["positionsCount"], state["ordersCount"]) == (1, 0)


def test_commission_is_taken_from_the_balance_and_told_by_no_row() -> None:
    client = Client(Setup(instruments=(InstrumentRules(commission=Decimal("3.5")),)))
    client.order(qty="2")
    columns = [one["id"] for one in client.json("GET", "/trade/config")["d"]["accountDetailsConfig"]["columns"]]
    state = dict(zip(columns, client.json("GET", f"{ACCOUNT}/state")["d"]["accountDetailsData"], strict=True))
    assert (state["balance"], state["todayFees"], state["todayNet"]) == (99_993, 7, -7)
    assert not any("7" == cell or "3.5" == cell for row in client.rows("executions") for cell in row.values())


def test_a_close_can_be_made_by_two_orders() -> None:
    client = Client(close_in_two=True)
    client.order(qty="0.10")
    (position,) = client.rows("positions")
    client.ask("DELETE", f"/trade/positions/{position['id']}", {"qty": "0.05"})
    closes = [row for row in client.rows("ordersHistory") if row["side"] == "sell"]
    assert sorted(row["qty"] for row in closes) == ["0.02", "0.03"]
    assert {row["positionId"] for row in closes} == {position["id"]}
    assert client.rows("positions")[0]["qty"] == "0.05"


def test_lots_count_their_units_in_profit() -> None:
    client = Client(Setup(instruments=(InstrumentRules(lot_size=Decimal(10)),)))
    client.order(qty="0.10")
    client.price(65_100.0)
    assert client.rows("positions")[0]["unrealizedPl"] == "90"
