"""The official client `v20`, unmodified, against the simulated OANDA on a socket: what it can do with the real one, it can here."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from quantd.clock import SystemClock
from quantd.domain.market import Quote
from quantd.simulators.faults import FaultScript
from quantd.simulators.oanda.options import Switches
from quantd.simulators.oanda.venue import OandaVenue
from quantd.simulators.server import SimulatorServer
from tests.component.simulators.oanda_client import ID, one_account

v20 = pytest.importorskip("v20", reason="the official client is not installed")
TOKEN = "simulated-token"


class Site:
    """A server, how to move its market, and the client in a thread of its own, for it blocks."""

    def __init__(self) -> None:
        clock = SystemClock()
        self.venue = OandaVenue(one_account(), clock=clock, switches=Switches(heartbeat_s=0.2))
        self.server = SimulatorServer(self.venue, FaultScript(clock=clock))
        self.move(1.1)

    def move(self, bid: float) -> None:
        self.venue.on_market(Quote(self.venue.instruments["EUR_USD"].id, bid, bid + 0.0002, 0))

    def client(self, token: str = TOKEN, **options: Any) -> Any:
        return v20.Context("127.0.0.1", self.server.port, ssl=False, token=token, **options)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    await site.server.start()
    yield site
    await site.server.stop()


async def ask(call: Callable[..., Any], *arguments: Any, status: int = 200, **named: Any) -> Any:
    """Return the answer's body as the client reads it."""
    response = await asyncio.to_thread(call, *arguments, **named)
    assert response.status == status, response.raw_body
    return response.body


async def test_it_logs_in_lists_quotes_and_reads_history(site: Site) -> None:
    client = site.client()
    accounts = (await ask(client.account.list))["accounts"]
    assert [one.id for one in accounts] == [ID]
    account = (await ask(client.account.summary, ID))["account"]
    assert (account.balance, account.currency, account.hedgingEnabled) == (100_000.0, "USD", False)
    instrument = (await ask(client.account.instruments, ID, instruments="EUR_USD"))["instruments"][0]
    assert (instrument.displayPrecision, instrument.marginRate) == (5, 0.0333)
    price = (await ask(client.pricing.get, ID, instruments="EUR_USD"))["prices"][0]
    assert (price.bids[0].price, price.asks[0].price, price.tradeable) == (1.1, 1.1002, True)
    candles = (await ask(client.instrument.candles, "EUR_USD", granularity="S5", price="BA"))["candles"]
    assert (candles[-1].bid.c, candles[-1].complete) == (1.1, False)
    refused = await ask(site.client("wrong").account.list, status=401)
    assert refused["errorMessage"] == "Insufficient authorization to perform request."


async def test_it_places_amends_and_cancels_orders_of_all_types(site: Site) -> None:
    client = site.client()
    base = {"instrument": "EUR_USD", "units": 100}
    for create, replace, price in (
        (client.order.limit, client.order.limit_replace, 1.05),
        (client.order.stop, client.order.stop_replace, 1.2),
        (client.order.market_if_touched, client.order.market_if_touched_replace, 1.05),
    ):
        made = (await ask(create, ID, **base, price=price, clientExtensions={"id": "mine"}, status=201))[
            "orderCreateTransaction"
        ]
        changed = await ask(replace, ID, made.id, **{**base, "units": 50}, price=price, status=201)
        assert changed["orderCancelTransaction"].replacedByOrderID == changed["orderCreateTransaction"].id
        order = (await ask(client.order.get, ID, "@mine"))["order"]
        assert (order.units, order.price, order.state) == (50.0, price, "PENDING")
        await ask(client.order.set_client_extensions, ID, order.id, clientExtensions={"tag": "t"})
        pending = (await ask(client.order.list_pending, ID))["orders"]
        assert [(one.id, one.clientExtensions.tag) for one in pending] == [(order.id, "t")]
        cancelled = (await ask(client.order.cancel, ID, order.id))["orderCancelTransaction"]
        assert cancelled.reason == "CLIENT_REQUEST"
        late = await ask(client.order.cancel, ID, order.id, status=404)
        assert late["errorCode"] == "ORDER_DOESNT_EXIST"
        assert late["orderCancelRejectTransaction"].rejectReason == "ORDER_DOESNT_EXIST"
    rejected = await ask(client.order.market, ID, instrument="EUR_USD", units=0, status=400)
    assert rejected["orderRejectTransaction"].rejectReason == "UNITS_INVALID"


async def test_it_guards_a_trade_closes_it_in_part_and_reads_the_log(site: Site) -> None:
    client = site.client()
    made = await ask(
        client.order.market, ID, instrument="EUR_USD", units=100, status=201, takeProfitOnFill={"price": "1.2"},
        tradeClientExtensions={"id": "t1"},
    )  # fmt: skip
    trade = made["orderFillTransaction"].tradeOpened.tradeID
    told = await ask(
        client.trade.set_dependent_orders, ID, trade, stopLoss={"price": "1.05"}, trailingStopLoss={"distance": "0.02"}
    )
    assert told["stopLossOrderTransaction"].price == 1.05
    shown = (await ask(client.trade.get, ID, "@t1"))["trade"]
    assert (shown.takeProfitOrder.price, shown.stopLossOrder.price, shown.trailingStopLossOrder.distance) == (
        1.2,
        1.05,
        0.02,
    )
    changed = await ask(
        client.order.take_profit_replace, ID, shown.takeProfitOrder.id, tradeID=trade, price=1.3, status=201
    )
    assert changed["orderCreateTransaction"].price == 1.3
    await ask(client.order.cancel, ID, shown.stopLossOrder.id)
    await ask(client.order.stop_loss, ID, tradeID=trade, distance=0.01, status=201)
    await ask(client.trade.set_client_extensions, ID, trade, clientExtensions={"comment": "kept"})
    part = (await ask(client.trade.close, ID, trade, units="40"))["orderFillTransaction"]
    assert (part.tradeReduced.units, part.reason) == (-40.0, "MARKET_ORDER_TRADE_CLOSE")
    position = (await ask(client.position.get, ID, "EUR_USD"))["position"]
    assert (position.long.units, position.short.units) == (60.0, 0.0)
    site.move(1.35)
    assert (await ask(client.trade.list_open, ID))["trades"] == []
    closed = (await ask(client.trade.list, ID, state="CLOSED"))["trades"][0]
    assert (closed.id, closed.averageClosePrice, closed.realizedPL) == (trade, 1.22, 11.98)
    await ask(client.order.market, ID, instrument="EUR_USD", units=-10, status=201)
    flat = await ask(client.position.close, ID, "EUR_USD", longUnits="NONE", shortUnits="ALL")
    assert flat["shortOrderFillTransaction"].reason == "MARKET_ORDER_POSITION_CLOSEOUT"
    log = (await ask(client.transaction.since, ID, id="3"))["transactions"]
    assert [int(one.id) for one in log] == list(range(4, 4 + len(log)))
    changes = await ask(client.account.changes, ID, sinceTransactionID="3")
    assert len(changes["changes"].tradesClosed) == 2


async def test_it_pages_through_trades_by_their_links(site: Site) -> None:
    client = site.client()
    made = []
    for _ in range(5):
        told = await ask(client.order.market, ID, instrument="EUR_USD", units=1, status=201)
        made.append(told["orderFillTransaction"].tradeOpened.tradeID)
    found: list[str] = []
    before: dict[str, str] = {}
    while True:
        response = await asyncio.to_thread(client.trade.list, ID, count=2, **before)
        found += [one.id for one in response.body["trades"]]
        link = re.search(r"beforeID=(\d+)", response.headers.get("Link", ""))
        if link is None:
            break
        before = {"beforeID": link[1]}
    assert found == made[::-1]


@pytest.mark.parametrize("datetime_format", ["RFC3339", "UNIX"])
async def test_it_follows_both_streams(site: Site, datetime_format: str) -> None:
    client = site.client(datetime_format=datetime_format)

    def first(response: Any, count: int) -> list[tuple[str, Any]]:
        found = []
        for part in response.parts():
            found.append(part)
            if len(found) == count:
                return found
        return found

    prices = await asyncio.to_thread(client.pricing.stream, ID, instruments="EUR_USD")
    kinds = [kind for kind, _ in await asyncio.to_thread(first, prices, 2)]
    assert kinds == ["pricing.ClientPrice", "pricing.PricingHeartbeat"]
    log = await asyncio.to_thread(client.transaction.stream, ID)
    await ask(site.client().order.market, ID, instrument="EUR_USD", units=1, status=201)
    told = [one for kind, one in await asyncio.to_thread(first, log, 3) if kind == "transaction.Transaction"]
    assert [one.type for one in told] == ["MARKET_ORDER", "ORDER_FILL"]
    assert told[0].time.endswith("Z") is (datetime_format == "RFC3339")
