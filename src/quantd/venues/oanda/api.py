"""One account's requests: paths, headers and typed payloads over `VenueHttp`.

Used by the parts of the connector. Knows nothing of the domain but outcomes.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from quantd.domain.outcomes import Outcome, Rejected
from quantd.errors import AuthFailed, Unavailable, Unreadable, VenueError
from quantd.ports import HttpRequest, HttpResponse
from quantd.venues.budget import Lane
from quantd.venues.http import VenueHttp
from quantd.venues.oanda.classify import classify, classify_read
from quantd.venues.oanda.formats import DATETIME_FORMAT
from quantd.venues.parsing import CANNOT_READ

_T = TypeVar("_T")
_REFUSED_AGAIN_S = 1.0
"""Before a read that was answered 401 is tried once more: single ones were seen for good tokens. A write never is."""


class Api:
    """Sends requests with the account's token.

    Args:
        http: Budget, transport and timing; its read classification is set here.
        token: Kept in the headers and shown nowhere.
        account: The account's id.
        auth_failed: Called with the reason when a write shows that the token is not accepted.
    """

    def __init__(
        self, http: VenueHttp, token: str, account: str, *, auth_failed: Callable[[str], None] | None = None
    ) -> None:
        http.classify_read = classify_read
        self.venue = http.venue
        self.http = http
        self.account = account
        self._auth_failed = auth_failed
        self._headers = headers_of(token)
        self._was_accepted = False

    async def get(
        self, operation: str, path: str, kind: type[_T], lane: Lane, query: Mapping[str, str] | None = None
    ) -> _T:
        """Read below the account's own path.

        Raises:
            VenueError: as `VenueHttp.read` does; Unavailable for an answer without the fields we need, and for a 401 to a
                token that was accepted before: an outage of the venue's own must stop no poller for good.
        """
        target = account_path(self.account, path) + (f"?{urlencode(query)}" if query else "")
        try:
            response = await self._read(operation, HttpRequest("GET", target, self._headers), lane)
        except AuthFailed as error:
            if not (self._was_accepted and error.detail.startswith("(401)")):
                raise
            raise Unavailable(self.venue, operation, f"a token that was good is refused: {error.detail}") from error
        try:
            return msgspec.json.decode(response.body, type=kind)
        except CANNOT_READ as error:
            raise Unreadable(self.venue, operation, f"the answer cannot be read: {error}") from error

    async def _read(self, operation: str, request: HttpRequest, lane: Lane) -> HttpResponse:
        try:
            response = await self.http.read(operation, request, lane)
        except AuthFailed:
            await asyncio.sleep(_REFUSED_AGAIN_S)
            response = await self.http.read(operation, request, lane)
        self._was_accepted = True
        return response

    async def write(  # noqa: PLR0913 - one request, whole
        self, operation: str, method: str, path: str, body: Any, *, lane: Lane, deadline_at_ns: int
    ) -> tuple[Outcome, bytes]:
        """Write once; return what became of it, and the answer's body, empty without one."""
        content = b"" if body is None else msgspec.json.encode(body)
        request = HttpRequest(method, account_path(self.account, path), self._headers, content)
        answer = b""

        def told(operation: str, status: int, headers: Mapping[str, str], body: bytes) -> Outcome:
            nonlocal answer
            answer = body
            return classify(operation, status, headers, body)

        outcome = await self.http.write(operation, request, lane, deadline_at_ns, told)
        code = outcome.code if isinstance(outcome, Rejected) else ""
        is_refused = code == "forbidden" or (code == "unauthorized" and not await self._is_accepted())
        if is_refused and self._auth_failed is not None:
            self._auth_failed(f"{operation}: {outcome}")
        return outcome, answer

    async def _is_accepted(self) -> bool:
        """Whether the token that a write was refused for is good all the same; where nobody answers, the next write tells."""
        request = HttpRequest("GET", account_path(self.account, "/summary"), self._headers)
        try:
            await self._read("summary", request, Lane.ACCOUNT)
        except AuthFailed:
            return False
        except VenueError:
            pass
        return True


def headers_of(token: str) -> dict[str, str]:
    """Return the headers of every request."""
    return {
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/json",
        "Accept-Datetime-Format": DATETIME_FORMAT,
    }


def account_path(account: str, path: str) -> str:
    """Return a path below the account."""
    return f"/v3/accounts/{account}{path}"


def order_path(order_id: str, client_order_id: str = "") -> str:
    """Return the path of an order, by its number, else by our id, which finds pending orders only."""
    return f"/orders/{quote(order_id, safe='') if order_id else '@' + quote(client_order_id, safe='')}"
