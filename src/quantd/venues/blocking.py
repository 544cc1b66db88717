"""Carries requests over plain blocking connections, one for each thread: for the kill path, which has no event loop.

Used by the venues' kill switches. Never repeats a request, never follows a redirect.
"""

import http.client
import ssl
import threading
from typing import Final
from urllib.parse import urlsplit

from quantd.ports import HttpRequest, HttpResponse, NotSent, ReplyLost

_BODY_MAX: Final = 1 << 20


class BlockingTransport:
    """One host; each thread that uses it keeps a connection.

    Args:
        base_url: Scheme, host, port and a path prefix if there is one.
        timeout_s: Longest wait for any one answer of the socket.
    """

    def __init__(self, base_url: str, timeout_s: float) -> None:
        url = urlsplit(base_url)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ValueError(f"base URL must be http(s)://host[:port][/prefix], found {base_url!r}")
        self._host, self._port, self._prefix = url.hostname, url.port, url.path.rstrip("/")
        # Made now: loading certificates reads the disk, which may be gone when it is needed.
        self._tls = ssl.create_default_context() if url.scheme == "https" else None
        self._timeout_s = timeout_s
        self._kept = threading.local()

    def send(self, request: HttpRequest) -> HttpResponse:
        """Send once and return the answer, whatever its status.

        Raises:
            NotSent: nothing left this process.
            ReplyLost: the bytes may have arrived; the outcome is unknown.
        """
        connection: http.client.HTTPConnection | None = getattr(self._kept, "connection", None)
        if connection is None:
            connection = self._connected()
        self._kept.connection = None
        try:
            connection.request(request.method, self._prefix + request.path, request.body or None, dict(request.headers))
            answer = connection.getresponse()
            body = answer.read(_BODY_MAX)
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise ReplyLost(type(error).__name__) from error
        if answer.will_close or len(body) == _BODY_MAX:
            connection.close()
        else:
            self._kept.connection = connection
        return HttpResponse(answer.status, {name.lower(): text for name, text in answer.getheaders()}, body)

    def close(self) -> None:
        """Close the calling thread's connection, if it has one."""
        connection: http.client.HTTPConnection | None = getattr(self._kept, "connection", None)
        if connection is not None:
            connection.close()
            self._kept.connection = None

    def _connected(self) -> http.client.HTTPConnection:
        if self._tls is None:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)
        else:
            connection = http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout_s, context=self._tls)
        try:
            connection.connect()
        except OSError as error:
            connection.close()
            raise NotSent(f"{type(error).__name__}: {error}") from error
        return connection
