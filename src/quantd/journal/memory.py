"""The journal in memory, for backtests and simulations: the same interface and, when encoding, the same bytes.

By default it only counts (a backtest appends a few facts a bar); with `encode=True` it seals records exactly as the
SQLite store does, so that two runs, or a run and its replay, can be compared byte for byte. Never touches a disk.
"""

from collections.abc import Awaitable, Generator, Iterator, Sequence
from typing import Generic

from quantd.journal.records import FactT, Record, RecordCodec, frame, genesis, seal


class _Done:
    """An awaitable that is done; one serves all appends."""

    def __await__(self) -> Generator[None, None, None]:
        return
        yield


_DONE = _Done()


class MemoryJournal(Generic[FactT]):
    """Keeps facts, encoded records, or nothing but their number; implements the `Journal` port.

    Args:
        codec: Needed with `encode`.
        encode: Seal each fact as a record, chained as on disk.
        keep: Keep the facts, or with `encode` the records; without it only `count` and `checksum` go on.
        journal_id: As the journal on disk that it is compared with.
    """

    def __init__(
        self,
        codec: RecordCodec[FactT] | None = None,
        *,
        encode: bool = False,
        keep: bool = True,
        journal_id: str = "memory",
    ) -> None:
        if encode and codec is None:
            raise ValueError("encode=True needs a codec")
        self._codec = codec if encode else None
        self._keep = keep
        self.count = 0
        """Facts appended; the number of the newest record."""
        self.checksum = genesis(journal_id)
        """Of the newest record: equal for equal journals. Stands still without `encode`."""
        self.facts: list[FactT] = []
        self.records: list[Record] = []
        self.snapshots: list[tuple[int, bytes]] = []
        """(record number, payload)."""

    def append(self, facts: Sequence[FactT]) -> Awaitable[None]:
        """Take `facts`; done at once.

        Raises:
            JournalError: with `encode`, when a fact cannot be encoded.
        """
        self.count += len(facts)
        if self._codec is not None:
            self._seal(self._codec, facts)
        elif self._keep:
            self.facts += facts
        return _DONE

    def snapshot(self, payload: bytes) -> Awaitable[None]:
        """Take a snapshot of the state after all facts appended so far."""
        if self._keep:
            self.snapshots.append((self.count, payload))
        return _DONE

    def dump(self) -> Iterator[bytes]:
        """Yield the canonical bytes of each record kept, as `records.frame` gives them for a journal on disk."""
        return map(frame, self.records)

    def _seal(self, codec: RecordCodec[FactT], facts: Sequence[FactT]) -> None:
        seq = self.count - len(facts)
        for fact in facts:
            seq += 1
            record = seal(self.checksum, seq, codec.encode(fact))
            self.checksum = record.checksum
            if self._keep:
                self.records.append(record)
