"""What `benchmarks/clients.py` times is the same work: both sides ask the venue for the same order."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest

from benchmarks import orders
from quantd.clock import SystemClock
from quantd.domain.market import Quote
from quantd.ports import HttpRequest, HttpResponse
from quantd.simulators.faults import FaultScript
from quantd.simulators.hummingbot import options as hummingbot
from quantd.simulators.hummingbot.venue import HummingbotVenue
from quantd.simulators.oanda import options as oanda
from quantd.simulators.oanda.venue import OandaVenue
from quantd.simulators.server import SimulatorServer

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of aiohttp, in the Hummingbot client itself
SEEN: list[tuple[str, str, dict[str, Any], int]] = []


def note(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    SEEN.append((request.method, request.path, json.loads(request.body), response.status))
    return response


class NotingOanda(OandaVenue):
    def handle(self, request: HttpRequest) -> HttpResponse:
        return note(request, super().handle(request))


class NotingHummingbot(HummingbotVenue):
    def handle(self, request: HttpRequest) -> HttpResponse:
        return note(request, super().handle(request))


@asynccontextmanager
async def served(venue: OandaVenue | HummingbotVenue, quote: Quote) -> AsyncIterator[str]:
    SEEN.clear()
    venue.on_market(quote)
    server = SimulatorServer(venue, FaultScript(clock=SystemClock()))
    await server.start()
    yield server.url
    await server.stop()


async def test_v20_and_our_connector_ask_oanda_for_the_same_order() -> None:
    pytest.importorskip("v20", reason="the official client is not installed")
    quote = Quote(oanda.InstrumentRules().id, 1.1, 1.1002, 0)
    async with served(NotingOanda(oanda.Setup(), clock=SystemClock()), quote) as url:
        connector = orders.oanda_connector(url)
        await orders.submit(connector, orders.OANDA_SPEC)
        await connector.close()
        await asyncio.to_thread(orders.place_by_v20, orders.v20_context(url))
    (method, path, ours, status), theirs = SEEN
    assert (method, path, status) == (theirs[0], theirs[1], theirs[3]) == ("POST", path, 201)
    mine, other = ours["order"], theirs[2]["order"]
    client_id, tag = mine.pop("clientExtensions")["id"], mine.pop("tradeClientExtensions")["tag"]
    assert (client_id, len(client_id)) == (tag, len(other["clientExtensions"]["id"]))
    assert other.pop("clientExtensions")["id"] == other.pop("tradeClientExtensions")["tag"] != client_id
    assert other.pop("triggerCondition") == "DEFAULT"  # v20 says what holds anyway
    assert mine == other


async def test_the_hummingbot_client_and_our_connector_ask_for_the_same_order() -> None:
    pytest.importorskip("hummingbot_api_client", reason="the official client is not installed")
    quote = Quote(hummingbot.PairRules().instrument().id, 65_000.0, 65_010.0, 0)
    async with served(NotingHummingbot(hummingbot.Setup(), clock=SystemClock()), quote) as url:
        connector = orders.hummingbot_connector(url)
        await orders.submit(connector, orders.HUMMINGBOT_SPEC)
        await connector.close()
        async with orders.hummingbot_api_client(url) as client:
            await orders.place_by_client(client)
    ours, theirs = SEEN
    assert ours[:2] == theirs[:2] == ("POST", "/trading/orders")
    assert ours[3] == theirs[3] == 201
    for body in (ours[2], theirs[2]):  # ours says decimals as text, the client as floats
        body.update({name: Decimal(str(body[name])) for name in ("amount", "price")})
    assert ours[2] == theirs[2]
