"""A client of the control API for the command line: one request, one answer, on this machine or through TLS.

Used by the client commands. Goes through no proxy and follows no redirect, so that a token reaches nobody else, and
never repeats a request.
"""

import http.client
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlencode, urlsplit

from quantd.config import Settings
from quantd.control.settings import LOOPBACK
from quantd.control.tokens import Caller

_TIMEOUT_S = 30.0
_ANSWER_MAX = 16_777_216


class Unusable(Exception):
    """There is no address or no token to use."""


class Unreachable(Exception):
    """No answer came."""


class Refused(Exception):
    """The daemon said no."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Client:
    """Asks one daemon."""

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
        if not safe or parts.hostname is None or parts.username is not None or parts.path not in ("", "/"):
            raise Unusable("--url: expected http:// on this machine, or https://, with host and port only")
        self._url = url
        self._secure = parts.scheme == "https"
        self._address = (parts.hostname, parts.port)
        self._token = token

    @classmethod
    def at(cls, url: str, token_file: Path | None) -> Self:
        """Return a client for an address, with the token in a file.

        Raises:
            Unusable: one of them is not what it should be.
        """
        if token_file is None:
            raise Unusable("--url needs --token-file")
        try:
            token = token_file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise Unusable(f"--token-file: {getattr(error, 'strerror', None) or 'no text'}") from None
        return cls(url, token)

    @classmethod
    def of(cls, settings: Settings, name: str | None, scopes: Sequence[str]) -> Self:
        """Return a client for the daemon of a configuration, with a token that opens `scopes`.

        Raises:
            Unusable: there is no listener, or no such token.
        """
        control = settings.control
        if control is None:
            raise Unusable("the configuration has no `control` section: the daemon listens to nobody")
        if not control.port:
            raise Unusable("control.port is 0, a port that only the daemon's log knows: use --url")
        for known, one in control.tokens.items():
            may = not scopes or Caller(known, frozenset(one.scopes)).may(*scopes)
            if one.token is not None and (known == name or (name is None and may)):
                host = f"[{control.host}]" if ":" in control.host else control.host
                return cls(f"http://{host}:{control.port}", one.token.get_secret_value())
        wanted = f"is called {name}" if name is not None else f"has the scope {' or '.join(scopes)}"
        raise Unusable(f"no token under control.tokens {wanted}")

    def ask(self, method: str, path: str, given: Mapping[str, Any]) -> bytes:
        """Send one request and return the answer's body: parameters with GET, a JSON body with POST.

        Raises:
            Refused: the daemon said no.
            Unreachable: no answer came; a POST may have been carried out all the same.
        """
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        connection = kind(self._address[0], self._address[1], timeout=_TIMEOUT_S)
        headers = {"Authorization": f"Bearer {self._token}", "Connection": "close"}
        target, body = quote(path), None
        if method == "GET":
            target += f"?{urlencode(given)}" if given else ""
        else:
            # A reason from a terminal that speaks no UTF-8 is no reason not to act.
            body = json.dumps(given, ensure_ascii=False).encode("utf-8", "replace")
            headers["Content-Type"] = "application/json"
        try:
            connection.request(method, target, body, headers)
            answer = connection.getresponse()
            content = answer.read(_ANSWER_MAX)
        except (OSError, ValueError, http.client.HTTPException) as error:
            again = "" if method == "GET" else "; it may have been carried out: look before you repeat it"
            raise Unreachable(f"{self._url}: {error}{again}") from None
        finally:
            connection.close()
        if answer.status != http.HTTPStatus.OK:
            raise Refused(answer.status, _told(answer.status, content))
        return content


def _told(status: int, content: bytes) -> str:
    try:
        problem = json.loads(content)
        return f"{problem['title']}: {problem['detail']}" if problem.get("detail") else str(problem["title"])
    except (ValueError, KeyError, TypeError):
        return f"answered with status {status}"
