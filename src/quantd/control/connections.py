"""Keeps connections short: whoever is slow to ask or to listen is cut off, and there are only so many at once.

The HTTP library waits for ever for the headers of a request and for an answer to be read; this stands around its
protocols and gives each a deadline. Used by the control listener. Looks at no content.
"""

import asyncio

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

_SWEEP_S = 0.5


class _Refused(asyncio.Protocol):
    """One connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Close it at once."""
        assert isinstance(transport, asyncio.Transport)
        transport.abort()


class Connections:
    """A protocol factory around a server's own; see `busy` and `idle`.

    Args:
        server: Makes the protocols.
        most: Connections at once.
        idle_s: Time to send the headers of a request, to read an answer, and to stay without a request.
        busy_s: Time in which a request is read and answered.
    """

    def __init__(self, server: web.Server, *, most: int, idle_s: float, busy_s: float) -> None:
        self._server = server
        self._most = most
        self._idle_s = idle_s
        self._busy_s = busy_s
        self._deadlines: dict[RequestHandler, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __call__(self) -> asyncio.Protocol:
        """Return the protocol of a new connection."""
        if len(self._deadlines) >= self._most:
            self._sweep()
        if len(self._deadlines) >= self._most:
            return _Refused()
        protocol = self._server()
        self.idle(protocol)
        return protocol

    def start(self) -> None:
        """Begin to look after connections; in the loop's thread."""
        self._timer = asyncio.get_running_loop().call_later(_SWEEP_S, self._tick)

    def stop(self) -> None:
        """Stop looking after them."""
        if self._timer is not None:
            self._timer.cancel()

    def busy(self, protocol: RequestHandler) -> None:
        """A request has arrived, its body perhaps not yet."""
        self._deadlines[protocol] = asyncio.get_running_loop().time() + self._busy_s

    def idle(self, protocol: RequestHandler) -> None:
        """The answer is ready to be read, and then the next request may come."""
        self._deadlines[protocol] = asyncio.get_running_loop().time() + self._idle_s

    def _tick(self) -> None:
        self._sweep()
        self.start()

    def _sweep(self) -> None:
        now = asyncio.get_running_loop().time()
        alive = set(self._server.connections)
        for protocol, deadline in list(self._deadlines.items()):
            if protocol not in alive:
                # Made a moment ago, or gone: either way nothing is lost by keeping it until its deadline.
                if protocol.transport is None and deadline < now + self._idle_s - _SWEEP_S:
                    del self._deadlines[protocol]
            elif deadline < now:
                protocol.force_close()
                if protocol.transport is not None:
                    protocol.transport.abort()
                del self._deadlines[protocol]
