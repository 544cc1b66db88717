"""Recovery: the newest whole snapshot, then every record after it, applied in order.

Used at start, by replay and by tests; the same code restores after an orderly stop and after a kill. Knows nothing of
what the facts mean.
"""

from collections.abc import Callable
from typing import NamedTuple

from quantd.errors import SnapshotOutdated
from quantd.journal.records import FactT
from quantd.journal.store import JournalStore


class Recovery(NamedTuple):
    """What a fold read."""

    snapshot_seq: int
    """Record number that the snapshot stands for; 0 when all records were read."""
    records: int
    """Records applied after it."""
    damaged_snapshots: tuple[int, ...] = ()
    """Newer snapshots that were passed over; nothing is lost by that but time."""
    outdated_snapshots: tuple[int, ...] = ()
    """Newer ones that another version wrote; likewise."""


def recover(
    store: JournalStore[FactT],
    apply: Callable[[FactT], None],
    restore: Callable[[bytes], None],
) -> Recovery:
    """Restore the state: `restore` gets the last whole snapshot that it can read, if any, `apply` each later fact.

    Args:
        store: The journal.
        apply: Takes a fact.
        restore: Takes a snapshot into an empty state, or raises `SnapshotOutdated` before it has changed anything.

    Raises:
        JournalCorrupt: when a record after the snapshot is missing, changed or torn; the message names it.
        JournalError: when a newer quantd wrote one.
    """
    damaged: list[int] = []
    outdated: list[int] = []
    start = 0
    for seq, snapshot in store.snapshots():
        if snapshot is None:
            damaged.append(seq)
            continue
        try:
            restore(snapshot.payload)
        except SnapshotOutdated:
            outdated.append(seq)
        else:
            start = seq
            break
    decode = store.codec.decode
    count = 0
    for record in store.records(start):
        apply(decode(record))
        count += 1
    return Recovery(start, count, tuple(damaged), tuple(outdated))
