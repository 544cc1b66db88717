"""Why a daemon is not ready, in words for `/readyz`: its phase, its venues, its strategies, its halts. Changes nothing."""

from collections.abc import Iterable, Sequence

from quantd.domain.events import ACCOUNT_CAUSE, CREDENTIALS_CAUSE
from quantd.engine.core import Engine
from quantd.engine.risk.exposure import unpriced
from quantd.ports import Observer
from quantd.runtime.accounts import AccountFollower

RUNNING = "running"
"""The phase in which a daemon trades."""


def venue_reasons(follower: AccountFollower, engine: Engine) -> list[str]:
    """Return each reason why a venue that has been started takes no entries; empty when it does."""
    account = [] if follower.is_ready else [follower.reason]
    others = engine.context.venue_reasons.get(follower.venue, {}).items()
    return account + [f"takes exits only: {reason}" for cause, reason in others if cause != ACCOUNT_CAUSE]


def _blind(engine: Engine) -> list[str]:
    """Return the reason why the account takes no entries at all: what it holds somewhere has no price."""
    missing = unpriced(engine.state, engine.risk.risk.account)
    if not missing:
        return []
    known = engine.context.capabilities
    named = [one if one.partition(":")[0] in known else f"{one}, whose venue is not configured" for one in missing[:5]]
    return [f"account: no price or rate for {len(missing)} that it holds or has orders in: {'; '.join(named)}"]


class VenueGauges:
    """Sets what tells of each venue whether it can be traded, and by which causes not."""

    def __init__(self, engine: Engine, observer: Observer) -> None:
        self._engine = engine
        self._observer = observer
        self._seen: set[tuple[str, str]] = set()

    def sample(self, followers: Iterable[AccountFollower]) -> None:
        """Set the gauges, those of causes that are over to 0."""
        found = self._engine.context.venue_reasons
        held = {(venue, cause) for venue, causes in found.items() for cause in causes}
        for one in followers:
            self._observer.gauge("quantd_venue_ready", float(not venue_reasons(one, self._engine)), venue=one.venue)
            self._seen |= {(one.venue, ACCOUNT_CAUSE), (one.venue, CREDENTIALS_CAUSE)}  # every venue can have these
            if not one.is_ready:
                held.add((one.venue, ACCOUNT_CAUSE))  # also before its first word to the engine
        self._seen |= held
        for venue, cause in self._seen:
            holds = float((venue, cause) in held)
            self._observer.gauge("quantd_venue_exits_only", holds, venue=venue, cause=cause)


def reasons_of(
    phase: str, followers: Iterable[AccountFollower], failures: Iterable[object], engine: Engine
) -> Sequence[str]:
    """Return the reasons, empty when it trades.

    Args:
        phase: Of the daemon; one other than `RUNNING` is a reason.
        followers: One for each venue that has been started.
        failures: Strategies that could not be loaded.
        engine: For reading.
    """
    followers = list(followers)
    reasons = [] if phase == RUNNING else [phase]
    reasons += [f"venue {one.venue}: {reason}" for one in followers for reason in venue_reasons(one, engine)]
    for one in followers:
        suspect = engine.context.suspicions.of(one.venue)
        if suspect:
            what = ", ".join(f"{it.kind} {it.subject}" for it in suspect[:5])
            reasons.append(f"venue {one.venue}: {len(suspect)} differences not reconciled: {what}")
        reasons += [f"venue {one.venue}: {why}" for why in one.left_out]
        doubtful = engine.context.doubts.at(one.venue)
        if doubtful:
            reasons.append(f"venue {one.venue}: tells several balances of {', '.join(doubtful)}: exits only with it")
    if phase == RUNNING:
        reasons += _blind(engine)
    paused_ns = engine.context.paused_until_ns - engine.context.now_ns
    if paused_ns > 0:
        reasons.append(f"clock: it was set, nothing is opened for {paused_ns / 1e9:.0f} s of its time")
    reasons += [f"strategy {one}" for one in failures]
    for desk in engine.desks.values():
        if not desk.is_started and phase == RUNNING:
            done = min((one.count for one in desk.series), default=0)
            reasons.append(f"strategy {desk.id}: warming up, {done} bars")
    reasons += [f"halted {scope}: {latch.why}" for scope, latch in engine.state.latches.items()]
    return reasons
