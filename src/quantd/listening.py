"""Listens on one TCP port for an HTTP application, and repeats nothing that it could not read.

The HTTP library's own server answers bytes that are no HTTP with a copy of them, and prints the same copy: a token sent
with a stray control character would stand in an answer and in a log. Used by whatever listens: health, webhooks, the
control API and the simulated venues. Knows no route.
"""

import asyncio
import traceback
from typing import Final

import structlog
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

KEEP_ALIVE_S: Final = 75.0
_STOP_S: Final = 2.0
_log = structlog.get_logger("quantd.listening")


class DiscreetProtocol(RequestHandler):
    """The library's protocol, but neither its answer to an error nor its log line holds a byte of the request."""

    __slots__ = ("listener",)

    listener: str
    """Whose port it is, for the log."""

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
        log = _log.error if status >= 500 else _log.warning
        log("request_failed", listener=self.listener, status=status, error=type(exc).__name__, where=where)
        if request.writer.output_size > 0:
            raise ConnectionError("a part of the answer has left already")
        response = self.unreadable(status)
        response.force_close()
        return response


class Listener:
    """One application on one port.

    Args:
        name: Whose port it is, for the log.
        app: What answers; it is used once.
        host: Address to listen on.
        port: TCP port; 0 takes a free one, see `port`.
        lingering_s: Time in which the rest of a refused body is swallowed, so that its sender reads the answer and not a
            reset.
    """

    def __init__(self, name: str, app: web.Application, host: str, port: int, *, lingering_s: float = 0.0) -> None:
        self._name = name
        self._host = host
        self._port = port
        self._lingering_s = lingering_s
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

    async def stop(self) -> None:
        """Close the port and let requests under way finish, for two seconds at most; does nothing when not started."""
        listening, self._listening = self._listening, None
        if listening is not None:
            listening.close()
            async with asyncio.timeout(2 * _STOP_S):
                await self._runner.cleanup()

    def _protocol(self) -> DiscreetProtocol:
        server = self._runner.server
        assert server is not None, "the runner is set up before the port is open"
        protocol = DiscreetProtocol(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # none at all, as AppRunner says it
            keepalive_timeout=KEEP_ALIVE_S,
            lingering_time=self._lingering_s,
        )
        protocol.listener = self._name
        return protocol
