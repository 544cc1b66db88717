"""Why a daemon is not ready, in words for `/readyz`: its phase, its venues, its strategies, its halts. Changes nothing."""

from collections.abc import Iterable, Sequence

from quantd.engine.core import Engine
from quantd.runtime.accounts import AccountFollower

RUNNING = "running"
"""The phase in which a daemon trades."""


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
    reasons += [f"venue {one.venue}: {one.reason}" for one in followers if not one.is_ready]
    ready = {one.venue for one in followers if one.is_ready}
    unwell = engine.context.venue_reasons.items()
    reasons += [f"venue {venue}: takes exits only: {reason}" for venue, reason in unwell if venue in ready]
    for one in followers:
        suspect = engine.context.suspicions.of(one.venue)
        if suspect:
            what = ", ".join(f"{it.kind} {it.subject}" for it in suspect[:5])
            reasons.append(f"venue {one.venue}: {len(suspect)} differences not reconciled: {what}")
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
