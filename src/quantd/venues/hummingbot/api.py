"""One account's requests: paths, headers and typed payloads over `VenueHttp`.

Used by the parts of the connector. Knows the server's slashes and lists, nothing of the domain but outcomes.
"""

import base64
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from quantd.domain.outcomes import Outcome, Rejected
from quantd.errors import Unreadable
from quantd.ports import HttpRequest
from quantd.venues.budget import Lane
from quantd.venues.http import VenueHttp
from quantd.venues.hummingbot import wire
from quantd.venues.hummingbot.classify import classify, classify_read
from quantd.venues.parsing import CANNOT_READ

_T = TypeVar("_T")
_Row = TypeVar("_Row", bound=wire.OrderRow | wire.TradeRow)
LIST_LIMIT = 1_000
"""The most that one page may hold."""
PAGES_MAX = 50


class Api:
    """Sends requests with the account's credentials.

    Args:
        http: Budget, transport and timing; its read classification is set here.
        username: Of the server's one user.
        password: Kept in the headers and shown nowhere.
        auth_failed: Called with the reason when a write shows that the credentials are not accepted.
    """

    def __init__(
        self, http: VenueHttp, username: str, password: str, *, auth_failed: Callable[[str], None] | None = None
    ) -> None:
        http.classify_read = classify_read
        self.venue = http.venue
        self.http = http
        self._auth_failed = auth_failed
        self._headers = headers_of(username, password)

    async def get(self, operation: str, path: str, kind: type[_T], lane: Lane, query: Any = None) -> _T:
        """Read with GET.

        Raises:
            VenueError: as `VenueHttp.read` does; Unavailable for an answer without the fields we need.
        """
        target = f"{path}?{urlencode(query, doseq=True)}" if query else path
        return await self._read(operation, HttpRequest("GET", target, self._headers), kind, lane)

    async def ask(self, operation: str, path: str, body: Mapping[str, Any], kind: type[_T], lane: Lane) -> _T:
        """Read with POST; lists and market data are asked for that way.

        Raises:
            VenueError: as `VenueHttp.read` does; Unavailable for an answer without the fields we need.
        """
        request = HttpRequest("POST", path, self._headers, msgspec.json.encode(body))
        return await self._read(operation, request, kind, lane)

    async def _read(self, operation: str, request: HttpRequest, kind: type[_T], lane: Lane) -> _T:
        response = await self.http.read(operation, request, lane)
        try:
            return msgspec.json.decode(response.body, type=kind)
        except CANNOT_READ as error:
            raise Unreadable(self.venue, operation, f"the answer cannot be read: {error}") from error

    async def listed(
        self, operation: str, path: str, body: Mapping[str, Any], row: type[_Row], lane: Lane
    ) -> tuple[dict[str, _Row], bool]:
        """Return all rows of a list that turns its pages, by id, and whether they are all.

        An unknown cursor begins again at the first page without an error: a page without a new id ends it.

        Raises:
            VenueError: when a page could not be read.
        """
        rows: dict[str, _Row] = {}
        cursor: str | None = None
        page_type: Any = wire.Page[row]  # type: ignore[valid-type]  # a runtime type for the decoder
        for _ in range(PAGES_MAX):
            asked = {**body, "limit": LIST_LIMIT} if cursor is None else {**body, "limit": LIST_LIMIT, "cursor": cursor}
            page = await self.ask(operation, path, asked, page_type, lane)
            before = len(rows)
            for one in page.data:
                rows[one.order_id if isinstance(one, wire.OrderRow) else one.trade_id] = one
            if not page.pagination.has_more:
                return rows, True
            if len(rows) == before or page.pagination.next_cursor in (None, cursor):
                return rows, False
            cursor = page.pagination.next_cursor
        return rows, False

    async def write(self, operation: str, path: str, body: Any, *, lane: Lane, deadline_at_ns: int) -> Outcome:
        """Write once and return what became of it."""
        content = b"" if body is None else msgspec.json.encode(body)
        request = HttpRequest("POST", path, self._headers, content)
        outcome = await self.http.write(operation, request, lane, deadline_at_ns, classify)
        if outcome == Rejected("unauthorized", getattr(outcome, "detail", "")) and self._auth_failed is not None:
            self._auth_failed(f"{operation}: {outcome}")
        return outcome


def headers_of(username: str, password: str) -> dict[str, str]:
    """Return the headers of every request; the content type is required even by the kill path's empty bodies."""
    token = base64.b64encode(f"{username}:{password}".encode()).decode()
    return {"Authorization": f"Basic {token}", "Content-Type": "application/json", "Accept": "application/json"}


def cancel_path(account: str, connector: str, order_id: str) -> str:
    """Return the path that cancels an order."""
    parts = (quote(part, safe="") for part in (account, connector, order_id))
    return "/trading/{}/{}/orders/{}/cancel".format(*parts)
