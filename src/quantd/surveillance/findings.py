"""What surveillance looks for, how much of it counts, and what it tells.

Used by the detectors and by whoever reads their findings. Decides nothing.
"""

from collections import deque
from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

import msgspec


class Pattern(Enum):
    """What was seen; names after R6-13 and the indicators of market manipulation (EU 2016/522, annex II)."""

    SPOOFING = "spoofing"
    """A large order was shown on one side and withdrawn right after we traded on the other."""
    LAYERING = "layering"
    """The same with several orders at different prices."""
    WASH = "wash"
    """Orders of ours that stood at the same time bought and sold the same at one price: nothing changed hands."""
    MOMENTUM = "momentum"
    """A series of aggressive orders moved the price, and we traded the other way into the move."""


class Thresholds(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a pattern counts."""

    window_s: float = 3.0
    """Seconds after a fill of ours within which orders on the other side are withdrawn."""
    lived_max_s: float = 60.0
    """Seconds that a withdrawn order had stood at most when we traded: what stood longer was meant."""
    size_ratio: float = 5.0
    """What was withdrawn, as a multiple of all that we showed on the side that traded."""
    near_bps: float = 25.0
    """Basis points that an order may lie further from the market than the one that it replaces; within them it counts as still
    there."""
    layers: int = 3
    """Orders withdrawn together from which on it is layering."""
    wash_s: float = 1.0
    """Seconds between a purchase and a sale at one price."""
    wash_difference: float = 0.1
    """Share by which their quantities may differ."""
    momentum_s: float = 30.0
    """Seconds within which aggressive orders of one side belong together."""
    momentum_orders: int = 5
    """Aggressive orders in that time."""
    momentum_bps: float = 30.0
    """Basis points from the first fill of them to the last, in their direction."""
    reversal_s: float = 60.0
    """Seconds after the last of them within which the other side follows."""
    reversal_share: float = 0.5
    """Share of what they traded that is traded back at a better price."""
    repeats: int = 3
    """How often a pattern must be seen in one market before it is flagged: once is chance."""
    within_s: float = 3600.0
    """Seconds within which these count."""


class Finding(msgspec.Struct, frozen=True):
    """A pattern that was seen often enough, for a person to look at."""

    pattern: Pattern
    market: str
    """``marketplace:SYMBOL``; all accounts at one marketplace count together."""
    strategies: tuple[str, ...]
    """Whose orders they were; empty text for what no strategy did."""
    orders: tuple[str, ...]
    """Client order ids, oldest sighting first."""
    since_ns: int
    """When it was first seen."""
    at_ns: int
    """When it was seen once too often, UTC nanoseconds."""
    detail: str
    """The last sighting in figures."""


class Sighting(NamedTuple):
    """A pattern seen once."""

    pattern: Pattern
    at_ns: int
    orders: tuple[str, ...]
    strategies: tuple[str, ...]
    detail: str
    is_certain: bool = False
    """Whether once is enough: no chance makes it."""


class Tally:
    """Counts the sightings of one market."""

    def __init__(self, market: str, thresholds: Thresholds) -> None:
        self._market = market
        self._thresholds = thresholds
        self._seen: dict[Pattern, deque[Sighting]] = {}

    def add(self, sighting: Sighting) -> Finding | None:
        """Return the finding that a sighting makes, if it is one too many; the count then begins anew."""
        seen = self._seen.setdefault(sighting.pattern, deque())
        seen.append(sighting)
        while sighting.at_ns - seen[0].at_ns > self._thresholds.within_s * 1e9:
            seen.popleft()
        if len(seen) < self._thresholds.repeats and not sighting.is_certain:
            return None
        found = Finding(
            pattern=sighting.pattern,
            market=self._market,
            strategies=_distinct(one for each in seen for one in each.strategies),
            orders=_distinct(one for each in seen for one in each.orders),
            since_ns=seen[0].at_ns,
            at_ns=sighting.at_ns,
            detail=sighting.detail,
        )
        seen.clear()
        return found


def _distinct(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))
