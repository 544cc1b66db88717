"""On real sockets of this machine: the kill switch's cancels, and the websocket."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from quantd.clock import SystemClock
from quantd.ports import KillAnswer
from quantd.venues.blocking import BlockingTransport
from quantd.venues.ripio.kill import RipioKillSwitch
from quantd.venues.ripio.signing import Signer, sign
from quantd.venues.ripio.socket import SocketLost, over_aiohttp

GOOD = {"error_code": None, "message": None, "data": {"id": "O-1", "status": "canceled"}}


class Place:
    """A server that answers as it is told and notes what it was asked."""

    def __init__(self) -> None:
        self.status = 200
        self.answer: Any = GOOD
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.port = 0
        self.signer = Signer("the-token", "the-secret", clock=SystemClock())

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.method, request.raw_path, dict(request.headers), await request.read()))
        if isinstance(self.answer, str):
            return web.Response(status=self.status, text=self.answer)
        return web.json_response(self.answer, status=self.status)

    async def socket(self, request: web.Request) -> web.StreamResponse:
        """Echo text, say so for binary, and close on demand."""
        line = web.WebSocketResponse()
        await line.prepare(request)
        async for message in line:
            if message.data == "close":
                break
            await line.send_str(f"heard {message.data}")
        await line.close()
        return line

    async def cancel(self) -> KillAnswer:
        """Cancel from another thread, as the kill path does."""
        transport = BlockingTransport(f"http://127.0.0.1:{self.port}", 5.0)
        switch = RipioKillSwitch(transport, self.signer, "/trade")

        def work() -> KillAnswer:
            answer = switch.cancel("O-1")
            transport.close()
            return answer

        return await asyncio.to_thread(work)


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    made = Place()
    app = web.Application()
    app.router.add_get("/stream", made.socket)
    app.router.add_route("*", "/{path:.*}", made.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.port = runner.addresses[0][1]
    yield made
    await runner.cleanup()


async def test_a_kill_sends_one_signed_cancel_that_names_one_order(place: Place) -> None:
    assert await place.cancel() == KillAnswer(True)
    ((method, path, headers, body),) = place.asked
    assert (method, path, json.loads(body)) == ("POST", "/trade/orders/cancel", {"id": "O-1"})
    signature = sign("the-secret", int(headers["Timestamp"]), "POST", "/trade/orders/cancel", body)
    assert headers["Signature"] == signature


@pytest.mark.parametrize(
    ("status", "answer", "gone"),
    [
        (400, {"error_code": 40020, "message": "Order already canceled"}, True),
        (400, {"error_code": 40021, "message": "Order already completely executed"}, True),
        (404, {"error_code": 40400, "message": "Order not found"}, True),
        (401, {"error_code": 40100, "message": "Not authorized"}, False),
        (403, {"error_code": 40300, "message": "Forbidden"}, False),
        (500, {"error_code": 50000, "message": "Internal error"}, False),
        (502, "<html>", False),
        (200, "{", False),
    ],
)
async def test_only_what_the_venue_confirms_counts_as_gone(place: Place, status: int, answer: Any, gone: bool) -> None:
    place.status, place.answer = status, answer
    told = await place.cancel()
    assert told.gone is gone
    assert bool(told.reason) is not gone
    assert "the-secret" not in told.reason
    assert "the-token" not in told.reason


async def test_a_kill_whose_clock_is_refused_is_stamped_right_the_next_time(place: Place) -> None:
    venue_ms = SystemClock().now_ns() // 1_000_000 + 60_000
    place.status, place.answer = 401, {"error_code": 40100, "message": "Not authorized", "timestamp": venue_ms}
    assert not (await place.cancel()).gone
    place.status, place.answer = 200, GOOD
    assert (await place.cancel()).gone
    assert abs(int(place.asked[1][2]["Timestamp"]) - venue_ms) < 5_000


async def test_a_kill_at_a_venue_that_is_not_there_is_told_and_not_raised() -> None:
    gone = Place()
    gone.port = 9
    told = await gone.cancel()
    assert not told.gone
    assert told.reason.startswith("NotSent")


async def test_a_websocket_carries_text_both_ways_and_says_when_it_is_gone(place: Place) -> None:
    socket = await over_aiohttp(f"ws://127.0.0.1:{place.port}/stream")()
    await socket.send(b"hello")
    assert await socket.receive(5.0) == b"heard hello"
    with pytest.raises(SocketLost, match="Timeout"):
        await socket.receive(0.05)
    await socket.send(b"close")
    with pytest.raises(SocketLost, match="closed by the venue"):
        await socket.receive(5.0)
    await socket.close()


@pytest.mark.parametrize("path", ["nothing-listens", "refused"])
async def test_a_websocket_that_cannot_be_opened_is_lost_and_leaves_nothing_open(place: Place, path: str) -> None:
    port = 9 if path == "nothing-listens" else place.port
    with pytest.raises(SocketLost):
        await over_aiohttp(f"ws://127.0.0.1:{port}/{path}")()
