"""Server-sent events: a route's answer again and again on one connection, until the reader goes or the daemon stops.

Used by the listener. Few at once, and the deadline of a connection stays: whoever does not read is cut off.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import structlog
from aiohttp import ClientError, web

from quantd.control.refusal import Refusal

MEDIA_TYPE = "text/event-stream"
STREAMS_MAX = 4
EVERY_S = 1.0
"""Between two events."""
Event = Callable[[], Awaitable[bytes]]
"""Makes the data of an event: one line."""

_log = structlog.get_logger("quantd.control")


class Streams:
    """All streams of one listener.

    Args:
        busy: Moves the deadline of a request's connection.
        every_s: Seconds between two events.
    """

    def __init__(self, busy: Callable[[web.BaseRequest], None], *, every_s: float) -> None:
        self._busy = busy
        self._every_s = every_s
        self._count = 0
        self._ending = asyncio.Event()

    def end(self) -> None:
        """Have every stream end after the event that it is at."""
        self._ending.set()

    async def serve(self, request: web.BaseRequest, event: Event, headers: Mapping[str, str]) -> web.StreamResponse:
        """Send what `event` returns, one line of JSON, until somebody has enough.

        Raises:
            Refusal: there are too many streams.
        """
        if self._count >= STREAMS_MAX:
            raise Refusal(429, "too_many_streams", f"{STREAMS_MAX} streams are open; close one")
        self._count += 1
        try:
            first = await event()  # a fault in it is answered as any other, since nothing has left yet
            response = web.StreamResponse(headers=headers)
            response.content_type = MEDIA_TYPE
            response.force_close()
            await self._send(request, response, first, event)
            return response
        finally:
            self._count -= 1

    async def _send(self, request: web.BaseRequest, response: web.StreamResponse, first: bytes, event: Event) -> None:
        try:
            await response.prepare(request)
            await response.write(_framed(first))
            while not await self._is_ending():
                self._busy(request)
                await response.write(_framed(await event()))
            await response.write_eof()
        except (ConnectionError, ClientError):
            return  # the reader has gone, or was cut off because it did not read
        except Exception as error:  # noqa: BLE001 # boundary: a fault in an answer must not end the daemon
            _log.error("control_fault", path=request.path, error=f"{type(error).__name__}: {error}")
            if request.transport is not None:
                request.transport.abort()  # cut off in the middle, so that nobody takes it for an orderly end

    async def _is_ending(self) -> bool:
        try:
            async with asyncio.timeout(self._every_s):
                await self._ending.wait()
        except TimeoutError:
            return False
        return True


def _framed(data: bytes) -> bytes:
    return b"data: " + data + b"\n\n"
