"""A venue on loopback whose answers cost next to nothing, in a process and on a core of its own.

Run by `place.py` and `tick_to_order.py`; alone: python benchmarks/stub.py, which prints its port. POST /v1/orders
answers the create of an order in ionloop's envelope, filled whole. GET /ticks is a WebSocket: the stub sends a tick,
waits for the order that it causes, takes the time between the two, and sends the next; at the end it sends the times.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter

import msgspec
from aiohttp import web

PAUSE_S = 0.002
"""Between two ticks: what the last order left behind is done with by then."""
_PAD = "x" * 400


class NewOrder(msgspec.Struct, rename="camel"):
    """What of an order's terms the answer repeats."""

    symbol: str
    side: str
    quantity: str
    price: str


class Venue:
    """Counts orders and times them against the ticks."""

    def __init__(self) -> None:
        self.numbers = itertools.count(1)
        self.decoder = msgspec.json.Decoder(NewOrder)
        self.arrived: asyncio.Future[float] | None = None

    async def create(self, request: web.Request) -> web.Response:
        """Take an order."""
        now = perf_counter()
        if self.arrived is not None and not self.arrived.done():
            self.arrived.set_result(now)
        order = self.decoder.decode(await request.read())
        body = (
            f'{{"success":true,"data":{{"id":"ord_{next(self.numbers)}","symbol":"{order.symbol}",'
            f'"side":"{order.side}","type":"limit","status":"filled","quantity":"{order.quantity}",'
            f'"filledQuantity":"{order.quantity}","price":"{order.price}","createdAt":"2026-01-01T00:00:00Z"}},'
            f'"error":null,"meta":{{"requestId":"req_1","timestamp":"2026-01-01T00:00:00Z"}}}}'
        )
        return web.Response(body=body.encode(), content_type="application/json")

    async def ticks(self, request: web.Request) -> web.WebSocketResponse:
        """Send ticks one by one, each after the order that the last one caused."""
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        took = []
        for number in range(int(request.query["count"])):
            self.arrived = asyncio.get_running_loop().create_future()
            tick = {"symbol": "BTC-USDT", "number": number, "bid": "65000.00", "ask": "65000.01", "pad": _PAD}
            text = json.dumps(tick)
            began = perf_counter()
            await socket.send_str(text)
            took.append(await asyncio.wait_for(self.arrived, 10) - began)
            await asyncio.sleep(PAUSE_S)
        await socket.send_str(json.dumps({"took": took}))
        await socket.close()
        return socket


async def serve() -> None:
    """Serve until terminated; the port goes to standard output."""
    pin_server()
    venue = Venue()
    app = web.Application()
    app.router.add_post("/v1/orders", venue.create)
    app.router.add_get("/ticks", venue.ticks)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    await announce(runner.addresses[0][1])
    await runner.cleanup()


async def announce(port: int) -> None:
    """Write the port to standard output and wait for the end."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    print(port, flush=True)
    await stop.wait()


@contextmanager
def process(script: str, *arguments: str) -> Iterator[tuple[str, int]]:
    """Run a script that announces its port; yield its base URL and its process id."""
    server = subprocess.Popen([sys.executable, script, *arguments], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{int(server.stdout.readline())}", server.pid
    finally:
        server.terminate()
        server.wait(10)


@contextmanager
def running() -> Iterator[str]:
    """Run this script in a process; yield its base URL."""
    with process(__file__) as (url, _):
        yield url


def pin_server() -> None:
    """Keep this process to the last core."""
    os.sched_setaffinity(0, {(os.cpu_count() or 1) - 1})


def pin() -> None:
    """Keep this process to the first core; the stub has the last."""
    os.sched_setaffinity(0, {0})


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's loop where it is installed, as the daemon does."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=loop_factory()) as loops:
        loops.run(serve())
