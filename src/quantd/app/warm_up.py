"""Bars from before, for series that begin: what the bar store kept, or better, what the venue still has."""

from collections.abc import Sequence

import msgspec
import structlog

from quantd.app.shared import Shared
from quantd.domain.instruments import InstrumentId
from quantd.domain.market import Bar
from quantd.errors import VenueError

_log = structlog.get_logger("quantd.app")


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
    return [msgspec.structs.replace(bar, is_history=True) for bar in bars]
