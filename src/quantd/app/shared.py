"""What the parts of one daemon share: made by the daemon once it is built, handed to each part that runs beside it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from quantd.config import Settings
from quantd.domain.facts import Fact
from quantd.engine.core import Engine
from quantd.feeds.polling import FeedChange
from quantd.feeds.store import BarStore
from quantd.ports import Clock, Emit, Observer, Random
from quantd.runtime.accounts import AccountFollower
from quantd.runtime.executor import Executor
from quantd.runtime.supervisor import Supervisor
from quantd.venues.parts import VenueParts


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """One daemon's common parts."""

    settings: Settings
    read: Callable[[], Settings] | None = None
    """Loads the files anew; None where the configuration comes from none."""
    clock: Clock
    observer: Observer
    random: Random
    """Jitter of the daemon's own pauses; no part of any decision."""
    engine: Engine
    """For reading; only the runner calls `handle`."""
    emit: Emit
    """The inbox."""
    executor: Executor
    supervisor: Supervisor
    bars: BarStore
    venues: dict[str, VenueParts]
    followers: dict[str, AccountFollower] = field(default_factory=dict)
    """By venue, from its start on."""
    warming: set[str] = field(default_factory=set)
    """Venues whose bars from before are not all fed yet."""
    feed_changed: Callable[[FeedChange], None]
    fact_readers: list[Callable[[Sequence[Fact]], None]] = field(default_factory=list)
    """Told of each batch of facts once it is on disk; they change nothing of the engine."""
