"""The journal on disk: one SQLite file (WAL, synchronous FULL) of chained records, snapshots and projections.

Opened at start-up and by the command line; written by the writer thread alone. Opening verifies what a start will
read: the description, the last valid snapshot and that the newest record is there; reading verifies each record.
It never takes locks between processes (`locks`), never draws the journal's id or the time, and never repairs: what is
torn, changed or missing is named and refused.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Generic, NamedTuple, Self

from quantd.errors import JournalCorrupt, JournalError
from quantd.journal import layout, standing
from quantd.journal.archive import Archive
from quantd.journal.layout import Meta
from quantd.journal.projecting import VERSIONS, Projection, ProjectionSet
from quantd.journal.records import (
    Draft,
    FactT,
    Record,
    RecordCodec,
    genesis,
    is_intact,
    seal,
    snapshot_checksum,
)

SNAPSHOTS_KEPT = 3
"""Older ones go; the records stay, so that losing them all costs time and nothing else."""

_CHECKPOINT_EVERY_COMMITS, _CHECKPOINT_EVERY_RECORDS = 500, 4_000
_OVERDUE = 8
_REBUILD_BATCH = 1_000
RECORDS_AFTER = "SELECT * FROM records WHERE seq > ? ORDER BY seq"
_INSERT_RECORD = "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?)"


class Head(NamedTuple):
    """The newest record: its number (0 when there is none) and its checksum."""

    seq: int
    checksum: bytes


class Snapshot(NamedTuple):
    """The state after record `seq`, as the engine encoded it."""

    seq: int
    payload: bytes


class Append(NamedTuple, Generic[FactT]):
    """Facts to be written, in order, with their encodings."""

    drafts: Sequence[Draft]
    facts: Sequence[FactT]


class TakeSnapshot(NamedTuple):
    """A snapshot to be written after all that was handed over before it."""

    payload: bytes


class JournalStore(Generic[FactT]):
    """A journal file that is open. One thread at a time may use it.

    Invariant: `head` is what the file says after the last successful `write`.
    """

    def __init__(
        self,
        path: Path,
        connection: sqlite3.Connection,
        codec: RecordCodec[FactT],
        projections: Sequence[Projection[FactT]],
    ) -> None:
        """Wrap an open connection; use `create` or `open`."""
        self.path = path
        self.codec = codec
        self._connection = connection
        self.projections = ProjectionSet(projections)
        self._is_writable = False
        self._commits_since_checkpoint = 0
        self._records_since_checkpoint = 0
        self.meta: Meta = layout.read_meta(connection, path)
        self.archive = Archive(path, self.meta.journal_id, self.query)
        self.head: Head = self._read_head()
        self.lost_log = False
        """Whether the file was in use and its write-ahead log is gone or damaged: not all that was written is known."""

    @classmethod
    def create(
        cls,
        path: Path,
        codec: RecordCodec[FactT],
        *,
        journal_id: str,
        epoch: int,
        projections: Sequence[Projection[FactT]] = (),
    ) -> Self:
        """Create an empty journal at `path` (and its directory) and open it.

        Args:
            path: Where; nothing may be there.
            codec: Encodes the facts.
            journal_id: Drawn by the caller, 1 to 8 characters of ``[a-z0-9]``.
            epoch: At least 1; see `backup.mint_epoch`.
            projections: Tables to keep for queries.

        Raises:
            JournalError: when something is there, or the remains of a lost journal, or the directory cannot be written.
        """
        path = standing.place_of_new(path)
        with (
            layout.published(path) as building,
            closing(sqlite3.connect(building, isolation_level=None)) as connection,
        ):
            connection.execute(f"PRAGMA application_id={layout.APPLICATION_ID}")
            connection.executescript(layout.TABLES)
            layout.write_meta(connection, Meta(journal_id, epoch))
            connection.execute("INSERT INTO head VALUES (1, 0, ?)", (genesis(journal_id),))
        return cls.open(path, codec, projections=projections)

    @classmethod
    def open(
        cls,
        path: Path,
        codec: RecordCodec[FactT],
        *,
        read_only: bool = False,
        projections: Sequence[Projection[FactT]] = (),
    ) -> Self:
        """Open the journal at `path`; a writable one gets its projections up to date.

        Raises:
            JournalCorrupt: when the description, the newest record or the file's structure is damaged.
            JournalError: when it is missing, empty, no journal, a newer quantd's, a backup's copy, or cannot be written.
        """
        connection = layout.connect(path, read_only=read_only)
        try:
            had_log = standing.look(path, read_only=read_only)
            if read_only:
                # All reads see one moment: a daemon that writes meanwhile would else add records behind the known end.
                with layout.naming(path):
                    connection.execute("BEGIN")
            store = cls(path, connection, codec, projections)
            with layout.naming(path):
                store.lost_log = standing.has_lost_log(path, connection, had_log=had_log, read_only=read_only)
                if not read_only:
                    layout.configure(connection)
                    store._is_writable = True
                    if not store.projections.are_current(store.query(VERSIONS)):
                        store.rebuild_projections()
            return store
        except BaseException:
            connection.close()
            raise

    def close(self) -> None:
        """Fold the write-ahead log into the file and close it."""
        with layout.naming(self.path), closing(self._connection):
            if self._is_writable and not self.lost_log:
                self._is_writable = False
                standing.mark(self._connection, standing.Standing.AT_REST)

    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[Any]:
        """Run a query, for example on the projections' tables, and return all rows.

        Raises:
            JournalError: when SQLite refuses.
        """
        with layout.naming(self.path):
            return self._connection.execute(sql, parameters).fetchall()

    def refresh_meta(self) -> None:
        """Read the description again after it was changed."""
        self.meta = layout.read_meta(self._connection, self.path)

    # Writing

    def write(self, entries: Sequence[Append[FactT] | TakeSnapshot]) -> None:
        """Write `entries` in one transaction, on disk when this returns.

        Raises:
            JournalError: when the disk refused; then nothing of it counts, though a later start may find it written.
        """
        head = self.head
        rows: list[Record] = []
        numbered: list[tuple[int, FactT]] = []
        snapshots: list[tuple[int, bytes, bytes]] = []
        seq, checksum = head
        for entry in entries:
            if isinstance(entry, TakeSnapshot):
                snapshots.append((seq, entry.payload, snapshot_checksum(checksum, seq, entry.payload)))
                continue
            for draft in entry.drafts:
                seq += 1
                record = seal(checksum, seq, draft)
                checksum = record.checksum
                rows.append(record)
            numbered.extend(zip(range(seq - len(entry.facts) + 1, seq + 1), entry.facts, strict=True))
        with self.transaction() as connection:
            connection.executemany(_INSERT_RECORD, rows)
            connection.execute("UPDATE head SET seq = ?, checksum = ?", (seq, checksum))
            if numbered:
                self.projections.apply(connection, numbered)
            if snapshots:
                connection.executemany("INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?)", snapshots)
                connection.execute(
                    "DELETE FROM snapshots WHERE seq NOT IN (SELECT seq FROM snapshots ORDER BY seq DESC LIMIT ?)",
                    (SNAPSHOTS_KEPT,),
                )
        self.head = Head(seq, checksum)
        self._commits_since_checkpoint += 1
        self._records_since_checkpoint += len(rows)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run a block as one transaction: all of it on disk, or none.

        Raises:
            JournalError: when the disk refused.
        """
        connection = self._connection
        with layout.naming(self.path):
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            finally:
                # SQLite has rolled back by itself after some errors, a full disk among them.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    def checkpoint_if_due(self, *, idle: bool = True) -> None:
        """Move the write-ahead log into the file now and then.

        Args:
            idle: Whether nobody waits; while somebody does, only a log that has grown long is moved.

        Raises:
            JournalError: when the disk refused.
        """
        factor = 1 if idle else _OVERDUE
        if (
            self._commits_since_checkpoint < _CHECKPOINT_EVERY_COMMITS * factor
            and self._records_since_checkpoint < _CHECKPOINT_EVERY_RECORDS * factor
        ):
            return
        self._checkpoint()

    def reserve_log(self) -> None:
        """Mark the file as in use, and let the write-ahead log have its room on the disk before it is needed.

        SQLite writes over a log that was moved into the file, from its start. A commit that lengthens the log has to
        sync the file's size as well: measured on ext4, 230 us against 120 us for one that writes over it.

        Raises:
            JournalError: when the disk refused.
        """
        with layout.naming(self.path):
            standing.lengthen_log(self._connection)
            self._checkpoint()
            self._connection.execute("PRAGMA synchronous=FULL")

    def _checkpoint(self) -> None:
        with layout.naming(self.path):
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        self._commits_since_checkpoint = 0
        self._records_since_checkpoint = 0

    # Reading

    def records(self, after: int = 0) -> Iterator[Record]:
        """Yield the records after number `after`, oldest first, each verified against the one before.

        Those that were moved out of the file come from its archive.

        Raises:
            JournalCorrupt: at the first record that is missing, changed or torn; the message names it.
            JournalError: at an archive file that is not there.
        """
        anchor = self.archive.anchor()
        if after < anchor.seq:
            yield from self.archive.records(after)
            after = anchor.seq
        previous = self._checksum_of(after)
        expected = after
        rows = self.rows(RECORDS_AFTER, (after,))
        while True:
            expected += 1
            try:
                row = next(rows, None)
            except sqlite3.Error as error:
                raise JournalCorrupt(f"{self.path}: record {expected} cannot be read: {error}") from error
            if row is None:
                break
            record = Record(*row)
            if record.seq != expected:
                raise JournalCorrupt(f"{self.path}: record {expected} is missing; the next one found is {record}")
            if not is_intact(record, previous):
                raise JournalCorrupt(f"{self.path}: {record} does not match its checksum: it was changed or torn")
            previous = record.checksum
            yield record
        if (expected - 1, previous) != self.head:
            raise JournalCorrupt(f"{self.path}: {_lost_end(expected, self.head.seq)}")

    def tail(self, count: int) -> list[Record]:
        """Return the last `count` records, oldest first, verified.

        Raises:
            JournalCorrupt: as `records`.
        """
        return list(self.records(max(0, self.head.seq - count)))

    def snapshots(self) -> Iterator[tuple[int, Snapshot | None]]:
        """Yield each snapshot kept, newest first, with its record number; None in place of a damaged one.

        Raises:
            JournalError: when they cannot be listed.
        """
        for (seq,) in self.query("SELECT seq FROM snapshots ORDER BY seq DESC"):
            yield seq, self._snapshot(seq)

    def _snapshot(self, seq: int) -> Snapshot | None:
        try:
            anchor = self._checksum_of(seq)
            payload, checksum = self.query("SELECT payload, checksum FROM snapshots WHERE seq = ?", (seq,))[0]
            intact = snapshot_checksum(anchor, seq, payload) == checksum
        except (JournalError, TypeError, IndexError):
            # A snapshot is a shortcut: whatever is wrong with this one, an older one or the records serve.
            return None
        return Snapshot(seq, payload) if intact else None

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> Iterator[Any]:
        """Yield rows as they are, one by one, unverified; raises SQLite's own errors. For `verify`, which names them itself."""
        # Not `yield from`: that would close the cursor when the iteration is dropped, perhaps after the connection.
        for row in self._connection.execute(sql, parameters):  # noqa: UP028
            yield row

    def _checksum_of(self, seq: int) -> bytes:
        anchor = self.archive.anchor()
        if seq == anchor.seq:
            return anchor.checksum
        try:
            row = self._connection.execute("SELECT checksum FROM records WHERE seq = ?", (seq,)).fetchone()
        except sqlite3.Error as error:
            raise JournalCorrupt(f"{self.path}: record {seq} cannot be read: {error}") from error
        if row is None:
            raise JournalCorrupt(f"{self.path}: record {seq} is missing")
        if not isinstance(row[0], bytes):
            raise JournalCorrupt(f"{self.path}: record {seq} has a damaged checksum")
        return row[0]

    def _read_head(self) -> Head:
        rows = self.query("SELECT seq, checksum FROM head")
        if len(rows) != 1 or not isinstance(rows[0][0], int):
            raise JournalCorrupt(f"{self.path}: table head must have one row with a number, found {rows}")
        head = Head(*rows[0])
        newest = self.query("SELECT seq, kind, checksum FROM records ORDER BY seq DESC LIMIT 1")
        seq, kind, checksum = newest[0] if newest else (0, "none", genesis(self.meta.journal_id))
        if seq != head.seq:
            raise JournalCorrupt(f"{self.path}: {_lost_end(seq + 1, head.seq)}")
        if checksum != head.checksum:
            raise JournalCorrupt(f"{self.path}: record {seq} ({kind}) is not the one that was written last")
        return head

    def rebuild_projections(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Build all projections anew from the records, in one transaction.

        Args:
            progress: Called with (records read, records in all).

        Raises:
            JournalCorrupt: when a record is damaged.
            JournalError: when the disk refused.
        """
        with self.transaction() as connection:
            self.projections.create(connection)
            if not self.projections:
                return
            batch: list[tuple[int, FactT]] = []
            for record in self.records():
                batch.append((record.seq, self.codec.decode(record)))
                if len(batch) == _REBUILD_BATCH or record.seq == self.head.seq:
                    self.projections.apply(connection, batch)
                    batch.clear()
                    if progress is not None:
                        progress(record.seq, self.head.seq)


def _lost_end(first: int, last: int) -> str:
    if first > last:
        return f"record {first - 1} stands after the last record, {last}, that was written"
    return f"record {first} is missing" if first == last else f"records {first} to {last} are missing"
