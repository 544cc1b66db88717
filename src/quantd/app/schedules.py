"""The scheduler of a configuration: strategies' timers and trading schedules, the end of the trading day."""

from collections.abc import Sequence

from quantd.app.strategies import Prepared
from quantd.config import Settings
from quantd.engine.core import Engine
from quantd.ports import Clock, Observer
from quantd.runtime.scheduler import Schedule, Scheduler


def build_scheduler(
    settings: Settings, strategies: Sequence[Prepared], engine: Engine, clock: Clock, observer: Observer
) -> Scheduler:
    """Return the scheduler; what the journal says was fired is not fired again."""
    schedules = {
        one.setup.id: Schedule(
            start_at=one.settings.schedule.start_at,
            stop_at=one.settings.schedule.stop_at,
            flat_by=one.settings.schedule.flat_by,
        )
        for one in strategies
        if one.settings.schedule.model_dump(exclude_none=True)
    }
    return Scheduler(
        clock,
        [timer for desk in engine.desks.values() for timer in desk.timers],
        schedules=schedules,
        day_ends=settings.risk.day_ends,
        last_fired=engine.state.timers,
        observer=observer,
    )
