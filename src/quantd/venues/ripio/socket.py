"""A websocket as the stream needs it, over aiohttp; the tests put a simulated one in its place.

Used by `stream`. Never reconnects by itself.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import aiohttp

CONNECT_TIMEOUT_S = 10.0
FRAME_MAX = 4 * 1024 * 1024
"""Bytes of one frame; a larger one breaks the connection."""


class SocketLost(Exception):
    """The connection is gone, could not be made, or was silent for too long."""


class Socket(Protocol):
    """One open connection of text frames."""

    async def send(self, text: bytes) -> None:
        """Send one frame.

        Raises:
            SocketLost: the connection is gone.
        """

    async def receive(self, timeout_s: float) -> bytes:
        """Return the next frame.

        Raises:
            SocketLost: the connection is gone, or nothing came in time.
        """

    async def close(self) -> None:
        """Close the connection."""


Connect = Callable[[], Awaitable[Socket]]
"""Opens a connection; raises SocketLost."""


class AiohttpSocket:
    """One connection of its own session."""

    def __init__(self, session: aiohttp.ClientSession, connection: aiohttp.ClientWebSocketResponse) -> None:
        self._session = session
        self._connection = connection

    async def send(self, text: bytes) -> None:
        """Send one frame."""
        try:
            await self._connection.send_str(text.decode())
        except (aiohttp.ClientError, OSError) as error:
            raise SocketLost(type(error).__name__) from error

    async def receive(self, timeout_s: float) -> bytes:
        """Return the next frame."""
        try:
            message = await self._connection.receive(timeout_s)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise SocketLost(type(error).__name__) from error
        if message.type is aiohttp.WSMsgType.TEXT:
            return str(message.data).encode()
        if message.type is aiohttp.WSMsgType.BINARY:
            return bytes(message.data)
        raise SocketLost(f"closed by the venue ({message.type.name.lower()}, {self._connection.close_code})")

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()
        await self._session.close()


def over_aiohttp(url: str) -> Connect:
    """Return what opens connections to `url`."""

    async def connect() -> Socket:
        session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                connection = await session.ws_connect(url, max_msg_size=FRAME_MAX)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            await session.close()
            raise SocketLost(type(error).__name__) from error
        except BaseException:
            await session.close()
            raise
        return AiohttpSocket(session, connection)

    return connect
