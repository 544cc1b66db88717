"""Carries requests to one host over aiohttp, and says of each failure whether the request can have arrived.

Used by `VenueHttp` through the `Transport` port; the tests put a simulator in its place. Never repeats a request by
itself, never follows a redirect of a write, never raises anything but `NotSent` and `ReplyLost` (and `ValueError` for
a path that is none).
"""

import asyncio
import ssl
from collections.abc import Mapping
from typing import Final

import aiohttp
from aiohttp import BytesPayload
from yarl import URL

from quantd.ports import HttpRequest, HttpResponse, NotSent, ReplyLost

_USER_AGENT: Final = "quantd"
_TYPE: Final = "Content-Type"
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_REDIRECTS_MAX: Final = 3
_READS: Final = frozenset({"GET", "HEAD"})
IDLE_S: Final = 15.0
"""How long a connection is kept without a request, unless a venue closes it sooner: a write on one that is dead is unknown."""


async def _once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Send exactly once, and sort the failures.

    aiohttp repeats GET, PUT and DELETE by itself when a kept connection turns out to be dead, though the first attempt
    may have been processed. It does so on its own exceptions only, so ours, raised in here, end the attempt.
    """
    try:
        return await handler(request)
    except (aiohttp.ClientError, OSError) as error:
        raise _classified(error) from error


def _classified(error: Exception) -> NotSent | ReplyLost:
    """Return what a failure means: whether a byte of the request can have left."""
    # Name not found, refused, TLS not agreed, no free connection.
    before = isinstance(error, aiohttp.ConnectionTimeoutError | aiohttp.ClientConnectorError)
    return NotSent(_words(error)) if before else ReplyLost(_words(error))


def _words(error: BaseException) -> str:
    # Some of aiohttp's messages quote the URL, and a URL may carry a key or a signature.
    quotes_url = isinstance(error, aiohttp.ServerTimeoutError | aiohttp.ClientResponseError | aiohttp.InvalidURL)
    return type(error).__name__ if quotes_url else f"{type(error).__name__}: {error}"[:300]


class AiohttpTransport:
    """One host, one pool of kept connections, opened with the first request.

    Args:
        base_url: Scheme, host and port, and a path prefix if the API has one; no trailing slash needed.
        connect_timeout_s: Longest wait for a free connection, the name and the handshakes; at most half of a request's
            time-out is spent on them.
        body_max: Bytes of a decoded answer; a larger one counts as lost.
        connections_max: Connections of the pool.
        idle_s: How long a connection is kept without a request; less than the server keeps it.
        tls: Context for a private certificate authority; verification cannot be switched off here.
    """

    def __init__(  # noqa: PLR0913 - the limits of a pool; none of them belongs to another
        self,
        base_url: str,
        *,
        connect_timeout_s: float = 5.0,
        body_max: int = 16 * 1024 * 1024,
        connections_max: int = 32,
        idle_s: float = IDLE_S,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        base = URL(base_url)
        if base.scheme not in ("http", "https") or not base.host or base.query_string or base.fragment:
            raise ValueError(f"base URL must be http(s)://host[:port][/prefix], found {base_url!r}")
        if tls is not None and (tls.verify_mode != ssl.CERT_REQUIRED or not tls.check_hostname):
            raise ValueError("the TLS context does not verify certificates and host names")
        self._origin = base.origin()
        self._base = str(base).rstrip("/")
        self._connect_timeout_s = connect_timeout_s
        self._body_max = body_max
        self._connections_max = connections_max
        self._idle_s = idle_s
        self._tls: ssl.SSLContext | bool = tls if tls is not None else True
        self._session: aiohttp.ClientSession | None = None
        self._closed = False
        self._timeouts: dict[float, aiohttp.ClientTimeout] = {}

    async def send(self, request: HttpRequest, *, timeout_s: float) -> HttpResponse:
        """Send and return the answer, whatever its status; redirects of reads are followed within the host.

        Raises:
            NotSent: nothing left this process.
            ReplyLost: the bytes may have arrived; the outcome is unknown.
        """
        if self._closed:
            raise NotSent("the transport is closed")
        if not request.path.startswith("/"):
            raise ValueError(f"path must start with '/', found {request.path!r}")
        url = URL(self._base + request.path, encoded=True)
        try:
            response = await self._exchange(request, url, timeout_s)
            if response.status in _REDIRECTS:
                async with asyncio.timeout(timeout_s):
                    response = await self._follow(request, url, response, timeout_s)
            return response
        except (NotSent, ReplyLost):
            raise
        except aiohttp.ClientError as error:
            raise _classified(error) from error
        except TimeoutError as error:
            raise ReplyLost(f"no answer within {timeout_s} s") from error
        except Exception as error:  # boundary: whatever the library raises, the bytes may have left
            raise ReplyLost(_words(error)) from error

    async def _follow(self, request: HttpRequest, url: URL, response: HttpResponse, timeout_s: float) -> HttpResponse:
        for _ in range(_REDIRECTS_MAX):
            target = self._redirect(request, url, response)
            if target is None:
                break
            url = target
            response = await self._exchange(request, url, timeout_s)
        return response

    async def _exchange(self, request: HttpRequest, url: URL, timeout_s: float) -> HttpResponse:
        session = self._session
        if session is None:
            session = self._session = self._open()
        async with session.request(
            request.method,
            url,
            # A payload that is made already spares aiohttp the search for one that fits.
            data=BytesPayload(request.body) if request.body else None,
            headers=request.headers,
            # aiohttp would name a type of its own where we name none. It is told not to only then, for a request with
            # headers to leave out goes a longer way through it.
            skip_auto_headers=None if _TYPE in request.headers else (_TYPE,),
            allow_redirects=False,
            timeout=self._timeouts.get(timeout_s) or self._timeout(timeout_s),
            # A POST is repeated by nobody, and most orders are one: the watch over it would only cost time.
            middlewares=() if request.method == "POST" else (_once,),
        ) as answer:
            return HttpResponse(answer.status, answer.headers, await self._body(answer))

    async def _body(self, answer: aiohttp.ClientResponse) -> bytes:
        chunk = await answer.content.readany()
        if answer.content.at_eof() and len(chunk) <= self._body_max:
            return chunk  # the usual answer came in one piece
        chunks, size = [chunk], len(chunk)
        while chunk:
            if size > self._body_max:
                answer.close()
                raise ReplyLost(f"the answer is larger than {self._body_max} bytes")
            chunk = await answer.content.readany()
            chunks.append(chunk)
            size += len(chunk)
        return b"".join(chunks)

    def _redirect(self, request: HttpRequest, url: URL, response: HttpResponse) -> URL | None:
        # Only within the origin: the headers carry the credentials.
        location = response.headers.get("location")
        if response.status not in _REDIRECTS or request.method not in _READS or not location:
            return None
        try:
            target = url.join(URL(location))
            return target if target.origin() == self._origin else None
        except ValueError:
            return None

    def _timeout(self, timeout_s: float) -> aiohttp.ClientTimeout:
        # The total is aiohttp's own timer over the whole exchange: an asyncio.timeout around it costs 4 us more, and
        # placing an order is counted in microseconds. The connection phase ends first, so that the total never ends it.
        connect_s = min(self._connect_timeout_s, timeout_s / 2)
        timeout = aiohttp.ClientTimeout(
            total=timeout_s, connect=connect_s, sock_connect=connect_s, ceil_threshold=float("inf")
        )
        if len(self._timeouts) < 64:  # callers use a handful of values; a flood of others is not kept
            self._timeouts[timeout_s] = timeout
        return timeout

    def _open(self) -> aiohttp.ClientSession:
        headers: Mapping[str, str] = {"User-Agent": _USER_AGENT}
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self._connections_max, ssl=self._tls, ttl_dns_cache=60, keepalive_timeout=self._idle_s
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=headers,
        )

    async def close(self) -> None:
        """Close the connections; requests in flight end as lost."""
        self._closed = True
        if self._session is not None:
            await self._session.close()
            self._session = None
