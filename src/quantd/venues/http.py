"""One venue's HTTP: every request waits for its budget, is timed, and ends as an answer, an error or an outcome.

Used by the connectors. `read` raises `VenueError`s and may be retried by `retry_read`; `write` never raises for what
the venue or the network does and is never repeated. Knows nothing of any venue's formats: each passes in the pure
functions that say what an answer means.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TypeVar, assert_never

import msgspec

from quantd.domain.outcomes import Accepted, NotExecuted, Outcome, Rejected, Scheduled, Unknown
from quantd.errors import AuthFailed, RateLimited, Refused, Temporary, Unavailable, VenueError
from quantd.ports import Clock, HttpRequest, HttpResponse, NotSent, Observer, Random, ReplyLost, Transport
from quantd.venues.budget import Lane, NoBudget, Permit, RateBudget

_T = TypeVar("_T")
_SECOND = 1_000_000_000
_UNREADABLE = "unreadable"
RETRY_AFTER_MAX_S = 7 * 86_400.0
"""A wait longer than any venue asks for. More is a mistake, such as a time of day in seconds, and would silence us for years."""

Request = HttpRequest | Callable[[], HttpRequest]
Classify = Callable[[str, int, Mapping[str, str], bytes], Outcome]
"""(operation, status, headers, body) -> what became of a write; pure; its default is Unknown."""
ClassifyRead = Callable[[str, str, int, Mapping[str, str], bytes], VenueError | None]
"""(venue, operation, status, headers, body) -> the error that a read's answer means, None when it is good; pure."""
LastLook = Callable[[Lane], str | None]
"""Called when the budget is granted and before a byte leaves: None sends, a bounded reason (``halted``) does not."""
OnResponse = Callable[[str, HttpRequest, HttpResponse], None]
"""Sees each answer with its operation and what it answers, for clocks and for `RateBudget.learn`."""


def retry_after_s(headers: Mapping[str, str], now_ns: int) -> float | None:
    """Return the seconds of a ``Retry-After`` header, given as seconds or as an HTTP date; None without a sound one.

    At most `RETRY_AFTER_MAX_S`; a longer one is not sound.
    A date counts from the answer's own ``Date`` where it has one, since the venue's clock may differ from ours.
    """
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        until_s = _http_date_s(text)
        if until_s is None:
            return None
        from_s = _http_date_s(headers.get("date", ""))
        seconds = until_s - (now_ns / _SECOND if from_s is None else from_s)
    return max(0.0, seconds) if math.isfinite(seconds) and seconds <= RETRY_AFTER_MAX_S else None


def _http_date_s(text: str) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def classify_read_by_status(
    venue: str, operation: str, status: int, headers: Mapping[str, str], body: bytes
) -> VenueError | None:
    """Return the error that the bare HTTP status means; for venues without an error format of their own."""
    if 200 <= status < 300:
        return None
    detail = f"answered {status}"
    if status in (418, 429):
        return RateLimited(venue, operation, detail)
    if status == 401:
        return AuthFailed(venue, operation, detail)
    if 400 <= status < 500 and status not in (408, 425):
        return Refused(venue, operation, str(status), detail)
    return Unavailable(venue, operation, detail)


class VenueHttp:
    """The requests of one account at one venue.

    Args:
        venue: The venue's key in the configuration, for errors and metrics.
        transport: Carries the requests.
        budget: Says when each may leave; corrected by what comes back.
        clock: Deadlines in wall time, durations in monotonic time.
        observer: Gets ``quantd_venue_request_seconds``.
        timeout_s: Longest time of one exchange, the wait for the budget not counted.
    """

    def __init__(  # noqa: PLR0913 - the seam where six parts meet; grouping them would only rename the list
        self,
        venue: str,
        transport: Transport,
        budget: RateBudget,
        clock: Clock,
        observer: Observer,
        timeout_s: float = 10.0,
    ) -> None:
        self.venue = venue
        self.budget = budget
        self.clock = clock
        self.timeout_s = timeout_s
        self.patience_s = 60.0
        """Longest wait of a read for the budget."""
        self.last_look: LastLook | None = None
        self.on_response: OnResponse | None = None
        self.classify_read: ClassifyRead = classify_read_by_status
        self.clean: Callable[[str], str] = str
        """Takes secrets out of the venue's words: one that quotes our key would put it into journal, log and strategies."""
        self._transport = transport
        self._observer = observer

    async def close(self) -> None:
        """Close the transport."""
        await self._transport.close()

    async def read(
        self, operation: str, request: Request, lane: Lane = Lane.MARKET_DATA, *, route: str | None = None
    ) -> HttpResponse:
        """Send a request that changes nothing and return a good answer.

        Args:
            operation: Bounded name for errors and metrics, and the budget's route unless `route` names another.
            request: Complete, or a function that makes it once the budget is granted: signatures age while waiting.
            lane: Priority in the budget.
            route: The budget's route.

        Raises:
            RateLimited: refused by the venue, or the budget has none within `patience_s`.
            Unavailable: no connection, no answer in time, or one that is an outage.
            Refused: the venue's definite no.
            AuthFailed: the credentials are not accepted.
        """
        route = operation if route is None else route
        deadline_ns = self.clock.monotonic_ns() + round(self.patience_s * _SECOND)
        try:
            permit = await self.budget.acquire(route, lane, deadline_ns)
        except NoBudget as error:
            raise RateLimited(self.venue, operation, error.reason, retry_after_s=error.retry_after_s) from error
        with permit:
            message = request if isinstance(request, HttpRequest) else request()
            began_ns = self.clock.monotonic_ns()
            try:
                response = await self._transport.send(message, timeout_s=self.timeout_s)
            except (NotSent, ReplyLost) as lost:
                self._lost(operation, lost, permit, began_ns)
                raise Unavailable(self.venue, operation, f"{type(lost).__name__}: {lost}") from lost
        if self.on_response is not None:
            self.on_response(operation, message, response)
        fault = self._fault(operation, route, response)
        self._time(operation, "ok" if fault is None else _fault_name(fault), began_ns)
        if fault is not None:
            raise fault
        return response

    async def write(
        self,
        operation: str,
        request: Request,
        lane: Lane,
        deadline_at_ns: int,
        classify: Classify,
    ) -> Outcome:
        """Send a request that may change something, at most once, and return what became of it.

        Args:
            operation: Bounded name for metrics, and the budget's route.
            request: Complete, or a function that makes it once the budget is granted: signatures age while waiting.
            lane: Priority in the budget.
            deadline_at_ns: Wall nanoseconds UTC after which it must not leave any more.
            classify: What the venue's answer means.
        """
        permit = self.budget.try_acquire(operation, lane)
        if permit is None:
            left_ns = deadline_at_ns - self.clock.now_ns()
            try:
                permit = await self.budget.acquire(operation, lane, self.clock.monotonic_ns() + left_ns)
            except NoBudget as error:
                return NotExecuted(error.reason, error.retry_after_s)
        try:
            reason = "deadline" if self.clock.now_ns() > deadline_at_ns else None
            if reason is None and self.last_look is not None:
                reason = self.last_look(lane)
            if reason is not None:
                permit.unsent()
                return NotExecuted(reason)
            message = request if isinstance(request, HttpRequest) else request()
            began_ns = self.clock.monotonic_ns()
            try:
                response = await self._transport.send(message, timeout_s=self.timeout_s)
            except NotSent as lost:
                self._lost(operation, lost, permit, began_ns)
                return NotExecuted("not_connected")
            except ReplyLost as lost:
                return Unknown(self._lost(operation, lost, permit, began_ns))
        finally:
            permit.answered()
        if self.on_response is not None:
            self.on_response(operation, message, response)
        outcome = self._outcome(operation, response, classify)
        self._time(operation, _outcome_name(outcome), began_ns)
        return outcome

    def _lost(self, operation: str, lost: NotSent | ReplyLost, permit: Permit, began_ns: int) -> str:
        if isinstance(lost, NotSent):
            permit.unsent()
            name = "not_sent"
        else:
            name = "timeout" if isinstance(lost.__cause__, TimeoutError) else "unavailable"
        self._time(operation, name, began_ns)
        return f"{name}: {lost}"

    def _fault(self, operation: str, route: str, response: HttpResponse) -> VenueError | None:
        try:
            error = self.classify_read(self.venue, operation, response.status, response.headers, response.body)
        except Exception as unreadable:  # noqa: BLE001 - boundary: an answer that cannot be read is an outage to a reader
            words = f"cannot read the answer with {response.status}: {type(unreadable).__name__}"
            error = Unavailable(self.venue, operation, words)
        if error is not None and (clean := self.clean(error.detail)) != error.detail:
            error.detail, error.args = clean, (f"{error.venue}: {error.operation}: {clean}",)
        if isinstance(error, RateLimited) or response.status in (418, 429):
            named_s = error.retry_after_s if isinstance(error, Temporary) else None
            paused_s = self._correct(route, response, named_s)
            detail = f"answered {response.status}" if error is None else error.detail
            return RateLimited(self.venue, operation, detail, retry_after_s=paused_s)
        return error

    def _outcome(self, operation: str, response: HttpResponse, classify: Classify) -> Outcome:
        status = response.status
        try:
            outcome = classify(operation, status, response.headers, response.body)
        except Exception as error:  # noqa: BLE001 - boundary: an answer that cannot be read leaves the write unknown
            outcome = Unknown(f"{_UNREADABLE}_{status}: {type(error).__name__}")
        if status in (418, 429):
            # Refused before any processing, whatever the venue's own table makes of the body.
            named_s = outcome.retry_after_s if isinstance(outcome, NotExecuted) else None
            paused_s = self._correct(operation, response, named_s)
            return NotExecuted("banned" if status == 418 else "rate_limited", paused_s)
        if isinstance(outcome, NotExecuted) and outcome.retry_after_s is not None:
            self.budget.penalise(operation, outcome.retry_after_s)
        if isinstance(outcome, Rejected):
            return Rejected(outcome.code, self.clean(outcome.detail))
        return Unknown(self.clean(outcome.cause)) if isinstance(outcome, Unknown) else outcome

    def _correct(self, route: str, response: HttpResponse, named_s: float | None) -> float:
        header_s = retry_after_s(response.headers, self.clock.now_ns())
        if response.status == 418:
            return self.budget.ban(header_s)
        return self.budget.penalise(route, header_s if named_s is None else named_s)

    def _time(self, operation: str, outcome: str, began_ns: int) -> None:
        took_s = (self.clock.monotonic_ns() - began_ns) / _SECOND
        self._observer.observe(
            "quantd_venue_request_seconds", took_s, venue=self.venue, operation=operation, outcome=outcome
        )


def _fault_name(fault: VenueError) -> str:
    match fault:
        case RateLimited():
            return "rate_limited"
        case Refused():
            return "refused"
        case AuthFailed():
            return "auth_failed"
        case _:
            return "unavailable"


def _outcome_name(outcome: Outcome) -> str:
    match outcome:
        case Accepted() | Scheduled():
            return "ok"
        case Rejected():
            return "refused"
        case NotExecuted():
            return "rate_limited"
        case Unknown(cause):
            return "unreadable" if cause.startswith(_UNREADABLE) else "unavailable"
        case _:
            assert_never(outcome)


class RetryPolicy(msgspec.Struct, frozen=True):
    """How often and after which pauses a read is tried again."""

    attempts: int = 4
    """In all, the first included."""
    first_s: float = 0.25
    """Longest first pause; doubled for each further one. Each is drawn between half of it and all of it."""
    pause_max_s: float = 10.0
    """Longest pause of our own; a longer one named by the venue is not waited for, the error is raised at once."""


async def retry_read(read: Callable[[], Awaitable[_T]], policy: RetryPolicy, rng: Random) -> _T:
    """Call `read` until it returns, at most `policy.attempts` times; for reads only.

    Raises:
        Temporary: the last attempt failed too, or the venue asks for more patience than the policy has.
        VenueError: anything that repeating does not heal, at once.
    """
    for attempt in range(1, policy.attempts + 1):
        try:
            return await read()
        except Temporary as error:
            named_s = error.retry_after_s or 0.0
            if attempt == policy.attempts or named_s > policy.pause_max_s:
                raise
            longest_s = min(policy.first_s * 2.0 ** (attempt - 1), policy.pause_max_s)
            # Jitter comes on top of the venue's own figure: all who were refused together must not return together.
            await asyncio.sleep(named_s + longest_s * (0.5 + 0.5 * rng.random()))
    raise AssertionError(f"a retry policy needs one attempt at least, found {policy.attempts}")
