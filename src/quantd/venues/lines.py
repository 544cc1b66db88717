"""Follows streams over aiohttp: answers without an end, one line after the other, until they break off or fall silent.

Used by venues' streams through the `Lines` port. Never connects again by itself, and tells no line that came in part only.
"""

from collections.abc import Callable
from typing import Final

import aiohttp
from yarl import URL

from quantd.ports import HttpRequest, HttpResponse, NotSent, ReplyLost

_LINE_MAX: Final = 1 << 20
_CONNECT_S: Final = 10.0
_ERROR_BODY_MAX: Final = 1 << 16


class AiohttpLines:
    """Streams of one host; a connection for each.

    Args:
        base_url: Scheme, host and port; no trailing slash needed.
    """

    def __init__(self, base_url: str) -> None:
        self._base = base_url.rstrip("/")

    async def follow(self, request: HttpRequest, on_line: Callable[[bytes], None], *, silence_s: float) -> HttpResponse:
        """Call `on_line` with each whole line, for as long as they come; return an answer that is no stream.

        Raises:
            NotSent: no connection.
            ReplyLost: the stream ended, broke off, or said nothing for `silence_s` seconds.
        """
        timeout = aiohttp.ClientTimeout(total=None, connect=_CONNECT_S, sock_read=silence_s)
        async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session:
            try:
                url = URL(self._base + request.path, encoded=True)
                async with session.get(url, headers=request.headers, allow_redirects=False) as answer:
                    if answer.status != 200:
                        body = await answer.content.read(_ERROR_BODY_MAX)
                        headers = {name.lower(): text for name, text in answer.headers.items()}
                        return HttpResponse(answer.status, headers, body)
                    await _lines(answer.content, on_line)
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
                raise NotSent(type(error).__name__) from error
            except (TimeoutError, aiohttp.ClientError, OSError) as error:
                raise ReplyLost(type(error).__name__) from error
        raise ReplyLost("the stream ended")


async def _lines(content: aiohttp.StreamReader, on_line: Callable[[bytes], None]) -> None:
    rest = b""
    async for chunk in content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line.strip():
                on_line(line)
        if len(rest) > _LINE_MAX:
            raise ReplyLost(f"a line is longer than {_LINE_MAX} bytes")
