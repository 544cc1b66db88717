"""The loop under every poller: what is stale is asked first, missed slots are skipped, failures are said once.

`pollers` derives one class for each endpoint; the supervisor runs them. A poller sits outside the rate budget, which
is the connector's: while an answer waits for its turn, no second question for the same data is queued. It retries
`Temporary` failures for ever, rests for minutes where the venue refuses, and lets anything unexpected out to the supervisor.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from enum import Enum
from typing import ClassVar, Protocol

import msgspec
import structlog

from quantd.domain.events import MarketEvent, TradingState, VenueChanged
from quantd.domain.instruments import Instrument, InstrumentId, MarketStatus
from quantd.domain.market import Bar, Book, Quote
from quantd.errors import AuthFailed, Refused, Temporary, Unavailable
from quantd.ports import Clock, Emit, Observer, Random

NS_PER_S = 1_000_000_000
_STOPPED_S = 300.0
"""How long what was refused is not asked for: one odd refusal must not leave the engine's stops without prices for good."""
_NAMED_WAIT_MAX_S = 60.0
"""Longest wait that a venue is granted: pages of maintenance name hours, and stops see no prices meanwhile."""
_SHORTEST_REST_S = 1e-6
"""Below this, rounding between float seconds and nanoseconds could make a rest of nothing."""

_log = structlog.get_logger(__name__)


class MarketSource(Protocol):
    """The part of a `Connector` that pollers ask."""

    venue: str

    async def quotes(self, instruments: Sequence[Instrument]) -> tuple[Quote, ...]:
        """See `Connector.quotes`."""

    async def book(self, instrument: Instrument, depth: int) -> Book:
        """See `Connector.book`."""

    async def bars(self, instrument: Instrument, interval_s: int, count: int) -> tuple[Bar, ...]:
        """See `Connector.bars`."""

    async def statuses(self, instruments: Sequence[Instrument]) -> Mapping[str, MarketStatus]:
        """See `Connector.statuses`."""


class FeedState(Enum):
    """How a source of data does."""

    UP = "up"
    DOWN = "down"
    """Failing for now; it is asked again by itself."""
    STOPPED = "stopped"
    """The venue refuses; it is asked again after five minutes, or by `Poller.restart`."""


class FeedChange(msgspec.Struct, frozen=True):
    """A source began to fail, recovered or stopped; told once each."""

    venue: str
    endpoint: str
    state: FeedState
    reason: str
    at_ns: int
    instrument: InstrumentId | None = None
    """The one that was refused, where the rest of the source goes on."""


class PollTiming(msgspec.Struct, frozen=True):
    """How often an endpoint is asked and what a failure costs."""

    every_s: float = 1.0
    timeout_s: float = 30.0
    """For one question, its wait in the rate budget included."""
    batch_max: int = 0
    """Instruments in one question; 0 asks for all that are due."""
    concurrency: int = 1
    """Questions of this poller that may be under way at once."""
    backoff_first_s: float = 1.0
    backoff_max_s: float = 60.0


class PollSupport(msgspec.Struct, frozen=True):
    """What every poller is given beside its connector."""

    clock: Clock
    random: Random
    observer: Observer
    on_change: Callable[[FeedChange], None] = lambda change: None


class Target:
    """One thing that a poller keeps fresh; times are monotonic nanoseconds."""

    __slots__ = ("alone", "answered_at_ns", "attempt", "busy", "detail", "due_at_ns", "instrument", "stopped")

    def __init__(self, instrument: Instrument, detail: int = 0) -> None:
        """Start due and never answered."""
        self.instrument = instrument
        self.detail = detail
        """Levels of a book, seconds of a bar; 0 elsewhere."""
        self.due_at_ns = 0
        self.answered_at_ns = -1
        self.attempt = 0
        """Failures since the last answer."""
        self.alone = False
        """Asked by itself, since a question that named several was refused."""
        self.busy = False
        self.stopped = False


class Poller(ABC):
    """Keeps an endpoint's data fresh for everybody who needs it; a `Feed`.

    Invariant: a target is in at most one question at a time, and a slot that passed while it waited is skipped.
    """

    endpoint: ClassVar[str]

    def __init__(
        self, connector: MarketSource, targets: Iterable[Target], *, timing: PollTiming, support: PollSupport
    ) -> None:
        """Take the targets; nothing is asked before `run`."""
        self._connector = connector
        self._targets = list(targets)
        self._timing = timing
        self._clock = support.clock
        self._random = support.random
        self._observer = support.observer
        self._on_change = support.on_change
        self._labels = {"venue": connector.venue, "endpoint": self.endpoint}
        self._observer.count("quantd_feed_skipped_slots_total", 0, **self._labels)
        for outcome in ("answered", "failed", "refused"):
            self._observer.count("quantd_feed_polls_total", 0, outcome=outcome, **self._labels)
        self._failing: set[Target] = set()
        self._holds_venue = False
        """All of it was refused, and the venue was said to take exits only for that."""
        self._restarted = asyncio.Event()

    @abstractmethod
    async def _ask(self, batch: Sequence[Target]) -> Sequence[MarketEvent]:
        """Ask the connector once; return what is to be emitted, in order."""

    async def run(self, emit: Emit) -> None:
        """Poll until cancelled.

        Raises:
            Exception: whatever is neither `Temporary`, `Refused` nor `AuthFailed`; a group of them where
                `concurrency` is above one.
        """
        now = self._clock.monotonic_ns()
        for target in self._targets:
            target.due_at_ns = max(target.due_at_ns, now)
        workers = min(self._timing.concurrency, len(self._targets))
        if workers <= 1:
            await self._work(emit)
            return
        async with asyncio.TaskGroup() as group:
            for number in range(workers):
                group.create_task(self._work(emit), name=f"{self._connector.venue}-{self.endpoint}-{number}")

    def restart(self) -> None:
        """Ask again what was stopped, e.g. after an operator has mended the credentials."""
        now = self._clock.monotonic_ns()
        for target in self._targets:
            if target.stopped:
                target.stopped = False
                target.alone = False
                target.attempt = 0
                target.due_at_ns = now
                self._failing.add(target)
        self._restarted.set()

    @property
    def stopped(self) -> tuple[InstrumentId, ...]:
        """What the venue refused and has not answered since."""
        return tuple(target.instrument.id for target in self._targets if target.stopped)

    async def _work(self, emit: Emit) -> None:
        while True:
            batch = self._take()
            if batch:
                await self._poll(batch, emit)
            else:
                await self._rest()

    def _take(self) -> list[Target]:
        """Return what to ask now, the most urgent first; empty when nothing is due."""
        now = self._clock.monotonic_ns()
        due = [t for t in self._targets if t.due_at_ns <= now and not t.busy]
        if not due:
            return due
        due.sort(key=self._urgency)
        if due[0].alone:
            return due[:1]
        together = [target for target in due if not target.alone]
        return together[: self._timing.batch_max or None]

    def _urgency(self, target: Target) -> tuple[int, int]:
        """Return what is asked first among what is due: the least."""
        return target.answered_at_ns, target.due_at_ns

    async def _rest(self) -> None:
        """Sleep until something falls due; when all was refused, for no longer than until `restart`."""
        idle = [target.due_at_ns for target in self._targets if not target.busy]
        if not idle:
            await asyncio.sleep(self._timing.every_s)
            return
        delay_s = max((min(idle) - self._clock.monotonic_ns()) / NS_PER_S, _SHORTEST_REST_S)
        if not all(target.stopped for target in self._targets):
            await asyncio.sleep(delay_s)
            return
        self._restarted.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await self._restarted.wait()

    async def _poll(self, batch: list[Target], emit: Emit) -> None:
        for target in batch:
            target.busy = True
        try:
            events = await self._question(batch)
        except AuthFailed as error:
            self._stop(self._targets, error, emit)
        except Refused as error:
            if len(batch) > 1:
                self._separate(batch)
            else:
                self._stop(batch, error, emit)
        except Temporary as error:
            self._failed(batch, error)
        else:
            self._answered(batch, events)
            for event in events:
                emit(event)
            if self._holds_venue:
                self._holds_venue = False
                self._tell_venue(emit, TradingState.ACTIVE, "")
        finally:
            for target in batch:
                target.busy = False

    async def _question(self, batch: list[Target]) -> Sequence[MarketEvent]:
        limit = asyncio.timeout(self._timing.timeout_s)
        try:
            async with limit:
                return await self._ask(batch)
        except TimeoutError as error:
            if not limit.expired():
                raise  # not our limit: somebody else's bug
            detail = f"no answer within {self._timing.timeout_s} s"
            raise Unavailable(self._connector.venue, self.endpoint, detail) from error

    def _answered(self, batch: list[Target], events: Sequence[MarketEvent]) -> None:
        now = self._clock.monotonic_ns()
        self._count("answered")
        named = {event.instrument for event in events}
        for target in batch:
            if len(batch) == 1 or target.instrument.id in named:
                target.answered_at_ns = now
            target.attempt = 0
            target.alone = False
            if target.stopped:
                target.stopped = False
                self._failing.add(target)  # until just below
            self._schedule(target, now)
        if self._failing:
            self._failing.difference_update(batch)
            if not self._failing:
                self._change(FeedState.UP, "answered again")
        self._observer.gauge("quantd_feed_up", 0 if self._failing else 1, **self._labels)

    def _schedule(self, target: Target, now_ns: int) -> None:
        """Set the next slot after an answer; slots that have passed are skipped and counted."""
        every_ns = round(self._timing.every_s * NS_PER_S)
        # What another question's refusal has put off meanwhile lies ahead of us.
        passed, rest = divmod(max(now_ns - target.due_at_ns, 0), every_ns)
        target.due_at_ns = now_ns - rest + every_ns
        if passed:
            self._observer.count("quantd_feed_skipped_slots_total", passed, **self._labels)

    def _failed(self, batch: list[Target], error: Temporary) -> None:
        self._count("failed")
        self._observer.count("quantd_feed_failures_total", venue=self._connector.venue)
        now = self._clock.monotonic_ns()
        was_up = not self._failing
        for target in batch:
            # A venue that is down may be back long before it says; one that limits rates is held to its word by the budget.
            delay_s = max(self._backoff_s(target.attempt), min(error.retry_after_s or 0.0, _NAMED_WAIT_MAX_S))
            target.attempt += 1
            target.due_at_ns = now + round(delay_s * NS_PER_S)
            if not target.stopped:
                self._failing.add(target)
        if was_up and self._failing:
            self._change(FeedState.DOWN, str(error))
        self._observer.gauge("quantd_feed_up", 0, **self._labels)

    def _backoff_s(self, attempt: int) -> float:
        """Return a delay that doubles with each failure, spread over its upper half."""
        timing = self._timing
        full_s = min(timing.backoff_max_s, timing.backoff_first_s * float(2 ** min(attempt, 30)))
        return full_s * (0.5 + 0.5 * self._random.random())

    def _separate(self, batch: list[Target]) -> None:
        """Ask each by itself next, to find out which one the venue refuses."""
        self._count("refused")
        for target in batch:
            target.alone = True

    def _stop(self, targets: list[Target], error: Refused | AuthFailed, emit: Emit) -> None:
        self._count("refused")
        for target in targets:
            target.due_at_ns = self._clock.monotonic_ns() + round(_STOPPED_S * NS_PER_S)
        if all(target.stopped for target in targets):
            return  # said already
        for target in targets:
            target.stopped = True
            self._failing.discard(target)
        reason = str(error)
        whole = all(target.stopped for target in self._targets)
        self._change(FeedState.STOPPED, reason, None if whole else targets[0].instrument.id)
        if not whole:
            return
        self._observer.gauge("quantd_feed_up", 0, **self._labels)
        self._holds_venue = True
        self._tell_venue(emit, TradingState.REDUCING, f"{self.endpoint} stopped: {reason}")

    def _tell_venue(self, emit: Emit, state: TradingState, reason: str) -> None:
        venue, now_ns = self._connector.venue, self._clock.now_ns()
        emit(VenueChanged(venue, state, reason, now_ns, f"feed {self.endpoint}"))

    def _count(self, outcome: str) -> None:
        self._observer.count("quantd_feed_polls_total", outcome=outcome, **self._labels)

    def _change(self, state: FeedState, reason: str, instrument: InstrumentId | None = None) -> None:
        change = FeedChange(
            venue=self._connector.venue,
            endpoint=self.endpoint,
            state=state,
            reason=reason,
            at_ns=self._clock.now_ns(),
            instrument=instrument,
        )
        say = _log.info if state is FeedState.UP else _log.warning
        say(f"feed_{state.value}", venue=change.venue, endpoint=change.endpoint, instrument=instrument, reason=reason)
        self._on_change(change)
