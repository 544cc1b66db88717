"""The official client, unmodified, against the simulated server on a socket: what it can do with the real one, it can here."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal

import aiohttp
import pytest

from quantd.clock import SystemClock
from quantd.domain.market import Quote
from quantd.simulators.faults import FaultScript
from quantd.simulators.hummingbot.options import PairRules, Setup
from quantd.simulators.hummingbot.venue import HummingbotVenue
from quantd.simulators.server import SimulatorServer

client_of = pytest.importorskip("hummingbot_api_client", reason="the official client is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of aiohttp, in the client itself
ACCOUNT, CONNECTOR, PAIR = "master_account", "binance", "BTC-USDT"


class Site:
    """A server, and how to move its market."""

    def __init__(self) -> None:
        clock = SystemClock()
        self.venue = HummingbotVenue(Setup(balances={"USDT": Decimal(100_000), "BTC": Decimal(1)}), clock=clock)
        self.server = SimulatorServer(self.venue, FaultScript(clock=clock))
        self.move(65_000.0, 65_010.0)

    def move(self, bid: float, ask: float) -> None:
        self.venue.on_market(Quote(PairRules().instrument().id, bid, ask, 0))


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    await site.server.start()
    yield site
    await site.server.stop()


async def test_it_lists_quotes_places_pages_and_cancels(site: Site) -> None:
    async with client_of.HummingbotAPIClient(site.server.url, "admin", "admin") as client:
        assert await client.accounts.list_accounts() == [ACCOUNT]
        assert await client.accounts.list_account_credentials(ACCOUNT) == [CONNECTOR]
        assert CONNECTOR in await client.connectors.list_connectors()
        rules = await client.connectors.get_trading_rules(CONNECTOR, [PAIR])
        assert rules[PAIR]["min_price_increment"] == 0.01
        types = await client.connectors.get_supported_order_types(CONNECTOR)
        assert "LIMIT_MAKER" in types["supported_order_types"]
        prices = await client.market_data.get_prices(CONNECTOR, [PAIR])
        assert prices["prices"] == {PAIR: 65_005.0}
        book = await client.market_data.get_order_book(CONNECTOR, PAIR, depth=2)
        assert (book["bids"][0]["price"], book["asks"][0]["price"]) == (65_000.0, 65_010.0)
        ids = []
        for number in range(3):
            placed = await client.trading.place_order(
                ACCOUNT, CONNECTOR, PAIR, "BUY", 0.01, order_type="LIMIT", price=60_000 + number
            )
            assert placed["status"] == "submitted"
            ids.append(placed["order_id"])
        await asyncio.sleep(0.1)
        first = await client.trading.get_active_orders(limit=2)
        assert len(first["data"]) == 2
        rest = await client.trading.get_active_orders(limit=2, cursor=first["pagination"]["next_cursor"])
        assert {row["order_id"] for row in (*first["data"], *rest["data"])} == set(ids)
        told = await client.trading.cancel_order(ACCOUNT, CONNECTOR, ids[0])
        assert told["message"].endswith(ids[0])
        await asyncio.sleep(0.1)
        site.move(65_000.0, 65_010.0)
        ended = await client.trading.search_orders(account_names=[ACCOUNT], status="CANCELLED")
        assert [row["order_id"] for row in ended["data"]] == [ids[0]]


async def test_it_sees_fills_fees_balances_and_no_positions(site: Site) -> None:
    async with client_of.HummingbotAPIClient(site.server.url, "admin", "admin") as client:
        placed = await client.trading.place_order(ACCOUNT, CONNECTOR, PAIR, "BUY", 0.01)  # its default is MARKET
        assert placed["order_type"] == "MARKET"
        await asyncio.sleep(0.1)
        site.move(65_000.0, 65_010.0)
        trades = await client.trading.get_trades(connector_names=[CONNECTOR])
        (row,) = trades["data"]
        assert (row["order_id"], row["amount"], row["fee_currency"]) == (placed["order_id"], 0.01, "USDT")
        state = await client.portfolio.get_state(account_names=[ACCOUNT], connector_names=[CONNECTOR], refresh=True)
        held = {one["token"]: one["units"] for one in state[ACCOUNT][CONNECTOR]}
        assert held["BTC"] == 1.01
        assert (await client.trading.get_positions())["data"] == []
        assert (await client.trading.get_funding_payments())["data"] == []


async def test_it_reads_history_and_follows_another_pair(site: Site) -> None:
    site.move(65_100.0, 65_110.0)
    async with client_of.HummingbotAPIClient(site.server.url, "admin", "admin") as client:
        now_s = SystemClock().now_ns() // 1_000_000_000
        asked = {"start_time": now_s - 3_600, "end_time": now_s + 60}
        rows = await client.market_data.get_historical_candles(CONNECTOR, PAIR, "1m", **asked)
        assert [rows[0]["open"], rows[-1]["high"], rows[-1]["close"]] == [65_005.0, 65_105.0, 65_105.0]
        assert all(row["timestamp"] % 60 == 0 for row in rows)
        earlier = {"start_time": now_s - 7_200, "end_time": now_s - 3_600}
        with pytest.raises(aiohttp.ClientResponseError) as empty:
            await client.market_data.get_historical_candles(CONNECTOR, PAIR, "1m", **earlier)
        assert empty.value.status == 404, "documented: a range without candles"
        assert len(await client.market_data.get_candles(CONNECTOR, PAIR, "5m", max_records=1)) == 1
        assert (await client.market_data.add_trading_pair(CONNECTOR, PAIR, account_name=ACCOUNT))["success"]


async def test_what_it_could_do_with_perpetuals_a_spot_connector_refuses(site: Site) -> None:
    async with client_of.HummingbotAPIClient(site.server.url, "admin", "admin") as client:
        for call in (
            client.trading.set_leverage(ACCOUNT, CONNECTOR, PAIR, 2),
            client.trading.set_position_mode(ACCOUNT, CONNECTOR, "HEDGE"),
            client.trading.get_position_mode(ACCOUNT, CONNECTOR),
        ):
            with pytest.raises(aiohttp.ClientResponseError) as refused:
                await call
            assert refused.value.status == 400


async def test_errors_come_in_the_server_s_shapes(site: Site) -> None:
    async with client_of.HummingbotAPIClient(site.server.url, "admin", "nonsense") as client:
        with pytest.raises(aiohttp.ClientResponseError) as refused:
            await client.accounts.list_accounts()
        assert refused.value.status == 401
    async with client_of.HummingbotAPIClient(site.server.url, "admin", "admin") as client:
        for terms, status in (
            ({"account_name": "nobody"}, 404),
            ({"trading_pair": "FOO-BAR"}, 400),
            ({"amount": 0.000001}, 400),
            ({"trade_type": "HOLD"}, 422),
            ({"amount": -1}, 500),
        ):
            wanted = {
                "account_name": ACCOUNT, "connector_name": CONNECTOR, "trading_pair": PAIR, "trade_type": "BUY",
                "amount": 0.01, "order_type": "LIMIT", "price": 60_000, **terms,
            }  # fmt: skip
            with pytest.raises(aiohttp.ClientResponseError) as refused:
                await client.trading.place_order(**wanted)
            assert refused.value.status == status, terms
