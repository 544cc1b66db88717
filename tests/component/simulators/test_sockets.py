"""A simulated venue's WebSockets on a port and in memory: the same frames, the same mishaps, an orderly end."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from hashlib import sha256
from hmac import new as hmac
from typing import Any

import aiohttp
import pytest

from quantd.clock import LoopClock, SystemClock
from quantd.domain.market import Quote
from quantd.simulators.faults import Action, FaultRule, FaultScript
from quantd.simulators.ripio.options import PairRules, Setup, Switches
from quantd.simulators.ripio.venue import RipioVenue
from quantd.simulators.server import SimulatorServer
from quantd.simulators.sockets import MemorySocket
from quantd.testing.loop import run_virtual

BTC = PairRules().instrument().id
BOOK = "orderbook/level_2_delta@BTC_BRL"
ASK_FOR_BOOK = json.dumps({"method": "subscribe", "topics": [BOOK]})
ASK_FOR_ORDERS = {"method": "subscribe", "topics": ["order_status"]}


def quote(venue: RipioVenue, bid: float) -> None:
    venue.on_market(Quote(BTC, bid, bid + 10, 0, None, 1.0, 1.0))


class Site:
    """A venue on a port, and a client's session."""

    def __init__(self, venue: RipioVenue, faults: FaultScript, server: SimulatorServer) -> None:
        self.venue = venue
        self.faults = faults
        self.server = server
        self.session: aiohttp.ClientSession

    async def signed(self, method: str, path: str, body: bytes = b"") -> Any:
        stamp = str(self.venue._shown_ns // 1_000_000)
        message = f"{stamp}{method}/trade{path}".encode() + body
        signature = b64encode(hmac(b"sim-secret", message, sha256).digest()).decode()
        headers = {"Authorization": "sim-token", "Timestamp": stamp, "Signature": signature}
        if body:
            headers["Content-Type"] = "application/json"
        async with self.session.request(
            method, f"{self.server.url}/trade{path}", data=body or None, headers=headers
        ) as answer:
            assert answer.status == 200, await answer.text()
            return (await answer.json())["data"]

    def connect(self, path: str = "/") -> Any:
        return self.session.ws_connect(self.server.url + path)


@asynccontextmanager
async def site() -> AsyncIterator[Site]:
    clock = SystemClock()
    venue = RipioVenue(Setup(), clock=clock)
    quote(venue, 300_000)
    faults = FaultScript(clock=clock)
    server = SimulatorServer(venue, faults)
    await server.start()
    try:
        async with asyncio.timeout(20), aiohttp.ClientSession() as session:
            one = Site(venue, faults, server)
            one.session = session
            yield one
    finally:
        await server.stop()


async def test_signed_orders_and_their_stream_work_over_loopback() -> None:
    async with site() as here, here.connect() as wire:
        ticket = (await here.signed("POST", "/ticket"))["ticket"]
        await wire.send_json({**ASK_FOR_ORDERS, "ticket": ticket})
        assert (await wire.receive_json())["id"] == -1
        body = b'{"pair":"BTC_BRL","side":"buy","type":"limit","amount":"0.01","price":"301000","external_id":"one"}'
        order = await here.signed("POST", "/orders", body)
        statuses = [(await wire.receive_json())["body"]["status"] for _ in range(2)]
        assert statuses == ["open", order["status"]] == ["open", "executed_completely"]
        assert (await here.signed("GET", f"/orders/{order['id']}"))["status"] == "executed_completely"


async def test_client_that_leaves_is_forgotten_and_the_end_closes_the_others() -> None:
    async with site() as here:
        first = await here.connect()
        second = await here.connect()
        await first.close()
        await second.send_str(ASK_FOR_BOOK)
        await second.receive_json()
        assert here.venue.streams.connected == 1
        async with asyncio.timeout(5), asyncio.TaskGroup() as group:
            group.create_task(here.server.stop())
            await second.receive_json()
            assert (await second.receive()).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING)
        assert here.venue.streams.connected == 0


async def test_unknown_path_and_refused_connection_are_told_by_status() -> None:
    async with site() as here:
        with pytest.raises(aiohttp.WSServerHandshakeError, match="404"):
            await here.connect("/nowhere")
        here.faults.add([FaultRule(Action.ERROR, "stream", times=1)])
        with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
            await here.connect()
        here.faults.add([FaultRule(Action.DROP_BEFORE, "stream")])  # the client itself tries again once
        with pytest.raises((aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
            await here.connect()
        here.faults.clear()
        await (await here.connect()).close()


async def test_fault_on_a_frame_breaks_a_connection_on_a_port() -> None:
    async with site() as here, here.connect() as wire:
        here.faults.add([FaultRule(Action.ERROR, "frame", nth=2)])
        await wire.send_str(ASK_FOR_BOOK)
        await wire.receive_json()
        message = await wire.receive()
        assert (message.type, wire.close_code) == (aiohttp.WSMsgType.CLOSE, 1011)


# --- in memory, in virtual time --------------------------------------------------------------------------------------


class Room:
    """A venue and one connection in memory, subscribed to the book."""

    def __init__(self, clock: LoopClock) -> None:
        self.switches = Switches()
        self.venue = RipioVenue(Setup(), clock=clock, switches=self.switches)
        quote(self.venue, 300_000)
        self.faults = FaultScript(clock=clock)
        self.clock = clock

    async def subscribed(self) -> MemorySocket:
        socket = MemorySocket(self.venue, self.faults)
        await socket.send(ASK_FOR_BOOK.encode())
        await self.frame(socket)
        await self.frame(socket)
        return socket

    async def frame(self, socket: MemorySocket) -> Any:
        return json.loads(await socket.receive(5.0))

    def seconds(self) -> float:
        return self.clock.now_ns() / 1e9


def virtual(act: Callable[[Room], Any]) -> None:
    """Run `act` in virtual time."""

    async def main(clock: LoopClock) -> None:
        await act(Room(clock))

    run_virtual(main)


def test_frames_come_when_the_market_moves_and_not_before() -> None:
    async def act(room: Room) -> None:
        socket = await room.subscribed()
        with pytest.raises(TimeoutError):
            await socket.receive(3.0)
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(room.frame(socket))
            await asyncio.sleep(0.25)
            quote(room.venue, 300_001)
            before = room.seconds()
        assert waiting.result()["topic"] == BOOK
        assert room.seconds() == before, "at once"

    virtual(act)


@pytest.mark.parametrize("action", [Action.DROP_BEFORE, Action.DROP_AFTER])
def test_lost_frame_is_missing_in_the_sequence(action: Action) -> None:
    async def act(room: Room) -> None:
        socket = await room.subscribed()
        room.faults.add([FaultRule(action, "frame", nth=1)])
        for bid in (300_001, 300_002, 300_003):
            quote(room.venue, bid)
        first, second = await room.frame(socket), await room.frame(socket)
        assert (first["id"], second["id"]) == (2, 3)

    virtual(act)


def test_frames_are_told_twice_late_or_spoilt() -> None:
    async def act(room: Room) -> None:
        socket = await room.subscribed()
        room.faults.add(
            [FaultRule(Action.DUPLICATE, "frame", nth=1), FaultRule(Action.DELAY, "frame", nth=1, delay_s=2)]
        )
        quote(room.venue, 300_001)
        assert await room.frame(socket) == await room.frame(socket)
        room.faults.clear()
        room.faults.add([FaultRule(Action.DELAY, "frame", nth=1, delay_s=2)])
        quote(room.venue, 300_002)
        before = room.seconds()
        await room.frame(socket)
        assert room.seconds() - before == pytest.approx(2)
        for action in (Action.GARBAGE, Action.TRUNCATE):
            room.faults.add([FaultRule(action, "frame", nth=1)])
            quote(room.venue, 300_000 if action is Action.GARBAGE else 300_001)
            with pytest.raises(ValueError, match=r"Expecting|Unterminated|codec"):
                await room.frame(socket)

    virtual(act)


def test_broken_and_closed_connections_say_so() -> None:
    async def act(room: Room) -> None:
        socket = await room.subscribed()
        room.faults.add([FaultRule(Action.THROTTLE, "frame", times=1)])
        quote(room.venue, 300_001)
        with pytest.raises(ConnectionResetError):
            await room.frame(socket)
        with pytest.raises(ConnectionResetError):
            await socket.send(b"{}")
        await socket.close()
        idle = await room.subscribed()
        with pytest.raises(ConnectionResetError):
            await idle.receive(120.0)
        assert room.venue.streams.connected == 0
        room.faults.add([FaultRule(Action.ERROR, "stream", times=1)])
        with pytest.raises(ConnectionRefusedError):
            MemorySocket(room.venue, room.faults)
        with pytest.raises(ConnectionRefusedError):
            MemorySocket(room.venue, room.faults, path="/nowhere")

    virtual(act)
