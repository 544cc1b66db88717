"""Counts that the risk controls need over a restart: kept by facts alone, so that a fold brings them back exactly.

`State` shows each fact to these before it applies it, so that an order is seen as it was. Holds no limits: what is
counted here means nothing until a control compares it with one.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from quantd.domain import facts as f
from quantd.domain.events import TradingState

SCHEDULE = "schedule"
"""Who sets and clears a state where a trading schedule does; that is no person's word."""


class TalliesImage(msgspec.Struct, frozen=True):
    """All counts, for the journal's snapshots."""

    resumed: dict[str, int] = {}


class Tallies:
    """Counters by scope; changed by facts alone."""

    def __init__(self) -> None:
        self.resumed: dict[str, int] = {}
        """Scope -> when a person last cleared it, in nanoseconds UTC: what happened before counts no more."""
        self.handlers: dict[type, Callable[[Any], None]] = {f.StateSet: self._state_set}
        """Fact -> what it counts."""

    def dump(self) -> TalliesImage:
        """Return all counts."""
        return TalliesImage(dict(self.resumed))

    def restore(self, image: TalliesImage) -> None:
        """Take over what `dump` returned."""
        self.resumed = dict(image.resumed)

    def _state_set(self, fact: f.StateSet) -> None:
        if fact.state is TradingState.ACTIVE and fact.by != SCHEDULE:
            self.resumed[fact.scope] = fact.at_ns
