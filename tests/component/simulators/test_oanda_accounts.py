"""The simulated OANDA's accounts, prices, candles, positions and log, and who may ask for them."""

from decimal import Decimal

import msgspec
import pytest

from quantd.simulators.oanda.options import DEPTH, AccountRules, InstrumentRules, Setup, listed
from tests.component.simulators.oanda_client import EUR_USD, ID, START_NS, USD_JPY, Client, one_account

# --- sums -------------------------------------------------------------------------------------------------------------


def test_the_document_s_own_example_of_margin_comes_out_to_the_penny() -> None:
    rules = InstrumentRules("EUR", "GBP", margin_rate=Decimal("0.0333333"), maximum=Decimal(10**7))
    account = AccountRules(currency="GBP", balance=Decimal(50_000))
    client = Client(Setup(accounts=(account,), instruments=(rules, EUR_USD), depth=None))
    client.price(0.8566, 0.0002, "EUR_GBP")
    client.order(instrument="EUR_GBP", units="1000000")
    told = client.get("/summary")["account"]
    assert told["marginUsed"] == "28556.6381"
    assert (told["marginCloseoutUnrealizedPL"], told["marginCloseoutNAV"]) == ("-100.0000", "49900.0000")
    assert told["marginAvailable"] == "21343.3619"
    assert told["marginCloseoutPercent"] == "0.28614"
    assert told["marginCallPercent"] == "0.57228"


def test_profit_in_another_currency_is_brought_home_at_the_mid() -> None:
    client = Client(Setup(accounts=(AccountRules(),), instruments=(EUR_USD, USD_JPY), depth=None))
    client.price(150.0, 0.02, "USD_JPY")
    trade = client.trade(instrument="USD_JPY", units="1000")
    client.price(151.0, 0.02, "USD_JPY")
    fill = client.json("PUT", f"/trades/{trade}/close")["orderFillTransaction"]
    assert fill["gainQuoteHomeConversionFactor"] == "0.00662208"
    assert fill["pl"] == "6.4896", "0.98 yen on 1000 units at 1 / 151.01"
    told = client.get("/pricing?instruments=USD_JPY&includeHomeConversions=True")
    assert told["prices"][0]["quoteHomeConversionFactors"]["positiveUnits"] == "0.00662208"
    assert [one["currency"] for one in told["homeConversions"]] == ["JPY", "USD"]


def test_commission_is_charged_in_the_account_s_currency_whatever_is_traded() -> None:
    rules = msgspec.structs.replace(USD_JPY, commission=Decimal("0.00005"))
    client = Client(Setup(accounts=(AccountRules(balance=Decimal(10_000)),), instruments=(EUR_USD, rules), depth=None))
    client.price(150.0, spread=0.01, name="USD_JPY")
    (told,) = client.get("/instruments?instruments=USD_JPY")["instruments"]
    assert (told["commission"]["commission"], told["commission"]["unitsTraded"]) == ("0.00005", "1")
    fill = client.order(instrument="USD_JPY", units="1000")["orderFillTransaction"]
    assert (fill["commission"], fill["accountBalance"]) == ("0.0500", "9999.9500")


def test_account_whose_equity_falls_below_half_of_its_margin_is_closed_out() -> None:
    client = Client(one_account(balance=Decimal(1000)))
    client.order(units="25000")
    before = client.get("/summary")["lastTransactionID"]
    client.price(1.07)
    created, fill = client.log(before)
    assert (created["reason"], created["marginCloseout"]["reason"]) == ("MARGIN_CLOSEOUT", "MARGIN_CHECK_VIOLATION")
    assert (fill["reason"], fill["userID"]) == ("MARKET_ORDER_MARGIN_CLOSEOUT", 0)
    assert client.get("/openTrades")["trades"] == []


def test_full_account_lists_what_is_open_and_guards_by_their_ids() -> None:
    client = Client()
    trade = client.trade(stopLossOnFill={"price": "1.05"})
    client.limit("1.01")
    told = client.get("")["account"]
    assert [one["id"] for one in told["trades"]] == [trade]
    assert {one["type"] for one in told["orders"]} == {"STOP_LOSS", "LIMIT"}
    assert told["trades"][0]["stopLossOrderID"] in {one["id"] for one in told["orders"]}
    counts = (told["openTradeCount"], told["openPositionCount"], told["pendingOrderCount"])
    assert counts == (1, 1, 2)
    assert client.get("/v3/accounts")["accounts"] == [{"id": ID, "tags": []}]
    moved = Client(redirect_accounts=True).ask("GET", "/v3/accounts")
    assert (moved.status, moved.headers["location"]) == (307, "/v3/users/@/accounts")


def test_changes_tell_what_has_happened_since_a_transaction() -> None:
    client = Client()
    trade = client.trade(units="100")
    last = client.get("/summary")["lastTransactionID"]
    client.limit("1.01")
    client.json("PUT", f"/trades/{trade}/close", {"units": "40"})
    client.json("PUT", "/orders/6/cancel")
    told = client.get(f"/changes?sinceTransactionID={last}")
    changes = told["changes"]
    assert [one["id"] for one in changes["ordersCancelled"]] == ["6"]
    assert [one["id"] for one in changes["tradesReduced"]] == [trade]
    assert [one["type"] for one in changes["transactions"]] == client.types(last)
    assert told["state"]["trades"][0]["id"] == trade
    assert told["state"]["NAV"] == client.get("/summary")["account"]["NAV"]
    assert client.status("GET", "/changes?sinceTransactionID=99")[0] == 416


def test_instruments_and_configuration() -> None:
    client = Client()
    told = client.get("/instruments?instruments=EUR_USD")["instruments"][0]
    assert (told["pipLocation"], told["displayPrecision"], told["tradeUnitsPrecision"]) == (-4, 5, 0)
    assert (told["minimumTradeSize"], told["marginRate"]) == ("1", "0.0333")
    assert client.status("GET", "/instruments?instruments=EUR_XXX")[0] == 400
    assert [one.precision for one in listed(["EUR-USD", "USD-JPY", "BTC-USD"], 65_000.0)] == [1, 3, 1]
    told = client.json("PATCH", "/configuration", {"alias": "mine"})
    assert told["clientConfigureTransaction"]["alias"] == client.get("/summary")["account"]["alias"] == "mine"
    status, told = client.status("PATCH", "/configuration", {})
    assert (status, told["errorCode"]) == (400, "CLIENT_CONFIGURE_DATA_MISSING")
    assert told["clientConfigureRejectTransaction"]["rejectReason"] == told["errorCode"]


# --- positions --------------------------------------------------------------------------------------------------------


def test_netting_account_reduces_the_oldest_trade_first_and_turns_with_the_rest() -> None:
    client = Client()
    first, second = client.trade(units="100"), client.trade(units="50")
    fill = client.order(units="-120")["orderFillTransaction"]
    assert [one["tradeID"] for one in fill["tradesClosed"]] == [first]
    assert (fill["tradeReduced"]["tradeID"], fill["tradeReduced"]["units"]) == (second, "-20")
    fill = client.order(units="-70")["orderFillTransaction"]
    assert (fill["tradesClosed"][0]["tradeID"], fill["tradeOpened"]["units"]) == (second, "-40")
    told = client.get("/positions/EUR_USD")["position"]
    assert (told["long"]["units"], told["short"]["units"]) == ("0", "-40")
    assert told["short"]["tradeIDs"] == [fill["tradeOpened"]["tradeID"]]


def test_hedging_account_holds_both_sides_and_closes_each() -> None:
    client = Client(one_account(hedging=True))
    client.order(units="100")
    client.order(units="30")
    client.order(units="-80")
    told = client.get("/openPositions")["positions"][0]
    assert (told["long"]["units"], told["short"]["units"]) == ("130", "-80")
    assert told["marginUsed"] == "4.7623", "the larger side counts"
    told = client.json("PUT", "/positions/EUR_USD/close", {"longUnits": "ALL", "shortUnits": "30"})
    assert len(told["longOrderFillTransaction"]["tradesClosed"]) == 2
    assert told["longOrderCreateTransaction"]["longPositionCloseout"] == {"instrument": "EUR_USD", "units": "ALL"}
    assert told["longOrderFillTransaction"]["reason"] == "MARKET_ORDER_POSITION_CLOSEOUT"
    assert told["shortOrderFillTransaction"]["tradeReduced"]["units"] == "30"
    assert client.get("/positions/EUR_USD")["position"]["short"]["units"] == "-50"


def test_all_for_a_side_that_is_not_held_refuses_the_other_too() -> None:
    client = Client()
    client.order(units="100")
    status, told = client.status("PUT", "/positions/EUR_USD/close", {"longUnits": "ALL", "shortUnits": "ALL"})
    assert (status, told["errorCode"]) == (400, "CLOSEOUT_POSITION_DOESNT_EXIST")
    assert told["longOrderRejectTransaction"]["rejectReason"] == "CLOSEOUT_POSITION_REJECT"
    assert client.status("PUT", "/positions/EUR_USD/close", {})[0] == 400, "the default is ALL for both"
    for body, reason in (
        ({"longUnits": "101", "shortUnits": "NONE"}, "CLOSEOUT_POSITION_UNITS_EXCEED_POSITION_SIZE"),
        ({"longUnits": "NONE", "shortUnits": "NONE"}, "CLOSEOUT_POSITION_INCOMPLETE_SPECIFICATION"),
        ({"longUnits": "", "shortUnits": "NONE"}, "CLOSEOUT_POSITION_PARTIAL_UNITS_MISSING"),
    ):
        assert client.status("PUT", "/positions/EUR_USD/close", body)[1]["errorCode"] == reason
    lenient = Client(strict_closeout=False)
    lenient.order(units="100")
    assert "longOrderFillTransaction" in lenient.json(
        "PUT", "/positions/EUR_USD/close", {"longUnits": "ALL", "shortUnits": "ALL"}
    )
    assert "longOrderFillTransaction" in client.json("PUT", "/positions/EUR_USD/close", {"longUnits": "ALL"})
    status, told = client.status("PUT", "/positions/EUR_USD/close", {"longUnits": "ALL", "shortUnits": "NONE"})
    assert (status, told["errorCode"]) == (404, "CLOSEOUT_POSITION_DOESNT_EXIST")


def test_position_that_was_never_held_is_a_404_and_a_flat_one_is_not() -> None:
    client = Client()
    assert client.status("GET", "/positions/EUR_USD")[1]["errorCode"] == "NO_SUCH_POSITION"
    client.json("PUT", f"/trades/{client.trade()}/close")
    assert client.get("/positions/EUR_USD")["position"]["long"]["units"] == "0"
    assert (len(client.get("/positions")["positions"]), client.get("/openPositions")["positions"]) == (1, [])


# --- the log ----------------------------------------------------------------------------------------------------------


def test_log_is_gapless_and_read_by_id_range_type_and_page() -> None:
    client = Client()
    client.trade()
    client.limit("1.05")
    client.order(units="0")
    told = client.log()
    assert [int(one["id"]) for one in told] == list(range(1, len(told) + 1))
    assert client.types()[:3] == ["CREATE", "CLIENT_CONFIGURE", "TRANSFER_FUNDS"]
    wanted = client.get("/transactions/idrange?from=2&to=5&type=FUNDING,ORDER_FILL")["transactions"]
    assert [one["type"] for one in wanted] == ["TRANSFER_FUNDS", "ORDER_FILL"]
    assert client.get("/transactions/5")["transaction"] == told[4]
    assert client.status("GET", "/transactions/99")[1]["errorCode"] == "NO_SUCH_TRANSACTION"
    assert client.status("GET", "/transactions/idrange?from=5&to=4")[0] == 416
    assert client.status("GET", "/transactions/sinceid?id=99")[0] == 416
    assert client.status("GET", "/transactions/sinceid?id=1&type=WISH")[0] == 400
    pages = client.get("/transactions?pageSize=4&type=ORDER")
    assert (pages["count"], pages["pageSize"], pages["type"]) == (4, 4, ["ORDER"])
    assert pages["pages"] == [
        f"http://127.0.0.1:9102/v3/accounts/{ID}/transactions/idrange?from=4&to=7&type=ORDER"
    ]  # fmt: skip
    assert client.status("GET", "/transactions?pageSize=1001")[1]["errorCode"] == "INVALID_PAGESIZE"
    assert client.status("GET", "/transactions?from=1")[0] == 400, "more than a year"


def test_log_can_be_cut_and_can_lag() -> None:
    client = Client(since_id_max=2, list_lag_s=1.0)
    client.wait(1)
    client.trade()
    told = client.get("/transactions/sinceid?id=0")
    assert [one["id"] for one in told["transactions"]] == ["1", "2"]
    assert (told["lastTransactionID"], client.log(3)) == ("3", [])
    client.wait(1)
    assert len(client.log(3)) == 2


def test_money_that_no_client_moved_is_in_the_log() -> None:
    client = Client()
    client.venue.command("deposit", {"account": ID, "amount": "50"})
    client.venue.command("withdraw", {"account": ID, "amount": "20.5"})
    trade = client.trade(units="100000")
    client.venue.command("financing", {"days": 3})
    deposit, withdrawal, *_, financing = client.log(3)
    assert (deposit["amount"], withdrawal["amount"], withdrawal["accountBalance"]) == (
        "50.0000",
        "-20.5000",
        "100029.5000",
    )
    assert financing["type"] == "DAILY_FINANCING"
    part = financing["positionFinancings"][0]
    assert part["openTradeFinancings"] == [{"tradeID": trade, "financing": financing["financing"]}]
    assert financing["financing"] == "-10.8503", "110010 at 1.2 % a year for 3 days"
    told = client.get("/summary")["account"]
    assert told["balance"] == financing["accountBalance"] == "100018.6497"
    assert client.venue.state()["balances"][ID]["USD"]["total"] == told["balance"]
    for name, arguments in (
        ("withdraw", {"account": ID, "amount": "1000000"}), ("deposit", {"account": "x", "amount": "1"}), ("rain", {}),
        ("market", {"instrument": "EUR_XXX", "status": "open"}),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"no |insufficient"):
            client.venue.command(name, arguments)


# --- prices -----------------------------------------------------------------------------------------------------------


def test_price_has_a_ladder_without_the_client_s_own_orders_and_can_be_asked_for_since() -> None:
    client = Client(Setup(accounts=(AccountRules(),), depth=DEPTH))
    before = client.get("/pricing?instruments=EUR_USD")["prices"][0]
    assert len(before["bids"]) == len(before["asks"]) == 3
    assert (before["bids"][0]["price"], before["closeoutBid"]) == ("1.10000", before["bids"][-1]["price"])
    client.limit("1.1001", units="777")
    now = client.get("/pricing?instruments=EUR_USD")
    assert now["prices"][0]["bids"] == before["bids"]
    assert client.get(f"/pricing?instruments=EUR_USD&since={now['time']}")["prices"] == []
    client.wait(1)
    client.price(1.2)
    assert len(client.get(f"/pricing?instruments=EUR_USD&since={now['time']}")["prices"]) == 1
    assert client.get("/pricing")["errorMessage"] == "Missing 'instruments' parameter"
    assert client.status("GET", "/pricing?instruments=EUR_XXX")[0] == 400


def test_candles_are_cut_from_bid_mid_and_ask() -> None:
    client = Client()
    for seconds, bid in ((10, 1.101), (60, 1.099), (4, 1.102)):
        client.wait(seconds)
        client.price(bid)
    told = client.get("/v3/instruments/EUR_USD/candles?granularity=M1&price=BMA")
    first, last = told["candles"]
    assert (first["time"], first["complete"], first["volume"]) == ("2026-01-09T09:46:00.000000000Z", True, 2)
    assert first["bid"] == {"o": "1.10000", "h": "1.10100", "l": "1.10000", "c": "1.10100"}
    assert (last["complete"], last["ask"]["c"], last["mid"]["o"]) == (False, "1.10220", "1.09910")
    smooth = client.get("/v3/instruments/EUR_USD/candles?granularity=M1&price=B&smooth=true")["candles"][1]
    assert (smooth["bid"]["o"], smooth["bid"]["h"]) == ("1.10100", "1.10200")
    start = first["time"]
    path = f"/instruments/EUR_USD/candles?granularity=M1&from={start}"
    assert len(client.get(path)["candles"]) == 2
    assert len(client.get(f"{path}&includeFirst=false")["candles"]) == 1
    assert len(client.get(f"{path}&count=1")["candles"]) == 1
    assert len(client.get(f"{path}&to=2026-01-09T09:47:00Z")["candles"]) == 1
    latest = client.get("/candles/latest?candleSpecifications=EUR_USD:M1:B,EUR_USD:S5:M")["latestCandles"]
    assert [(one["granularity"], len(one["candles"])) for one in latest] == [("M1", 2), ("S5", 2)]


@pytest.mark.parametrize(
    ("granularity", "query", "begins"),
    [
        ("D", "", "2026-01-08T22:00:00"),
        ("H4", "", "2026-01-09T06:00:00"),
        ("D", "&dailyAlignment=0&alignmentTimezone=UTC", "2026-01-09T00:00:00"),
        ("W", "", "2026-01-02T22:00:00"),
        ("W", "&weeklyAlignment=Monday&alignmentTimezone=UTC&dailyAlignment=0", "2026-01-05T00:00:00"),
        ("M", "", "2026-01-01T22:00:00"),
        ("H1", "", "2026-01-09T09:00:00"),
    ],
)
def test_long_candles_begin_with_new_york_s_trading_day(granularity: str, query: str, begins: str) -> None:
    told = Client().get(f"/v3/instruments/EUR_USD/candles?granularity={granularity}{query}")
    assert told["candles"][0]["time"] == f"{begins}.000000000Z"


def test_candles_that_cannot_be_asked_for() -> None:
    client = Client()
    base = "/v3/instruments/EUR_USD/candles?"
    start = "from=2026-01-09T00:00:00Z"
    for query, words in (
        (f"{start}&to=2026-01-09T01:00:00Z&count=5", "'count' cannot be specified when 'to' and 'from' parameters are set"),
        ("count=5001", "Maximum value for 'count' exceeded"), (f"{start}&granularity=S5", "Maximum value for 'count' exceeded"),
        ("to=2027-01-09T01:00:00Z", "Invalid value specified for 'to'. Time is in the future"),
        ("granularity=S7", "Invalid value specified for 'granularity'"), ("price=X", "Invalid value specified for 'price'"),
        ("from=noon", "Invalid value specified for 'from'"), ("alignmentTimezone=Mars", "Invalid value specified for 'alignmentTimezone'"),
        ("dailyAlignment=24", "Invalid value specified for 'dailyAlignment'"), ("weeklyAlignment=Noday", "Invalid value specified for 'weeklyAlignment'"),
    ):  # fmt: skip
        status, told = client.status("GET", base + query)
        assert (status, told["errorMessage"]) == (400, words)
    assert client.status("GET", "/v3/instruments/EUR_XXX/candles")[0] == 400
    assert client.status("GET", "/candles/latest")[0] == 400


# --- doors ------------------------------------------------------------------------------------------------------------


def test_hundred_and_twenty_requests_fit_in_a_second_whoever_asks() -> None:
    client = Client(enforce_limits=True)
    for _ in range(120):
        assert client.ask("GET", "/summary").status == 200
    response = client.ask("POST", "/orders", {"order": {"type": "MARKET", "instrument": "EUR_USD", "units": "1"}})
    assert response.status == 429
    client.wait(1)
    told = client.get("/summary")
    assert told["lastTransactionID"] == "3", "what was one too many has not been done"
    assert client.venue.counters()["rate_limited"] == {"total": 1, "injected": 0}


def test_token_can_be_revoked_and_failures_have_the_venue_s_shape() -> None:
    client = Client()
    client.venue.command("token", {"token": "another"})
    assert client.ask("GET", "/summary").status == 401
    assert msgspec.json.decode(client.venue.failure(504).body) == {"errorMessage": "Timeout waiting for response."}
    assert client.venue.failure(429, 2.0).headers["retry-after"] == "2"
    assert repr(client.venue.setup) == f"Setup(accounts=['{ID}'])"
    client.venue.adjust({"heartbeat_s": 1.0})
    assert client.venue.switches()["heartbeat_s"] == 1.0
    assert client.clock.now_ns() == START_NS
