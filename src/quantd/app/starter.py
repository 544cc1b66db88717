"""Starts each strategy once its venues are ready, prices are there, and its indicators are warm; renewed ones too."""

import asyncio

import structlog

from quantd.app.shared import Shared
from quantd.domain.events import StrategyStarted
from quantd.engine.desk import Desk

_log = structlog.get_logger("quantd.app")
_LOOK_EVERY_S = 0.05


async def start_strategies(shared: Shared) -> None:
    """Look for ever, and ask once for the start of each strategy as it is loaded."""
    asked: dict[str, object] = {}
    while True:
        await asyncio.sleep(_LOOK_EVERY_S)
        for desk in shared.engine.desks.values():
            if desk.is_started or asked.get(desk.id) is desk.strategy or not _may_start(shared, desk):
                continue
            asked[desk.id] = desk.strategy
            shared.emit(StrategyStarted(desk.id, shared.clock.now_ns()))
            _log.info("strategy_started", strategy=desk.id)


def _may_start(shared: Shared, desk: Desk) -> bool:
    followers, marks = shared.followers, shared.engine.state.rates.marks
    venues = {one.partition(":")[0] for one in desk.instruments}
    # A series may be warm in the middle of its history: the rest of that is no market to trade on.
    is_fed = shared.warming.isdisjoint(venues)
    ready = is_fed and all(venue in followers and followers[venue].is_ready for venue in venues)
    priced = all(one in marks and marks[one].last > 0 for one in desk.instruments)
    return ready and priced and desk.is_warm
