"""The input log of `record: true`: every event that the engine was given, in order, so that a run can be replayed.

Written by the runner through a buffer, read by replay. It is evidence, not the ledger: never synced on the way, and a
tail that a kill tore off is reported and left out. One file for each process; never appended to by another.

Between the inputs stand notes of what the engine answered, as digests: a replay compares its own commands with them.

A file is a magic line, then frames: payload length and CRC-32 (both 32 bits, big-endian), payload in MessagePack. The
first frame is the header.
"""

import hashlib
import struct
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, NamedTuple, Self, TypeVar

import msgspec

from quantd.errors import JournalCorrupt, JournalError

InputT = TypeVar("InputT", bound=msgspec.Struct)

MAGIC = b"quantd input log 1\n"
BUFFER_BYTES = 1 << 18
_FRAME = struct.Struct(">II")


class InputLogHeader(msgspec.Struct, frozen=True):
    """Where in the journal's story the inputs belong."""

    journal_id: str
    epoch: int
    after_seq: int
    """Newest record of the journal when the first input came; a replay starts from the state there."""
    started_at_ns: int
    """UTC nanoseconds."""
    version: str = ""
    """Version of quantd that wrote it."""


class Answered(msgspec.Struct, frozen=True, tag=True):
    """What the engine answered to the inputs since the last such note."""

    count: int
    """Commands."""
    digest: bytes
    """Of their bytes, in order; see `digest_of`."""


class Ended(msgspec.Struct, frozen=True, tag=True):
    """The recording stopped here, and the run went on."""

    why: str


def digest_of(commands: Iterable[msgspec.Struct]) -> bytes:
    """Return the digest of commands, equal for equal commands in equal order."""
    encode = msgspec.msgpack.Encoder(order="deterministic").encode
    return hashlib.blake2b(b"".join(map(encode, commands)), digest_size=16).digest()


class TornTail(NamedTuple):
    """What a kill left unfinished at the end."""

    offset: int
    """Where the unfinished frame starts, in bytes."""
    length: int
    """Bytes left out."""


class InputLogWriter(Generic[InputT]):
    """Writes inputs to a new file.

    Raises:
        JournalError: when something is at `path` or it cannot be written.
    """

    def __init__(self, path: Path, header: InputLogHeader) -> None:
        self.path = path
        self.count = 0
        """Inputs written."""
        self.size = len(MAGIC)
        """Bytes written."""
        self._encode = msgspec.msgpack.Encoder(order="deterministic").encode
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("xb", buffering=BUFFER_BYTES)
        except OSError as error:
            raise JournalError(f"{path}: the input log cannot be created: {error.strerror}") from error
        try:
            self._file.write(MAGIC)
            self._write(self._encode(header))
            self.flush()
        except JournalError:
            self._file.close()
            raise

    def append(self, event: InputT) -> None:
        """Write one input into the buffer.

        Raises:
            JournalError: when the disk refused.
        """
        self._write(self._encode(event))
        self.count += 1

    def answered(self, commands: Sequence[msgspec.Struct]) -> None:
        """Note the commands that the inputs since the last note led to.

        Raises:
            JournalError: when the disk refused.
        """
        self._write(self._encode(Answered(len(commands), digest_of(commands))))

    def ended(self, why: str) -> None:
        """Note that the recording stops before the run does, and close the file.

        Raises:
            JournalError: when the disk refused.
        """
        self._write(self._encode(Ended(why)))
        self.close()

    def flush(self) -> None:
        """Hand the buffer to the system: a kill of this process loses nothing of it, a power cut may.

        Raises:
            JournalError: when the disk refused.
        """
        try:
            self._file.flush()
        except OSError as error:
            raise JournalError(f"{self.path}: the input log cannot be written: {error.strerror}") from error

    def close(self) -> None:
        """Flush and close.

        Raises:
            JournalError: when the disk refused.
        """
        try:
            self.flush()
        finally:
            self._file.close()

    def __enter__(self) -> Self:
        """Return the writer, which is open already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()

    def _write(self, payload: bytes) -> None:
        try:
            self.size += self._file.write(_FRAME.pack(len(payload), zlib.crc32(payload)) + payload)
        except OSError as error:
            raise JournalError(f"{self.path}: the input log cannot be written: {error.strerror}") from error


class InputLogReader(Generic[InputT]):
    """Reads an input log; iterate for the inputs, oldest first.

    Args:
        path: The file.
        union: The union type of the inputs.

    Raises:
        JournalError: when it cannot be read or is no input log.
        JournalCorrupt: when its header is damaged.
    """

    def __init__(self, path: Path, union: Any) -> None:
        self.path = path
        self.torn: TornTail | None = None
        """Set when the iteration has come to a tail that was torn off."""
        self._decode: Callable[[bytes], InputT | Answered | Ended] = msgspec.msgpack.Decoder(
            union | Answered | Ended
        ).decode
        frames = self._frames()
        first = next(frames, None)
        frames.close()
        if first is None:
            raise JournalCorrupt(f"{path}: the input log has no whole header")
        try:
            self.header = msgspec.msgpack.decode(first[1], type=InputLogHeader)
        except msgspec.MsgspecError as error:
            raise JournalCorrupt(f"{path}: the header of the input log cannot be read: {error}") from error

    def __iter__(self) -> Iterator[InputT]:
        """Yield the inputs; raises as `story`."""
        for one in self.story():
            if not isinstance(one, Answered | Ended):
                yield one

    def story(self) -> Iterator[InputT | Answered | Ended]:
        """Yield the inputs, between them what was answered, and at the end whether the run went on unrecorded.

        Raises:
            JournalCorrupt: at a frame that is damaged with others behind it; the message names input and place.
            JournalError: when the file cannot be read.
        """
        frames = self._frames()
        next(frames, None)
        for number, (offset, payload) in enumerate(frames, start=1):
            try:
                yield self._decode(payload)
            except msgspec.MsgspecError as error:
                raise JournalCorrupt(f"{self.path}: input {number} at byte {offset} cannot be read: {error}") from error

    def _frames(self) -> Generator[tuple[int, bytes], None, None]:
        self.torn = None
        try:
            with self.path.open("rb", buffering=BUFFER_BYTES) as file:
                size = self.path.stat().st_size
                if file.read(len(MAGIC)) != MAGIC:
                    raise JournalError(f"{self.path}: not an input log of this version")
                offset = len(MAGIC)
                while offset < size:
                    head = file.read(_FRAME.size)
                    length, checksum = _FRAME.unpack(head) if len(head) == _FRAME.size else (0, -1)
                    end = offset + _FRAME.size + length
                    payload = file.read(length) if end <= size else b""
                    if end > size or checksum != zlib.crc32(payload):
                        if end < size and checksum >= 0:
                            raise JournalCorrupt(f"{self.path}: the frame at byte {offset} does not match its checksum")
                        self.torn = TornTail(offset, size - offset)
                        return
                    yield offset, payload
                    offset = end
        except OSError as error:
            raise JournalError(f"{self.path}: the input log cannot be read: {error.strerror}") from error
