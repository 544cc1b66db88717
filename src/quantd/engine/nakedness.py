"""How long positions stand without their stop, and what is done when that is too long.

A position is naked while its market is open and, of the stop or trailing stop that its strategy wanted,

- ``unconfirmed``: the venue that has to hold it does not show one (the engine watches the price until it does);
- ``triggered``: the price was reached, and the position still stands: the exit was denied, refused, is not answered for,
  or does not fill;
- ``unwatched``: the engine holds it and sees no fresh price, or cannot reach the venue.

A target has no part in this. Seconds are counted between looks, one after each change and one with every tick; what an
engine-held stop went ``unwatched`` does not count against the exit that the first price after it triggers.
"""

from collections.abc import Callable

import msgspec

from quantd.domain.events import TradingState
from quantd.domain.instruments import InstrumentId, MarketStatus
from quantd.domain.protection_facts import ProtectionHeld, ProtectionOverdue
from quantd.engine.context import Context
from quantd.engine.guarding import OVER
from quantd.engine.lot_exits import LotExits

UNCONFIRMED, TRIGGERED, UNWATCHED = REASONS = ("unconfirmed", "triggered", "unwatched")
ALERT, EXIT, HALT = ACTIONS = ("alert", "exit", "halt")
PROTECTION = "protection"
"""Who latches a strategy's state, where an unprotected position does."""
STALE_AFTER_S = 60.0
"""A price that is older tells an engine-held stop nothing."""


class Episode(msgspec.Struct):
    """One guard's time without its stop, until it has it again."""

    strategy: str
    instrument: InstrumentId
    reason: str
    looked_at_ns: int
    seconds: float = 0.0
    answered_at_ns: int = 0
    """When the venue said that the stop stands, until a snapshot shows or denies it; 0 before that."""


class Nakedness:
    """Counts, and escalates.

    Args:
        context: The engine's.
        exits: Knows what venues hold.
        leave: Gets out of what a guard protects, at the market.
    """

    def __init__(
        self,
        context: Context,
        exits: LotExits,
        leave: Callable[[ProtectionHeld], None],
    ) -> None:
        self._context = context
        self._exits = exits
        self._leave = leave
        self.episodes: dict[str, Episode] = {}
        """By entry: what is naked now."""
        self.totals: dict[tuple[str, str, str], float] = {}
        """(venue, strategy, reason) -> seconds in this process; grows only."""

    def look(self, guard: ProtectionHeld) -> None:
        """Count the time since the last look at a guard, and act when it has been too long."""
        reason = self._reason(guard)
        episode = self.episodes.get(guard.parent)
        if episode is not None:
            if reason:
                episode.answered_at_ns = 0
            elif not self._exits.is_proven(guard):
                # The venue says that it stands. Should the next snapshot deny it, the time until then counts too.
                episode.answered_at_ns = episode.answered_at_ns or self._context.now_ns
                return
            self._count(episode, episode.answered_at_ns or self._context.now_ns)
        if not reason:
            self._over(guard)
            return
        if episode is None:
            episode = self.episodes[guard.parent] = Episode(
                guard.strategy, guard.instrument, reason, self._context.now_ns
            )
        if episode.reason == UNWATCHED != reason:
            episode.seconds = 0.0  # a stop that is reached with the first price after a silence is not late yet
        episode.reason = reason
        if episode.seconds >= self._context.settings.naked_after_s:
            self._escalate(guard, episode)

    def ended(self, entry: str) -> None:
        """Count the last seconds of a guard whose position is closed, or that is wanted no more."""
        episode = self.episodes.pop(entry, None)
        if episode is not None:
            self._count(episode, self._context.now_ns)

    def _reason(self, guard: ProtectionHeld) -> str:
        if guard.due is not None:
            return TRIGGERED
        if self._exits.lacks_stop(guard):
            return UNCONFIRMED
        standing = self._exits.standing(guard)
        held_here = (guard.stop is not None and standing.stop is None) or (
            guard.trail is not None and standing.trail is None
        )
        if not held_here:
            return ""
        context = self._context
        mark = context.state.rates.marks[guard.instrument]
        stale = context.now_ns - max(mark.at_ns, mark.opened_at_ns) > STALE_AFTER_S * 1e9
        return UNWATCHED if stale or guard.instrument.partition(":")[0] in context.venue_reasons else ""

    def _count(self, episode: Episode, until_ns: int) -> None:
        """Add the time since the last look, as far as the market was open."""
        mark = self._context.state.rates.marks[episode.instrument]
        since_ns = max(episode.looked_at_ns, mark.opened_at_ns)
        episode.looked_at_ns = until_ns
        if mark.status is MarketStatus.OPEN and until_ns > since_ns:
            seconds = (until_ns - since_ns) / 1e9
            episode.seconds += seconds
            key = (episode.instrument.partition(":")[0], episode.strategy, episode.reason)
            self.totals[key] = self.totals.get(key, 0.0) + seconds

    def _over(self, guard: ProtectionHeld) -> None:
        episode = self.episodes.pop(guard.parent, None)
        known = self._context.state.guarding.overdue.get(guard.parent)
        if known is not None:
            seconds = known.seconds if episode is None else episode.seconds
            self._record(guard, known.reason, seconds, OVER)

    def _escalate(self, guard: ProtectionHeld, episode: Episode) -> None:
        """Tell it once, and do what is configured; a market exit is tried with every look until it is out."""
        context = self._context
        action = ALERT if episode.reason == UNWATCHED else context.settings.when_naked
        known = context.state.guarding.overdue.get(guard.parent)
        if known is None or ACTIONS.index(known.action) < ACTIONS.index(action):
            self._record(guard, episode.reason, episode.seconds, action)
            if action != ALERT:
                why = f"{guard.instrument} of {guard.parent} stood {episode.seconds:.1f} s {episode.reason}"
                context.latch(f"strategy:{guard.strategy}", TradingState.REDUCING, PROTECTION, why)
        if action == EXIT:
            self._leave(guard)

    def _record(self, guard: ProtectionHeld, reason: str, seconds: float, action: str) -> None:
        self._context.record(
            ProtectionOverdue(
                guard.strategy,
                guard.instrument,
                guard.parent,
                reason,
                round(seconds, 3),
                action,
                self._context.now_ns,
            )
        )
