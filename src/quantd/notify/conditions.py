"""What no fact of the journal says: the daemon's start and end, a disk that refuses, a venue that is away, a write that
stays unknown.

Used by the composition root, which looks. Pure: no queue, no clock.
"""

from quantd.domain.facts import OperationLost
from quantd.notify.notice import Notice, Weight


def started(now_ns: int) -> Notice:
    """Say that the daemon started."""
    return Notice(
        key="daemon", state="started", weight=Weight.INFO, what="the daemon started", where="all", since_ns=now_ns
    )


def ended(reason: str, now_ns: int, *, failed: bool) -> Notice:
    """Say that the daemon ended, and whether by a fault."""
    return Notice(
        key="daemon",
        state="ended",
        weight=Weight.CRITICAL if failed else Weight.INFO,
        what="the daemon ended by a fault" if failed else "the daemon ended",
        where="all",
        since_ns=now_ns,
        why=reason,
        do="Look at its log and at the positions at the venue before it is started again." if failed else "",
        runbook="QuantdDown" if failed else "",
    )


def journal_failed(error: str, now_ns: int) -> Notice:
    """Say that the disk refused an append: no fact can."""
    return Notice(
        key="journal",
        state="failed",
        weight=Weight.CRITICAL,
        what="the journal failed: halted, nothing new is sent, the daemon ends",
        where="all",
        since_ns=now_ns,
        why=error,
        do="Look at positions and orders at the venue, then at the disk. Do not start again before it is well.",
        runbook="QuantdJournalFailed",
    )


def unknown(lost: OperationLost, instrument: str) -> Notice:
    """Say that the outcome of a write stays unknown."""
    return Notice(
        key=f"unknown {lost.client_order_id} {lost.operation}",
        state="unknown",
        weight=Weight.CRITICAL,
        what="the outcome of a write stays unknown; nothing new opens in its instrument",
        where=f"order {lost.client_order_id}, {instrument}",
        since_ns=lost.at_ns,
        why=lost.cause,
        do="Look for the order at the venue by its id and time; `quantd resolve` with what you found.",
        runbook="QuantdOrderUnknown",
    )


def known(lost: OperationLost, now_ns: int) -> Notice:
    """Say that an outcome which was told as unknown is known."""
    return Notice(
        key=f"unknown {lost.client_order_id} {lost.operation}",
        state="known",
        weight=Weight.INFO,
        what="the outcome of a write is known now",
        where=f"order {lost.client_order_id}",
        since_ns=now_ns,
        is_end=True,
    )


def venue_down(venue: str, reason: str, since_ns: int) -> Notice:
    """Say that a venue is not ready."""
    return Notice(
        key=f"venue:{venue}",
        state="down",
        weight=Weight.CRITICAL,
        what="venue not ready; nothing opens there",
        where=f"venue:{venue}",
        since_ns=since_ns,
        why=reason,
        do="Look at the venue's status page and at the credentials; a restart does not help.",
        runbook="QuantdVenueNotReady",
    )


def venue_ready(venue: str, now_ns: int) -> Notice:
    """Say that a venue which was told as down is ready."""
    return Notice(
        key=f"venue:{venue}",
        state="ready",
        weight=Weight.INFO,
        what="venue ready again",
        where=f"venue:{venue}",
        since_ns=now_ns,
        is_end=True,
    )
