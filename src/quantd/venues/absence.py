"""What proves that a write did not happen: the one rule by which every connector's search ends without a match.

"Not found" needs two complete looks without a match, a least time apart, the last one begun after the quiet period, by the
wall clock since the send and by what was seen to pass. Anything less, and every failure to look, stays unknown. Each venue's
`search` says what a look is and what matches; it never sends anything again because of a rule here.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol

from quantd.domain.outcomes import NotFound, Resolution, StillUnknown
from quantd.errors import Temporary, VenueError
from quantd.ports import Clock

_SECOND_NS = 1_000_000_000
_KEPT_MAX = 1_000
CLOCK_ERROR_NS = 300 * _SECOND_NS
"""How far our own clock may have been ahead when a write left, and put right since, as by a restart of the machine: what
the venue dates so much earlier may be that write, and forbids to call it absent."""


class Write(Protocol):
    """A command whose outcome is unknown."""

    @property
    def client_order_id(self) -> str:
        """Ours."""

    @property
    def operation(self) -> int:
        """Which write to that order."""


class Moment(NamedTuple):
    """When a look began, by both clocks, in nanoseconds."""

    wall_ns: int
    monotonic_ns: int


class Progress:
    """How far one search has come."""

    __slots__ = ("begun_ns", "looked_at_ns", "looks", "resends")

    def __init__(self, begun_ns: int) -> None:
        self.begun_ns = begun_ns
        """Monotonic time of the first step: what has passed since has passed whatever the wall clock did."""
        self.looks = 0
        """Complete looks without a match."""
        self.looked_at_ns = 0
        """Monotonic time of the last one that counted."""
        self.resends = 0
        """Times that it was sent again, at venues where that is safe."""


def absent_ns(since_sent_ns: int, watched_ns: int) -> int:
    """Return how long a write was surely absent, by the wall clock since its send and by what was seen to pass.

    Of two ages the smaller one: a clock that was set forward must not shorten the quiet period.
    """
    return min(since_sent_ns, watched_ns)


class Searches:
    """The searches of one connector that are under way.

    Args:
        clock: Wall and monotonic time.
        quiet_period_s: How long after a write its absence proves nothing.
        look_every_s: Least time between two looks that count.
        retry_s: When a look that failed is tried again, unless the venue names another time.
    """

    def __init__(self, clock: Clock, *, quiet_period_s: float, look_every_s: float, retry_s: float) -> None:
        self._clock = clock
        self._quiet_ns = round(quiet_period_s * _SECOND_NS)
        self._look_every_s = look_every_s
        self._retry_s = retry_s
        self._progress: OrderedDict[tuple[str, int], Progress] = OrderedDict()

    def now(self) -> Moment:
        """Return the time, to be taken before a look begins."""
        return Moment(self._clock.now_ns(), self._clock.monotonic_ns())

    async def step(self, write: Write, look: Callable[[Progress], Awaitable[Resolution]]) -> Resolution:
        """Look once; a venue that cannot be read leaves the write unknown, and what is decided is forgotten."""
        progress = self._progress.setdefault(_key(write), Progress(self._clock.monotonic_ns()))
        while len(self._progress) > _KEPT_MAX:
            self._progress.popitem(last=False)
        try:
            resolution = await look(progress)
        except Temporary as error:
            return StillUnknown(type(error).__name__, error.retry_after_s or self._retry_s)
        except VenueError as error:
            return StillUnknown(type(error).__name__, self._retry_s)
        if not isinstance(resolution, StillUnknown):
            self.forget(write)
        return resolution

    def missed(self, progress: Progress, begun: Moment, sent_at_ns: int) -> NotFound | StillUnknown:
        """Count a complete look without a match, begun at `begun`, for a write of `sent_at_ns` (wall time)."""
        if progress.looks == 0 or begun.monotonic_ns - progress.looked_at_ns >= self._look_every_s * _SECOND_NS:
            progress.looks += 1
            progress.looked_at_ns = begun.monotonic_ns
            age_ns = absent_ns(begun.wall_ns - sent_at_ns, begun.monotonic_ns - progress.begun_ns)
            if progress.looks >= 2 and age_ns >= self._quiet_ns:
                return NotFound()
        return StillUnknown("not_seen", self._look_every_s)

    def forget(self, write: Write) -> None:
        """End a search: what became of the write is known."""
        self._progress.pop(_key(write), None)


def _key(write: Write) -> tuple[str, int]:
    return write.client_order_id, write.operation
