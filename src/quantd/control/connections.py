"""Keeps connections short: whoever is slow to ask or to listen is cut off, and there are only so many at once.

The HTTP library waits for ever for the headers of a request and for an answer to be read; this stands around its
protocols and gives each a deadline. Used by the control listener. Looks at no content.
"""

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from quantd.listening import DiscreetProtocol

_SWEEP_S = 0.5
_STOP_S = 2.0

Handle = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Unreadable = Callable[[int], web.Response]
"""Makes the answer to bytes that are no HTTP, for a status."""


class _Protocol(DiscreetProtocol):
    """Tells when its connection ends, and has the API's own answer to what cannot be read."""

    __slots__ = ("answer", "gone")

    answer: Unreadable
    gone: Callable[[RequestHandler], None]

    def connection_lost(self, exc: BaseException | None) -> None:
        """Make room for another connection."""
        self.gone(self)
        super().connection_lost(exc)

    def unreadable(self, status: int) -> web.Response:
        """Return the API's answer."""
        return self.answer(status)


class _Refused(asyncio.Protocol):
    """One connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Close it at once."""
        assert isinstance(transport, asyncio.Transport)
        transport.abort()


class Connections:
    """A protocol factory around a server's own; see `busy` and `idle`.

    Args:
        handle: Answers a request; says `busy` and `idle`.
        unreadable: See `Unreadable`.
        most: Connections at once.
        idle_s: Time to send the headers of a request, to read an answer, and to stay without a request.
        busy_s: Time in which a request is read and answered.
    """

    def __init__(self, handle: Handle, unreadable: Unreadable, *, most: int, idle_s: float, busy_s: float) -> None:
        self._server = web.Server(handle, access_log=None)
        self._unreadable = unreadable
        self._most = most
        self._idle_s = idle_s
        self._busy_s = busy_s
        self._deadlines: dict[RequestHandler, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __call__(self) -> asyncio.Protocol:
        """Return the protocol of a new connection."""
        if len(self._deadlines) >= self._most:
            return _Refused()
        protocol = _Protocol(
            self._server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # none at all, as AppRunner says it
            lingering_time=0.2,
            keepalive_timeout=self._idle_s,
            max_line_size=4096,
            max_field_size=4096,
            auto_decompress=False,
        )
        protocol.listener = "control"
        protocol.answer = self._unreadable
        protocol.gone = self._gone
        self._deadlines[protocol] = asyncio.get_running_loop().time() + self._idle_s
        return protocol

    def start(self) -> None:
        """Begin to look after connections; in the loop's thread."""
        self._timer = asyncio.get_running_loop().call_later(_SWEEP_S, self._sweep)

    async def stop(self) -> None:
        """Let requests under way finish for two seconds, and cut the rest off."""
        if self._timer is not None:
            self._timer.cancel()
        await self._server.shutdown(_STOP_S)

    def busy(self, protocol: RequestHandler) -> None:
        """A request has arrived, its body perhaps not yet."""
        self._give(protocol, self._busy_s)

    def idle(self, protocol: RequestHandler) -> None:
        """The answer is ready to be read, and then the next request may come."""
        self._give(protocol, self._idle_s)

    def _give(self, protocol: RequestHandler, seconds: float) -> None:
        if protocol in self._deadlines:
            self._deadlines[protocol] = asyncio.get_running_loop().time() + seconds

    def _gone(self, protocol: RequestHandler) -> None:
        self._deadlines.pop(protocol, None)

    def _sweep(self) -> None:
        now = asyncio.get_running_loop().time()
        for protocol in [one for one, deadline in self._deadlines.items() if deadline < now]:
            self._gone(protocol)
            transport = protocol.transport
            protocol.force_close()
            if transport is not None:
                transport.abort()
        self.start()
