"""Walks a whole journal and lists everything that is wrong with it.

Used by ``quantd journal verify``, backups and tests; a start reads less (`store`). Never writes.
"""

import sqlite3
from collections.abc import Callable
from typing import Any, NamedTuple

from quantd.errors import JournalError
from quantd.journal.records import FactT, Record, genesis, is_intact
from quantd.journal.store import JournalStore

PROBLEMS_LISTED_MAX = 100
_PROGRESS_EVERY = 10_000


class Verification(NamedTuple):
    """What a walk over all records found."""

    records: int
    """Records read."""
    snapshots: int
    """Snapshots that are whole."""
    problems: tuple[str, ...]
    """Empty when the journal is clean; at most `PROBLEMS_LISTED_MAX`, in the order of the records."""


def verify(store: JournalStore[FactT], progress: Callable[[int, int], None] | None = None) -> Verification:
    """Check structure, chain, payloads and snapshots of the journal.

    Args:
        store: An open journal; read-only will do.
        progress: Called now and then with (records read, records in all).
    """
    problems: list[str] = _structure(store)
    count = 0
    previous, expected = genesis(store.meta.journal_id), 1
    rows = store.raw_records()
    while len(problems) < PROBLEMS_LISTED_MAX:
        try:
            row = next(rows, None)
        except sqlite3.Error as error:
            problems.append(f"record {expected} cannot be read: {error}")
            break
        if row is None:
            problems += _missing(expected, store.head.seq + 1)
            break
        record = Record(*row)
        problems += _missing(expected, record.seq)
        # Behind a gap the chain starts anew with what is there; the gap itself is named already.
        if record.seq == expected or expected == 1:
            problems += _record(store, record, previous)
        previous, expected = record.checksum, record.seq + 1
        count += 1
        if progress is not None and count % _PROGRESS_EVERY == 0:
            progress(count, store.head.seq)
    if progress is not None:
        progress(count, store.head.seq)
    found = list(store.snapshots())
    problems += [f"the snapshot after record {seq} is damaged" for seq, snapshot in found if snapshot is None]
    whole = sum(snapshot is not None for _, snapshot in found)
    return Verification(count, whole, tuple(problems[:PROBLEMS_LISTED_MAX]))


def _structure(store: JournalStore[Any]) -> list[str]:
    try:
        rows = store.query("PRAGMA integrity_check(20)")
    except JournalError as error:
        return [str(error)]
    return [f"file structure: {text}" for (text,) in rows if text != "ok"]


def _missing(expected: int, found: int) -> list[str]:
    if found <= expected:
        return []
    if found == expected + 1:
        return [f"record {expected} is missing"]
    return [f"records {expected} to {found - 1} are missing"]


def _record(store: JournalStore[Any], record: Record, previous: bytes) -> list[str]:
    if not is_intact(record, previous):
        return [f"{record} does not match its checksum: it was changed or torn"]
    try:
        store.codec.decode(record)
    except JournalError as error:
        return [str(error)]
    return []
