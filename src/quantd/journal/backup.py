"""Copies of a journal: an online backup, and its return with a new epoch.

Used by the command line and the operator's scripts. A restored journal knows less than the venue: it gets a higher
epoch, so that no client order id that was used after the backup is ever derived again; what happened meanwhile comes
back by reconciliation. Neither function touches a journal that is in use otherwise than by reading it. The archive's
files never change: they are copied as files, and neither function does.
"""

import glob
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from quantd.errors import JournalCorrupt, JournalError
from quantd.journal import layout
from quantd.journal.layout import Meta
from quantd.journal.records import RecordCodec
from quantd.journal.standing import Standing, mark
from quantd.journal.store import JournalStore
from quantd.journal.verify import verify

EPOCH_ZERO_S = 1_704_067_200
"""2024-01-01 00:00 UTC in seconds since 1970; epochs count from here."""


def mint_epoch(now_ns: int) -> int:
    """Return the epoch of a journal that is created or restored at `now_ns` (UTC nanoseconds).

    Epochs are seconds: restoring one backup twice gives two epochs.
    """
    return max(1, now_ns // 1_000_000_000 - EPOCH_ZERO_S)


def renew_epoch(store: JournalStore[Any], now_ns: int) -> Meta:
    """Give a journal in use the next epoch, so that no client order id is used twice that it may have forgotten.

    Raises:
        JournalError: the disk refused.
    """
    meta = msgspec.structs.replace(store.meta, epoch=max(mint_epoch(now_ns), store.meta.epoch + 1))
    with store.transaction() as connection:
        layout.write_meta(connection, meta)
    store.refresh_meta()
    return meta


def backup(source: Path, destination: Path, codec: RecordCodec[Any]) -> int:
    """Copy the journal at `source`, in use or not, to a new file and verify the copy.

    Returns:
        The number of the last record in it.

    Raises:
        JournalCorrupt: when the copy, and so the source, is damaged; nothing is left at `destination`.
        JournalError: when there is no journal, or something is at `destination`.
    """
    with layout.published(destination) as building:
        _make_readable_as(source, building)
        _copy(source, building, Standing.COPY)
        return _checked(building, codec)


def restore(backup_path: Path, target: Path, codec: RecordCodec[Any], *, now_ns: int, replace: bool = False) -> Meta:
    """Put a verified copy of a backup at `target`, with a new epoch. The caller holds the journal's lock.

    Args:
        backup_path: A file that `backup` wrote.
        target: Where the daemon looks for its journal.
        codec: Reads the records.
        now_ns: UTC nanoseconds; the new epoch is minted from it and is above the backup's and the target's.
        replace: Move what is at `target` aside, to ``<target>.before-<epoch>``, rather than refuse.

    Raises:
        JournalCorrupt: when the backup is damaged; `target` is as it was.
        JournalError: when there is no backup, or something is at `target` and `replace` is not set.
    """
    target = target.resolve()  # a link stays one
    if target.exists() and not replace:
        raise JournalError(f"{target}: a journal is here already; move it away, or say that it is to be replaced")
    known = _known_epoch(target)
    staged = target.with_name(f"{target.name}.restored")
    with layout.naming(staged):
        staged.unlink(missing_ok=True)
    with layout.published(staged) as building:
        _make_readable_as(target if target.exists() else backup_path, building)
        layout.give_to_owner_of(target.parent, building)
        _copy(backup_path, building, Standing.AT_REST)
        _checked(building, codec)
        with layout.naming(building), closing(sqlite3.connect(building, isolation_level=None)) as connection:
            old = layout.read_meta(connection, building)
            meta = Meta(old.journal_id, max(mint_epoch(now_ns), old.epoch + 1, known + 1), old.layout)
            connection.execute("BEGIN IMMEDIATE")
            layout.write_meta(connection, meta)
            connection.execute("COMMIT")
    with layout.naming(target):
        # The file first: cut off behind it there is no journal, and none is made beside what is left. A file without its
        # log would pass for a journal.
        for suffix in ("", "-wal", "-shm", "-journal"):
            part = target.with_name(target.name + suffix)
            if part.exists():
                part.rename(target.with_name(f"{target.name}.before-{meta.epoch}{suffix}"))
        staged.rename(target)
        layout.sync_directory(target.parent)
    return meta


def _make_readable_as(source: Path, building: Path) -> None:
    """Make a file that nobody can read who cannot read `source`: a copy holds every order, too."""
    with layout.naming(source):
        if source.exists():
            building.touch(mode=source.stat().st_mode & 0o666)


def _copy(source: Path, destination: Path, standing: Standing) -> None:
    with layout.naming(source), closing(layout.connect(source, read_only=True)) as reading:
        layout.read_meta(reading, source)
        with closing(sqlite3.connect(destination, isolation_level=None)) as writing:
            reading.backup(writing)
            # One file without a write-ahead log beside it: that is what people copy around.
            writing.execute("PRAGMA journal_mode=DELETE")
            mark(writing, standing)


def _checked(path: Path, codec: RecordCodec[Any]) -> int:
    store = JournalStore[Any].open(path, codec, read_only=True)
    try:
        problems = verify(store, archived=False).problems
        if problems:
            raise JournalCorrupt(f"{path}: not a clean copy: {problems[0]} ({len(problems)} problems in all)")
        return store.head.seq
    finally:
        store.close()


def _known_epoch(target: Path) -> int:
    """Return the highest epoch that was used at `target`, by the journal there or by restores; 0 when none can be read."""
    named = (path.name.rpartition(".before-")[2] for path in target.parent.glob(f"{glob.escape(target.name)}.before-*"))
    restored = max((int(epoch) for epoch in named if epoch.isascii() and epoch.isdigit()), default=0)
    try:
        with closing(layout.connect(target, read_only=True)) as connection:
            return max(layout.read_meta(connection, target).epoch, restored)
    except JournalError:
        return restored
