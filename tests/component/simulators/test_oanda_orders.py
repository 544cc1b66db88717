"""The simulated OANDA's orders: created, filled, cancelled at once, replaced, refused, each with its place in the log."""

import pytest

from quantd.domain.market import Quote
from quantd.simulators.oanda.options import DEPTH, AccountRules, Setup
from tests.component.simulators.oanda_client import EUR_USD, ID, Client, one_account


def test_market_order_answers_with_its_fill_and_the_trade_that_it_opened() -> None:
    client = Client()
    response = client.ask("POST", "/orders", {"order": {"type": "MARKET", "instrument": "EUR_USD", "units": "-100"}})
    told = client.log(3)
    assert response.status == 201
    assert response.headers["location"].endswith(f"/accounts/{ID}/orders/4")
    assert [one["type"] for one in told] == ["MARKET_ORDER", "ORDER_FILL"]
    assert {one["batchID"] for one in told} == {"4"}
    assert {one["requestID"] for one in told} == {response.headers["requestid"]}
    fill = told[1]
    assert (fill["units"], fill["price"], fill["reason"]) == ("-100", "1.10000", "MARKET_ORDER")
    assert fill["tradeOpened"]["tradeID"] == fill["id"] == "5"
    assert client.get("/orders/4")["order"]["tradeOpenedID"] == "5"


def test_profit_is_booked_to_the_last_digit_and_the_balance_follows() -> None:
    client = Client()
    trade = client.trade(units="1000")
    client.price(1.1015)
    told = client.json("PUT", f"/trades/{trade}/close")["orderFillTransaction"]
    assert (told["pl"], told["accountBalance"]) == ("1.3000", "100001.3000")
    assert client.get("/summary")["account"]["balance"] == "100001.3000"
    assert client.venue.state()["balances"][ID]["USD"]["total"] == "100001.3000"


def test_201_can_mean_created_and_cancelled() -> None:
    client = Client()
    client.venue.command("market", {"instrument": "EUR_USD", "status": "closed"})
    told = client.order()
    assert "orderFillTransaction" not in told
    assert told["orderCancelTransaction"]["reason"] == "MARKET_HALTED"
    assert client.get(f"/orders/{told['orderCreateTransaction']['id']}")["order"]["state"] == "CANCELLED"
    client.venue.command("market", {"instrument": "EUR_USD", "status": "open"})
    assert client.order(units="5000000")["orderCancelTransaction"]["reason"] == "INSUFFICIENT_MARGIN"
    assert client.order(priceBound="1.10000")["orderCancelTransaction"]["reason"] == "BOUNDS_VIOLATION"
    loss = client.order(stopLossOnFill={"price": "1.2"})["orderCancelTransaction"]
    assert loss["reason"] == "STOP_LOSS_ON_FILL_LOSS"
    lost = client.order(units="-100", takeProfitOnFill={"price": "1.2"})["orderCancelTransaction"]
    assert lost["reason"] == "TAKE_PROFIT_ON_FILL_LOSS"
    assert client.get("/openTrades")["trades"] == []


def test_pending_orders_wait_while_the_market_is_closed_and_fill_when_it_opens() -> None:
    client = Client()
    client.venue.command("market", {"instrument": "EUR_USD", "status": "closed"})
    order = client.limit("1.05")["orderCreateTransaction"]["id"]
    assert client.get("/pricing?instruments=EUR_USD")["prices"][0]["tradeable"] is False
    client.venue.command("market", {"instrument": "EUR_USD", "status": "open"})
    client.price(1.04)
    assert client.get(f"/orders/{order}")["order"]["state"] == "FILLED"


@pytest.mark.parametrize(
    ("kind", "price", "comes", "filled_at"),
    [
        ("LIMIT", "1.09", 1.085, "1.09000"),
        ("STOP", "1.11", 1.1098, "1.11000"),
        ("MARKET_IF_TOUCHED", "1.09", 1.085, "1.09000"),
        ("MARKET_IF_TOUCHED", "1.11", 1.115, "1.11520"),
    ],
)
def test_pending_order_fills_when_the_price_has_come(kind: str, price: str, comes: float, filled_at: str) -> None:
    client = Client()
    created = client.order(type=kind, price=price, clientExtensions={"id": "mine", "tag": "t"})
    assert set(created) == {"orderCreateTransaction", "relatedTransactionIDs", "lastTransactionID"}
    assert client.get("/orders/@mine")["order"]["state"] == "PENDING"
    client.price(comes)
    fill = client.log(created["lastTransactionID"])[0]
    assert (fill["type"], fill["reason"], fill["clientOrderID"]) == ("ORDER_FILL", f"{kind}_ORDER", "mine")
    assert fill["tradeOpened"]["price"] == filled_at
    assert (fill["userID"], "requestID" in fill) == (0, False)
    assert client.status("GET", "/orders/@mine")[1]["errorCode"] == "NO_SUCH_ORDER"


def test_stop_with_a_bound_is_cancelled_when_the_price_has_jumped_over_it() -> None:
    client = Client()
    order = client.order(type="STOP", price="1.11", priceBound="1.1105")["orderCreateTransaction"]["id"]
    client.price(1.12)
    told = client.get(f"/orders/{order}")["order"]
    assert told["state"] == "CANCELLED"
    assert client.get(f"/transactions/{told['cancellingTransactionID']}")["transaction"]["reason"] == "BOUNDS_VIOLATION"


def test_what_is_malformed_takes_no_id_and_what_the_rules_forbid_takes_one() -> None:
    client = Client()
    for changes, name in (
        ({"instrument": "EUR_XXX"}, "order.instrument"), ({"units": "many"}, "order.units"),
        ({"type": "WISH"}, "order.type"), ({"timeInForce": "SOON"}, "order.timeInForce"),
        ({"type": "TAKE_PROFIT", "tradeID": 7, "price": "1"}, "order.tradeID"),
    ):  # fmt: skip
        told = client.order(**changes)
        assert told["errorMessage"] == f"Invalid value specified for '{name}'", changes
        assert "orderRejectTransaction" not in told
    assert client.status("POST", "/orders") == (400, {"errorMessage": "Missing JSON body"})
    assert client.status("POST", "/orders", {})[1]["errorMessage"] == "The request was missing required data"
    assert client.get("/summary")["lastTransactionID"] == "3"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"units": "0"}, "UNITS_INVALID"),
        ({"units": "1.5"}, "UNITS_PRECISION_EXCEEDED"),
        ({"units": "100000001"}, "UNITS_LIMIT_EXCEEDED"),
        ({"units": None}, "UNITS_MISSING"),
        ({"instrument": None}, "INSTRUMENT_MISSING"),
        ({"timeInForce": "GTC"}, "TIME_IN_FORCE_INVALID"),
        ({"priceBound": "1.123456"}, "PRICE_BOUND_PRECISION_EXCEEDED"),
        ({"type": "LIMIT"}, "PRICE_MISSING"),
        ({"type": "LIMIT", "price": "1.123456"}, "PRICE_PRECISION_EXCEEDED"),
        ({"type": "LIMIT", "price": "-1"}, "PRICE_INVALID"),
        ({"type": "LIMIT", "price": "1", "timeInForce": "GTD"}, "TIME_IN_FORCE_GTD_TIMESTAMP_MISSING"),
        (
            {"type": "LIMIT", "price": "1", "timeInForce": "GTD", "gtdTime": "1"},
            "TIME_IN_FORCE_GTD_TIMESTAMP_IN_PAST",
        ),
        ({"clientExtensions": {"id": "x" * 129}}, "CLIENT_ORDER_ID_INVALID"),
        ({"tradeClientExtensions": {"tag": ""}}, "CLIENT_TRADE_TAG_INVALID"),
        ({"takeProfitOnFill": {}}, "TAKE_PROFIT_ON_FILL_PRICE_MISSING"),
        ({"stopLossOnFill": {}}, "STOP_LOSS_ON_FILL_PRICE_AND_DISTANCE_BOTH_MISSING"),
        (
            {"stopLossOnFill": {"price": "1", "distance": "1"}},
            "STOP_LOSS_ON_FILL_PRICE_AND_DISTANCE_BOTH_SPECIFIED",
        ),
        ({"stopLossOnFill": {"distance": "1.1"}}, "STOP_LOSS_ON_FILL_DISTANCE_INVALID"),
        (
            {"trailingStopLossOnFill": {"distance": "0.00001"}},
            "TRAILING_STOP_LOSS_ON_FILL_PRICE_DISTANCE_MINIMUM_NOT_MET",
        ),
        ({"type": "TAKE_PROFIT", "tradeID": "99", "price": "1"}, "TRADE_DOESNT_EXIST"),
        ({"type": "TAKE_PROFIT", "price": "1"}, "TRADE_ID_UNSPECIFIED"),
    ],
)
def test_rejection_is_a_transaction_with_its_reason_as_the_code(changes: dict[str, object], reason: str) -> None:
    client = Client()
    body = {"type": "MARKET", "instrument": "EUR_USD", "units": "100", **changes}
    body = {key: value for key, value in body.items() if value is not None}
    status, told = client.status("POST", "/orders", {"order": body})
    assert status == (404 if reason == "TRADE_DOESNT_EXIST" else 400)
    assert told["errorCode"] == told["orderRejectTransaction"]["rejectReason"] == reason
    assert told["orderRejectTransaction"]["type"] == f"{body['type']}_ORDER_REJECT"
    assert told["relatedTransactionIDs"] == [told["lastTransactionID"]] == ["4"]


def test_client_id_is_refused_only_while_another_order_with_it_is_pending() -> None:
    client = Client()
    mine = {"clientExtensions": {"id": "mine"}}
    client.limit("1.05", **mine)
    assert client.limit("1.05", **mine)["errorCode"] == "CLIENT_ORDER_ID_ALREADY_EXISTS"
    client.json("PUT", "/orders/@mine/cancel")
    assert "orderFillTransaction" in client.order(**mine)
    assert "orderFillTransaction" in client.order(**mine), "a repeated market order fills a second time"
    assert client.venue.counters()["violations"] == {"client_id_twice": 2}
    named = {"tradeClientExtensions": {"id": "trade"}}
    client.order(**named)
    assert client.order(**named)["errorCode"] == "CLIENT_TRADE_ID_ALREADY_EXISTS"


def test_replacement_has_a_new_id_and_inherits_what_the_client_attached() -> None:
    client = Client()
    client.limit("1.05", clientExtensions={"id": "mine"})
    wanted = {"type": "LIMIT", "instrument": "EUR_USD", "units": "50", "price": "1.06"}
    status, told = client.status("PUT", "/orders/4", {"order": wanted})
    assert status == 201
    assert told["orderCancelTransaction"]["replacedByOrderID"] == told["orderCreateTransaction"]["id"] == "6"
    assert told["orderCreateTransaction"]["clientExtensions"] == {"id": "mine"}
    assert client.get("/orders/4")["order"]["replacedByOrderID"] == "6"
    assert client.get("/orders/6")["order"]["replacesOrderID"] == "4"
    status, told = client.status("PUT", "/orders/4", {"order": wanted})
    assert (status, told["errorCode"]) == (404, "ORDER_DOESNT_EXIST")


def test_replacement_that_is_refused_leaves_the_old_order() -> None:
    client = Client()
    client.limit("1.05")
    base = {"type": "LIMIT", "instrument": "EUR_USD", "price": "1.06"}
    for changes, reason in (
        ({"units": "0"}, "UNITS_INVALID"), ({"units": "9000000"}, "INSUFFICIENT_MARGIN"),
        ({"units": "1", "type": "STOP"}, "REPLACING_ORDER_INVALID"),
    ):  # fmt: skip
        status, told = client.status("PUT", "/orders/4", {"order": {**base, **changes}})
        assert (status, told["errorCode"]) == (400, reason)
        assert told["orderRejectTransaction"]["intendedReplacesOrderID"] == "4"
    assert client.get("/pendingOrders")["orders"][0]["id"] == "4"


def test_cancel_that_comes_too_late_takes_an_id_each_time() -> None:
    client = Client()
    client.limit("1.05")
    assert client.json("PUT", "/orders/4/cancel")["orderCancelTransaction"]["reason"] == "CLIENT_REQUEST"
    for number in ("6", "7"):
        status, told = client.status("PUT", "/orders/4/cancel")
        assert (status, told["errorCode"]) == (404, "ORDER_DOESNT_EXIST")
        assert told["orderCancelRejectTransaction"]["id"] == number


def test_orders_end_with_their_time() -> None:
    client = Client()
    client.limit("1.05", timeInForce="GTD", gtdTime=f"{client.clock.now_ns() // 10**9 + 60}.000000000")
    client.limit("1.05", timeInForce="GFD")
    client.wait(61)
    assert client.get("/orders/4")["order"]["state"] == "CANCELLED"
    assert client.log(5)[0]["reason"] == "TIME_IN_FORCE_EXPIRED"
    client.wait(12 * 3600)
    assert client.get("/orders/5")["order"]["state"] == "PENDING", "17:00 in New York is 22:00 UTC in winter"
    client.wait(3600)
    assert client.get("/orders/5")["order"]["state"] == "CANCELLED"


def test_order_is_annotated() -> None:
    client = Client()
    client.limit("1.05")
    change = {"clientExtensions": {"id": "mine", "comment": "c"}, "tradeClientExtensions": {"tag": "t"}}
    told = client.json("PUT", "/orders/4/clientExtensions", change)["orderClientExtensionsModifyTransaction"]
    assert told["clientExtensionsModify"] == change["clientExtensions"]
    assert client.get("/orders/@mine")["order"]["tradeClientExtensions"] == {"tag": "t"}
    status, refusal = client.status("PUT", "/orders/4/clientExtensions", {})
    assert (status, refusal["errorCode"]) == (400, "CLIENT_EXTENSIONS_DATA_MISSING")
    status, refusal = client.status("PUT", "/orders/99/clientExtensions", change)
    assert (status, refusal["errorCode"]) == (404, "ORDER_DOESNT_EXIST")
    assert refusal["orderClientExtensionsModifyRejectTransaction"]["orderID"] == "99"


def test_rest_of_a_partly_filled_limit_is_issued_again_under_a_new_id() -> None:
    depth = DEPTH.__class__(levels=1, size=1000.0, growth=1.0, step_ticks=1)
    client = Client(Setup(accounts=(AccountRules(),), depth=depth))
    told = client.limit("1.1002", units="100000")
    assert told["orderCreateTransaction"]["id"] == "4"
    fill, again = told["orderFillTransaction"], told["orderReissueTransaction"]
    assert abs(int(fill["units"])) + int(again["units"]) == 100_000
    assert again["replacesOrderID"] == "4"
    assert client.get(f"/orders/{again['id']}")["order"]["state"] == "PENDING"
    whole = client.order(units="100000")
    assert whole["orderCancelTransaction"]["reason"] == "INSUFFICIENT_LIQUIDITY"
    client.price(1.1001)
    part = client.order(units="100000", timeInForce="IOC")
    assert 0 < int(part["orderFillTransaction"]["units"]) < 100_000
    assert "orderCancelTransaction" not in part


def test_what_the_simulation_cannot_do_says_so() -> None:
    client = Client()
    for changes in (
        {"positionFill": "OPEN_ONLY"}, {"type": "GUARANTEED_STOP_LOSS"},
        {"type": "STOP", "price": "1.2", "triggerCondition": "MID"},
    ):  # fmt: skip
        assert "simulated" in client.order(**changes)["errorMessage"]
    assert "simulated" in Client(one_account(hedging=True)).order(positionFill="REDUCE_FIRST")["errorMessage"]


def test_reads_can_lag_behind_a_create() -> None:
    client = Client(read_lag_s=0.5)
    client.limit("1.05")
    status, told = client.status("GET", "/orders/4")
    assert (status, told["errorCode"]) == (404, "NO_SUCH_ORDER")
    client.wait(0.5)
    assert client.get("/orders/4")["order"]["units"] == "100"


def test_orders_are_listed_by_state_and_paged_by_link() -> None:
    client = Client(Setup(accounts=(AccountRules(),), instruments=(EUR_USD,), depth=None))
    for _ in range(3):
        client.limit("1.05")
    client.json("PUT", "/orders/4/cancel")
    assert [one["id"] for one in client.get("/orders")["orders"]] == ["6", "5"]
    assert [one["id"] for one in client.get("/orders?state=CANCELLED")["orders"]] == ["4"]
    assert [one["id"] for one in client.get("/orders?state=ALL&ids=4,6")["orders"]] == ["6", "4"]
    response = client.ask("GET", "/orders?state=ALL&count=2")
    assert "beforeID=5" in response.headers["link"]
    assert "state=ALL" in response.headers["link"]
    assert client.get("/orders?count=501")["errorMessage"] == "Maximum value for 'count' exceeded"
    assert client.get("/orders?state=SOME")["errorMessage"] == "Invalid value specified for 'state'"


def test_order_that_takes_time_to_the_market_is_answered_as_pending_and_fills_later() -> None:
    client = Client(Setup(accounts=(AccountRules(),), depth=None, latency_s=0.05))
    told = client.order(stopLossOnFill={"distance": "0.01"})
    assert set(told) == {"orderCreateTransaction", "relatedTransactionIDs", "lastTransactionID"}
    assert client.get("/orders/4")["order"]["state"] == "PENDING"
    client.wait(0.05)
    client.price(1.2)
    assert client.types(4) == ["ORDER_FILL", "STOP_LOSS_ORDER"]
    told = client.json("PUT", "/trades/5/close", {"units": "40"})
    assert set(told) == {"orderCreateTransaction", "relatedTransactionIDs", "lastTransactionID"}
    client.wait(0.05)
    client.price(1.2)
    assert client.get("/trades/5")["trade"]["currentUnits"] == "60"


def test_order_that_may_only_reduce_never_turns_a_position() -> None:
    client = Client()
    client.order(units="100")
    assert client.order(units="50", positionFill="REDUCE_ONLY")["orderCancelTransaction"]["reason"] == (
        "INSUFFICIENT_LIQUIDITY"
    )
    whole = client.order(units="-150", positionFill="REDUCE_ONLY")
    assert "orderFillTransaction" not in whole, "all or nothing"
    part = client.order(units="-150", positionFill="REDUCE_ONLY", timeInForce="IOC")["orderFillTransaction"]
    assert (part["units"], part["requestedUnits"]) == ("-100", "-150")
    assert client.get("/openTrades")["trades"] == []


def test_bid_size_of_a_source_does_not_thin_the_ladder() -> None:
    client = Client()
    client.venue.on_market(Quote(EUR_USD.id, 1.1, 1.1002, 0, bid_size=1.0, ask_size=1.0))
    assert client.order(units="1000")["orderFillTransaction"]["units"] == "1000"
    assert client.get("/pricing?instruments=EUR_USD")["prices"][0]["bids"][0]["liquidity"] == 10_000_000
