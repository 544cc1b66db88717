"""Walks a whole journal and lists everything that is wrong with it.

Used by ``quantd journal verify``, backups and tests; a start reads less (`store`). Never writes.
"""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from itertools import zip_longest
from typing import Any, NamedTuple

from quantd.errors import JournalError
from quantd.journal.projecting import VERSIONS
from quantd.journal.records import FactT, Record, is_intact
from quantd.journal.store import RECORDS_AFTER, JournalStore

PROBLEMS_LISTED_MAX = 100
_PROGRESS_EVERY = 10_000
_ROW_TOLD = 300
_REMEDY = "`quantd journal rebuild` builds the tables anew"


class Verification(NamedTuple):
    """What a walk over all records found."""

    records: int
    """Records read, those of the archive among them."""
    snapshots: int
    """Snapshots that are whole."""
    problems: tuple[str, ...]
    """Empty when the journal is clean; at most `PROBLEMS_LISTED_MAX`, in the order of the records."""
    archived: int = 0
    """Records read from the archive."""


def verify(
    store: JournalStore[FactT], progress: Callable[[int, int], None] | None = None, *, archived: bool = True
) -> Verification:
    """Check structure, chain, payloads and snapshots of the journal, its archive with it: the two are one chain.

    Args:
        store: An open journal; read-only will do.
        progress: Called now and then with (records read, records in all).
        archived: Whether to read the archive, too; without it the chain begins behind the anchor.
    """
    problems: list[str] = _structure(store)
    try:
        anchor = store.archive.anchor()
        count = from_archive = _archive(store, problems, progress) if archived else 0
    except JournalError as error:
        return Verification(0, 0, (*problems, str(error)))
    previous, expected = anchor.checksum, anchor.seq + 1
    rows = store.rows(RECORDS_AFTER, (0,))
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
        if record.seq == expected or expected == anchor.seq + 1:
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
    return Verification(count, whole, tuple(problems[:PROBLEMS_LISTED_MAX]), from_archive)


def verify_tables(store: JournalStore[Any], progress: Callable[[int, int], None] | None = None) -> tuple[str, ...]:
    """Hold the query tables against the records, which a checksum covers and the tables' rows none.

    Args:
        store: An open journal whose records were verified, with its projections; read-only will do.
        progress: Called now and then with (records read, records in all).

    Returns:
        The first difference of each table. None where a start would build the tables anew anyway.

    Raises:
        JournalError: a record cannot be read; `verify` names it.
    """
    if not store.projections.are_current(store.query(VERSIONS)):
        return ()
    with closing(sqlite3.connect("", isolation_level=None)) as anew:  # SQLite's own temporary file
        anew.execute("BEGIN")
        anew.execute("CREATE TABLE projections (name TEXT, version INTEGER)")
        store.projections.create(anew)
        for count, record in enumerate(store.records(), start=1):
            store.projections.apply(anew, [(record.seq, store.codec.decode(record))])
            if progress is not None and count % _PROGRESS_EVERY == 0:
                progress(count, store.head.seq)
        names = anew.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
        return tuple(problem for (name,) in names for problem in _differences(store, anew, name))


def _differences(store: JournalStore[Any], anew: sqlite3.Connection, name: str) -> list[str]:
    columns = len(anew.execute(f"SELECT * FROM {name} LIMIT 0").description)
    sql = f"SELECT * FROM {name} ORDER BY {', '.join(map(str, range(1, columns + 1)))}"
    try:
        for ours, found in zip_longest(anew.execute(sql), store.rows(sql)):
            if ours != found:
                told = ", found ".join(repr(row)[:_ROW_TOLD] for row in (ours, found))
                return [f"table {name}: the records say {told}; {_REMEDY}"]
    except sqlite3.Error as error:
        return [f"table {name} cannot be read: {error}; {_REMEDY}"]
    return []


def _archive(store: JournalStore[Any], problems: list[str], progress: Callable[[int, int], None] | None) -> int:
    """Add what is wrong with the archive's files to `problems`, and return the number of records read.

    Each file begins at a checksum that the journal holds: one that is damaged or gone hides nothing of the next.

    Raises:
        JournalError: the journal's tables of it are damaged.
    """
    count, anchor = 0, store.archive.anchor()
    for segment in store.archive.segments():
        try:
            for record in store.archive.read(segment):
                store.codec.decode(record)
                if record.seq > anchor.seq:
                    continue  # not removed yet, and read again in the journal
                if record.seq == anchor.seq and record.checksum != anchor.checksum:
                    problems.append(f"table anchor has another {record} than the archive")
                count += 1
                if progress is not None and count % _PROGRESS_EVERY == 0:
                    progress(count, store.head.seq)
        except JournalError as error:
            problems.append(str(error))
    return count


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
