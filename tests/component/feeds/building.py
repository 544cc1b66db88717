"""A builder of feeds as the daemon makes one, that tells nobody but the test."""

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from quantd.app.feeds import FeedBuilder
from quantd.domain.instruments import InstrumentId
from quantd.feeds.settings import FeedSettings
from quantd.ports import Clock, Emit
from quantd.testing.observer import RecordingObserver


def feed_builder(
    emit: Emit,
    clock: Clock,
    fed: Mapping[tuple[InstrumentId, int], int] | None = None,
    is_fed: asyncio.Event | None = None,
) -> FeedBuilder:
    """Return one with the settings that hold where nobody has set any; `fed` is what a warm-up has delivered, or will have."""
    settings: Any = SimpleNamespace(feeds=FeedSettings())
    return FeedBuilder(
        settings,
        emit,
        clock=clock,
        observer=RecordingObserver(),
        on_bar=lambda bar: None,
        on_change=lambda change: None,
        fed={} if fed is None else fed,
        is_fed=is_fed,
    )
