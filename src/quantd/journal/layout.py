"""The layout of the journal's SQLite file: tables, description, connections, and the names of what goes wrong.

Used by the store, backup and restore. Knows no facts, checks no records.
"""

import contextlib
import hashlib
import os
import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from quantd.errors import JournalCorrupt, JournalError

LAYOUT_VERSION = 1
"""Of a journal that holds all its records; an older quantd that does not know the archive still reads it."""
LAYOUT_ARCHIVED = 2
"""Of one whose first records were moved into the archive."""
APPLICATION_ID = 0x71746A31
"""Marks the file in SQLite's own header, so that `file` and we know it at once."""

TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE head (id INTEGER PRIMARY KEY CHECK (id = 1), seq INTEGER NOT NULL, checksum BLOB NOT NULL);
CREATE TABLE records (
    seq INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,
    kind TEXT NOT NULL,
    at_ns INTEGER NOT NULL,
    payload BLOB NOT NULL,
    checksum BLOB NOT NULL
);
CREATE TABLE snapshots (seq INTEGER PRIMARY KEY, payload BLOB NOT NULL, checksum BLOB NOT NULL);
CREATE TABLE projections (name TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID;
"""

_ARCHIVE_TABLES = (
    "CREATE TABLE anchor (id INTEGER PRIMARY KEY CHECK (id = 1), seq INTEGER NOT NULL, checksum BLOB NOT NULL)",
    "CREATE TABLE archive (first INTEGER PRIMARY KEY, last INTEGER NOT NULL, previous BLOB NOT NULL, checksum BLOB NOT NULL)",
)

_JOURNAL_ID = re.compile(r"[a-z0-9]{1,8}")
_BUSY_S = 5.0
_REMEDY = "restore a backup with `quantd journal restore`"


class Meta(msgspec.Struct, frozen=True):
    """What a journal says of itself."""

    journal_id: str
    """Minted at creation, 1 to 8 characters of ``[a-z0-9]``; part of every client order id."""
    epoch: int
    """Minted at creation and at each restore; never goes back."""
    layout: int = LAYOUT_VERSION


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Open the SQLite file at `path`, which must exist; `configure` comes before anything is written.

    Raises:
        JournalError: when it cannot be opened.
    """
    mode = "ro" if read_only else "rw"
    with naming(path):
        if not path.exists():
            raise JournalError(f"{path}: there is no journal here")
        if not path.is_file():
            raise JournalError(f"{path}: not a journal: expected a file, found a folder or a device")
        if path.stat().st_size == 0:
            raise JournalError(f"{path}: the file is empty, which no journal ever is; restore a backup, or remove it")
        return sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}",
            uri=True,
            isolation_level=None,
            check_same_thread=False,  # handed over to the writer thread, never shared
            timeout=_BUSY_S,
        )


def configure(connection: sqlite3.Connection) -> None:
    """Set what makes a commit mean "on disk"; checkpoints are the writer's business."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA wal_autocheckpoint=0")


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn SQLite's and the system's errors into ours, with the file, the cause and what to do.

    Raises:
        JournalCorrupt: when the file's structure is damaged.
        JournalError: for everything else.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise explain(path, error) from error
    except UnicodeDecodeError as error:  # SQLite's own words of a damaged definition
        raise JournalCorrupt(f"{path}: the file is damaged: {error}; {_REMEDY}") from error
    except OSError as error:
        raise JournalError(f"{path}: {error.strerror or error}") from error


def explain(path: Path, error: sqlite3.Error) -> JournalError:
    """Return our error for one of SQLite's."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_CORRUPT:
        return JournalCorrupt(f"{path}: the file is damaged: {error}; {_REMEDY}")
    if code == sqlite3.SQLITE_NOTADB:
        return JournalError(f"{path}: not a journal: the file is no SQLite database")
    if code == sqlite3.SQLITE_FULL:
        return JournalError(f"{path}: no room to write: {error}; free space on the disk")
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
        return JournalError(f"{path}: cannot be written ({error}); the file and its directory must be writable")
    if code == sqlite3.SQLITE_BUSY:
        return JournalError(f"{path}: another process is writing to it")
    return JournalError(f"{path}: {error}")


def write_meta(connection: sqlite3.Connection, meta: Meta) -> None:
    """Replace the description.

    Raises:
        JournalError: when id or epoch are out of range.
    """
    if not _JOURNAL_ID.fullmatch(meta.journal_id):
        raise JournalError(f"a journal id has 1 to 8 characters of [a-z0-9], not {meta.journal_id!r}")
    if meta.epoch < 1:
        raise JournalError(f"an epoch is at least 1, not {meta.epoch}")
    values = {"journal_id": meta.journal_id, "epoch": str(meta.epoch), "layout": str(meta.layout)}
    rows = [*values.items(), ("checksum", _checksum(values))]
    connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", rows)


def make_archived(connection: sqlite3.Connection, meta: Meta, genesis: bytes) -> None:
    """Give a journal the tables of its archive, in the transaction of its first file, and keep older versions out of it.

    Raises:
        JournalError: when `meta` is out of range.
    """
    if meta.layout >= LAYOUT_ARCHIVED:
        return
    for statement in _ARCHIVE_TABLES:
        connection.execute(statement)
    connection.execute("INSERT INTO anchor VALUES (1, 0, ?)", (genesis,))
    write_meta(connection, msgspec.structs.replace(meta, layout=LAYOUT_ARCHIVED))


def read_meta(connection: sqlite3.Connection, path: Path) -> Meta:
    """Read and check the description.

    Raises:
        JournalCorrupt: when it was changed.
        JournalError: when this is no journal, or a newer quantd's.
    """
    with naming(path):
        if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
            raise JournalError(f"{path}: not a journal: a SQLite database of another program")
        values = {str(key): str(value) for key, value in connection.execute("SELECT key, value FROM meta")}
    checksum = values.pop("checksum", None)
    layout = values.get("layout", "")
    if layout.isascii() and layout.isdigit() and int(layout) > LAYOUT_ARCHIVED:
        raise JournalError(
            f"{path}: has layout {layout}, this quantd knows up to {LAYOUT_ARCHIVED}: start the version that wrote it"
        )
    if checksum != _checksum(values) or {"journal_id", "epoch", "layout"} - values.keys():
        raise JournalCorrupt(f"{path}: the description (table meta) was changed or is torn: {values}")
    _check_tables(connection, path, int(layout))
    return Meta(values["journal_id"], int(values["epoch"]), int(layout))


def _check_tables(connection: sqlite3.Connection, path: Path, layout: int) -> None:
    """Hold the tables' definitions against ours: read by another one, a whole row is another row.

    Raises:
        JournalCorrupt: one was changed or is missing.
    """
    statements = [one.strip() for one in TABLES.split(";") if one.strip()]
    statements += _ARCHIVE_TABLES if layout >= LAYOUT_ARCHIVED else ()
    with naming(path):
        found = {sql for (sql,) in connection.execute("SELECT sql FROM sqlite_master WHERE type = 'table'")}
    for statement in statements:
        if statement not in found:
            raise JournalCorrupt(f"{path}: the definition of table {statement.split()[2]} was changed or is missing")


def _checksum(values: Mapping[str, str]) -> str:
    text = "\n".join(f"{key}={values[key]}" for key in sorted(values))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


@contextmanager
def published(path: Path) -> Iterator[Path]:
    """Give a place to build a file in, and put it at `path` when it is whole and synced; never half of it.

    Raises:
        JournalError: when `path` exists already, or the directory cannot be written.
    """
    if path.exists():
        raise JournalError(f"{path}: exists already and is not overwritten")
    building = path.with_name(f"{path.name}.building")
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove(building)
        try:
            yield building
            descriptor = os.open(building, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            building.rename(path)
            sync_directory(path.parent)
        finally:
            _remove(building)


def give_to_owner_of(folder: Path, *paths: Path) -> None:
    """Let what root makes in the daemon's folder belong to the daemon, which could not write it otherwise; for others nothing.

    Raises:
        OSError: when the system refuses.
    """
    if os.geteuid() == 0:
        owner = folder.stat()
        for path in paths:
            os.chown(path, owner.st_uid, owner.st_gid)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable.

    Raises:
        OSError: when the system refuses.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).unlink()
