"""One ionloop account's requests: paths, headers and typed payloads over `VenueHttp`.

Used by the parts of the connector. Knows the envelope and nothing of the domain but outcomes; never repeats anything.
"""

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

import msgspec

from quantd.domain.outcomes import Accepted, Outcome, Unknown
from quantd.errors import Unavailable, Unreadable
from quantd.ports import HttpRequest
from quantd.venues.budget import Lane
from quantd.venues.final_state import UNREADABLE
from quantd.venues.http import VenueHttp
from quantd.venues.ionloop import wire
from quantd.venues.ionloop.classify import classify_read, is_auth_failure, judge
from quantd.venues.ionloop.limits import budget_route
from quantd.venues.ionloop.routes import Route, route_table, target
from quantd.venues.parsing import CANNOT_READ, instant_ns

_T = TypeVar("_T")


class Answer(msgspec.Struct, Generic[_T], frozen=True):
    """A good answer to a read."""

    payload: _T
    meta: wire.Meta
    received_at_ns: int


class Api:
    """Sends requests with the account's key.

    Args:
        http: Budget, transport and timing; its read classification is set here.
        api_key: The bearer key; kept in the headers and shown nowhere.
        paths: Overrides of path templates by name, see `routes`.
        auth_failed: Called with the reason when a write shows that the key is not accepted.
    """

    def __init__(
        self,
        http: VenueHttp,
        api_key: str,
        paths: Mapping[str, str],
        auth_failed: Callable[[str], None] | None = None,
    ) -> None:
        http.classify_read = classify_read
        self.venue = http.venue
        self.http = http
        self.offset_ns = 0
        """The venue's clock minus ours by the last answer; the venue shows whole seconds, so up to 1 s too low."""
        self._routes = route_table(paths)
        self._auth_failed = auth_failed
        self._headers = {"Authorization": f"Bearer {api_key}", "Accept": "application/json"}
        self._body_headers = {**self._headers, "Content-Type": "application/json"}

    async def read(
        self,
        operation: str,
        kind: type[_T],
        *,
        lane: Lane,
        query: Mapping[str, str] | None = None,
        parts: Mapping[str, str] | None = None,
    ) -> Answer[_T]:
        """Read a payload of type `kind`.

        Raises:
            VenueError: as `VenueHttp.read` does; Unreadable for an answer without the fields we need.
        """
        route = self._routes[operation]
        parts = parts or {}
        request = HttpRequest(route.method, target(route, parts, query), self._headers)
        budget = budget_route(route, parts.get("symbol", ""))
        response = await self.http.read(operation, request, lane, route=budget)
        received_at_ns = self.http.clock.now_ns()
        answer = wire.envelope(response.body)
        if answer is None:
            raise Unavailable(self.venue, operation, "the answer has no envelope")
        self._compare_clocks(answer.meta, received_at_ns)
        try:
            payload = wire.decode(kind, answer.data)
        except CANNOT_READ as error:
            raise Unreadable(self.venue, operation, f"the answer cannot be read: {error}") from error
        return Answer(payload, answer.meta, received_at_ns)

    async def write(
        self, operation: str, kind: type[_T], *, lane: Lane, deadline_at_ns: int, message: "Message"
    ) -> tuple[Outcome, _T | None]:
        """Write once; the payload comes with Accepted only, and what was accepted unreadably is Unknown."""
        payload: _T | None = None

        def classify(operation: str, status: int, headers: Mapping[str, str], body: bytes) -> Outcome:
            nonlocal payload
            answer = wire.envelope(body)
            outcome = judge(operation, status, headers, answer)
            if isinstance(outcome, Accepted):
                assert answer is not None
                self._compare_clocks(answer.meta, self.http.clock.now_ns())
                try:
                    payload = wire.decode(kind, answer.data)
                except CANNOT_READ:
                    outcome = Unknown(UNREADABLE)
            elif is_auth_failure(operation, status, outcome) and self._auth_failed is not None:
                self._auth_failed(f"{operation}: {outcome}")
            return outcome

        request = self._request(self._routes[operation], message)
        outcome = await self.http.write(operation, request, lane, deadline_at_ns, classify)
        return outcome, payload if isinstance(outcome, Accepted) else None

    def _request(self, route: Route, message: "Message") -> HttpRequest:
        headers = self._body_headers if message.body else self._headers
        if message.headers:
            headers = {**headers, **message.headers}
        return HttpRequest(route.method, target(route, message.parts), headers, message.body)

    def _compare_clocks(self, meta: wire.Meta, now_ns: int) -> None:
        venue_ns = instant_ns(meta.timestamp)
        if venue_ns is not None:
            self.offset_ns = venue_ns - now_ns


class Message(msgspec.Struct, frozen=True):
    """What a write carries."""

    body: bytes = b""
    headers: Mapping[str, str] = {}
    parts: Mapping[str, str] = {}
    """Values for the path's template."""
