"""What the control API is given of the daemon: the engine for reading, the inbox for writing, and little else.

Filled by the composition root, read by the routes. Holds no secrets and no connector: a venue is a name and three
questions.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec

from quantd.domain.events import Event, StrategiesReplaced
from quantd.domain.facts import Fact
from quantd.domain.reports import AccountSnapshot
from quantd.engine.core import Engine
from quantd.engine.risk.limits import Limits, RiskSettings
from quantd.journal.latch import HaltLatch
from quantd.journal.records import RecordCodec
from quantd.ports import Clock, Emit


class PlannedChange(msgspec.Struct, frozen=True):
    """One thing that is not as the running daemon has it."""

    scope: str
    """``strategy:ID``, or the section of the configuration."""
    what: str
    action: str
    """``restart``: of this strategy, in place. ``daemon``: takes a restart of the daemon. ``broken``: cannot be loaded."""
    needs: str = ""
    """What has to be so before, such as a flat book; empty when nothing has."""


class ReloadPlan(msgspec.Struct, frozen=True):
    """How the files differ from what runs."""

    changes: tuple[PlannedChange, ...]
    digest: str
    """Names this plan; another source, another value or another book gives another one."""


class Reloader(Protocol):
    """What the composition root does for it."""

    turn: asyncio.Lock
    """Held from the plan until the engine has it."""

    async def plan(self) -> ReloadPlan:
        """Read the files and the strategies anew, and compare.

        Raises:
            ConfigError: the files are not a configuration.
        """
        ...

    async def ready(self, plan: ReloadPlan, by: str) -> tuple[StrategiesReplaced, Sequence[Event]]:
        """Hand the new objects to the engine; the event that puts them in place, and the bars that warm them up."""
        ...


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
    risk: Callable[[], RiskSettings]
    """Limits in effect now."""
    strategy_limits: Callable[[], Mapping[str, Limits]]
    """By strategy id, defaults merged in, in effect now."""
    venues: Mapping[str, VenueAccess]
    failures: Sequence[str]
    """Strategies that could not be loaded, and why."""
    reasons: Callable[[], Sequence[str]]
    """Why the daemon is not ready; empty when it trades."""
    reloader: Reloader | None = None
    """None: the daemon was not started from files."""
    draw: Callable[[], str]
    """A text that nobody can guess, for confirmations."""
