"""A journal of a million records starts in under five seconds; the bytes on disk are those in memory."""

import time
from contextlib import closing
from pathlib import Path

import pytest

from quantd.journal.fold import Recovery, recover
from quantd.journal.memory import MemoryJournal
from quantd.journal.records import RecordCodec, frame
from quantd.journal.store import Append, JournalStore, TakeSnapshot
from tests.component.journal.kit import Noted, Small, buys, fill

START_LIMIT_S = 5.0


def test_the_journal_in_memory_has_the_bytes_of_the_one_on_disk(store: JournalStore[Small]) -> None:
    memory = MemoryJournal(store.codec, encode=True, journal_id="k7")
    for size in (1, 5, 20):
        facts: list[Small] = [*buys(size), Noted("x", size)]
        memory.append(facts)
        fill(store, facts)
        memory.snapshot(b"%d" % size)
        store.write([TakeSnapshot(b"%d" % size)])
    assert list(memory.dump()) == [frame(record) for record in store.records()]
    assert memory.checksum == store.head.checksum
    assert memory.snapshots == [
        (seq, snapshot.payload) for seq, snapshot in reversed(list(store.snapshots())) if snapshot
    ]


def fill_up(store: JournalStore[Small], records: int, snapshot_after: int) -> None:
    """Write facts in transactions as large as SQLite likes them."""
    encode = store.codec.encode
    for first in range(0, records, 50_000):
        if first == snapshot_after:
            store.write([TakeSnapshot(b"state" * 100_000)])
        facts = buys(min(50_000, records - first), first=first + 1)
        store.write([Append([encode(fact) for fact in facts], facts)])
        store.checkpoint_if_due()


def seconds_to_start(path: Path, codec: RecordCodec[Small]) -> tuple[float, Recovery]:
    began = time.perf_counter()
    with closing(JournalStore.open(path, codec)) as store:
        report = recover(store, lambda fact: None, lambda payload: None)
    return time.perf_counter() - began, report


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_million_records_start_in_time_even_without_a_snapshot_near_the_end(
    path: Path, codec: RecordCodec[Small], store: JournalStore[Small]
) -> None:
    fill_up(store, 1_000_000, snapshot_after=900_000)
    store.close()
    seconds, report = seconds_to_start(path, codec)
    assert (report.snapshot_seq, report.records) == (900_000, 100_000)
    assert seconds < START_LIMIT_S


def test_a_start_reads_only_what_the_snapshot_does_not_cover(
    path: Path, codec: RecordCodec[Small], store: JournalStore[Small]
) -> None:
    """A tenth of the million; the time of a whole fold bounds the machine's speed, so that the ratio tells."""
    fill_up(store, 100_000, snapshot_after=50_000)
    fill(store, buys(10))
    store.write([TakeSnapshot(b"state" * 100_000)])
    fill(store, buys(100))
    store.close()
    seconds, report = seconds_to_start(path, codec)
    assert (report.snapshot_seq, report.records) == (100_010, 100)
    with closing(JournalStore.open(path, codec)) as again:
        began = time.perf_counter()
        assert sum(1 for _ in again.records()) == 100_110
        whole = time.perf_counter() - began
    assert seconds < whole / 2
    assert whole * 10 < START_LIMIT_S * 2
