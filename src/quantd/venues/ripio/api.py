"""One Ripio account's requests: signed paths and typed payloads over `VenueHttp`.

Used by the parts of the connector. Signs each request after its wait for the budget, follows the venue's clock, and knows
nothing of the domain but outcomes; never repeats a write.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Generic, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from quantd.domain.outcomes import Accepted, NotExecuted, Outcome, Rejected, Unknown
from quantd.errors import AuthFailed, Unavailable, Unreadable, VenueError
from quantd.ports import HttpRequest, HttpResponse, Observer
from quantd.venues.alerts import Alerts
from quantd.venues.budget import Lane
from quantd.venues.final_state import UNREADABLE
from quantd.venues.http import VenueHttp
from quantd.venues.parsing import CANNOT_READ
from quantd.venues.ripio import wire
from quantd.venues.ripio.classify import CANCELS, classify, classify_read, is_auth_failure
from quantd.venues.ripio.signing import Signer, stamp_of

_T = TypeVar("_T")
SERVER_TIME = "server_time"
PROVEN_AFTER_S = 90.0
"""After so long the public time has been renewed thrice (documented: it may be 30 s old)."""
_TIME = wire.reader(wire.ServerTime)


class Answer(msgspec.Struct, Generic[_T], frozen=True):
    """A good answer to a read."""

    payload: _T
    venue_ms: int | None
    """The venue's time in milliseconds."""
    received_at_ns: int


class Message(msgspec.Struct, frozen=True):
    """What a write sends."""

    method: str
    path: str
    """Without the gateway's prefix."""
    body: bytes = b""


class Api:
    """Sends one account's requests.

    Args:
        http: Budget, transport and timing; its read classification is set here.
        signer: Signs, and keeps the venue's clock.
        prefix: The gateway's part of every path.
        observer: Gets the clock's offset.
        alerts: Told when the venue's clock jumps.
        auth_failed: Called with the reason when a write shows that token or secret are not accepted.
    """

    def __init__(  # noqa: PLR0913 - what every request of the account needs
        self,
        http: VenueHttp,
        signer: Signer,
        prefix: str,
        *,
        observer: Observer,
        alerts: Alerts,
        auth_failed: Callable[[str], None] | None = None,
    ) -> None:
        http.classify_read = classify_read
        http.on_response = self._hear
        self.venue = http.venue
        self.http = http
        self._signer = signer
        self._prefix = prefix
        self._observer = observer
        self._alerts = alerts
        self._auth_failed = auth_failed
        self._refusal_told_time = False
        """Whether the last 401 told the venue's time."""
        self._unproven_since_ns: int | None = None
        """Monotonic time since when requests are refused by 401s that do not tell the time."""

    async def read(
        self, operation: str, read: wire.Read[_T], path: str, *, lane: Lane, query: Mapping[str, str] | None = None
    ) -> Answer[_T]:
        """Ask for something and read it out of the answer with `read`.

        A refused signature is tried once more, by the venue's clock as the refusal told it: that the same one came twice, by
        another program or a proxy, looks the same as wrong credentials. Where no refusal tells the time, the public one is
        asked for and tried last: it may be stale, and would spoil a clock that was right.

        Raises:
            VenueError: as `VenueHttp.read` does; Unavailable for an answer without the fields we need.
        """

        async def ask() -> Answer[_T]:
            response = await self.http.read(operation, lambda: self._request("GET", path, query), lane)
            self._unproven_since_ns = None
            return self._answer(operation, read, response)

        with suppress(AuthFailed):
            return await ask()
        jumps = self._signer.jumps
        try:
            return await ask()
        except AuthFailed as error:  # this refusal may be the first of them to tell the time
            if self._signer.jumps == jumps and not await self._jumped(lane):
                raise self._judged(error) from error
        try:
            return await ask()
        except AuthFailed as error:
            raise self._judged(error) from error

    def _judged(self, error: AuthFailed) -> VenueError:
        """Return what a refusal that was confirmed means.

        Where no refusal tells the venue's time, the public route is asked for it, and that may be half a minute old: until
        it must have been renewed, the clock may be at fault and not the credentials.
        """
        if self._refusal_told_time:
            return error
        now_ns = self.http.clock.monotonic_ns()
        if self._unproven_since_ns is None:
            self._unproven_since_ns = now_ns
        if now_ns - self._unproven_since_ns >= PROVEN_AFTER_S * 1_000_000_000:
            return error
        return Unavailable(self.venue, error.operation, f"{error.detail}; perhaps for the clock", retry_after_s=5.0)

    def _answer(self, operation: str, read: wire.Read[_T], response: HttpResponse) -> Answer[_T]:
        received_at_ns = self.http.clock.now_ns()
        told = wire.envelope(response.body)
        assert told is not None, "the classification refuses what has no envelope"
        try:
            payload = read(told.data)
        except CANNOT_READ as error:
            raise Unreadable(self.venue, operation, f"the answer cannot be read: {error}") from error
        return Answer(payload, told.timestamp, received_at_ns)

    async def measure_clock(self, lane: Lane, *, refused_ms: int | None = None) -> None:
        """Ask for the venue's time; for the start and where a refusal does not tell it, as private answers do.

        Args:
            lane: Priority in the budget.
            refused_ms: The timestamp of the refused request.

        Raises:
            VenueError: when it could not be read.
        """
        request = HttpRequest("GET", self._prefix + "/public/server-time", {"Accept": "application/json"})
        response = await self.http.read(SERVER_TIME, request, lane)
        self._signer.heard(self._answer(SERVER_TIME, _TIME, response).payload.timestamp, refused_ms=refused_ms)

    async def write(
        self, operation: str, read: wire.Read[_T], message: Message, *, lane: Lane, deadline_at_ns: int
    ) -> tuple[Outcome, _T | None]:
        """Write once; the payload comes with Accepted only, and what was accepted unreadably is Unknown.

        Args:
            operation: Names the request in the budget and in `classify`.
            read: As for `read`.
            message: What is sent.
            lane: Priority in the budget.
            deadline_at_ns: Wall nanoseconds UTC after which it must not leave any more.
        """
        payload: _T | None = None

        def judge(operation: str, status: int, headers: Mapping[str, str], body: bytes) -> Outcome:
            nonlocal payload
            outcome = classify(operation, status, headers, body)
            if isinstance(outcome, Accepted):
                told = wire.envelope(body)
                assert told is not None, "only an envelope is accepted"
                try:
                    payload = read(told.data)
                except CANNOT_READ:
                    return Unknown(UNREADABLE)
            return outcome

        jumps = self._signer.jumps
        outcome = await self.http.write(
            operation,
            lambda: self._request(message.method, message.path, body=message.body),
            lane,
            deadline_at_ns,
            judge,
        )
        if isinstance(outcome, Rejected) and is_auth_failure(outcome):
            outcome = await self._refused(operation, outcome, jumps, lane)
        return outcome, payload if isinstance(outcome, Accepted) else None

    async def _refused(self, operation: str, outcome: Rejected, jumps: int, lane: Lane) -> Outcome:
        """Return what the refusal of a write's credentials means.

        A proxy that sends a request twice gets the second one refused for its signature, or as too old, though the first was
        carried out and its answer is lost: a refusal counts only where the credentials are refused afterwards, too.
        """
        if outcome.code == "unauthorized" and (self._signer.jumps != jumps or await self._is_accepted(lane)):
            # A cancel may be sent again whatever became of it; of any other write the venue is asked.
            by_clock = self._signer.jumps != jumps and operation in CANCELS
            return NotExecuted("clock_skew") if by_clock else Unknown("refused_once")
        if self._auth_failed is not None:
            self._auth_failed(f"{operation}: {outcome.code}: {outcome.detail}")
        return outcome

    async def _is_accepted(self, lane: Lane) -> bool:
        """Whether the venue accepts our credentials now; no answer is no refusal."""
        try:
            await self.read("balances", wire.balances, "/user/balances", lane=lane)
        except VenueError as error:
            return not isinstance(error, AuthFailed)
        return True

    def _request(
        self, method: str, path: str, query: Mapping[str, str] | None = None, *, body: bytes = b""
    ) -> HttpRequest:
        path = self._prefix + path
        # The signature covers neither host nor query; commas and colons stay readable in it.
        target = f"{path}?{urlencode(query, safe=',:')}" if query else path
        return HttpRequest(method, target, self._signer.headers(method, path, body), body)

    def _hear(self, operation: str, request: HttpRequest, response: HttpResponse) -> None:
        """Follow the venue's clock by every private answer; public ones may be half a minute old."""
        told = wire.envelope(response.body) if operation != SERVER_TIME else None
        if response.status == 401:
            self._refusal_told_time = told is not None and told.timestamp is not None
        if told is None or told.timestamp is None:
            return
        jumps = self._signer.jumps
        refused_ms = stamp_of(request.headers) if response.status == 401 else None
        self._signer.heard(told.timestamp, refused_ms=refused_ms)
        if self._signer.jumps != jumps:
            self._alerts.note("clock_jumped", "clock", offset_ms=self._signer.offset_ms)
        offset_s = self._signer.offset_ms / 1000
        self._observer.gauge("quantd_venue_clock_offset_seconds", offset_s, venue=self.venue)

    async def _jumped(self, lane: Lane) -> bool:
        """Whether the public time explains refusals that told none."""
        if self._refusal_told_time:
            return False
        jumps = self._signer.jumps
        with suppress(VenueError):
            await self.measure_clock(lane, refused_ms=self._signer.stamped_ms)
        return self._signer.jumps != jumps


def part(text: str) -> str:
    """Return one part of a path, percent-encoded."""
    return quote(text, safe="")
