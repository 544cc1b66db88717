"""The scheduler of a configuration: strategies' timers and trading schedules, the end of the trading day."""

from collections.abc import Sequence

from quantd.config import Settings
from quantd.engine.core import Engine
from quantd.plugins.settings import StrategySettings
from quantd.ports import Clock, Observer
from quantd.runtime.scheduler import Schedule, Scheduler


def build_scheduler(
    settings: Settings, strategies: Sequence[StrategySettings], engine: Engine, clock: Clock, observer: Observer
) -> Scheduler:
    """Return the scheduler; what the journal says was fired is not fired again.

    Args:
        settings: For the end of the trading day.
        strategies: Whose schedules hold: a file that cannot be loaded leaves its positions, which are to be flat in time.
        engine: For the strategies' timers, and what was fired before.
        clock: Time.
        observer: Gets the scheduler's metrics.
    """
    schedules = {
        one.id: Schedule(start_at=one.schedule.start_at, stop_at=one.schedule.stop_at, flat_by=one.schedule.flat_by)
        for one in strategies
        if one.schedule.model_dump(exclude_none=True)
    }
    return Scheduler(
        clock,
        [timer for desk in engine.desks.values() for timer in desk.timers],
        schedules=schedules,
        day_ends=settings.risk.day_ends,
        last_fired=engine.state.timers,
        observer=observer,
    )
