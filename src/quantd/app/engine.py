"""From the configuration and the loaded strategies to the engine."""

import random
from collections.abc import Sequence
from typing import Any

import structlog

from quantd.app.strategies import Prepared
from quantd.config import Settings
from quantd.domain.events import ReconcileAction
from quantd.engine.context import EngineSettings
from quantd.engine.core import Engine
from quantd.engine.differences import Policies
from quantd.engine.views import StrategyLog


def build_engine(settings: Settings, strategies: Sequence[Prepared], journal_id: str, epoch: int) -> Engine:
    """Return the engine with its desks; venues are connected and `declare` is called afterwards."""
    engine = Engine(
        EngineSettings(
            journal_id=journal_id,
            epoch=epoch,
            naked_after_s=settings.protection.naked_after_s,
            when_naked=settings.protection.when_naked,
        ),
        settings.risk,
        [(one.setup, one.strategy, one.limits) for one in strategies],
        make_random=random.Random,
        log=log_of,
    )
    for name, venue in settings.venues.items():
        single = {f"{name}:{symbol}": ReconcileAction(one) for symbol, one in venue.reconcile_instruments.items()}
        engine.context.policies[name] = Policies(ReconcileAction(venue.reconcile), single)
    return engine


def log_of(strategy: str) -> StrategyLog:
    """Return what a strategy's `log` writes through; each line carries the strategy's id."""
    logger = structlog.get_logger("quantd.strategy").bind(strategy=strategy)

    def log(event: str, **fields: Any) -> None:
        logger.info(event, **fields)

    return log
