"""How a journal's file was left: at rest, in use, or as a copy; and what lies beside it without belonging to it.

Used by the store, backups and the composition root. Without it two mistakes of people who move files by hand look like an
ordinary start: a copy that was put in place as it is, and a file that was taken away from its write-ahead log. Both know
less than the venue, and would count out client order ids a second time.

The mark is SQLite's ``user_version``, in the first page, so that it goes wherever the file goes. Older versions and other
programs ignore it.
"""

import sqlite3
from enum import IntEnum
from pathlib import Path

from quantd.errors import JournalError
from quantd.journal import layout

_LOG_FRAMES_RESERVED = 4_000


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


def is_in_use(connection: sqlite3.Connection) -> bool:
    """Tell whether the file was not closed in order; raises SQLite's own errors."""
    return _is_marked(connection, Standing.IN_USE)


def has_log(path: Path) -> bool:
    """Tell whether a write-ahead log lies beside the journal; to be asked before SQLite makes one.

    Raises:
        JournalError: the folder cannot be read.
    """
    log = _beside(path, "-wal")
    with layout.naming(log):
        return log.exists() and log.stat().st_size > 0


def refuse_copy(path: Path, connection: sqlite3.Connection) -> None:
    """Keep a backup from being written to where it lies.

    Raises:
        JournalError: it is one.
    """
    if _is_marked(connection, Standing.COPY):
        raise JournalError(
            f"{path}: a copy that a backup wrote, and orders may have been sent since: expected a journal that"
            " `quantd journal restore` put in place, with a new epoch so that no order id is used twice"
        )


def place_of_new(path: Path) -> Path:
    """Return where a new journal is made: where a link leads to, which is not replaced by a file.

    Not where another one was lost: SQLite would put what is left of it into the new file.

    Raises:
        JournalError: something of it is there, which is named.
    """
    if has_log(path):
        found = f"{_beside(path, '-wal')} is here, the write-ahead log of one that was moved or lost without it"
    elif _beside(path, ".restored").exists():
        found = f"{_beside(path, '.restored')} is here: a restore was cut off"
    else:
        return path.resolve()
    raise JournalError(
        f"{path}: there is no journal, but {found}; bring the journal back, or put a backup in place with"
        " `quantd journal restore`; to begin anew, move that file away first"
    )


def _is_marked(connection: sqlite3.Connection, standing: Standing) -> bool:
    return bool(connection.execute("PRAGMA user_version").fetchone()[0] == standing)


def _beside(path: Path, suffix: str) -> Path:
    """Return the file beside the journal that SQLite or a restore would use: where a link leads to, not beside the link."""
    whole = path.resolve()
    return whole.with_name(whole.name + suffix)
