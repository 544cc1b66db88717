"""Listens on one TCP port for an HTTP application, and repeats nothing that it could not read.

The HTTP library's own server answers bytes that are no HTTP with a copy of them, and prints the same copy: a token sent
with a stray control character would stand in an answer and in a log. Used by whatever listens: health, webhooks, the
control API and the simulated venues. Knows no route.

Nor does that server bound its connections, or the time until a first request: whoever reaches a port could hold as many
as the process may have files, and then no order and no cancel could leave. `Deadlines` bounds both.
"""

import asyncio
import traceback
from collections.abc import Callable
from typing import Final, NamedTuple

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from aiohttp.web_protocol import RequestHandler

KEEP_ALIVE_S: Final = 75.0
_STOP_S: Final = 2.0
_SWEEP_S: Final = 0.5
_log = structlog.get_logger("quantd.listening")


class Ration:
    """How many lines strangers may have written to the log: who sends rubbish must not fill the disk that the journal is on."""

    def __init__(self, most: int = 60, within_s: float = 60.0) -> None:
        self._most = most
        self._within_s = within_s
        self._began_s = float("-inf")
        self._told = self._left_out = 0

    def take(self) -> int | None:
        """Return how many lines were left out since the last one; None where this one is left out too."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self._began_s >= self._within_s:
            self._began_s, self._told = now_s, 0
        if self._told >= self._most:
            self._left_out += 1
            return None
        self._told += 1
        left_out, self._left_out = self._left_out, 0
        return left_out


class DiscreetProtocol(RequestHandler):
    """The library's protocol, but neither its answer to an error nor its log line holds a byte of the request."""

    __slots__ = ("listener", "ration")

    listener: str
    """Whose port it is, for the log."""
    ration: Ration
    """Of the lines about what cannot be read; one for the port."""

    def unreadable(self, status: int) -> web.Response:
        """Return the answer to a request that cannot be read or whose handler failed."""
        return web.Response(status=status, headers={"Server": "quantd"})

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer with the status alone; the log names the kind of error and the line of code, for a fault of ours."""
        frames = traceback.extract_tb(exc.__traceback__) if exc is not None else []
        where = f"{frames[-1].filename}:{frames[-1].lineno}" if frames and status >= 500 else None
        told = {"listener": self.listener, "status": status, "error": type(exc).__name__, "where": where}
        if status >= 500:
            _log.error("request_failed", **told)
        elif (left_out := self.ration.take()) is not None:
            _log.warning("request_failed", **told, **({"left_out": left_out} if left_out else {}))
        if request.writer.output_size > 0:
            raise ConnectionError("a part of the answer has left already")
        response = self.unreadable(status)
        response.force_close()
        return response


class CountedProtocol(DiscreetProtocol):
    """Tells when its connection ends, where somebody counts them."""

    __slots__ = ("gone",)

    gone: Callable[[RequestHandler], None]

    def connection_lost(self, exc: BaseException | None) -> None:
        """Make room for another connection."""
        gone = getattr(self, "gone", None)
        if gone is not None:
            gone(self)
        super().connection_lost(exc)


class Bounds(NamedTuple):
    """How many connections there are at once, and how long each may keep us waiting."""

    most: int = 128
    """Beyond it the one that has been without a request for longest makes room."""
    first_s: float = 10.0
    """Time until the headers of a first request are there."""
    busy_s: float = 30.0
    """Time in which a request is read and answered."""
    idle_s: float = KEEP_ALIVE_S
    """Time in which an answer is read and the next request is there."""


BOUNDS: Final = Bounds()


class Deadlines:
    """The connections of one port, each with the time by which it has to go on.

    Args:
        most: See `Bounds`.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._idle: dict[RequestHandler, float] = {}
        """Without a request, the longest first."""
        self._busy: dict[RequestHandler, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to look after connections; in the loop's thread."""
        self._timer = asyncio.get_running_loop().call_later(_SWEEP_S, self._sweep)

    def stop(self) -> None:
        """Cut nobody off any more."""
        if self._timer is not None:
            self._timer.cancel()

    def make_room(self) -> bool:
        """Return whether there is room for another connection, for which an idle one may have had to go."""
        if len(self._idle) + len(self._busy) >= self._most and self._idle:
            self._cut(next(iter(self._idle)))
        return len(self._idle) + len(self._busy) < self._most

    def began(self, protocol: RequestHandler, seconds: float) -> None:
        """A connection is there, and has some time for its first request."""
        self._idle[protocol] = asyncio.get_running_loop().time() + seconds

    def busy(self, protocol: RequestHandler, seconds: float) -> None:
        """A request has arrived, its body perhaps not yet."""
        if self._idle.pop(protocol, None) is not None or protocol in self._busy:
            self._busy[protocol] = asyncio.get_running_loop().time() + seconds

    def idle(self, protocol: RequestHandler, seconds: float) -> None:
        """The answer is ready to be read, and then the next request may come."""
        if self._busy.pop(protocol, None) is not None or self._idle.pop(protocol, None) is not None:
            self.began(protocol, seconds)

    def gone(self, protocol: RequestHandler) -> None:
        """A connection has ended."""
        self._idle.pop(protocol, None)
        self._busy.pop(protocol, None)

    def _cut(self, protocol: RequestHandler) -> None:
        self.gone(protocol)
        transport = protocol.transport
        protocol.force_close()
        if transport is not None:
            transport.abort()

    def _sweep(self) -> None:
        now = asyncio.get_running_loop().time()
        for protocol in [one for one, deadline in (*self._idle.items(), *self._busy.items()) if deadline < now]:
            self._cut(protocol)
        self.start()


class Refused(asyncio.Protocol):
    """One connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Close it at once."""
        assert isinstance(transport, asyncio.Transport)
        transport.abort()


class Listener:
    """One application on one port.

    Args:
        name: Whose port it is, for the log.
        app: What answers; it is used once.
        host: Address to listen on.
        port: TCP port; 0 takes a free one, see `port`.
        lingering_s: Time in which the rest of a refused body is swallowed, so that its sender reads the answer and not a
            reset.
        bounds: None where connections are neither counted nor timed, as of a simulated venue, whose streams do not end.
    """

    def __init__(  # noqa: PLR0913 -- a port has these parts
        self,
        name: str,
        app: web.Application,
        host: str,
        port: int,
        *,
        lingering_s: float = 0.0,
        bounds: Bounds | None = BOUNDS,
    ) -> None:
        self._name = name
        self._bounds = bounds
        self._deadlines = None if bounds is None else Deadlines(bounds.most)
        if bounds is not None and self._deadlines is not None:
            app.middlewares.insert(0, _timed(self._deadlines, bounds))
        self._host = host
        self._port = port
        self._lingering_s = lingering_s
        self._ration = Ration()
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=_STOP_S)
        self._listening: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """The port that is listened on; the one asked for while it is not."""
        if self._listening is not None and self._listening.sockets:
            return int(self._listening.sockets[0].getsockname()[1])
        return self._port

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: when the address is taken or not ours.
        """
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        try:
            self._listening = await loop.create_server(self._protocol, self._host, self._port, backlog=128)
        except OSError:
            await self._runner.cleanup()
            raise
        if self._deadlines is not None:
            self._deadlines.start()

    async def stop(self) -> None:
        """Close the port and let requests under way finish, for two seconds at most; does nothing when not started."""
        listening, self._listening = self._listening, None
        if listening is not None:
            listening.close()
            if self._deadlines is not None:
                self._deadlines.stop()
            async with asyncio.timeout(2 * _STOP_S):
                await self._runner.cleanup()

    def _protocol(self) -> asyncio.Protocol:
        bounds, deadlines = self._bounds, self._deadlines
        if deadlines is not None and not deadlines.make_room():
            return Refused()
        server = self._runner.server
        assert server is not None, "the runner is set up before the port is open"
        protocol = CountedProtocol(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # none at all, as AppRunner says it
            keepalive_timeout=KEEP_ALIVE_S,
            lingering_time=self._lingering_s,
            auto_decompress=self._bounds is None,  # a few bytes of a stranger's must not become millions
        )
        protocol.listener, protocol.ration = self._name, self._ration
        if bounds is not None and deadlines is not None:
            protocol.gone = deadlines.gone
            deadlines.began(protocol, bounds.first_s)
        return protocol


def _timed(deadlines: Deadlines, bounds: Bounds) -> Middleware:
    @web.middleware
    async def timed(request: web.Request, handler: Handler) -> web.StreamResponse:
        deadlines.busy(request.protocol, bounds.busy_s)
        try:
            return await handler(request)
        finally:
            deadlines.idle(request.protocol, bounds.idle_s)

    return timed
