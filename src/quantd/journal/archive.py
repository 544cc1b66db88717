"""The journal's archive: records that were moved out of the file into compressed ones beside it.

Archive and journal are one chain: each file holds a run of records with their checksums, the journal names every file and
keeps the checksum of the newest record that it lost, its anchor. Read by the store wherever older records are asked for,
so that a fold, a rebuild or a replay from the first record is what it always was; written by `retention`. A file is never
written over and never removed.

A file is gzip over lines of JSON: one that says whose records follow, then a record a line, the payload in hexadecimal.
"""

import gzip
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from quantd.errors import JournalCorrupt, JournalError
from quantd.journal import layout
from quantd.journal.records import Record, genesis, is_intact

FORMAT = "quantd journal archive 1"
_COMPRESSION = 6


class Segment(NamedTuple):
    """A run of records that one file holds."""

    first: int
    last: int
    previous: bytes
    """Checksum of the record before `first`."""
    checksum: bytes
    """Checksum of record `last`."""

    @property
    def name(self) -> str:
        """The file's name; another line of history, after a restored backup, gives another one."""
        return f"{self.first:012d}-{self.last:012d}-{self.checksum.hex()[:8]}.jsonl.gz"

    def __str__(self) -> str:
        """Name the records in messages."""
        return f"records {self.first} to {self.last}"


class Anchor(NamedTuple):
    """The newest record that the journal holds no more: number, 0 when it holds all, and checksum."""

    seq: int
    checksum: bytes


class _Header(msgspec.Struct, frozen=True):
    format: str
    journal: str
    first: int
    last: int
    previous: str


class _Line(msgspec.Struct, frozen=True):
    seq: int
    version: int
    kind: str
    at_ns: int
    payload: str
    checksum: str


def folder_of(journal: Path) -> Path:
    """Return where the archive of the journal at `journal` lies: beside the file, not beside a link to it."""
    return (whole := journal.resolve()).with_name(f"{whole.name}.archive")


class Archive:
    """What a journal's tables say of its archive, and the files.

    Args:
        journal: File of the journal.
        journal_id: Its id.
        query: Asks the journal; each call sees the moment that its connection sees.
    """

    def __init__(self, journal: Path, journal_id: str, query: Callable[[str], list[Any]]) -> None:
        self.folder = folder_of(journal)
        self._journal = journal
        self._journal_id = journal_id
        self._query = query

    def anchor(self) -> Anchor:
        """Return where the records in the journal begin: behind this one.

        Raises:
            JournalCorrupt: the table is damaged.
        """
        if not self._has_tables():
            return Anchor(0, genesis(self._journal_id))
        rows = self._query("SELECT seq, checksum FROM anchor")
        if len(rows) != 1 or not isinstance(rows[0][0], int) or not isinstance(rows[0][1], bytes):
            raise JournalCorrupt(f"{self._journal}: table anchor must have one row with a number, found {rows}")
        return Anchor(*rows[0])

    def segments(self) -> list[Segment]:
        """Return the files that the journal names, oldest first; the last one's records may be in the journal as well.

        Raises:
            JournalCorrupt: they are no chain that begins with record 1 and reaches the anchor.
        """
        anchor = self.anchor()
        if not self._has_tables():
            return []
        found = [Segment(*row) for row in self._query("SELECT * FROM archive ORDER BY first")]
        begin = Segment(0, 0, b"", genesis(self._journal_id))
        for before, after in pairwise([begin, *found]):
            if (after.first, after.previous) != (before.last + 1, before.checksum):
                raise JournalCorrupt(f"{self._journal}: {after} do not follow {before} in table archive")
        if (found[-1].last if found else 0) < anchor.seq:
            raise JournalCorrupt(f"{self._journal}: no archive file is named for records up to {anchor.seq}")
        return found

    def newest(self) -> Segment | None:
        """Return the file that was named last, None when there is none; asked often, so that it reads no others."""
        rows = self._query("SELECT * FROM archive ORDER BY first DESC LIMIT 1") if self._has_tables() else ()
        return Segment(*rows[0]) if rows else None

    def _has_tables(self) -> bool:
        return bool(self._query("SELECT 1 FROM sqlite_master WHERE name = 'anchor'"))

    def path(self, segment: Segment) -> Path:
        """Return the file of `segment`."""
        return self.folder / segment.name

    def missing(self) -> list[Path]:
        """Return the files that the journal names and that are not there."""
        return [path for path in map(self.path, self.segments()) if not path.exists()]

    def write(self, segment: Segment, records: Iterable[Record]) -> Path:
        """Write the file of `segment` from its records, and return its path; one that is there stays as it is.

        Raises:
            JournalError: the disk refused.
        """
        path = self.path(segment)
        if path.exists():
            return path
        encode = msgspec.json.Encoder().encode
        header = _Header(FORMAT, self._journal_id, segment.first, segment.last, segment.previous.hex())
        with (
            layout.published(path) as building,
            building.open("wb") as raw,
            # No name and no time inside: equal records give equal bytes.
            gzip.GzipFile("", "wb", _COMPRESSION, raw, mtime=0) as file,
        ):
            file.write(encode(header) + b"\n")
            for one in records:
                line = _Line(one.seq, one.version, one.kind, one.at_ns, one.payload.hex(), one.checksum.hex())
                file.write(encode(line) + b"\n")
        with layout.naming(path):
            layout.give_to_owner_of(self._journal.resolve().parent, path, self.folder)
        return path

    def sync(self, segment: Segment) -> None:
        """Make the file of `segment` outlast a power cut, whoever wrote it: content, name and folder.

        Raises:
            JournalError: the disk refused.
        """
        path = self.path(segment)
        with layout.naming(path):
            with path.open("rb") as file:
                os.fsync(file.fileno())
            layout.sync_directory(self.folder)
            layout.sync_directory(self.folder.parent)

    def read(self, segment: Segment) -> Iterator[Record]:
        """Yield the records of a file, each verified against the one before, and the last against the journal.

        Raises:
            JournalCorrupt: the file is damaged, or another one's.
            JournalError: it is not there, or cannot be read.
        """
        path = self.path(segment)
        previous, expected = segment.previous, segment.first
        try:
            with gzip.open(path, "rb") as lines:
                header = msgspec.json.decode(next(iter(lines), b""), type=_Header)
                if header != _Header(FORMAT, self._journal_id, segment.first, segment.last, segment.previous.hex()):
                    raise JournalCorrupt(f"{path}: expected {segment} of journal {self._journal_id}, found {header}")
                decode = msgspec.json.Decoder(_Line).decode
                for text in lines:
                    line = decode(text)
                    payload, checksum = bytes.fromhex(line.payload), bytes.fromhex(line.checksum)
                    record = Record(line.seq, line.version, line.kind, line.at_ns, payload, checksum)
                    if record.seq != expected or not is_intact(record, previous):
                        raise JournalCorrupt(f"{path}: {record} is not what was written as record {expected}")
                    previous, expected = checksum, expected + 1
                    yield record
        except FileNotFoundError as error:
            what = f"{path}: {segment} were moved here, and the file is missing"
            raise JournalError(f"{what}: bring it back from where it was taken to") from error
        except (EOFError, gzip.BadGzipFile, zlib.error, msgspec.MsgspecError, ValueError) as error:
            raise JournalCorrupt(f"{path}: damaged at record {expected}: {error}") from error
        except OSError as error:
            raise JournalError(f"{path}: cannot be read: {error.strerror or error}") from error
        if (expected - 1, previous) != (segment.last, segment.checksum):
            raise JournalCorrupt(f"{path}: ends with record {expected - 1}, expected {segment}")

    def records(self, after: int = 0) -> Iterator[Record]:
        """Yield the records after number `after` that the journal holds no more, oldest first, verified.

        Raises:
            JournalCorrupt, JournalError: as `read`.
        """
        anchor = self.anchor()
        for segment in self.segments():
            if segment.last <= after:
                continue
            for record in self.read(segment):
                if record.seq > anchor.seq:
                    return
                if record.seq == anchor.seq and record.checksum != anchor.checksum:
                    raise JournalCorrupt(f"{self._journal}: table anchor has another {record} than the archive")
                if record.seq > after:
                    yield record
