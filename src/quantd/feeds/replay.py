"""Recorded events in order and in real time: merging several sources, and replaying them on the live clock.

Used by the backtest (`merge_by_time`), by paper trading on recorded data and by the simulators (`ReplayFeed`).
Never reorders the events of one source, and never runs ahead of its clock.
"""

import asyncio
import heapq
from collections.abc import Iterable, Iterator
from operator import attrgetter

import msgspec
import structlog

from quantd.domain.events import MarketEvent
from quantd.domain.market import Bar, StatusChanged
from quantd.ports import Clock, Emit

NS_PER_S = 1_000_000_000
_BURST_MAX = 256
"""Events emitted without giving the loop a turn."""

_log = structlog.get_logger(__name__)


def merge_by_time(*sources: Iterable[MarketEvent]) -> Iterator[MarketEvent]:
    """Yield the events of several ordered sources by `received_at_ns`; of equal times, the earlier source's first."""
    if len(sources) == 1:
        return iter(sources[0])
    return heapq.merge(*sources, key=attrgetter("received_at_ns"))


class ReplayFeed:
    """Emits recorded events on the live clock, `speed` times as fast as they were recorded; a `Feed`.

    Times are mapped on a straight line: the first event is now, a bar's opening and close keep their distance divided
    by the speed. At the end `finished` is set and the feed waits to be cancelled, for a feed that ends is a fault.
    """

    def __init__(
        self, events: Iterable[MarketEvent], clock: Clock, *, speed: float = 1.0, restamp: bool = True
    ) -> None:
        """Replay `events`, ordered by `received_at_ns`; without `restamp` they keep their times.

        Raises:
            ValueError: when `speed` is not positive.
        """
        if not speed > 0:
            raise ValueError(f"expected a speed above 0, found {speed}")
        self.finished = asyncio.Event()
        self.emitted = 0
        """Events emitted so far."""
        self._events = events
        self._clock = clock
        self._speed = speed
        self._restamp = restamp

    async def run(self, emit: Emit) -> None:
        """Replay all events, then wait to be cancelled."""
        await self._replay(emit)
        _log.info("replay_ended", events=self.emitted)
        self.finished.set()
        await asyncio.Event().wait()

    async def _replay(self, emit: Emit) -> None:
        shift: _Shift | None = None
        burst = 0
        for event in self._events:
            now = self._clock.now_ns()
            if shift is None:
                shift = _Shift(event.received_at_ns, now, self._speed)
            due = shift.at(event.received_at_ns)
            if due > now:
                await asyncio.sleep((due - now) / NS_PER_S)
                burst = 0
            else:
                burst += 1
                if burst >= _BURST_MAX:
                    await asyncio.sleep(0)
                    burst = 0
            emit(shift.stamped(event, max(due, self._clock.now_ns())) if self._restamp else event)
            self.emitted += 1


class _Shift:
    """The straight line from recorded times to the clock's."""

    def __init__(self, recorded_ns: int, started_ns: int, speed: float) -> None:
        self._recorded_ns = recorded_ns
        self._started_ns = started_ns
        self._speed = speed

    def at(self, recorded_ns: int) -> int:
        return self._started_ns + round((recorded_ns - self._recorded_ns) / self._speed)

    def stamped(self, event: MarketEvent, received_at_ns: int) -> MarketEvent:
        if isinstance(event, Bar):
            # By its length, which the rounding of two times would not keep to the last nanosecond.
            closed_at_ns = self.at(event.closed_at_ns)
            return msgspec.structs.replace(
                event,
                opened_at_ns=closed_at_ns - round(event.interval_ns / self._speed),
                closed_at_ns=closed_at_ns,
                received_at_ns=received_at_ns,
            )
        if isinstance(event, StatusChanged):
            return msgspec.structs.replace(event, received_at_ns=received_at_ns)
        occurred = event.received_at_ns if event.occurred_at_ns is None else event.occurred_at_ns
        return msgspec.structs.replace(event, occurred_at_ns=self.at(occurred), received_at_ns=received_at_ns)
