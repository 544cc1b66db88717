"""Keeps connections short: whoever is slow to ask or to listen is cut off, and there are only so many at once.

The HTTP library waits for ever for the headers of a request and for an answer to be read; this makes its protocols and
gives each a deadline. Used by the control listener. Looks at no content.
"""

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from quantd.listening import CountedProtocol, Deadlines, Ration, Refused

_STOP_S = 2.0

Handle = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Unreadable = Callable[[int], web.Response]
"""Makes the answer to bytes that are no HTTP, for a status."""


class _Protocol(CountedProtocol):
    """Has the API's own answer to what cannot be read."""

    __slots__ = ("answer",)

    answer: Unreadable

    def unreadable(self, status: int) -> web.Response:
        """Return the API's answer."""
        return self.answer(status)


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
        self._idle_s = idle_s
        self._busy_s = busy_s
        self._deadlines = Deadlines(most)
        self.ration = Ration()
        """Of the log's lines about strangers."""

    def __call__(self) -> asyncio.Protocol:
        """Return the protocol of a new connection."""
        if not self._deadlines.make_room():
            return Refused()
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
        protocol.listener, protocol.ration = "control", self.ration
        protocol.answer = self._unreadable
        protocol.gone = self._deadlines.gone
        self._deadlines.began(protocol, self._idle_s)
        return protocol

    def start(self) -> None:
        """Begin to look after connections; in the loop's thread."""
        self._deadlines.start()

    async def stop(self) -> None:
        """Let requests under way finish for two seconds, and cut the rest off."""
        self._deadlines.stop()
        await self._server.shutdown(_STOP_S)

    def busy(self, protocol: RequestHandler) -> None:
        """A request has arrived, its body perhaps not yet."""
        self._deadlines.busy(protocol, self._busy_s)

    def idle(self, protocol: RequestHandler) -> None:
        """The answer is ready to be read, and then the next request may come."""
        self._deadlines.idle(protocol, self._idle_s)
