"""What the control API is given of the daemon: the engine for reading, the inbox for writing, and little else.

Filled by the composition root, read by the routes. Holds no secrets and no connector: a venue is a name and three
questions.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from quantd.domain.facts import Fact
from quantd.domain.reports import AccountSnapshot
from quantd.engine.core import Engine
from quantd.engine.risk.limits import Limits, RiskSettings
from quantd.journal.latch import HaltLatch
from quantd.journal.records import RecordCodec
from quantd.ports import Clock, Emit


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueAccess:
    """One venue, as far as operators have to do with it."""

    kind: str
    """Its `type` in the configuration."""
    readiness: Callable[[], tuple[bool, str]]
    """Whether it can be traded at, and why not."""
    snapshot: Callable[[], Awaitable[AccountSnapshot]]
    """Asks the venue anew; raises `VenueError`."""
    budget_left: Callable[[], Mapping[str, float]]
    """Share left of each rate limit, 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonAccess:
    """One daemon, as far as operators have to do with it."""

    engine: Engine
    """For reading, in the loop's thread; only the runner calls `handle`."""
    emit: Emit
    clock: Clock
    latch: HaltLatch
    journal: Path
    codec: RecordCodec[Fact]
    version: str
    config_hash: str
    risk: Callable[[], RiskSettings]
    """Limits in effect now."""
    strategy_limits: Callable[[], Mapping[str, Limits]]
    """By strategy id, defaults merged in, in effect now."""
    venues: Mapping[str, VenueAccess]
    failures: Sequence[str]
    """Strategies that could not be loaded, and why."""
    reasons: Callable[[], Sequence[str]]
    """Why the daemon is not ready; empty when it trades."""
    draw: Callable[[], str]
    """A text that nobody can guess, for confirmations."""
