"""Answers of the simulated OANDA against its OpenAPI document: every operation, every status, nothing that is not in it."""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from quantd.ports import HttpRequest, HttpResponse
from quantd.simulators.oanda.options import AccountRules, Setup
from quantd.simulators.oanda.routes import match
from quantd.simulators.oanda.streams import Stream
from tests.component.simulators.oanda_client import EUR_USD, ID, USD_JPY, Client
from tests.contract.oanda_shapes import ANSWERS, findings, object_findings

OPERATIONS = {
    "accounts": "listAccounts", "account": "getAccount", "summary": "getAccountSummary",
    "instruments": "getAccountInstruments", "configure": "configureAccount", "changes": "getAccountChanges",
    "candles": "getInstrumentCandles", "account_candles": "getInstrumentCandles", "pricing": "getPrices",
    "create_order": "createOrder", "orders": "listOrders", "pending_orders": "listPendingOrders", "order": "getOrder",
    "replace_order": "replaceOrder", "cancel_order": "cancelOrder", "order_extensions": "setOrderClientExtensions",
    "trades": "listTrades", "open_trades": "listOpenTrades", "trade": "getTrade", "close_trade": "closeTrade",
    "trade_extensions": "setTradeClientExtensions", "trade_orders": "setTradeDependentOrders",
    "positions": "listPositions", "open_positions": "listOpenPositions", "position": "getPosition",
    "close_position": "closePosition", "transactions": "listTransactions", "transaction": "getTransaction",
    "transactions_range": "getTransactionRange", "transactions_since": "getTransactionsSinceId",
    "pricing_stream": "streamPricing", "transactions_stream": "streamTransactions",
}  # fmt: skip
"""Of the document by ours; the document has nothing of ``candles/latest``."""

DELIBERATE = {
    r"<ClientPrice>\.timestamp: not": "seen in published fills; the document types the member with `time`, an error of it",
    r"^closeTrade 400\.(lastTransactionID|relatedTransactionIDs): not": "the other rejections of the document have them",
    r"^get(Order|Trade|Transaction) 404\.lastTransactionID: not": "seen in published answers to reads of what there is not",
    r"^setTradeDependentOrders 404\.lastTransactionID: not": "as for the reads",
    r"^(getPosition|listTrades) 400: no such status": "a malformed parameter; seen for other operations, the document lists none here",
    r"^listTrades 403: no such status": "an account of others: the document has 403 for some operations only",
}  # fmt: skip
"""Findings that stay, with why."""

LATER = {
    r"\.(dividendAdjustment|requestedUnits|homeConversionFactors): not": "added after the document of 2018",
    r"<Instrument>\.(financing|guaranteedStopLossOrderMode|tags): not": "added after the document of 2018",
    r"\.(partialFill|triggerMode|trueNAV|trueUnrealizedPL): not": "seen in published answers, in no document",
    r"<OrderCancelTransaction>\.(closedTradeID|tradeCloseTransactionID): not": "seen in published answers",
}
"""What the switches `later_fields` and `extra_fields` add."""


class Recorded(Client):
    """Holds each answer against the document as it comes."""

    def __init__(self, **switches: Any) -> None:
        accounts = (AccountRules(), AccountRules(id="101-004-1234567-002", hedging=True))
        self.found: list[str] = []
        self.seen: Counter[str] = Counter()
        super().__init__(Setup(accounts=accounts, instruments=(EUR_USD, USD_JPY), depth=None), **switches)
        self.price(150.0, 0.02, "USD_JPY")

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> HttpResponse:
        response = super().ask(method, path, body, **headers)
        whole = path if path.startswith("/v3") else f"/v3/accounts/{ID}{path}"
        asked = match(HttpRequest(method, whole))
        assert asked is not None
        self.check(OPERATIONS[asked.operation], response)
        return response

    def check(self, operation: str, response: HttpResponse) -> None:
        name = f"{operation} {response.status}"
        self.seen[name] += 1
        if name not in ANSWERS:
            self.found.append(f"{name}: no such status in the document")
            return
        self.found += object_findings(msgspec.json.decode(response.body), ANSWERS[name], name)

    def streamed(self, path: str, shapes: str) -> None:
        source = self.venue.follow(HttpRequest("GET", f"/v3/accounts/{ID}{path}", self.headers), lambda: None)
        assert isinstance(source, Stream)
        self.wait(6)
        for line in source.take():
            told = msgspec.json.decode(line)
            kind = (
                f"@{shapes}Heartbeat"
                if told["type"] == "HEARTBEAT"
                else "@ClientPrice"
                if shapes == "Pricing"
                else "@Transaction"
            )
            self.seen[f"stream{shapes} {told['type']}"] += 1
            self.found += findings(told, kind, f"stream{shapes}")
        source.close()


GUARDS = {"takeProfit": {"price": "1.2"}, "stopLoss": {"price": "1.05"}, "trailingStopLoss": {"distance": "0.01"}}
ON_FILL = {f"{name}OnFill": one for name, one in GUARDS.items()}


def trade_a_day(client: Recorded) -> None:
    """Ask for everything that there is, well and badly."""
    entries = {"clientExtensions": {"id": "o1", "tag": "t", "comment": "c"}, "tradeClientExtensions": {"id": "t1"}}
    trade = client.trade(**ON_FILL, **entries)
    client.json("PUT", f"/trades/{trade}/orders", {"takeProfit": {"price": "1.21"}, "stopLoss": None})
    client.json("PUT", f"/trades/{trade}/orders", {"takeProfit": {}, "trailingStopLoss": {"distance": "9"}})
    client.json("PUT", f"/trades/{trade}/orders", {"stopLoss": {"price": "1", "distance": "1"}})
    client.json("PUT", f"/trades/{trade}/clientExtensions", {"clientExtensions": {"id": "t2", "tag": "x"}})
    client.json("PUT", f"/trades/{trade}/clientExtensions", {"clientExtensions": {}})
    client.json("PUT", "/trades/99/clientExtensions", {"clientExtensions": {"id": "t2"}})
    client.json("PUT", f"/trades/{trade}/close", {"units": "40"})
    client.json("PUT", f"/trades/{trade}/close", {"units": "4000"})
    client.json("PUT", "/trades/99/close")
    client.json("PUT", "/trades/99/orders", {})
    client.get(f"/trades/{trade}")
    client.get("/trades/99")
    client.venue.command("financing", {"days": 1})
    for kind, price in (("LIMIT", "1.01"), ("STOP", "1.3"), ("MARKET_IF_TOUCHED", "1.01")):
        order = client.order(
            type=kind, price=price, **ON_FILL, clientExtensions={"id": kind}, timeInForce="GTD", gtdTime="1900000000"
        )
        number = order["orderCreateTransaction"]["id"]
        client.get(f"/orders/{number}")
        client.json(
            "PUT", f"/orders/{number}", {"order": {"type": kind, "instrument": "EUR_USD", "units": "7", "price": price}}
        )
        client.json(
            "PUT", f"/orders/@{kind}", {"order": {"type": kind, "instrument": "EUR_USD", "units": "0", "price": price}}
        )
        client.json("PUT", f"/orders/@{kind}/clientExtensions", {"tradeClientExtensions": {"tag": "t"}})
        client.json("PUT", f"/orders/@{kind}/clientExtensions", {})
        client.order(type=kind, price="0")
    client.json("PUT", "/orders/99/clientExtensions", {})
    client.json("PUT", "/orders/99", {"order": {"type": "LIMIT"}})
    for path in (
        "/orders?state=ALL",
        "/pendingOrders",
        "/orders?count=501",
        "/orders/99",
        "/trades?state=ALL",
        "/openTrades",
    ):
        client.get(path)
    client.json("PUT", "/orders/@STOP/cancel")
    client.json("PUT", "/orders/@STOP/cancel")
    for kind, level in (
        ("TAKE_PROFIT", {"price": "1.3"}),
        ("STOP_LOSS", {"price": "1.01"}),
        ("TRAILING_STOP_LOSS", {"distance": "0.1"}),
    ):
        client.order(type=kind, tradeID="99", **level)
        client.order(type=kind, tradeID=trade, **level)
    client.order(units="9000000")
    client.order(units="0", **ON_FILL)
    client.order(type="WISH")
    client.order(instrument="USD_JPY", units="-10", priceBound="149.5")
    client.get("")
    client.get("/positions")
    client.get("/changes?sinceTransactionID=3")
    client.price(1.0)
    client.price(1.4)
    client.get("/orders?state=FILLED")
    client.get("/trades?state=CLOSED")
    client.json(
        "PUT", f"/trades/{client.trade()}/orders", {"takeProfit": {"price": "1.5"}, "stopLoss": {"price": "1.45"}}
    )
    client.order(units="10000")


def close_the_day(client: Recorded) -> None:
    """Close positions, read the log, knock at doors that are shut."""
    client.json("PUT", "/positions/EUR_USD/close", {"longUnits": "ALL", "shortUnits": "ALL"})
    client.json(
        "PUT", "/positions/EUR_USD/close", {"longUnits": "5", "shortUnits": "NONE", "longClientExtensions": {"id": "x"}}
    )
    client.json("PUT", "/positions/USD_JPY/close", {"shortUnits": "ALL"})
    client.json("PUT", "/positions/USD_JPY/close", {"shortUnits": "ALL"})
    client.price(1.0)
    for path in (
        "/summary", "/positions/EUR_USD", "/openPositions", "/positions/XAU_USD", "/instruments", "/instruments?instruments=X",
        "/v3/accounts", "/transactions", "/transactions?type=WISH", "/transactions/5", "/transactions/9999", "/transactions/idrange?from=1&to=500",
        "/transactions/idrange?from=x&to=1", "/transactions/idrange?from=9&to=1", "/transactions/sinceid?id=0", "/transactions/sinceid?id=9999",
        "/transactions/sinceid?id=x", "/changes?sinceTransactionID=9999", "/pricing?instruments=EUR_USD,USD_JPY&includeHomeConversions=true",
        "/pricing", "/v3/instruments/EUR_USD/candles?price=BMA", "/v3/instruments/EUR_USD/candles?count=0", "/instruments/EUR_USD/candles",
    ):  # fmt: skip
        client.get(path)
    client.json("PATCH", "/configuration", {"alias": "mine"})
    client.json("PATCH", "/configuration", {"marginRate": "7"})
    client.streamed("/pricing/stream?instruments=EUR_USD", "Pricing")
    client.streamed("/transactions/stream", "Transaction")
    for method, path in (
        ("GET", "/summary"), ("GET", ""), ("GET", "/v3/accounts"), ("POST", "/orders"), ("PUT", "/orders/4"), ("GET", "/trades"),
        ("GET", "/v3/instruments/EUR_USD/candles"),
    ):  # fmt: skip
        client.ask(method, path, {}, Authorization="Bearer wrong")
    others = "/v3/accounts/101-004-1234567-009"
    for method, path in (
        ("GET", "/trades"),
        ("POST", "/orders"),
        ("GET", "/transactions"),
        ("PATCH", "/configuration"),
    ):
        client.ask(method, others + path, {})
    client.limit("1.01", units="5")
    client.get("/trades?count=0")


def unexplained(found: list[str], reasons: Iterable[str]) -> list[str]:
    return sorted({one for one in found if not any(re.search(pattern, one) for pattern in reasons)})


def test_answers_are_what_the_document_of_2018_says() -> None:
    client = Recorded(later_fields=False, extra_fields=False)
    trade_a_day(client)
    close_the_day(client)
    assert unexplained(client.found, DELIBERATE) == []
    assert [one for one in DELIBERATE if not any(re.search(one, found) for found in client.found)] == []
    served = {name for name in ANSWERS if name.endswith((" 200", " 201")) and not name.startswith("stream")}
    assert served - set(client.seen) == set(), "each operation's success was held against the document"
    assert sum(client.seen.values()) > 100
    assert client.seen["streamPricing HEARTBEAT"] == client.seen["streamPricing PRICE"] == 1
    assert client.seen["streamTransaction HEARTBEAT"] == 1


def test_what_later_answers_add_is_known_by_name() -> None:
    client = Recorded()
    trade_a_day(client)
    close_the_day(client)
    assert unexplained(client.found, [*DELIBERATE, *LATER]) == []
    assert [one for one in LATER if not any(re.search(one, found) for found in client.found)] == []


def test_every_transaction_of_the_log_has_its_shape() -> None:
    client = Recorded(later_fields=False, extra_fields=False)
    trade_a_day(client)
    close_the_day(client)
    told = client.log()
    assert len({one["type"] for one in told}) >= 22
    found = [one for entry in told for one in findings(entry, "@Transaction", entry["type"])]
    assert unexplained(found, DELIBERATE) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"state": "HALF_OPEN"}, "is none of the words"),
        ({"price": 1.1}, "expected s"),
        ({"openedAt": "now"}, "openedAt: not in the document"),
        ({"takeProfitOrder": "5"}, "expected an object"),
        ({"closingTransactionIDs": "5"}, "expected a list"),
    ],
)
def test_an_answer_that_is_not_in_the_document_is_found(change: dict[str, Any], words: str) -> None:
    client = Recorded(later_fields=False, extra_fields=False)
    trade = client.get(f"/trades/{client.trade(**ON_FILL)}")["trade"]
    assert list(findings(trade, "@Trade", "trade")) == []
    found = list(findings({**trade, **change}, "@Trade", "trade"))
    assert len(found) == 1
    assert words in found[0]
