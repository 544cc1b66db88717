"""The trade endpoints of the simulated OANDA: lists, one trade, close, what clients attach, and what guards a trade."""

import re

import msgspec
import pytest

from quantd.simulators.oanda.options import AccountRules, Setup
from tests.component.simulators.oanda_client import EUR_USD, USD_JPY, Client, one_account


def ids(told: dict[str, list[dict[str, str]]]) -> list[str]:
    return [one["id"] for one in told["trades"]]


def two_pairs() -> Client:
    client = Client(Setup(accounts=(AccountRules(),), instruments=(EUR_USD, USD_JPY), depth=None))
    client.price(150.0, 0.02, "USD_JPY")
    return client


# --- lists ------------------------------------------------------------------------------------------------------------


def test_trades_are_listed_newest_first_and_filtered() -> None:
    client = two_pairs()
    first, second = client.trade(), client.trade()
    yen = client.trade(instrument="USD_JPY")
    client.json("PUT", f"/trades/{first}/close")
    assert ids(client.get("/trades")) == [yen, second]
    assert ids(client.get("/trades?state=CLOSED")) == [first]
    assert ids(client.get("/trades?state=ALL")) == [yen, second, first]
    assert ids(client.get("/trades?state=CLOSE_WHEN_TRADEABLE")) == []
    assert ids(client.get("/trades?instrument=USD_JPY")) == [yen]
    assert ids(client.get(f"/trades?ids={first},{second}&state=ALL")) == [second, first]
    assert ids(client.get("/openTrades")) == [yen, second]
    assert client.get("/openTrades")["lastTransactionID"] == client.get("/summary")["lastTransactionID"]


def test_pages_of_trades_are_followed_by_their_links_to_the_end_without_gap_or_repetition() -> None:
    client = Client()
    made = [client.trade() for _ in range(7)]
    found: list[str] = []
    path, pages = "/trades?count=3&instrument=EUR_USD", 0
    while path:
        response = client.ask("GET", path)
        found += ids(msgspec.json.decode(response.body))
        pages += 1
        link = re.fullmatch(r'<http://127\.0\.0\.1:9102(/v3[^>]*)>; rel="next"', response.headers.get("link", ""))
        path = link[1] if link is not None else ""
        assert not path or "instrument=EUR_USD" in path
    assert found == made[::-1]
    assert pages == 3


def test_full_page_has_a_link_even_when_nothing_more_is_there() -> None:
    client = Client()
    trade = client.trade()
    response = client.ask("GET", "/trades?count=1")
    assert f"beforeID={trade}" in response.headers["link"]
    rest = client.ask("GET", f"/trades?count=1&beforeID={trade}")
    assert (b'"trades":[]' in rest.body, "link" in rest.headers) == (True, False)


def test_fifty_trades_make_a_page_and_more_than_five_hundred_cannot_be_asked_for() -> None:
    client = Client()
    for _ in range(51):
        client.trade(units="1")
    assert len(client.get("/trades")["trades"]) == 50
    assert len(client.get("/trades?count=500")["trades"]) == 51
    assert client.get("/trades?count=501")["errorMessage"] == "Maximum value for 'count' exceeded"
    for query in ("count=0", "count=x", "beforeID=x", "ids=1,x", "state=SOME", "instrument=EUR_XXX"):
        status, told = client.status("GET", f"/trades?{query}")
        assert (status, told["errorMessage"]) == (400, f"Invalid value specified for '{query.split('=')[0]}'")


def test_one_trade_is_found_by_its_id_or_by_the_client_s_while_it_is_open() -> None:
    client = Client()
    trade = client.trade(tradeClientExtensions={"id": "my trade/1", "tag": "t", "comment": "c"})
    told = client.get(f"/trades/{trade}")["trade"]
    assert told["clientExtensions"] == {"id": "my trade/1", "tag": "t", "comment": "c"}
    for specifier in ("@my%20trade%2F1", "%40my%20trade%2F1"):
        assert client.get(f"/trades/{specifier}")["trade"]["id"] == trade
    client.json("PUT", f"/trades/{trade}/close")
    closed = client.get(f"/trades/{trade}")["trade"]
    assert (closed["state"], closed["currentUnits"], closed["averageClosePrice"]) == ("CLOSED", "0", "1.10000")
    assert closed["closingTransactionIDs"] == [client.log()[-1]["id"]]
    assert "unrealizedPL" not in closed
    for specifier in ("@my%20trade%2F1", "99", "x"):
        status, told = client.status("GET", f"/trades/{specifier}")
        assert (status, told["errorCode"]) == (404, "NO_SUCH_TRADE")
        assert told["errorMessage"] == "The trade ID specified does not exist"


def test_open_trade_shows_its_profit_and_margin_at_the_present_price() -> None:
    client = Client()
    trade = client.trade(units="-1000")
    client.price(1.09)
    told = client.get(f"/trades/{trade}")["trade"]
    assert (told["initialUnits"], told["currentUnits"], told["price"]) == ("-1000", "-1000", "1.10000")
    assert told["unrealizedPL"] == "9.8000"
    assert told["marginUsed"] == "36.3003"
    assert told["initialMarginRequired"] == "36.6333"


# --- close ------------------------------------------------------------------------------------------------------------


def test_close_in_part_and_then_in_full() -> None:
    client = Client()
    trade = client.trade(tradeClientExtensions={"id": "mine"})
    status, told = client.status("PUT", "/trades/@mine/close", {"units": "40"})
    assert status == 200
    created, fill = told["orderCreateTransaction"], told["orderFillTransaction"]
    assert (created["type"], created["reason"], created["timeInForce"]) == ("MARKET_ORDER", "TRADE_CLOSE", "FOK")
    assert created["tradeClose"] == {"tradeID": trade, "clientTradeID": "mine", "units": "40"}
    assert (fill["reason"], fill["tradeReduced"]["tradeID"]) == ("MARKET_ORDER_TRADE_CLOSE", trade)
    assert (fill["tradeReduced"]["units"], fill["tradeReduced"]["realizedPL"]) == ("-40", "-0.0080")
    assert client.get(f"/trades/{trade}")["trade"]["currentUnits"] == "60"
    told = client.json("PUT", f"/trades/{trade}/close")
    assert told["orderFillTransaction"]["tradesClosed"][0]["units"] == "-60", "without units all of it"
    assert client.json("PUT", f"/trades/{trade}/close", {})["errorCode"] == "TRADE_DOESNT_EXIST"
    assert client.get("/openTrades")["trades"] == []


def test_close_in_a_closed_market_answers_200_and_closes_nothing() -> None:
    client = Client()
    trade = client.trade()
    client.venue.command("market", {"instrument": "EUR_USD", "status": "halted"})
    status, told = client.status("PUT", f"/trades/{trade}/close", {"units": "ALL"})
    assert status == 200
    assert told["orderCancelTransaction"]["reason"] == "MARKET_HALTED"
    assert "orderFillTransaction" not in told
    assert ids(client.get("/openTrades")) == [trade]


def test_first_in_first_out_account_closes_the_oldest_of_a_size_first() -> None:
    client = Client(one_account(first_in_first_out=True))
    first, second = client.trade(), client.trade()
    told = client.json("PUT", f"/trades/{second}/close")
    assert told["orderCancelTransaction"]["reason"] == "FIFO_VIOLATION"
    assert "orderFillTransaction" in client.json("PUT", f"/trades/{first}/close")
    assert "orderFillTransaction" in client.json("PUT", f"/trades/{second}/close")


@pytest.mark.parametrize(
    ("units", "status", "reason"),
    [
        ("101", 400, "CLOSE_TRADE_UNITS_EXCEED_TRADE_SIZE"),
        ("0", 400, "UNITS_INVALID"),
        ("-5", 400, "UNITS_INVALID"),
        ("1.5", 400, "UNITS_PRECISION_EXCEEDED"),
        ("", 400, "CLOSE_TRADE_PARTIAL_UNITS_MISSING"),
    ],
)
def test_close_that_is_rejected_says_why_and_takes_an_id(units: str, status: int, reason: str) -> None:
    client = Client()
    trade = client.trade()
    before = int(client.get("/summary")["lastTransactionID"])
    found, told = client.status("PUT", f"/trades/{trade}/close", {"units": units})
    assert (found, told["errorCode"]) == (status, reason)
    assert told["orderRejectTransaction"]["rejectReason"] == reason
    assert told["relatedTransactionIDs"] == [str(before + 1)]
    assert told["errorMessage"]


def test_close_of_what_is_not_there_is_a_404_with_the_rejection() -> None:
    client = Client()
    status, told = client.status("PUT", "/trades/99/close", {"units": "ALL"})
    assert (status, told["errorCode"]) == (404, "TRADE_DOESNT_EXIST")
    assert told["orderRejectTransaction"]["tradeClose"] == {"tradeID": "99", "units": "ALL"}
    assert told["lastTransactionID"] == told["orderRejectTransaction"]["id"]
    assert client.json("PUT", "/trades/99/close", {"units": "many"})["errorCode"] == "TRADE_DOESNT_EXIST"
    trade = client.trade()
    assert client.json("PUT", f"/trades/{trade}/close", {"units": "many"})["errorMessage"].endswith("'units'")


# --- client extensions ------------------------------------------------------------------------------------------------


def test_trade_is_annotated() -> None:
    client = Client()
    trade, other = client.trade(), client.trade(tradeClientExtensions={"id": "taken"})
    path = f"/trades/{trade}/clientExtensions"
    told = client.json("PUT", path, {"clientExtensions": {"id": "mine", "tag": "t", "comment": "c"}})
    entry = told["tradeClientExtensionsModifyTransaction"]
    assert (entry["type"], entry["tradeID"]) == ("TRADE_CLIENT_EXTENSIONS_MODIFY", trade)
    assert entry["tradeClientExtensionsModify"] == {"id": "mine", "tag": "t", "comment": "c"}
    assert told["relatedTransactionIDs"] == [told["lastTransactionID"]] == [entry["id"]]
    assert client.get("/trades/@mine")["trade"]["id"] == trade
    for body, reason in (
        ({}, "CLIENT_EXTENSIONS_DATA_MISSING"),
        ({"clientExtensions": {"id": "x" * 129}}, "CLIENT_TRADE_ID_INVALID"),
        ({"clientExtensions": {"tag": ""}}, "CLIENT_TRADE_TAG_INVALID"),
        ({"clientExtensions": {"id": "taken"}}, "CLIENT_TRADE_ID_ALREADY_EXISTS"),
    ):
        status, told = client.status("PUT", path, body)
        rejection = told["tradeClientExtensionsModifyRejectTransaction"]
        assert (status, told["errorCode"], rejection["rejectReason"]) == (400, reason, reason)
        assert told["relatedTransactionIDs"] == [told["lastTransactionID"]]
    status, told = client.status("PUT", "/trades/99/clientExtensions", {"clientExtensions": {"id": "x"}})
    assert (status, told["errorCode"]) == (404, "TRADE_DOESNT_EXIST")
    assert told["tradeClientExtensionsModifyRejectTransaction"]["tradeID"] == "99"
    assert other in ids(client.get("/openTrades"))


# --- doors ------------------------------------------------------------------------------------------------------------

PATHS = (
    ("GET", "/trades"), ("GET", "/openTrades"), ("GET", "/trades/5"), ("PUT", "/trades/5/close"),
    ("PUT", "/trades/5/clientExtensions"), ("PUT", "/trades/5/orders"),
)  # fmt: skip


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_every_trade_endpoint_wants_the_token_the_account_and_the_right_method(method: str, path: str) -> None:
    client = Client()
    client.trade()
    before = client.get("/summary")["lastTransactionID"]
    words = "Insufficient authorization to perform request."
    for token in ("Bearer wrong", "Basic simulated-token", ""):
        response = client.ask(method, path, {}, Authorization=token)
        assert (response.status, words.encode() in response.body) == (401, True)
        assert response.headers["requestid"].isdigit()
    assert client.status(method, f"/v3/accounts/101-004-1234567-009{path}", {})[0] == 403
    assert client.status(method, f"/v3/accounts/12345{path}", {})[1]["errorMessage"].endswith("'accountID'")
    assert client.status("DELETE", path)[0] == 405
    client.venue.adjust({"unknown_account_404": True})
    status, told = client.status(method, f"/v3/accounts/101-004-1234567-009{path}", {})
    assert (status, told["errorCode"]) == (404, "NO_SUCH_ACCOUNT")
    assert set(told) == {"errorCode", "errorMessage"}, "ids and transactions only where there is an account"
    assert client.status(method, f"{path}/more", {})[0] == 404
    assert client.get("/summary")["lastTransactionID"] == before


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_every_trade_endpoint_writes_times_as_it_is_asked_to(method: str, path: str) -> None:
    client = Client()
    client.trade()
    bodies = {
        "/trades/5/clientExtensions": {"clientExtensions": {"id": "x"}},
        "/trades/5/orders": {"stopLoss": {"price": "1"}},
    }
    body = bodies.get(path, {} if method == "PUT" else None)
    seconds = client.ask(method, path, body, Accept_Datetime_Format="UNIX").body
    assert re.search(rb'"(openTime|time)":"1767951991\.995000000"', seconds)
    for name in ("RFC3339", None):
        again = Client()
        again.trade()
        headers = {} if name is None else {"Accept_Datetime_Format": name}
        assert b'"2026-01-09T09:46:31.995000000Z"' in again.ask(method, path, body, **headers).body
    assert client.ask(method, path, body, Accept_Datetime_Format="SOON").status == 400
