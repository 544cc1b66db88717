"""Moves old records out of the journal into its archive, so that the file stays bounded and nothing is lost.

Used by the daemon, step by step between its appends, and by ``quantd journal archive``. A segment goes in four steps: its
file is written and synced, read back and verified, named in the journal, and only then are its records removed, a few at a
time, the anchor moving with them. Each step is whole or has not happened; after a kill the next run goes on with the step
that comes next. Segments lie at fixed record numbers, so that it finds the file that an earlier one has written.

What may go: whole segments whose records are all older than asked, before the oldest snapshot that is kept, and never the
newest record. A start therefore reads none of them, unless every snapshot is damaged or of another version; then it reads
the archive.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

from quantd.errors import JournalCorrupt, JournalError
from quantd.journal import layout
from quantd.journal.archive import Segment
from quantd.journal.records import Record
from quantd.journal.store import JournalStore

DAY_NS = 86_400_000_000_000
SEGMENT_RECORDS = 10_000
"""Records in one file: some hours of a busy day, a megabyte at most."""
REMOVED_AT_ONCE = 500
"""Records in one removing transaction: what an append may have to wait for, a few milliseconds."""
SLICE_RECORDS = 200
"""Records between two calls of `pause` while a file is written or read."""

Pause = Callable[[], None]


class Moved(NamedTuple):
    """What a run moved."""

    segments: int
    records: int
    bytes: int
    """Of the files."""


def next_segment(store: JournalStore[Any], before_ns: int, size: int = SEGMENT_RECORDS) -> Segment | None:
    """Return the segment that is to be moved next: one half removed, else the oldest that may go; None when none may.

    Args:
        store: The journal.
        before_ns: Only records from before this moment, UTC nanoseconds.
        size: Records in a segment.

    Raises:
        JournalError: the journal cannot be read.
    """
    anchor, entered = store.archive.anchor(), store.archive.newest()
    if entered is not None and entered.last > anchor.seq:
        return entered
    last = anchor.seq + size
    if last > _oldest_snapshot(store) or last >= store.head.seq:
        return None
    row = store.query("SELECT at_ns, checksum FROM records WHERE seq = ?", (last,))
    if not row:
        raise JournalCorrupt(f"{store.path}: record {last} is missing")
    at_ns, checksum = row[0]
    return Segment(anchor.seq + 1, last, anchor.checksum, checksum) if at_ns < before_ns else None


def export(store: JournalStore[Any], segment: Segment, pause: Pause) -> int:
    """Write the file of `segment` unless it is there, read it back whole, and return its size in bytes.

    Args:
        store: The journal, read-only will do.
        segment: As `next_segment` gave it.
        pause: Called now and then, to let others go on.

    Raises:
        JournalCorrupt: a record in the journal, or the file, is not what was written.
        JournalError: the disk refused.
    """
    anchor = store.archive.anchor()
    if anchor.seq < segment.first:
        count = segment.last - segment.first + 1
        store.archive.write(segment, _paced(islice(store.records(anchor.seq), count), pause))
    store.archive.sync(segment)
    for _ in _paced(store.archive.read(segment), pause):
        pass
    return store.archive.path(segment).stat().st_size


def enter(store: JournalStore[Any], segment: Segment) -> None:
    """Name the file of `segment` in the journal; a second call does nothing.

    Raises:
        JournalError: it is not what comes next, a start would still read its records, or the disk refused.
    """
    if segment == store.archive.newest():
        return
    anchor, oldest = store.archive.anchor(), _oldest_snapshot(store)
    if (segment.first, segment.previous) != (anchor.seq + 1, anchor.checksum) or segment.last > oldest:
        raise JournalError(
            f"{store.path}: {segment} cannot be moved out: record {anchor.seq + 1} comes next, and the oldest snapshot"
            f" stands for record {oldest}"
        )
    for seq, snapshot in store.snapshots():
        if snapshot is None:  # a start goes on to an older one, and in the end to the first record
            raise JournalError(f"{store.path}: the snapshot after record {seq} is damaged: nothing is moved out")
    with store.transaction() as connection:
        layout.make_archived(connection, store.meta, anchor.checksum)
        connection.execute("INSERT INTO archive VALUES (?, ?, ?, ?)", segment)
    store.refresh_meta()


def remove(store: JournalStore[Any], segment: Segment, count: int = REMOVED_AT_ONCE) -> bool:
    """Remove the next records of a segment whose file was verified, in one transaction; tell whether more are left.

    Raises:
        JournalError: it is not named in the journal, or the disk refused.
    """
    anchor = store.archive.anchor()
    if segment != store.archive.newest():
        raise JournalError(f"{store.path}: {segment} are in no archive file that the journal names")
    last = min(anchor.seq + count, segment.last)
    if last <= anchor.seq:
        return False
    with store.transaction() as connection:
        _remove(store, connection, anchor.seq, last)
    return last < segment.last


def _oldest_snapshot(store: JournalStore[Any]) -> int:
    """Return the record that the oldest snapshot kept stands for; 0 when there is none."""
    return int(store.query("SELECT coalesce(min(seq), 0) FROM snapshots")[0][0])


def _remove(store: JournalStore[Any], connection: sqlite3.Connection, after: int, last: int) -> None:
    found = connection.execute("SELECT checksum FROM records WHERE seq = ?", (last,)).fetchone()
    gone = connection.execute("DELETE FROM records WHERE seq <= ?", (last,)).rowcount
    if found is None or gone != last - after:
        raise JournalCorrupt(f"{store.path}: records {after + 1} to {last} should be removed, only {gone} are there")
    connection.execute("UPDATE anchor SET seq = ?, checksum = ?", (last, found[0]))


def move_all(
    store: JournalStore[Any],
    before_ns: int,
    *,
    size: int = SEGMENT_RECORDS,
    told: Callable[[Moved], None] = lambda _: None,
) -> Moved:
    """Move all that may go, for a journal that nobody else writes to.

    Args:
        store: The journal, for writing.
        before_ns: Only records from before this moment, UTC nanoseconds.
        size: Records in a file.
        told: Called after each segment.

    Raises:
        JournalError: as `export`, `enter` and `remove`; what was moved before stays moved.
    """
    moved = Moved(0, 0, 0)
    while (segment := next_segment(store, before_ns, size)) is not None:
        written = export(store, segment, lambda: None)
        enter(store, segment)
        before = store.archive.anchor().seq
        while remove(store, segment):
            store.checkpoint_if_due()
        moved = Moved(moved.segments + 1, moved.records + segment.last - before, moved.bytes + written)
        told(moved)
    return moved


def compact(store: JournalStore[Any]) -> None:
    """Give the room of removed records back to the system; takes long, and as much room again meanwhile.

    Raises:
        JournalError: the disk refused; then the file is as it was.
    """
    store.query("VACUUM")
    store.query("PRAGMA wal_checkpoint(TRUNCATE)")


def _paced(records: Iterable[Record], pause: Pause) -> Iterator[Record]:
    for number, record in enumerate(records, start=1):
        if not number % SLICE_RECORDS:
            pause()
        yield record
