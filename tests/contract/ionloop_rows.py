"""The ionloop contract as a table: for each route, error code and idempotency case what is asked and what it must mean.

The shapes are the samples of the venue's document. `unread` names fields that the connector has no use for; a renaming
of any other one must break what it does.
"""

from collections.abc import Callable, Coroutine, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

from quantd.domain.instruments import MarketStatus
from quantd.domain.numbers import ZERO
from quantd.domain.orders import OrderState, Side
from quantd.domain.outcomes import Accepted, Found, NotExecuted, Rejected, Unknown
from quantd.errors import AuthFailed, RateLimited, Refused, Unavailable
from quantd.simulators.faults import Action
from quantd.venues.budget import Lane
from quantd.venues.ionloop import wire
from tests.contract.ionloop_pair import BTC, SECRET, Json, Pair, Path, cancel

SECOND_NS = 1_000_000_000


class Row(NamedTuple):
    """One line of the contract."""

    name: str
    act: Callable[[Pair], Coroutine[Any, Any, None]]
    operation: str
    shape: Json
    """The whole answer."""
    unread: tuple[Path, ...] = ()
    options: Mapping[str, Any] = MappingProxyType({})


META = {"requestId": "req_123456", "timestamp": "2026-05-14T12:00:00Z"}
ERROR: Json = {"success": False, "error": {"code": "UNAUTHORIZED", "message": "Missing"}, "meta": META}
UNREAD_META: tuple[Path, ...] = (("meta",), ("meta", "requestId"), ("meta", "timestamp"))
ORDER = {
    "id": "ord_9x82k1", "symbol": "BTC-USDT", "side": "buy", "type": "limit", "status": "open", "quantity": "0.01",
    "filledQuantity": "0", "price": "65000.00", "createdAt": "2026-05-14T12:00:00Z",
}  # fmt: skip
BALANCE = {"asset": "USDT", "available": "12540.22", "locked": "250.00"}


def good(data: Json) -> Json:
    """Return the frame of a good answer."""
    return {"success": True, "data": data, "meta": META}


def unread(*names: str) -> tuple[Path, ...]:
    """Return paths of fields of the payload, with dots."""
    return (*UNREAD_META, *(("data", *name.split(".")) for name in names))


# --- routes -----------------------------------------------------------------------------------------------------------


async def reads_markets(pair: Pair) -> None:
    (instrument,) = await pair.connector.instruments(["BTC-USDT"])
    assert (instrument.base, instrument.quote) == ("BTC", "USDT")
    assert (instrument.ticks[0].tick, instrument.lot) == (Decimal("0.01"), Decimal("0.000001"))
    assert instrument.min_notional == 10
    assert instrument.status is MarketStatus.OPEN


async def reads_ticker(pair: Pair) -> None:
    instruments = await pair.connector.instruments(["BTC-USDT"])
    (quote,) = await pair.connector.quotes(instruments)
    assert (quote.bid, quote.ask) == (65000.0, 65010.0)
    assert quote.occurred_at_ns is not None
    assert abs(quote.occurred_at_ns - pair.clock.now_ns()) <= SECOND_NS


async def reads_book(pair: Pair) -> None:
    (instrument,) = await pair.connector.instruments(["BTC-USDT"])
    book = await pair.connector.book(instrument, 3)
    assert [price for price, _ in book.bids] == [65000.0, 64999.9, 64999.8]
    assert [price for price, _ in book.asks] == [65010.0, 65010.1, 65010.2]
    assert all(size > 0 for _, size in (*book.bids, *book.asks))
    pair.quote("65001.00", "65011.00")
    assert 0 < book.sequence < (await pair.connector.book(instrument, 3)).sequence


async def places_order(pair: Pair) -> None:
    command = pair.submit(price="64000.50")
    outcome = await pair.connector.submit(command)
    assert isinstance(outcome, Accepted), outcome
    (report,) = outcome.reports
    assert (report.state, report.filled_quantity, report.side) == (OrderState.WORKING, ZERO, Side.BUY)
    assert (report.quantity, report.price) == (Decimal("0.01"), Decimal("64000.50"))
    assert report.venue_order_id in pair.venue.desk.orders
    assert report.created_at_ns is not None
    assert not pair.venue.desk.violations


async def lists_orders(pair: Pair) -> None:
    commands = [pair.submit(price=str(60_000 + number)) for number in range(3)]
    for command in commands:
        assert isinstance(await pair.connector.submit(command), Accepted)
    snapshot = await pair.connect().snapshot()
    assert snapshot.orders_complete
    prices = [report.price for report in snapshot.orders]
    assert prices == [command.spec.price for command in reversed(commands)], "newest first"
    assert {(report.side, report.quantity) for report in snapshot.orders} == {(Side.BUY, Decimal("0.01"))}
    assert {report.state for report in snapshot.orders} == {OrderState.WORKING}


async def gets_order(pair: Pair) -> None:
    outcome = await pair.connector.submit(pair.submit())
    assert isinstance(outcome, Accepted)
    placed = outcome.reports[0]
    found = await pair.connect().resolve(cancel(placed.venue_order_id), 0)
    assert isinstance(found, Found)
    report = found.report
    assert (report.venue_order_id, report.state) == (placed.venue_order_id, OrderState.WORKING)
    assert (report.side, report.quantity, report.price) == (placed.side, placed.quantity, placed.price)
    assert (report.filled_quantity, report.created_at_ns) == (ZERO, placed.created_at_ns)


async def cancels_order(pair: Pair) -> None:
    outcome = await pair.connector.submit(pair.submit())
    assert isinstance(outcome, Accepted)
    gone = await pair.connector.cancel(cancel(outcome.reports[0].venue_order_id))
    assert isinstance(gone, Accepted)
    assert gone.reports[0].state is OrderState.CANCELLED
    assert pair.venue.desk.working == 0


async def reads_portfolio(pair: Pair) -> None:
    await pair.connector.submit(pair.submit(price="60000", quantity="0.01"))
    balances = {balance.asset: balance for balance in await pair.connector.ledger.portfolio()}
    assert balances["USDT"].locked == Decimal("600.6"), "price times quantity and the fee"
    assert balances["USDT"].free == Decimal("99399.4")
    assert balances["BTC"].total == 1


async def reads_wallets(pair: Pair) -> None:
    wallets = {wallet.type: wallet for wallet in await pair.connector.ledger.wallets()}
    assert set(wallets) == {"spot", "funding"}
    spot = {row.asset: (row.available, row.locked) for row in wallets["spot"].balances}
    assert spot == {"USDT": (Decimal(100_000), ZERO), "BTC": (Decimal(1), ZERO)}
    assert [(row.asset, row.available) for row in wallets["funding"].balances] == [("USDT", Decimal("5.5"))]


async def reads_transactions(pair: Pair) -> None:
    await pair.connector.submit(pair.submit(price="65010.00"))
    pair.quote("65000.00", "65010.00")
    now_ns = pair.clock.now_ns()
    (row,) = await pair.connector.ledger.transactions("trade", now_ns - SECOND_NS, now_ns + SECOND_NS)
    assert (row.type, row.symbol, row.quantity) == ("trade", "BTC-USDT", Decimal("0.01"))
    assert row.fee == Decimal("0.6501")
    assert row.id
    totals = await pair.connector.ledger.trade_totals(now_ns - SECOND_NS, now_ns + SECOND_NS)
    assert totals["BTC-USDT"].fee == Decimal("0.6501")


async def registers_webhook(pair: Pair) -> None:
    url = "https://hooks.example.com/ionloop"
    id_ = await pair.connector.create_webhook(url, ("order.filled", "trade.executed"), SECRET)
    (hook,) = pair.venue.webhooks.hooks()
    assert (hook.id, hook.url, hook.secret) == (id_, url, SECRET)


async def reads_status(pair: Pair) -> None:
    pair.switches.withdrawals = "degraded"
    status = await pair.connector.status()
    assert (status.api, status.matching_engine, status.withdrawals) == ("operational", "operational", "degraded")


_MARKET = {
    "symbol": "BTC-USDT", "status": "online", "tickSize": "0.01", "stepSize": "0.000001", "minNotional": "10",
}  # fmt: skip
_TICKER = {
    "symbol": "BTC-USDT", "lastPrice": "65102.45", "bid": "65100.10", "ask": "65103.80", "volume24h": "18293.441",
    "high24h": "65880.00", "low24h": "64110.00",
}  # fmt: skip
_ITEM = {name: ORDER[name] for name in ("id", "symbol", "side", "status", "quantity", "filledQuantity")}
_TRADE = {
    "id": "txn_77aa", "type": "trade", "symbol": "BTC-USDT", "quantity": "0.01", "fee": "0.65",
    "createdAt": "2026-05-14T11:58:00Z",
}  # fmt: skip

ROUTES = (
    Row(
        "list markets", reads_markets, "list_markets",
        good({"items": [{"symbol": "BTC-USDT", "status": "online", "baseAsset": "BTC", "quoteAsset": "USDT"}]}),
        unread(),
    ),
    Row("market details", reads_markets, "market", good(_MARKET), unread()),
    Row(
        "ticker", reads_ticker, "ticker", good(_TICKER),
        (("meta", "requestId"), *unread("lastPrice", "volume24h", "high24h", "low24h")[3:]),
    ),
    Row(
        "order book", reads_book, "order_book",
        good({"symbol": "BTC-USDT", "bids": [["65100.10", "0.5"]], "asks": [["65103.80", "0.3"]], "sequence": 9288}),
        unread(),
    ),
    Row("create order", places_order, "create_order", good(ORDER), unread("type")),
    Row(
        "list orders", lists_orders, "list_orders", good({"items": [_ITEM], "page": 1, "pageSize": 50}),
        unread("page", "pageSize"),
    ),
    Row("get order", gets_order, "get_order", good(ORDER), unread("type")),
    Row(
        "cancel order", cancels_order, "cancel_order",
        good({"id": "ord_9x82k1", "status": "cancelled", "cancelledAt": "2026-05-14T12:01:05Z"}),
        # What a good cancel says is believed only after a look at the order; an unreadable one is looked at too.
        (("data",), *unread("id", "status", "cancelledAt")),
    ),
    Row("portfolio", reads_portfolio, "portfolio", good({"balances": [BALANCE]}), unread()),
    Row(
        "wallets", reads_wallets, "wallets",
        good({"wallets": [{"id": "wal_main", "type": "spot", "balances": [BALANCE]}]}), unread(),
    ),
    Row(
        "transactions", reads_transactions, "transactions", good({"items": [_TRADE], "page": 1, "pageSize": 100}),
        unread("page", "pageSize"),
    ),
    Row(
        "create webhook", registers_webhook, "create_webhook",
        good({"id": "wh_44291", "url": "https://hooks.yourapp.com/ionloop", "status": "active"}), unread("status"),
    ),
    Row(
        "status", reads_status, "status",
        good({"api": "operational", "matchingEngine": "operational", "withdrawals": "degraded", "incidents": []}),
        unread("incidents"),
    ),
)  # fmt: skip


# --- error codes ------------------------------------------------------------------------------------------------------


async def unauthorized_read(pair: Pair) -> None:
    with pytest.raises(AuthFailed, match=r"UNAUTHORIZED \(401\) Missing .*\[req_"):
        await pair.connector.start()


async def unauthorized_write(pair: Pair) -> None:
    outcome = await pair.connector.submit(pair.submit())
    assert isinstance(outcome, Rejected)
    assert outcome.code == "unauthorized"
    assert "Missing" in outcome.detail
    assert "req_" in outcome.detail
    assert len(pair.auth_failures) == 1


async def forbidden_read(pair: Pair) -> None:
    with pytest.raises(Refused, match=r"FORBIDDEN \(403\) Missing scope portfolio:read .*\[req_") as caught:
        await pair.connector.start()
    assert caught.value.code == "forbidden"


async def forbidden_write(pair: Pair) -> None:
    pair.switches.trading_blocked = True
    outcome = await pair.connector.submit(pair.submit())
    assert isinstance(outcome, Rejected)
    assert outcome.code == "forbidden"
    assert len(pair.auth_failures) == 1


def refuses(code: str, words: str, **terms: Any) -> Callable[[Pair], Coroutine[Any, Any, None]]:
    """Return an act: a submit with such terms is rejected so, and nothing is placed."""

    async def act(pair: Pair) -> None:
        outcome = await pair.connector.submit(pair.submit(**terms))
        assert isinstance(outcome, Rejected), outcome
        assert outcome.code == code
        assert words in outcome.detail
        assert "req_" in outcome.detail
        assert not pair.venue.desk.orders

    return act


async def bad_window(pair: Pair) -> None:
    query = {"from": "2026-05-14T12:00:00Z", "to": "2026-05-14T11:00:00Z", "page": "1", "pageSize": "100"}
    with pytest.raises(Refused, match=r"VALIDATION_ERROR \(400\) Invalid window .*\[req_") as caught:
        await pair.api().read("transactions", wire.TransactionPage, lane=Lane.ACCOUNT, query=query)
    assert caught.value.code == "validation_error"


async def rate_limited_write(pair: Pair) -> None:
    for number in range(10):
        assert pair.raw("GET", f"/v1/orders/ord_{number}")[0] == 404
    assert await pair.connector.submit(pair.submit()) == NotExecuted("rate_limited", 1.0)
    assert not pair.venue.desk.orders
    assert pair.venue.counters()["rate_limited"] == {"total": 1, "orders": 1}


async def rate_limited_read(pair: Pair) -> None:
    instruments = await pair.connector.instruments(["BTC-USDT"])
    assert pair.raw("GET", "/v1/markets/BTC-USDT/ticker")[0] == 200
    with pytest.raises(RateLimited, match=r"RATE_LIMITED \(429\) Quota .*\[req_") as caught:
        await pair.connector.quotes(instruments)
    assert caught.value.retry_after_s == 1


async def unknown_market(pair: Pair) -> None:
    instruments = await pair.connector.instruments(["BTC-USDT"])
    pair.venue.command("market", {"symbol": "BTC-USDT", "status": "retired"})
    assert await pair.connector.statuses(instruments) == {BTC: MarketStatus.DELISTED}


async def foreign_order(pair: Pair) -> None:
    outcome = await pair.connect().submit(pair.submit())
    assert isinstance(outcome, Accepted)
    order_id = outcome.reports[0].venue_order_id
    stranger = pair.connect("stranger")
    assert await stranger.cancel(cancel(order_id)) == Unknown("order_not_found")
    assert pair.venue.desk.orders[order_id].status == "open"


async def self_trade(pair: Pair) -> None:
    assert isinstance(await pair.connector.submit(pair.submit(price="65005", side=Side.SELL)), Accepted)
    outcome = await pair.connector.submit(pair.submit(price="65006"))
    assert isinstance(outcome, Rejected)
    assert (outcome.code, outcome.detail.partition(":")[0]) == ("order_rejected", "self_trade")


async def cancel_of_filled(pair: Pair) -> None:
    outcome = await pair.connector.submit(pair.submit(price="65010"))
    assert isinstance(outcome, Accepted)
    pair.quote("65000.00", "65010.00")
    gone = await pair.connector.cancel(cancel(outcome.reports[0].venue_order_id))
    assert isinstance(gone, Accepted), gone
    assert (gone.reports[0].state, gone.reports[0].filled_quantity) == (OrderState.FILLED, Decimal("0.01"))


async def closed_market(pair: Pair) -> None:
    pair.venue.command("market", {"symbol": "BTC-USDT", "status": "halted"})
    outcome = await pair.connector.submit(pair.submit())
    assert isinstance(outcome, Rejected), outcome
    assert outcome.code == "market_closed"
    assert "halted" in outcome.detail
    assert "req_" in outcome.detail


async def closed_ticker(pair: Pair) -> None:
    instruments = await pair.connector.instruments(["BTC-USDT"])
    pair.venue.command("market", {"symbol": "BTC-USDT", "status": "post_only"})
    assert await pair.connector.quotes(instruments) == ()
    assert await pair.connector.statuses(instruments) == {BTC: MarketStatus.POST_ONLY}


async def internal_error_on_create(pair: Pair) -> None:
    pair.fault(Action.ERROR_AFTER, "create_order", status=500)
    assert await pair.connector.submit(pair.submit()) == Unknown("http_500")
    assert len(pair.venue.desk.orders) == 1, "it was placed all the same"


async def internal_error_on_status(pair: Pair) -> None:
    pair.switches.status_fails = True
    with pytest.raises(Unavailable, match=r"INTERNAL_ERROR \(503\) Status .*\[req_"):
        await pair.connector.status()


def error(name: str, act: Any, operation: str, *blind: Path, **options: Any) -> Row:
    """Return a row about a failure; `blind` are fields whose renaming its act does not see."""
    return Row(f"error: {name}", act, operation, ERROR, (("meta", "timestamp"), *blind), options)


_MESSAGE, _META = ("error", "message"), (("meta",), ("meta", "requestId"))
_WORDS = (_MESSAGE, *_META)
_STATUS_TELLS = (*_WORDS, ("error",), ("error", "code"), ("success",))

ERRORS = (
    error("UNAUTHORIZED on a read", unauthorized_read, "portfolio", key="nobody"),
    error("UNAUTHORIZED on a write", unauthorized_write, "create_order", key="nobody"),
    error("FORBIDDEN on a read", forbidden_read, "portfolio", key="reader"),
    error("FORBIDDEN on a write", forbidden_write, "create_order", *_WORDS),
    error("VALIDATION_ERROR, tick", refuses("validation_error", "price", price="64000.001"), "create_order"),
    error("VALIDATION_ERROR, step", refuses("validation_error", "quantity", quantity="0.0000015"), "create_order"),
    error("VALIDATION_ERROR, 400 on transactions", bad_window, "transactions"),
    error("RATE_LIMITED on a write", rate_limited_write, "create_order", *_STATUS_TELLS),
    error("RATE_LIMITED on a read", rate_limited_read, "ticker"),
    error("NOT_FOUND, market", unknown_market, "market", *_WORDS),
    error("NOT_FOUND, foreign order", foreign_order, "cancel_order", *_WORDS),
    error(
        "ORDER_REJECTED, notional", refuses("order_rejected", "below_min_notional", quantity="0.0001"), "create_order"
    ),
    error("ORDER_REJECTED, band", refuses("order_rejected", "price_band", price="30000"), "create_order"),
    error("ORDER_REJECTED, self-trade", self_trade, "create_order", *_META),
    error("ORDER_REJECTED, cancel of a filled order", cancel_of_filled, "cancel_order", *_WORDS),
    error("INSUFFICIENT_BALANCE", refuses("insufficient_balance", "BTC", quantity="10"), "create_order"),
    error("MARKET_CLOSED on a create", closed_market, "create_order"),
    error("MARKET_CLOSED on the ticker", closed_ticker, "ticker", *_WORDS),
    error("INTERNAL_ERROR on a create", internal_error_on_create, "*", *_WORDS, ("error",)),
    error("INTERNAL_ERROR, 503 on the status", internal_error_on_status, "status"),
)
