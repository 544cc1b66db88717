"""The shell on real sockets: the venue's answers, faults as a client sees them, the admin route, an orderly end."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from quantd.clock import SystemClock
from quantd.domain.market import Quote
from quantd.ports import HttpRequest, ReplyLost
from quantd.simulators.faults import Action, FaultRule, FaultScript
from quantd.simulators.ionloop.options import MarketRules, Setup
from quantd.simulators.ionloop.venue import IonloopVenue
from quantd.simulators.memory import MemoryTransport
from quantd.simulators.server import SimulatorServer
from quantd.venues.transport import AiohttpTransport

BTC = MarketRules().instrument().id
HEADERS = {"Authorization": "Bearer sim-key", "Content-Type": "application/json"}
ORDER = {"symbol": "BTC-USDT", "side": "buy", "type": "limit", "quantity": "0.01", "price": "64000.00"}
CREATE = HttpRequest("POST", "/v1/orders", {**HEADERS, "Idempotency-Key": "k"}, json.dumps(ORDER).encode())


class Site:
    """A venue on a free port."""

    def __init__(self) -> None:
        clock = SystemClock()
        self.venue = IonloopVenue(Setup(), clock=clock)
        self.venue.on_market(Quote(BTC, 65_000.0, 65_010.0, 0))
        self.faults = FaultScript(clock=clock)
        self.server = SimulatorServer(self.venue, self.faults)

    async def ask(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, self.server.url + path, **options) as answer,
        ):
            return answer.status, await answer.json(content_type=None)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    await site.server.start()
    yield site
    await site.server.stop()


async def test_the_venue_answers_over_http(site: Site) -> None:
    status, answer = await site.ask("GET", "/v1/markets?quote=USDT")
    assert (status, answer["data"]["items"][0]["symbol"]) == (200, "BTC-USDT")
    status, answer = await site.ask("GET", "/v1/markets/BTC%2DUSDT/ticker", headers=HEADERS)
    assert (status, answer["data"]["bid"]) == (200, "65000.00")
    assert (await site.ask("GET", "/v1/orders"))[0] == 401


OUTCOMES: dict[Action, tuple[int | None, int]] = {
    Action.DROP_BEFORE: (None, 0),
    Action.DROP_AFTER: (None, 1),
    Action.DELAY: (200, 1),
    Action.DELAY_AFTER: (200, 1),
    Action.ERROR: (500, 0),
    Action.ERROR_AFTER: (500, 1),
    Action.THROTTLE: (429, 0),
    Action.TRUNCATE: (None, 1),
    Action.GARBAGE: (200, 1),
    Action.DUPLICATE: (200, 1),
}
"""Status that the client sees, None for a lost reply, and how many orders there are afterwards."""


@pytest.mark.parametrize("action", Action, ids=lambda action: action.value)
async def test_a_fault_is_the_same_on_a_socket_and_in_memory(site: Site, action: Action) -> None:
    rule = FaultRule(action, "create_order", delay_s=0.02)
    there, here = AiohttpTransport(site.server.url), Site()
    here.faults.add([rule])
    site.faults.add([rule])
    for transport, one in ((there, site), (MemoryTransport(here.venue, here.faults), here)):
        status = None
        try:
            response = await transport.send(CREATE, timeout_s=5)
            status = response.status
            assert (b"success" in response.body) is (action is not Action.GARBAGE)
        except ReplyLost:
            pass
        assert (status, len(one.venue.desk.orders)) == OUTCOMES[action]
        assert one.faults.done == {action.value: 1}
        await transport.close()


async def test_a_held_up_request_is_processed_after_its_client_has_given_up(site: Site) -> None:
    site.faults.add([FaultRule(Action.DELAY, "create_order", delay_s=0.2)])
    transport = AiohttpTransport(site.server.url)
    with pytest.raises(ReplyLost):
        await transport.send(CREATE, timeout_s=0.05)
    assert not site.venue.desk.orders
    async with asyncio.timeout(5):
        while not site.venue.desk.orders:  # noqa: ASYNC110 - what is awaited has no event, it is a request's effect
            await asyncio.sleep(0.01)
    await transport.close()


async def test_other_clients_are_served_while_one_is_held_up(site: Site) -> None:
    site.faults.add([FaultRule(Action.DELAY, "create_order", delay_s=0.5)])
    transport = AiohttpTransport(site.server.url)
    async with asyncio.TaskGroup() as group:
        held = group.create_task(transport.send(CREATE, timeout_s=60))
        await asyncio.sleep(0)
        assert (await site.ask("GET", "/v1/portfolio", headers=HEADERS))[0] == 200
        assert not held.done()
        held.cancel()
    await transport.close()


async def test_the_admin_route_shows_counters_and_exact_state(site: Site) -> None:
    await site.ask("POST", "/v1/orders", headers=HEADERS, json=ORDER)
    site.venue.on_market(Quote(BTC, 63_000.0, 63_010.0, 0))
    _, counters = await site.ask("GET", "/__admin/counters")
    assert counters["requests"] == {"total": 1, "create_order": 1}
    assert counters["orders"]["filled"] == 1
    assert counters["violations"] == {"create_without_key": 1}
    _, state = await site.ask("GET", "/__admin/state")
    assert state["balances"]["main"]["USDT"] == {"total": "99359.36", "free": "99359.36", "locked": "0"}
    assert state["balances"]["main"]["BTC"]["total"] == "0.01"
    (order,) = state["orders"]
    assert (order["averagePrice"], order["fees"]) == ("64000", {"USDT": "0.64"})


async def test_faults_and_switches_change_at_run_time(site: Site) -> None:
    rules = {"rules": [{"action": "error", "route": "status", "status": 502}]}
    assert (await site.ask("POST", "/__admin/faults", json=rules))[0] == 200
    async with aiohttp.ClientSession() as session, session.get(site.server.url + "/v1/status") as answer:
        assert (answer.status, answer.content_type) == (502, "text/html")
    _, shown = await site.ask("GET", "/__admin/faults")
    assert shown["rules"][0]["route"] == "status"
    assert shown["done"] == {"error": 1}
    await site.ask("DELETE", "/__admin/faults")
    assert (await site.ask("GET", "/v1/status"))[0] == 200
    assert (await site.ask("POST", "/__admin/switches", json={"clock_skew_s": 5}))[1]["clock_skew_s"] == 5
    assert (await site.ask("POST", "/__admin/deposit", json={"asset": "ETH", "amount": "2"}))[0] == 200
    assert (await site.ask("POST", "/__admin/market", json={"symbol": "BTC-USDT", "status": "offline"}))[0] == 200
    assert site.venue.state()["balances"]["main"]["ETH"]["total"] == "2"


@pytest.mark.parametrize(
    ("method", "what", "body", "status"),
    [
        ("POST", "switches", '{"nonsense": 1}', 400),
        ("POST", "faults", '[{"action": "explode"}]', 400),
        ("POST", "faults", "{", 400),
        ("POST", "deposit", '{"asset": "USDT", "amount": "-1"}', 400),
        ("POST", "withdraw", '{"asset": "USDT", "amount": "1e9"}', 400),
        ("POST", "market", '{"symbol": "X-Y", "status": "online"}', 400),
        ("POST", "earthquake", "{}", 400),
        ("GET", "earthquake", "", 404),
        ("DELETE", "switches", "", 405),
    ],
)
async def test_the_admin_route_says_what_is_wrong(site: Site, method: str, what: str, body: str, status: int) -> None:
    answered, answer = await site.ask(method, f"/__admin/{what}", data=body)
    assert answered == status
    assert answer["error"]


async def test_pages_in_a_browser_cannot_reach_the_admin_route(site: Site) -> None:
    headers = {"Origin": "https://evil.example.com"}
    async with (
        aiohttp.ClientSession() as session,
        session.get(site.server.url + "/__admin/state", headers=headers) as answer,
    ):
        assert answer.status == 403


async def test_a_port_that_is_taken_is_an_error_and_a_stopped_one_is_free(site: Site) -> None:
    second = SimulatorServer(site.venue, site.faults, port=site.server.port)
    with pytest.raises(OSError, match="in use"):
        await second.start()
    port = site.server.port
    await site.server.stop()
    await second.start()
    assert second.port == port
    await second.stop()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
