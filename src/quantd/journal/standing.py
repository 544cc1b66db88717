"""How a journal's file was left: at rest, in use, or as a copy; and what lies beside it without belonging to it.

Used by the store, backups and the composition root. Without it two mistakes of people who move files by hand look like an
ordinary start: a copy that was put in place as it is, and a file that was taken away from its write-ahead log. Both know
less than the venue, and would count out client order ids a second time.

The mark is SQLite's ``user_version``, in the first page, so that it goes wherever the file goes. Older versions and other
programs ignore it.
"""

import sqlite3
import struct
from enum import IntEnum
from pathlib import Path
from typing import BinaryIO

from quantd.errors import JournalError
from quantd.journal import layout

_LOG_FRAMES_RESERVED = 4_000
_MARK_AT = 60
"""Where SQLite keeps ``user_version`` in a file's first page."""
_LOG_HEADER = struct.Struct(">4I8s8s")
"""Of a write-ahead log: magic, format, page size, number, salts, checksum."""
_FRAME = struct.Struct(">2I8s8s")
"""Before each page in it: page, pages of the file after a commit or 0, salts, checksum."""


class Standing(IntEnum):
    """How the file was left."""

    AT_REST = 0
    """Closed in order: all that was written is in the file."""
    IN_USE = 2
    """A writer has it, or was killed: the newest records may be in the write-ahead log alone."""
    COPY = 3
    """Written by a backup; comes back by a restore, with a new epoch."""


def mark(connection: sqlite3.Connection, standing: Standing) -> None:
    """Write how the file is left; raises SQLite's own errors."""
    connection.execute(f"PRAGMA user_version={standing.value}")


def lengthen_log(connection: sqlite3.Connection) -> None:
    """Let the write-ahead log grow to its usual size, and mark the file as in use; raises SQLite's own errors.

    Syncs nothing and leaves the connection so: the caller moves the log into the file.
    """
    connection.execute("PRAGMA synchronous=NORMAL")
    for number in range(_LOG_FRAMES_RESERVED):
        # Any change of one page will do; SQLite leaves out a write that changes nothing.
        connection.execute(f"PRAGMA user_version={1 - number % 2}")
    mark(connection, Standing.IN_USE)


def has_lost_log(path: Path, connection: sqlite3.Connection, *, had_log: bool, read_only: bool) -> bool:
    """Tell whether records that were acknowledged have gone with the write-ahead log; raises SQLite's own errors.

    Args:
        path: The journal.
        connection: To it.
        had_log: What `look` said before.
        read_only: Whether the connection may not write; then a log that is there is taken for whole.

    Raises:
        JournalError: the log cannot be read.
    """
    if not had_log:
        return bool(connection.execute("PRAGMA user_version").fetchone()[0] == Standing.IN_USE)
    if read_only:
        return False
    _, valid, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
    with layout.naming(path), _beside(path, "-wal").open("rb") as log:
        # A commit is synced before the next one begins: what the power tore can be the newest one, never two.
        return _commits_behind(log, max(valid, 0), page_bytes) > 1


def _commits_behind(log: BinaryIO, frame: int, page_bytes: int) -> int:
    """Count the commits of the log's last use from a frame on, which SQLite does not read any more: one before is damaged."""
    header = log.read(_LOG_HEADER.size)
    first = log.read(_FRAME.size)
    if len(first) < _FRAME.size:
        return 0
    salts = _FRAME.unpack(first)[2]
    if _is_header(header):
        salts = _LOG_HEADER.unpack(header)[4]
    count = 0
    while True:
        log.seek(_LOG_HEADER.size + frame * (_FRAME.size + page_bytes))
        found = log.read(_FRAME.size)
        if len(found) < _FRAME.size:
            return count
        _, pages, its_salts, _ = _FRAME.unpack(found)
        count += its_salts == salts and pages > 0
        frame += 1


def _is_header(header: bytes) -> bool:
    magic, _, _, _, _, checksum = _LOG_HEADER.unpack(header)
    words = struct.unpack(">6I" if magic & 1 else "<6I", header[:24])
    one = two = 0
    for first, second in zip(words[::2], words[1::2], strict=True):
        one = (one + first + two) & 0xFFFFFFFF
        two = (two + second + one) & 0xFFFFFFFF
    return bool(checksum == struct.pack(">2I", one, two))


def look(path: Path, *, read_only: bool) -> bool:
    """Tell whether a write-ahead log lies beside the journal; before the first statement, by which SQLite makes one.

    Raises:
        JournalError: it is a copy and shall be written, or cannot be read.
    """
    # Not by SQLite: a log that is left beside a copy would hide its mark. And for a writer alone, which nothing else of its
    # process comes before: closing the file drops the locks that SQLite holds on it for this process.
    if not read_only and _mark_in(path) == Standing.COPY:
        raise JournalError(
            f"{path}: a copy that a backup wrote, and orders may have been sent since: expected a journal that"
            " `quantd journal restore` put in place, with a new epoch so that no order id is used twice"
        )
    return _has_log(path)


def _mark_in(path: Path) -> int:
    with layout.naming(path), path.open("rb") as file:
        file.seek(_MARK_AT)
        return int.from_bytes(file.read(4))


def _has_log(path: Path) -> bool:
    log = _beside(path, "-wal")
    with layout.naming(log):
        return log.exists() and log.stat().st_size > 0


def place_of_new(path: Path) -> Path:
    """Return where a new journal is made: where a link leads to, which is not replaced by a file.

    Not where another one was lost: SQLite would put what is left of it into the new file.

    Raises:
        JournalError: something of it is there, which is named.
    """
    if _has_log(path):
        found = f"{_beside(path, '-wal')} is here, the write-ahead log of one that was moved or lost without it"
    elif _beside(path, ".restored").exists():
        found = f"{_beside(path, '.restored')} is here: a restore was cut off"
    else:
        return path.resolve()
    raise JournalError(
        f"{path}: there is no journal, but {found}; bring the journal back, or put a backup in place with"
        " `quantd journal restore`; to begin anew, move that file away first"
    )


def _beside(path: Path, suffix: str) -> Path:
    """Return the file beside the journal that SQLite or a restore would use: where a link leads to, not beside the link."""
    whole = path.resolve()
    return whole.with_name(whole.name + suffix)
