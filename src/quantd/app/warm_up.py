"""Bars from before, for series that begin: what the bar store kept, or better, what the venue still has."""

import asyncio
from collections.abc import Mapping, Sequence

import msgspec
import structlog

from quantd.app.feeds import wants
from quantd.app.shared import Shared
from quantd.domain.events import Event
from quantd.domain.instruments import InstrumentId
from quantd.domain.market import Bar
from quantd.errors import VenueError
from quantd.feeds.quality import sound_bars

_log = structlog.get_logger("quantd.app")


class WarmUp:
    """One venue's warm-up, while its prices, orders and account are followed already: it may take minutes.

    Live bars wait for those from before, for a series takes none that is older than its last.
    """

    def __init__(self, shared: Shared, venue: str) -> None:
        self._shared = shared
        self._venue = venue
        self._held: list[Bar] = []
        self.fed: dict[tuple[InstrumentId, int], int] = {}
        """What `warm_up` returns, once it is done."""
        self.done = asyncio.Event()
        shared.warming.add(venue)

    def emit(self, event: Event) -> None:
        """Hand a live event on; bars when the warm-up is done."""
        if isinstance(event, Bar) and not self.done.is_set():
            self._held.append(event)
        else:
            self._shared.emit(event)

    async def run(self) -> None:
        """Feed the bars from before, then the live ones that came meanwhile."""
        self.fed.update(await warm_up(self._shared, self._venue))
        self.done.set()
        held, self._held = self._held, []
        for bar in held:
            self._shared.emit(bar)
        self._shared.warming.discard(self._venue)


async def warm_up(shared: Shared, venue: str) -> Mapping[tuple[InstrumentId, int], int]:
    """Feed kept and historical bars to the series of a venue before the live ones.

    Returns:
        Close of the newest complete bar that was fed, by (instrument, interval in seconds); the live bars begin after it.
        Missing where there was none: the warm-up is live then.
    """
    fed: dict[tuple[InstrumentId, int], int] = {}
    series = [one for desk in shared.engine.desks.values() for one in desk.series]
    for instrument, intervals in wants(shared.engine, venue).bars.items():
        needed = max(one.needed for one in series if one.instrument == instrument)
        for interval in sorted(intervals):
            for bar in await history(shared, instrument, interval, needed):
                shared.emit(bar)
                if bar.complete:
                    fed[instrument, interval] = bar.closed_at_ns
    return fed


async def history(shared: Shared, instrument: InstrumentId, every_s: int, needed: int) -> Sequence[Bar]:
    """Return bars up to now, oldest first; fewer, or none, where nobody has them: the warm-up is live then.

    Args:
        shared: The daemon's parts.
        instrument: Of a venue that is up.
        every_s: Interval in seconds.
        needed: Bars until the series is warm; twice as many are asked for, since some may be missing.
    """
    parts = shared.venues[instrument.partition(":")[0]]
    bars: Sequence[Bar] = await shared.bars.load(instrument, every_s, 2 * needed)
    rules = shared.engine.state.portfolio.instruments.get(instrument)
    if rules is not None and every_s in parts.connector.capabilities.native_bars_s:
        try:
            bars = await parts.connector.bars(rules, every_s, 2 * needed) or bars
        except VenueError as error:
            _log.warning("history_not_read", venue=rules.venue, instrument=instrument, error=str(error))
        except Exception:  # noqa: BLE001 -- boundary: one venue's code must not end what trades at the others
            _log.exception("history_not_read", venue=rules.venue, instrument=instrument)
    sound = sound_bars(bars, until_ns=shared.clock.now_ns())
    dropped = sum(bar.complete for bar in bars) - len(sound)
    if dropped:
        _log.warning("history_not_sound", venue=parts.connector.venue, instrument=instrument, count=dropped)
    return [msgspec.structs.replace(bar, is_history=True) for bar in sound]
