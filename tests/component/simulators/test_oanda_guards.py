"""What guards a trade at the simulated OANDA: take profit, stop loss and trailing stop, set, changed, left alone, taken away."""

import pytest

from quantd.domain.market import Book
from tests.component.simulators.oanda_client import Client, one_account


def open_trades(client: Client) -> list[str]:
    return [one["id"] for one in client.get("/openTrades")["trades"]]


def test_guards_are_set_changed_left_alone_and_taken_away() -> None:
    client = Client()
    trade = client.trade()
    path = f"/trades/{trade}/orders"
    told = client.json(
        "PUT", path, {"takeProfit": {"price": "1.2"}, "stopLoss": {"price": "1.05", "clientExtensions": {"id": "sl"}},
                      "trailingStopLoss": {"distance": "0.01"}},
    )  # fmt: skip
    assert set(told) == {
        "takeProfitOrderTransaction", "stopLossOrderTransaction", "trailingStopLossOrderTransaction",
        "relatedTransactionIDs", "lastTransactionID",
    }  # fmt: skip
    assert told["takeProfitOrderTransaction"]["price"] == "1.20000"
    assert told["takeProfitOrderTransaction"]["reason"] == "CLIENT_ORDER"
    shown = client.get(f"/trades/{trade}")["trade"]
    assert shown["trailingStopLossOrder"]["trailingStopValue"] == "1.09000"
    stop = shown["stopLossOrder"]["id"]
    told = client.json("PUT", path, {"takeProfit": {"price": "1.25"}, "stopLoss": {"price": "1.06"}})
    assert told["stopLossOrderCancelTransaction"]["reason"] == "CLIENT_REQUEST_REPLACED"
    replaced = told["stopLossOrderTransaction"]
    assert (replaced["reason"], replaced["replacesOrderID"]) == ("REPLACEMENT", stop)
    assert replaced["cancellingTransactionID"] == told["stopLossOrderCancelTransaction"]["id"]
    assert replaced["clientExtensions"] == {"id": "sl"}, "what is left out is inherited"
    assert told["stopLossOrderCancelTransaction"]["replacedByOrderID"] == replaced["id"]
    assert (
        client.get(f"/trades/{trade}")["trade"]["trailingStopLossOrder"]["id"] == shown["trailingStopLossOrder"]["id"]
    )
    told = client.json("PUT", path, {"stopLoss": None, "trailingStopLoss": None})
    assert told["stopLossOrderCancelTransaction"]["reason"] == "CLIENT_REQUEST"
    assert "stopLossOrderTransaction" not in told
    assert "trailingStopLossOrderCancelTransaction" in told
    shown = client.get(f"/trades/{trade}")["trade"]
    assert ("stopLossOrder" in shown, shown["takeProfitOrder"]["price"]) == (False, "1.25000")
    told = client.json("PUT", path, {"stopLoss": None})
    assert set(told) == {"relatedTransactionIDs", "lastTransactionID"}, "null for what is not there does nothing"
    assert told["relatedTransactionIDs"] == []


@pytest.mark.parametrize(
    ("guard", "comes", "reason", "price"),
    [
        ({"takeProfit": {"price": "1.12"}}, 1.1205, "TAKE_PROFIT_ORDER", "1.12000"),
        ({"stopLoss": {"price": "1.08"}}, 1.0799, "STOP_LOSS_ORDER", "1.07990"),
        ({"stopLoss": {"distance": "0.01"}}, 1.0902, "STOP_LOSS_ORDER", "1.09020"),
        ({"trailingStopLoss": {"distance": "0.01"}}, 1.09, "TRAILING_STOP_LOSS_ORDER", "1.09000"),
    ],
)
def test_guard_closes_its_trade_and_the_others_go_with_it(
    guard: dict[str, object], comes: float, reason: str, price: str
) -> None:
    client = Client()
    trade = client.trade()
    others = {"takeProfit": {"price": "1.3"}, "stopLoss": {"price": "0.9"}, "trailingStopLoss": {"distance": "0.5"}}
    client.json("PUT", f"/trades/{trade}/orders", {**others, **guard})
    before = client.get("/summary")["lastTransactionID"]
    client.price(comes)
    fill, *cancels = client.log(before)
    assert (fill["type"], fill["reason"]) == ("ORDER_FILL", reason)
    assert (fill["tradesClosed"][0]["tradeID"], fill["tradesClosed"][0]["price"]) == (trade, price)
    assert [one["reason"] for one in cancels] == ["LINKED_TRADE_CLOSED"] * 2
    assert {one["tradeCloseTransactionID"] for one in cancels} == {fill["id"]}
    assert client.get("/pendingOrders")["orders"] == []


def test_trailing_stop_follows_the_best_price_only() -> None:
    client = Client()
    trade = client.trade(units="-100", trailingStopLossOnFill={"distance": "0.01"})
    for bid, value in ((1.08, "1.09020"), (1.085, "1.09020"), (1.07, "1.08020")):
        client.price(bid)
        assert client.get(f"/trades/{trade}")["trade"]["trailingStopLossOrder"]["trailingStopValue"] == value


def test_trailing_stop_that_is_left_out_trails_on_and_one_that_is_given_again_begins_anew() -> None:
    client = Client()
    trade = client.trade(units="100", trailingStopLossOnFill={"distance": "0.01"})
    for bid in (1.12, 1.115):
        client.price(bid)
    first = client.get(f"/trades/{trade}")["trade"]["trailingStopLossOrder"]
    assert first["trailingStopValue"] == "1.11000"
    client.json("PUT", f"/trades/{trade}/orders", {"stopLoss": {"price": "1.05"}})
    assert client.get(f"/trades/{trade}")["trade"]["trailingStopLossOrder"] == first
    told = client.json("PUT", f"/trades/{trade}/orders", {"trailingStopLoss": {"distance": "0.01"}})
    again = client.get(f"/trades/{trade}")["trade"]["trailingStopLossOrder"]
    assert told["trailingStopLossOrderTransaction"]["replacesOrderID"] == first["id"]
    assert (again["id"] != first["id"], again["trailingStopValue"]) == (True, "1.10500")
    client.price(1.1049)
    assert trade not in open_trades(client), "the new one guards the trade"


def test_stop_that_is_through_the_market_is_accepted_and_fills_at_once() -> None:
    client = Client()
    trade = client.trade()
    told = client.json(
        "PUT", f"/trades/{trade}/orders", {"stopLoss": {"price": "1.15"}, "takeProfit": {"price": "1.2"}}
    )
    assert told["stopLossOrderFillTransaction"]["reason"] == "STOP_LOSS_ORDER"
    assert told["stopLossOrderFillTransaction"]["batchID"] == told["stopLossOrderTransaction"]["batchID"]
    assert told["takeProfitOrderCreatedCancelTransaction"]["reason"] == "LINKED_TRADE_CLOSED"
    assert client.get("/openTrades")["trades"] == []
    other = client.trade()
    told = client.json("PUT", f"/trades/{other}/orders", {"takeProfit": {"price": "1.05"}, "stopLoss": {"price": "1"}})
    assert told["takeProfitOrderFillTransaction"]["reason"] == "TAKE_PROFIT_ORDER"
    assert told["stopLossOrderCreatedCancelTransaction"]["reason"] == "LINKED_TRADE_CLOSED"


@pytest.mark.parametrize(
    ("body", "member", "reason"),
    [
        ({"takeProfit": {}}, "takeProfit", "PRICE_MISSING"),
        ({"takeProfit": {"price": "1.123456"}}, "takeProfit", "PRICE_PRECISION_EXCEEDED"),
        ({"takeProfit": {"price": "1.2", "timeInForce": "FOK"}}, "takeProfit", "TIME_IN_FORCE_INVALID"),
        (
            {"takeProfit": {"price": "1.2", "timeInForce": "GTD"}},
            "takeProfit",
            "TIME_IN_FORCE_GTD_TIMESTAMP_MISSING",
        ),
        ({"stopLoss": {}}, "stopLoss", "STOP_LOSS_ORDER_PRICE_AND_DISTANCE_BOTH_MISSING"),
        (
            {"stopLoss": {"price": "1", "distance": "1"}},
            "stopLoss",
            "STOP_LOSS_ORDER_PRICE_AND_DISTANCE_BOTH_SPECIFIED",
        ),
        (
            {"stopLoss": {"price": "1", "guaranteed": True}},
            "stopLoss",
            "STOP_LOSS_ORDER_GUARANTEED_NOT_ALLOWED",
        ),
        ({"trailingStopLoss": {}}, "trailingStopLoss", "PRICE_DISTANCE_MISSING"),
        ({"trailingStopLoss": {"distance": "0.0001"}}, "trailingStopLoss", "PRICE_DISTANCE_MINIMUM_NOT_MET"),
        ({"trailingStopLoss": {"distance": "2"}}, "trailingStopLoss", "PRICE_DISTANCE_MAXIMUM_EXCEEDED"),
    ],
)
def test_guards_are_refused_all_together(body: dict[str, object], member: str, reason: str) -> None:
    client = Client()
    trade = client.trade(takeProfitOnFill={"price": "1.3"})
    kept = client.get(f"/trades/{trade}")["trade"]["takeProfitOrder"]
    base = {} if member == "takeProfit" else {"takeProfit": {"price": "1.4"}}
    if body == {"takeProfit": {}}:
        client.json("PUT", f"/trades/{trade}/orders", {"takeProfit": None})
        kept = None
    status, told = client.status("PUT", f"/trades/{trade}/orders", {**base, **body})
    rejection = told[f"{member}OrderRejectTransaction"]
    assert (status, told["errorCode"], rejection["rejectReason"]) == (400, reason, reason)
    assert rejection["tradeID"] == trade
    assert told["relatedTransactionIDs"] == [told["lastTransactionID"]]
    assert client.get(f"/trades/{trade}")["trade"].get("takeProfitOrder") == kept


def test_guards_of_a_trade_that_is_not_there_are_a_404() -> None:
    client = Client()
    status, told = client.status("PUT", "/trades/99/orders", {"takeProfit": {"price": "1.2"}})
    assert (status, told["errorCode"]) == (404, "NO_SUCH_TRADE")
    assert client.json("PUT", f"/trades/{client.trade()}/orders", {"takeProfit": 1.2})["errorMessage"].endswith(
        "'takeProfit'"
    )


def test_guard_ends_with_its_time() -> None:
    client = Client()
    trade = client.trade()
    until = client.clock.now_ns() // 10**9 + 30
    body = {"stopLoss": {"price": "1.05", "timeInForce": "GTD", "gtdTime": f"{until}.000000000"}}
    order = client.json("PUT", f"/trades/{trade}/orders", body)["stopLossOrderTransaction"]["id"]
    client.wait(31)
    assert client.get(f"/orders/{order}")["order"]["state"] == "CANCELLED"
    assert client.log()[-1]["reason"] == "TIME_IN_FORCE_EXPIRED"
    client.price(1.0)
    assert open_trades(client) == [trade]


def test_guards_are_orders_of_their_own_too() -> None:
    client = Client()
    trade = client.trade(tradeClientExtensions={"id": "mine"})
    told = client.order(type="TAKE_PROFIT", tradeID=trade, price="1.2")["orderCreateTransaction"]
    assert (told["type"], told["clientTradeID"]) == ("TAKE_PROFIT_ORDER", "mine")
    again = client.order(type="TAKE_PROFIT", clientTradeID="mine", price="1.2")
    assert again["errorCode"] == "TAKE_PROFIT_ORDER_ALREADY_EXISTS"
    assert client.order(type="STOP_LOSS", tradeID=trade, clientTradeID="other", price="1")["errorCode"] == (
        "TRADE_IDENTIFIER_INCONSISTENCY"
    )
    stop = client.order(type="STOP_LOSS", clientTradeID="mine", distance="0.02")["orderCreateTransaction"]
    assert stop["price"] == "1.08000", "an order's distance counts from the present price"
    changed = {"order": {"type": "TAKE_PROFIT", "tradeID": trade, "price": "1.3"}}
    replaced = client.json("PUT", f"/orders/{told['id']}", changed)
    assert replaced["orderCancelTransaction"]["replacedByOrderID"] == replaced["orderCreateTransaction"]["id"]
    client.json("PUT", f"/orders/{stop['id']}/cancel")
    shown = client.get(f"/trades/{trade}")["trade"]
    assert (shown["takeProfitOrder"]["price"], "stopLossOrder" in shown) == ("1.30000", False)
    client.price(1.05)
    assert open_trades(client) == [trade]
    filled = client.order(type="STOP_LOSS", tradeID=trade, price="1.1")["orderFillTransaction"]
    assert filled["reason"] == "STOP_LOSS_ORDER"


def test_guards_of_a_locked_account_can_be_set_but_neither_changed_nor_taken_away() -> None:
    client = Client(cancels_locked=True)
    trade = client.trade()
    path = f"/trades/{trade}/orders"
    guards = {"takeProfit": {"price": "1.2"}, "stopLoss": {"price": "1"}, "trailingStopLoss": {"distance": "0.1"}}
    assert client.status("PUT", path, guards)[0] == 200
    before = client.get(f"/trades/{trade}")["trade"]
    for body in (dict.fromkeys(guards), {**guards, "takeProfit": {"price": "1.3"}}):
        status, told = client.status("PUT", path, body)
        assert (status, told["errorCode"]) == (400, "ACCOUNT_ORDER_CANCEL_LOCKED")
        for member in guards:
            assert told[f"{member}OrderCancelRejectTransaction"]["orderID"] == before[f"{member}Order"]["id"]
    assert client.get(f"/trades/{trade}")["trade"] == before
    status, told = client.status("PUT", f"/orders/{before['stopLossOrder']['id']}/cancel")
    assert (status, told["orderCancelRejectTransaction"]["rejectReason"]) == (400, "ACCOUNT_ORDER_CANCEL_LOCKED")


def test_trade_that_is_closed_by_the_event_that_opened_it_gets_no_guards() -> None:
    client = Client()
    client.venue.command("market", {"instrument": "EUR_USD", "status": "halted"})
    client.order(type="LIMIT", units="-100", price="1.10000", takeProfitOnFill={"price": "1.05"})
    client.order(type="STOP", units="100", price="1.10000")
    client.venue.command("market", {"instrument": "EUR_USD", "status": "open"})
    before = client.get("/summary")["lastTransactionID"]
    client.price(1.1)
    assert client.types(before) == ["ORDER_FILL", "ORDER_FILL"]
    assert client.get("/openTrades")["trades"] == client.get("/pendingOrders")["orders"] == []


def test_guard_passes_by_the_account_s_own_order() -> None:
    client = Client(one_account(hedging=True))
    client.order(units="100", takeProfitOnFill={"price": "1.10920"})
    trade = client.trade(units="-100", stopLossOnFill={"price": "1.10900"})
    before = client.get("/summary")["lastTransactionID"]
    rules = client.venue.instruments["EUR_USD"]
    client.venue.on_market(Book(rules.id, ((1.1088, 1000.0),), ((1.1090, 40.0), (1.1095, 1000.0)), 0))
    fills = client.log(before)
    assert {fill["reason"] for fill in fills} == {"STOP_LOSS_ORDER"}
    assert sum(int(fill["units"]) for fill in fills) == 100
    assert open_trades(client) != []
    assert client.get(f"/trades/{trade}")["trade"]["state"] == "CLOSED"
