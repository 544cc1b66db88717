"""One poller for each kind of market data that a venue is asked for: quotes, books, bars, market statuses.

Made by the composition root, one of each for a venue, whatever the number of strategies; run by the supervisor. The
events still have to pass `quality`. Bars of the time before `run` are the warm-up's business, not the poller's.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from quantd.domain.events import MarketEvent
from quantd.domain.instruments import Instrument, InstrumentId, MarketStatus
from quantd.domain.market import Bar, StatusChanged
from quantd.feeds.polling import NS_PER_S, FeedChange, FeedState, MarketSource, Poller, PollSupport, PollTiming, Target
from quantd.feeds.quality import AHEAD_NS, sound_bars
from quantd.ports import Emit, wall_ns

__all__ = [
    "BarPoller", "BookPoller", "FeedChange", "FeedState", "MarketSource", "PollSupport", "PollTiming", "QuotePoller", "StatusPoller",
]  # fmt: skip


class QuotePoller(Poller):
    """Asks for the top of book of all its instruments, those that are stalest first."""

    endpoint: ClassVar[str] = "quotes"

    def __init__(
        self, connector: MarketSource, instruments: Iterable[Instrument], *, timing: PollTiming, support: PollSupport
    ) -> None:
        """Poll each of `instruments` every `timing.every_s` seconds."""
        super().__init__(connector, map(Target, instruments), timing=timing, support=support)

    async def _ask(self, batch: Sequence[Target]) -> Sequence[MarketEvent]:
        return await self._connector.quotes([target.instrument for target in batch])


class BookPoller(Poller):
    """Asks for one book at a time; several may be under way if `timing.concurrency` says so."""

    endpoint: ClassVar[str] = "book"

    def __init__(
        self,
        connector: MarketSource,
        depths: Iterable[tuple[Instrument, int]],
        *,
        timing: PollTiming,
        support: PollSupport,
    ) -> None:
        """Poll each instrument to its depth, the deepest that anybody needs, in levels a side."""
        targets = [Target(instrument, depth) for instrument, depth in depths]
        super().__init__(connector, targets, timing=_one_by_one(timing), support=support)

    async def _ask(self, batch: Sequence[Target]) -> Sequence[MarketEvent]:
        (target,) = batch
        return (await self._connector.book(target.instrument, target.detail),)


class StatusPoller(Poller):
    """Asks for the market's status; emits the first and every change."""

    endpoint: ClassVar[str] = "status"

    def __init__(
        self, connector: MarketSource, instruments: Iterable[Instrument], *, timing: PollTiming, support: PollSupport
    ) -> None:
        """Poll all `instruments` every `timing.every_s` seconds (15 suits most venues)."""
        super().__init__(connector, map(Target, instruments), timing=timing, support=support)
        self._known: dict[InstrumentId, MarketStatus] = {}

    async def _ask(self, batch: Sequence[Target]) -> Sequence[MarketEvent]:
        statuses = await self._connector.statuses([target.instrument for target in batch])
        now = self._clock.now_ns()
        changed = []
        for target in batch:
            id = target.instrument.id
            status = statuses.get(id)
            if status is not None and self._known.get(id) is not status:
                self._known[id] = status
                changed.append(StatusChanged(instrument=id, status=status, received_at_ns=now))
        return changed


class BarPoller(Poller):
    """Asks for bars shortly after they close, and once more for those that the venue is late with.

    Every complete bar that closes after `run` began, or after `mark`, is emitted once, in order; a bar missed in an
    outage is caught up. Venues are asked at UTC-aligned times, at least hourly, so that a bar with a close of its own
    (17:00 in New York) is seen within the hour. Where bars of several lengths close at once the shorter ones are asked for,
    and emitted, first, as a backtest has them; only one that the venue is late with comes after a longer one.
    """

    endpoint: ClassVar[str] = "bars"

    def __init__(
        self,
        connector: MarketSource,
        intervals: Iterable[tuple[Instrument, int]],
        *,
        timing: PollTiming,
        support: PollSupport,
    ) -> None:
        """Poll each (instrument, interval in seconds); `timing.every_s` is how soon a late bar is asked for again."""
        targets = [Target(instrument, interval_s) for instrument, interval_s in intervals]
        super().__init__(connector, targets, timing=_one_by_one(timing), support=support)
        self._closed_at_ns: dict[tuple[InstrumentId, int], int] = {}
        self._looks: dict[tuple[InstrumentId, int], int] = {}
        self._began_ns = 0
        """Monotonic time at which `run` began."""
        lengths = sorted({target.detail for target in targets})
        self._turn_ns = {length: turn * _TURN_NS for turn, length in enumerate(lengths)}

    def mark(self, instrument: InstrumentId, interval_s: int, closed_at_ns: int) -> None:
        """Say that bars up to `closed_at_ns` are known already (from the warm-up)."""
        self._closed_at_ns[instrument, interval_s] = closed_at_ns

    @property
    def known(self) -> Mapping[tuple[InstrumentId, int], int]:
        """Close of the last bar by (instrument, interval in seconds)."""
        return self._closed_at_ns

    async def run(self, emit: Emit) -> None:
        """Poll until cancelled; see `Poller.run`."""
        now = wall_ns(self._clock)
        monotonic = self._began_ns = self._clock.monotonic_ns()
        for target in self._targets:
            last = self._closed_at_ns.setdefault((target.instrument.id, target.detail), now)
            if last >= _newest_close_ns(target, now):
                target.due_at_ns = monotonic + self._until_close_ns(target, now)
        await super().run(emit)

    async def _ask(self, batch: Sequence[Target]) -> Sequence[Bar]:
        (target,) = batch
        key = (target.instrument.id, target.detail)
        last, now = self._closed_at_ns[key], wall_ns(self._clock)
        if last > now + AHEAD_NS:  # the clock was set back since the run began, and no bar has come yet
            last = self._closed_at_ns[key] = now - (self._clock.monotonic_ns() - self._began_ns)
        missing = (now - last) // (target.detail * NS_PER_S) + 1
        count = min(max(missing, 1), _CATCH_UP_MAX)
        bars = await self._connector.bars(target.instrument, target.detail, count)
        # One that cannot be is asked for again; taken for known, one of the year 2100 would be the last that is ever seen.
        fresh = [bar for bar in sound_bars(bars, until_ns=wall_ns(self._clock)) if bar.closed_at_ns > last]
        if fresh:
            self._closed_at_ns[key] = fresh[-1].closed_at_ns
        return fresh

    def _urgency(self, target: Target) -> tuple[int, int]:
        """Ask in the order in which they fell due: the stalest first would be the longest bars."""
        return target.due_at_ns, target.detail

    def _schedule(self, target: Target, now_ns: int) -> None:
        """Ask again soon for a bar that should be there, else after the next close."""
        key = (target.instrument.id, target.detail)
        wall = wall_ns(self._clock)
        looks = self._looks.get(key, 0)
        if self._closed_at_ns[key] < _newest_close_ns(target, wall) and looks < _LATE_LOOKS_MAX:
            self._looks[key] = looks + 1
            late_ns = round(self._timing.every_s * 2**looks * NS_PER_S)
            target.due_at_ns = now_ns + min(late_ns, self._until_close_ns(target, wall))
            return
        self._looks[key] = 0
        target.due_at_ns = now_ns + self._until_close_ns(target, wall)

    def _until_close_ns(self, target: Target, at_ns: int) -> int:
        cadence_ns = min(target.detail, _CADENCE_MAX_S) * NS_PER_S
        settle_ns = min(_SETTLE_NS, cadence_ns // 4) + self._turn_ns[target.detail]
        return cadence_ns - (at_ns - settle_ns) % cadence_ns


_CATCH_UP_MAX = 500
_LATE_LOOKS_MAX = 4
_CADENCE_MAX_S = 3_600
_SETTLE_NS = 500_000_000
"""Venues need a moment to close a bar."""
_TURN_NS = 20_000_000
"""By how much longer bars fall due later: more than a clock that is slewed shifts what was planned at different times."""


def _newest_close_ns(target: Target, at_ns: int) -> int:
    """Return when the newest bar should have closed, of bars that are aligned in UTC."""
    return at_ns - at_ns % (target.detail * NS_PER_S)


def _one_by_one(timing: PollTiming) -> PollTiming:
    return PollTiming(
        every_s=timing.every_s,
        timeout_s=timing.timeout_s,
        batch_max=1,
        concurrency=timing.concurrency,
        backoff_first_s=timing.backoff_first_s,
        backoff_max_s=timing.backoff_max_s,
    )
