"""The simulated OANDA's streams: in memory in virtual time, with faults, and over loopback in chunks."""

import asyncio
from typing import Any

import aiohttp
import msgspec
import pytest

from quantd.clock import LoopClock, SystemClock
from quantd.domain.market import Quote
from quantd.ports import HttpRequest, HttpResponse, NotSent, ReplyLost
from quantd.simulators.faults import Action, FaultRule, FaultScript
from quantd.simulators.lines import MemoryLines
from quantd.simulators.oanda.options import Switches
from quantd.simulators.oanda.venue import OandaVenue
from quantd.simulators.server import SimulatorServer
from quantd.testing.loop import run_virtual
from tests.component.simulators.oanda_client import ID, one_account

HEADERS = {"Authorization": "Bearer simulated-token"}
PRICES = f"/v3/accounts/{ID}/pricing/stream?instruments=EUR_USD"
TRANSACTIONS = f"/v3/accounts/{ID}/transactions/stream"


class Listener:
    """Follows a stream for some seconds and keeps what it heard."""

    def __init__(self, clock: LoopClock, *rules: FaultRule, **switches: Any) -> None:
        self.venue = OandaVenue(one_account(), clock=clock, switches=Switches(**switches))
        self.faults = FaultScript(rules, clock=clock)
        self.lines = MemoryLines(self.venue, self.faults)
        self.heard: list[Any] = []
        self.price(1.1)

    def price(self, bid: float) -> None:
        self.venue.on_market(Quote(self.venue.instruments["EUR_USD"].id, bid, round(bid + 0.0002, 5), 0))

    def order(self) -> None:
        body = msgspec.json.encode({"order": {"type": "MARKET", "instrument": "EUR_USD", "units": "1"}})
        self.venue.handle(HttpRequest("POST", f"/v3/accounts/{ID}/orders", HEADERS, body))

    def _hear(self, line: bytes) -> None:
        try:
            self.heard.append(msgspec.json.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError):
            self.heard.append(None)

    async def follow(self, path: str, seconds: float, headers: dict[str, str] | None = None) -> HttpResponse | str:
        """Return the refusal, or why it ended."""
        request = HttpRequest("GET", path, headers or HEADERS)
        try:
            async with asyncio.timeout(seconds):
                return await self.lines.follow(request, self._hear, silence_s=10.0)
        except TimeoutError:
            return "left"
        except (NotSent, ReplyLost) as lost:
            return str(lost)


def test_prices_come_at_most_four_times_a_second_with_the_newest_and_heartbeats_between() -> None:
    async def main(clock: LoopClock) -> None:
        listener = Listener(clock)

        async def move() -> None:
            for step in range(100):
                await asyncio.sleep(0.01)
                listener.price(round(1.1 + step * 0.0001, 5))

        async with asyncio.TaskGroup() as group:
            group.create_task(move())
            assert await listener.follow(PRICES, 12.0) == "left"
        prices = [one for one in listener.heard if one["type"] == "PRICE"]
        assert prices[0]["bids"][0]["price"] == "1.10000", "the present price comes first"
        assert 4 <= len(prices) <= 6
        assert prices[-1]["bids"][0]["price"] == "1.10990"
        assert [one["type"] for one in listener.heard].count("HEARTBEAT") == 2
        assert listener.venue.counters()["streams"] == {"open": 0, "opened": 1}

    run_virtual(main)


def test_stream_of_prices_can_begin_with_the_next_one() -> None:
    async def main(clock: LoopClock) -> None:
        listener = Listener(clock)
        await listener.follow(f"{PRICES}&snapshot=False", 1.0)
        assert listener.heard == []

    run_virtual(main)


def test_transactions_come_as_they_are_made_and_heartbeats_name_the_last() -> None:
    async def main(clock: LoopClock) -> None:
        listener = Listener(clock)
        listener.order()
        asyncio.get_running_loop().call_later(1.0, listener.order)
        await listener.follow(TRANSACTIONS, 6.0)
        *told, beat = listener.heard
        assert [(one["type"], one["id"]) for one in told] == [("MARKET_ORDER", "6"), ("ORDER_FILL", "7")]
        assert (beat["type"], beat["lastTransactionID"]) == ("HEARTBEAT", "7")

    run_virtual(main)


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        (PRICES, {"Authorization": "Bearer wrong"}, 401),
        (PRICES.replace("EUR_USD", "EUR_XXX"), HEADERS, 400),
        (PRICES.partition("?")[0], HEADERS, 400),
        (TRANSACTIONS.replace(ID, "101-004-1234567-002"), HEADERS, 403),
    ],
)
def test_stream_that_may_not_be_followed_is_answered(path: str, headers: dict[str, str], status: int) -> None:
    async def main(clock: LoopClock) -> None:
        answer = await Listener(clock).follow(path, 1.0, headers)
        assert isinstance(answer, HttpResponse)
        assert answer.status == status
        assert b"errorMessage" in answer.body

    run_virtual(main)


def test_an_address_has_at_most_twenty_streams() -> None:
    async def main(clock: LoopClock) -> None:
        listener = Listener(clock)
        async with asyncio.TaskGroup() as group:
            for _ in range(20):
                group.create_task(listener.follow(TRANSACTIONS, 2.0))
            await asyncio.sleep(1.0)
            answer = await listener.follow(TRANSACTIONS, 1.0)
            assert isinstance(answer, HttpResponse)
            assert answer.status == 429

    run_virtual(main)


@pytest.mark.parametrize(
    ("rule", "ended", "heard"),
    [
        (FaultRule(Action.DROP_BEFORE, "transactions_stream"), "refused by the simulated venue", 0),
        (FaultRule(Action.DROP_BEFORE, "line", nth=1), "left", 1),
        (FaultRule(Action.TRUNCATE, "line", nth=2), "the stream breaks off", 1),
        (FaultRule(Action.DUPLICATE, "line", nth=1), "left", 3),
        (FaultRule(Action.GARBAGE, "line", nth=1), "left", 2),
        (FaultRule(Action.DELAY, "line", nth=1, delay_s=0.5), "left", 2),
    ],
)
def test_stream_meets_faults(rule: FaultRule, ended: str, heard: int) -> None:
    async def main(clock: LoopClock) -> None:
        listener = Listener(clock, rule)
        asyncio.get_running_loop().call_later(1.0, listener.order)
        assert await listener.follow(TRANSACTIONS, 3.0) == ended
        assert len(listener.heard) == heard
        assert (None in listener.heard) is (rule.action is Action.GARBAGE)

    run_virtual(main)


def test_stream_that_falls_silent_is_given_up() -> None:
    async def main(clock: LoopClock) -> None:
        assert await Listener(clock, heartbeat_s=60.0).follow(TRANSACTIONS, 30.0) == "nothing came for 10.0 s"

    run_virtual(main)


def test_refused_stream_has_the_status_of_its_fault() -> None:
    async def main(clock: LoopClock) -> None:
        answer = await Listener(clock, FaultRule(Action.ERROR, "pricing_stream", status=503)).follow(PRICES, 1.0)
        assert isinstance(answer, HttpResponse)
        assert answer.status == 503

    run_virtual(main)


async def drained(stream: aiohttp.ClientResponse) -> None:
    async with asyncio.timeout(5):
        while True:
            await stream.content.readline()


async def test_over_loopback_rest_and_streams_come_from_one_address_in_chunks() -> None:
    clock = SystemClock()
    venue = OandaVenue(one_account(), clock=clock, switches=Switches(heartbeat_s=0.2))
    faults = FaultScript(clock=clock)
    server = SimulatorServer(venue, faults)
    await server.start()
    try:
        venue.on_market(Quote(venue.instruments["EUR_USD"].id, 1.1, 1.1002, 0))
        async with aiohttp.ClientSession(headers=HEADERS) as session, session.get(server.url + TRANSACTIONS) as stream:
            assert stream.headers["transfer-encoding"] == "chunked"
            body = {"order": {"type": "MARKET", "instrument": "EUR_USD", "units": "1"}}
            async with session.post(f"{server.url}/v3/accounts/{ID}/orders", json=body) as answer:
                made = await answer.json()
            async with asyncio.timeout(5):
                told = [msgspec.json.decode(await stream.content.readline()) for _ in range(3)]
            assert [one["id"] for one in told if "id" in one] == made["relatedTransactionIDs"]
            async with session.get(server.url + PRICES) as prices, asyncio.timeout(5):
                assert msgspec.json.decode(await prices.content.readline())["type"] == "PRICE"
            faults.add([FaultRule(Action.TRUNCATE, "line")])
            with pytest.raises(aiohttp.ClientPayloadError):
                await drained(stream)
            async with session.get(server.url + PRICES, headers={"Authorization": "Bearer wrong"}) as refused:
                assert refused.status == 401
    finally:
        await server.stop()
    assert venue.streaming.count == 0
