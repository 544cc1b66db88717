"""WebSockets of simulated venues: over the shell's port, and in memory for virtual time, with the same faults.

A fault rule's route ``stream`` meets connections as they open, ``frame`` each frame on its way to the client: lost
(``drop_*``), held up with all that follow (``delay*``), told twice (``duplicate``), spoilt (``truncate``, ``garbage``),
or the end of the connection (``error*``, ``throttle``). It knows no venue's frames.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Protocol, runtime_checkable

import aiohttp
from aiohttp import web

from quantd.simulators.faults import FaultScript
from quantd.simulators.passage import LOST, REFUSED, hang_up, hold, is_lost, on_their_way, until_news

TICK_S = 1.0
"""How long a connection may be unlooked at: what time alone brings comes so late at most."""
_REFUSED_STATUS = 503
_GARBAGE = "\x00<<not what you asked for>>"


class VenueSocket(Protocol):
    """One connection on the venue's side. Never waits, never does I/O."""

    @property
    def is_open(self) -> bool:
        """Whether the venue keeps it open."""

    def receive(self, text: str) -> None:
        """Take in a frame."""

    def take(self) -> list[str]:
        """Do what time brings, and hand out the frames that are to be sent now."""

    def close(self) -> None:
        """Take note that the client is gone."""


@runtime_checkable
class Streaming(Protocol):
    """A venue that takes connections."""

    def connect(self, path: str, wake: Callable[[], None]) -> VenueSocket | None:
        """Return a connection to a path, None where there is nothing; `wake` is called when it has something to say."""


def _on_their_way(frames: Iterable[str], faults: FaultScript) -> AsyncIterator[tuple[str, bool]]:
    return on_their_way(frames, faults, route="frame", garbage=_GARBAGE, breaking=REFUSED)


class Sockets:
    """Carries a venue's connections over the shell's port."""

    def __init__(self, venue: object, faults: FaultScript) -> None:
        self._venue = venue
        self._faults = faults
        self._open: set[web.WebSocketResponse] = set()

    def wants(self, request: web.Request) -> bool:
        """Tell whether a request asks for a connection that the venue may have."""
        return isinstance(self._venue, Streaming) and request.headers.get("Upgrade", "").lower() == "websocket"

    async def carry(self, request: web.Request) -> web.StreamResponse:
        """Carry one connection to its end."""
        assert isinstance(self._venue, Streaming)
        rule = self._faults.decide("stream")
        if is_lost(rule):
            return hang_up(request)
        if rule is not None and rule.action in REFUSED:
            return web.Response(status=_REFUSED_STATUS)
        await hold(rule)
        news = asyncio.Event()
        socket = self._venue.connect(request.path, news.set)
        if socket is None:
            return web.Response(status=404)
        wire = web.WebSocketResponse()
        await wire.prepare(request)
        self._open.add(wire)
        try:
            async with asyncio.TaskGroup() as group:
                sending = group.create_task(self._send(socket, wire, news), name="frames")
                async for message in wire:
                    if message.type is aiohttp.WSMsgType.TEXT:
                        socket.receive(message.data)
                        news.set()
                sending.cancel()
        finally:
            socket.close()
            self._open.discard(wire)
        return wire

    async def _send(self, socket: VenueSocket, wire: web.WebSocketResponse, news: asyncio.Event) -> None:
        while socket.is_open:
            await until_news(news, TICK_S)
            async for text, breaks in _on_their_way(socket.take(), self._faults):
                if breaks:
                    await wire.close(code=aiohttp.WSCloseCode.INTERNAL_ERROR)
                    return
                try:
                    await wire.send_str(text)
                except ConnectionError:  # the client is gone, which the reading side notices too
                    return
        await wire.close()

    async def close(self) -> None:
        """Close all connections."""
        for wire in list(self._open):
            await wire.close(code=aiohttp.WSCloseCode.GOING_AWAY)


class MemorySocket:
    """A client's end of a connection in this process.

    Args:
        venue: Is connected to.
        faults: What goes wrong on the way.
        path: Which of the venue's sockets.

    Raises:
        ConnectionError: the connection is refused.
    """

    def __init__(self, venue: Streaming, faults: FaultScript, *, path: str = "/") -> None:
        rule = faults.decide("stream")
        if rule is not None and rule.action in (*LOST, *REFUSED):
            raise ConnectionRefusedError(f"refused by the simulated venue: {rule.action.value}")
        self._faults = faults
        self._news = asyncio.Event()
        socket = venue.connect(path, self._news.set)
        if socket is None:
            raise ConnectionRefusedError(f"nothing listens at {path}")
        self._socket = socket
        self._arriving: AsyncIterator[tuple[str, bool]] | None = None
        self._broken = False

    async def send(self, text: bytes) -> None:
        """Send one frame.

        Raises:
            ConnectionError: the connection is gone.
        """
        self._check()
        self._socket.receive(text.decode())

    async def receive(self, timeout_s: float) -> bytes:
        """Return the next frame.

        Raises:
            ConnectionError: the connection is gone.
            TimeoutError: nothing came in time.
        """
        async with asyncio.timeout(timeout_s):
            while True:
                self._check()
                if self._arriving is None:
                    self._news.clear()
                    self._arriving = _on_their_way(self._socket.take(), self._faults)
                try:
                    text, breaks = await anext(self._arriving)
                except StopAsyncIteration:
                    self._arriving = None
                    await self._wait()
                    continue
                if breaks:
                    self._broken = True
                    continue
                return text.encode()

    async def _wait(self) -> None:
        if self._socket.is_open:
            await until_news(self._news, TICK_S)
        else:
            self._broken = True

    async def close(self) -> None:
        """Close the connection."""
        self._broken = True
        self._socket.close()

    def _check(self) -> None:
        if self._broken:
            raise ConnectionResetError("the connection is closed")
