"""The envelope of a journal record, and the codec between facts and records.

Used by the store, the in-memory journal and the fold. Generic over a tagged union of frozen `msgspec.Struct`s, so that
tests can bring a small union of their own. Never touches files, clocks or SQLite.

Payloads are MessagePack, not JSON: it keeps NaN, infinities and bytes as they are (msgspec's JSON turns NaN into null,
a fact that could be written but never read again), integers stay exact, Decimals are text. What people query by SQL
are the projections; what they read is ``quantd journal show``. Mappings and sets are encoded in sorted order, so that
equal facts give equal bytes under every hash seed.

Each checksum covers its record and the checksum before it: a record that was removed, changed, reordered or taken from
another journal breaks the chain at its own place.
"""

import hashlib
import struct
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, Generic, NamedTuple, TypeVar, get_args

import msgspec

from quantd.errors import JournalCorrupt, JournalError

FactT = TypeVar("FactT", bound=msgspec.Struct)

CHECKSUM_BYTES = 16

Migration = Callable[[dict[str, Any]], dict[str, Any]]
"""Turns a decoded payload of one schema version into the next one's; may change its tag (``type``)."""

_HEADER = struct.Struct(">QHqH")
_frame_encoder = msgspec.msgpack.Encoder()


class Draft(NamedTuple):
    """A fact encoded, before it has a place in the journal."""

    version: int
    kind: str
    at_ns: int
    payload: bytes


class Record(NamedTuple):
    """A fact in its place: what the store holds and the chain covers."""

    seq: int
    """1 for the first record, without gaps."""
    version: int
    """Schema version of the payload."""
    kind: str
    """Tag of the fact."""
    at_ns: int
    """When it became a fact, UTC nanoseconds."""
    payload: bytes
    checksum: bytes

    def __str__(self) -> str:
        """Name the record in messages."""
        return f"record {self.seq} ({self.kind})"


def genesis(journal_id: str) -> bytes:
    """Return what stands before the first record's checksum."""
    return hashlib.blake2b(journal_id.encode(), digest_size=CHECKSUM_BYTES, person=b"quantd-journal").digest()


def chain(previous: bytes, seq: int, draft: Draft) -> bytes:
    """Return the checksum of `draft` as record `seq` after a record whose checksum is `previous`."""
    kind = draft.kind.encode()
    header = _HEADER.pack(seq, draft.version, draft.at_ns, len(kind))
    return hashlib.blake2b(b"".join((previous, header, kind, draft.payload)), digest_size=CHECKSUM_BYTES).digest()


def seal(previous: bytes, seq: int, draft: Draft) -> Record:
    """Give `draft` its place after the record whose checksum is `previous`."""
    return Record(seq, *draft, chain(previous, seq, draft))


def is_intact(record: Record, previous: bytes) -> bool:
    """Tell whether `record` is what was written after the record whose checksum is `previous`."""
    try:
        return chain(previous, record.seq, Draft(*record[1:5])) == record.checksum
    except (struct.error, AttributeError, TypeError):
        # A flipped byte may have changed a column's type or range.
        return False


def snapshot_checksum(anchor: bytes, seq: int, payload: bytes) -> bytes:
    """Return the checksum of a snapshot taken after record `seq`, whose checksum is `anchor`."""
    header = b"snapshot" + seq.to_bytes(8, "big")
    return hashlib.blake2b(b"".join((anchor, header, payload)), digest_size=CHECKSUM_BYTES).digest()


def frame(record: Record) -> bytes:
    """Return the canonical bytes of a record, for comparing journals byte for byte."""
    return _frame_encoder.encode(tuple(record))


class RecordCodec(Generic[FactT]):
    """Encodes facts and reads them back, older schema versions included.

    Args:
        union: The union type of all facts, or a single Struct type; every member has a tag.
        version: Schema version of what is written, 1 to 65,535.
        migrations: For each older version, the function to the next one. A version without one is refused.
        at_ns: Reads the time of a fact, UTC nanoseconds.

    Raises:
        TypeError: when a member of the union has no tag or two have the same.
    """

    def __init__(
        self,
        union: Any,
        *,
        version: int = 1,
        migrations: Mapping[int, Migration] | None = None,
        at_ns: Callable[[FactT], int] = attrgetter("at_ns"),
    ) -> None:
        members = get_args(union) or (union,)
        self._kinds: dict[type, str] = {member: _tag(member) for member in members}
        if len(set(self._kinds.values())) != len(members):
            raise TypeError(f"two kinds of fact have the same tag: {sorted(self._kinds.values())}")
        self.version = version
        self._union = union
        self._migrations = dict(migrations or {})
        self._at_ns = at_ns
        self._encode = msgspec.msgpack.Encoder(order="deterministic").encode
        self._decode = msgspec.msgpack.Decoder(union).decode

    @property
    def kinds(self) -> frozenset[str]:
        """Tags of all facts that this codec knows."""
        return frozenset(self._kinds.values())

    def encode(self, fact: FactT) -> Draft:
        """Encode `fact`.

        Raises:
            JournalError: when it is not a member of the union or holds what cannot be encoded.
        """
        kind = self._kinds.get(type(fact))
        if kind is None:
            raise JournalError(f"a {type(fact).__name__} is not a fact of the journal")
        try:
            return Draft(self.version, kind, self._at_ns(fact), self._encode(fact))
        except (TypeError, ValueError, OverflowError, msgspec.MsgspecError) as error:
            raise JournalError(f"fact {kind} cannot be encoded: {error}") from error

    def decode(self, record: Record) -> FactT:
        """Read the fact of `record`, whose checksum was verified before.

        Raises:
            JournalError: when a newer quantd wrote it, or no migration leads from its version to ours.
            JournalCorrupt: when the payload is not what its kind promises.
        """
        try:
            if record.version == self.version:
                fact: FactT = self._decode(record.payload)
                if self._kinds[type(fact)] != record.kind:
                    raise JournalCorrupt(f"{record}: the payload is of kind {self._kinds[type(fact)]}")
                return fact
            return self._migrate(record)
        except msgspec.MsgspecError as error:
            raise JournalCorrupt(f"{record}: the payload cannot be read: {error}") from error

    def _migrate(self, record: Record) -> FactT:
        if record.version > self.version:
            raise JournalError(
                f"{record} has schema version {record.version}, this quantd reads up to {self.version}:"
                " start the version of quantd that wrote it, or a newer one"
            )
        content = msgspec.msgpack.decode(record.payload)
        for version in range(record.version, self.version):
            if version not in self._migrations:
                raise JournalError(f"{record}: no migration leads from schema version {version} to {version + 1}")
            content = self._migrations[version](content)
        migrated: FactT = msgspec.convert(content, self._union)
        return migrated


def _tag(member: Any) -> str:
    tag = getattr(getattr(member, "__struct_config__", None), "tag", None)
    if not isinstance(tag, str):
        raise TypeError(f"{member!r} cannot be a fact: it has no text tag")
    return tag
