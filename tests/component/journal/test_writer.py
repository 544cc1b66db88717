"""The writer thread: what is acknowledged is on disk, many appends share a commit, a failure is final."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest

from quantd.errors import JournalError, JournalFailed
from quantd.journal import writer
from quantd.journal.fold import recover
from quantd.journal.records import RecordCodec
from quantd.journal.store import Append, JournalStore, TakeSnapshot
from tests.component.journal.kit import Running, Small, Sums, buys


def on_disk(path: Path, codec: RecordCodec[Small]) -> list[Small]:
    with closing(JournalStore.open(path, codec)) as store:
        facts: list[Small] = []
        recover(store, facts.append, lambda payload: None)
        return facts


async def test_an_acknowledged_append_is_seen_by_another_connection(
    path: Path, codec: RecordCodec[Small], store: JournalStore[Small]
) -> None:
    running = Running(store)
    await running.writer.start()
    facts = buys(3)
    await running.writer.append(facts)
    with closing(JournalStore.open(path, codec, read_only=True)) as other:
        assert other.head.seq == 3
    await running.writer.close()
    assert on_disk(path, codec) == facts


async def test_appends_that_wait_together_share_few_commits(
    path: Path, codec: RecordCodec[Small], store: JournalStore[Small]
) -> None:
    running = Running(store)
    await running.writer.start()
    facts = buys(2_000)
    waiting = [running.writer.append([fact]) for fact in facts]
    for one in waiting:
        await one
    batches = running.observer.observed["quantd_journal_batch_records"]
    assert sum(batches) == 2_000
    assert len(batches) < 200
    assert len(running.observer.observed["quantd_journal_append_seconds"]) == 2_000
    assert running.writer.waiting_records == 0
    await running.writer.close()
    assert on_disk(path, codec) == facts


async def test_a_snapshot_stands_after_all_that_was_appended_before_it(
    path: Path, codec: RecordCodec[Small], store: JournalStore[Small]
) -> None:
    running = Running(store)
    await running.writer.start()
    first = running.writer.append(buys(5))
    taken = running.writer.snapshot(b"after five")
    later = running.writer.append(buys(2, first=6))
    for one in (first, taken, later):
        await one
    await running.writer.close()
    restored: list[bytes] = []
    facts: list[Small] = []
    with closing(JournalStore.open(path, codec)) as again:
        recover(again, facts.append, restored.append)
    assert restored == [b"after five"]
    assert facts == buys(2, first=6)


async def test_closing_writes_what_is_queued(path: Path, codec: RecordCodec[Small], store: JournalStore[Small]) -> None:
    running = Running(store)
    await running.writer.start()
    facts = buys(20_000)
    waiting = [running.writer.append(facts[n : n + 100]) for n in range(0, 20_000, 100)]
    await running.writer.close()
    assert all(one.done() and one.exception() is None for one in waiting)
    assert on_disk(path, codec) == facts
    with pytest.raises(JournalFailed, match="the journal is closed"):
        await running.writer.append(facts)
    with pytest.raises(JournalFailed, match="the journal is closed"):
        await running.writer.snapshot(b"")
    assert running.writer.failure is None
    assert running.failures == []


async def test_closing_before_the_start_closes_the_store(store: JournalStore[Small]) -> None:
    await Running(store).writer.close()
    with pytest.raises(JournalError, match="closed database"):
        store.query("SELECT 1")


async def test_an_append_of_nothing_is_done_at_once(store: JournalStore[Small]) -> None:
    running = Running(store)
    await running.writer.start()
    assert running.writer.append([]).done()
    await running.writer.close()


async def test_a_cancelled_wait_keeps_the_facts_and_the_writer(
    path: Path, codec: RecordCodec[Small], store: JournalStore[Small]
) -> None:
    running = Running(store)
    await running.writer.start()
    waiting = running.writer.append(buys(1))
    waiting.cancel()
    await running.writer.append(buys(1, first=2))
    await running.writer.close()
    assert on_disk(path, codec) == buys(2)


async def test_a_full_disk_fails_all_waiting_and_all_later_appends(
    path: Path, codec: RecordCodec[Small], store: JournalStore[Small]
) -> None:
    pages = store.query("PRAGMA page_count")[0][0]
    store.query(f"PRAGMA max_page_count={pages + 10}")
    running = Running(store)
    await running.writer.start()
    acknowledged = []
    with pytest.raises(JournalFailed, match=r"did not reach the disk.*no room to write"):  # noqa: PT012 - any of them
        for n in range(1, 10_000):
            await running.writer.append(buys(1, first=n))
            acknowledged += buys(1, first=n)
    assert acknowledged
    with pytest.raises(JournalFailed, match="no room to write"):
        await running.writer.append(buys(1))
    assert len(running.failures) == 1
    assert running.writer.failure is running.failures[0]
    with pytest.raises(JournalFailed, match="no room to write"):
        await running.writer.close()
    assert on_disk(path, codec) == acknowledged


async def test_a_failure_reaches_every_append_of_the_queue(path: Path, codec: RecordCodec[Small]) -> None:
    class Broken(Sums):
        def apply(self, connection: sqlite3.Connection, facts: Sequence[tuple[int, Small]]) -> None:
            raise sqlite3.OperationalError("disk I/O error")

    store = JournalStore.create(path, codec, journal_id="k7", epoch=1, projections=[Broken()])
    running = Running(store)
    await running.writer.start()
    waiting = [running.writer.append(buys(1, first=n)) for n in range(50)]
    for one in waiting:
        with pytest.raises(JournalFailed, match="disk I/O error"):
            await one
    assert len(running.failures) == 1
    with pytest.raises(JournalFailed):
        await running.writer.close()


async def test_a_fact_that_cannot_be_encoded_is_a_failure(store: JournalStore[Small]) -> None:
    running = Running(store)
    await running.writer.start()
    with pytest.raises(JournalFailed, match="a str is not a fact"):
        await running.writer.append([cast("Small", "no fact")])
    with pytest.raises(JournalFailed, match="a str is not a fact"):
        await running.writer.snapshot(b"")
    assert len(running.failures) == 1
    with pytest.raises(JournalFailed):
        await running.writer.close()


async def test_a_disk_that_has_stopped_is_a_failure_once_the_queue_is_full(
    path: Path, codec: RecordCodec[Small], store: JournalStore[Small]
) -> None:
    """Another connection holds the write lock, so that the thread hangs in its commit."""
    running = Running(store, queue_records_max=100)
    await running.writer.start()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = [running.writer.append(buys(10)) for _ in range(11)]
        for one in waiting:
            with pytest.raises(JournalFailed, match="100 records wait for the disk"):
                await one
        with pytest.raises(JournalFailed, match=r"the disk did not answer for 0\.01 s"):
            await running.writer.close(timeout_s=0.01)
        other.execute("ROLLBACK")
    with pytest.raises(JournalFailed, match="100 records wait"):
        await running.writer.close()
    assert len(running.failures) == 1


async def test_the_loop_goes_on_while_the_disk_is_busy(path: Path, store: JournalStore[Small]) -> None:
    running = Running(store)
    await running.writer.start()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = running.writer.append(buys(1))
        for _ in range(100):
            await asyncio.sleep(0)
        assert not waiting.done()
        other.execute("ROLLBACK")
    async with asyncio.timeout(10):
        await waiting
    await running.writer.close()


def test_a_loop_that_is_gone_does_not_hold_the_thread(
    path: Path, codec: RecordCodec[Small], store: JournalStore[Small]
) -> None:
    running = Running(store)

    async def run() -> None:
        await running.writer.start()
        running.writer.append(buys(3))

    asyncio.run(run())
    running.writer._queue.put(None)
    running.writer._thread.join(10)
    assert not running.writer._thread.is_alive()
    assert on_disk(path, codec) == buys(3)


async def test_a_long_run_moves_the_log_into_the_file(
    path: Path, codec: RecordCodec[Small], store: JournalStore[Small]
) -> None:
    running = Running(store)
    await running.writer.start()
    for n in range(12):
        await running.writer.append(buys(1_000, first=n * 1_000))
    await running.writer.append(buys(1))
    assert path.stat().st_size > 100_000  # noqa: ASYNC240 -- nothing else runs on this loop
    await running.writer.close()
    assert len(on_disk(path, codec)) == 12_001


async def test_the_log_has_its_room_before_the_first_append_and_is_written_over(
    path: Path, store: JournalStore[Small]
) -> None:
    """A commit that lengthens the log costs twice one that does not."""
    running = Running(store)
    await running.writer.start()
    log = path.with_name("quantd.db-wal")
    await running.writer.append(buys(1))
    room = log.stat().st_size
    assert room > 10_000_000
    for n in range(1_200):
        await running.writer.append(buys(1, first=n))
    assert log.stat().st_size == room
    await running.writer.close()


async def test_a_disk_that_does_not_answer_is_a_failure_after_a_while_and_stops_every_wait(
    store: JournalStore[Small], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is decided while an append waits; a daemon that waits for ever looks alive and does nothing."""
    monkeypatch.setattr(writer, "STALLED_S", 0.2)
    monkeypatch.setattr(writer, "_LOOK_EVERY_S", 0.05)
    monkeypatch.setattr(store, "reserve_log", lambda: None)
    answers = threading.Event()
    write = store.write
    monkeypatch.setattr(store, "write", lambda entries: (answers.wait(10), write(entries)))
    running = Running(store)
    await running.writer.start()
    async with asyncio.timeout(5):
        with pytest.raises(JournalFailed, match=r"has not answered for 0\.2 s"):
            await running.writer.append(buys(1))
    assert len(running.failures) == 1
    answers.set()
    with pytest.raises(JournalFailed):
        await running.writer.close()


async def test_a_disk_that_answers_slowly_and_again_and_again_is_none(
    store: JournalStore[Small], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "STALLED_S", 1.0)
    monkeypatch.setattr(writer, "_LOOK_EVERY_S", 0.05)
    monkeypatch.setattr(store, "reserve_log", lambda: None)
    write = store.write

    def slowly(entries: Sequence[Append[Small] | TakeSnapshot]) -> None:
        time.sleep(0.3)
        write(entries)

    monkeypatch.setattr(store, "write", slowly)
    running = Running(store)
    await running.writer.start()
    for number in range(5):
        await running.writer.append(buys(1, first=number + 1))
    await running.writer.close()
    assert running.failures == []


async def test_work_is_done_between_two_commits_after_what_was_appended_before_it(
    path: Path, codec: RecordCodec[Small], store: JournalStore[Small]
) -> None:
    running = Running(store)
    await running.writer.start()
    waiting = [running.writer.append([fact]) for fact in buys(5)]
    works = [running.writer.run(lambda store: (store.head.seq, threading.current_thread().name)) for _ in range(2)]
    later = running.writer.append(buys(1, first=6))
    for work in works:
        seq, thread = await work
        assert (seq >= 5, thread) == (True, "journal-writer")
    assert all(one.done() for one in waiting)
    await later
    await running.writer.close()
    with pytest.raises(JournalFailed, match="closed"):
        await running.writer.run(lambda store: store.head)
    assert on_disk(path, codec) == buys(6)


async def test_work_that_fails_is_told_to_who_asked_and_appends_go_on(
    path: Path, codec: RecordCodec[Small], store: JournalStore[Small]
) -> None:
    def refused(store: JournalStore[Small]) -> None:
        with store.transaction() as connection:
            connection.execute("DELETE FROM records")
            raise JournalError("no room")

    running = Running(store)
    await running.writer.start()
    await running.writer.append(buys(2))
    with pytest.raises(JournalError, match="no room"):
        await running.writer.run(refused)
    await running.writer.append(buys(1, first=3))
    await running.writer.close()
    assert (running.failures, on_disk(path, codec)) == ([], buys(3))


async def test_work_that_waits_when_the_disk_fails_is_refused_with_the_appends(
    store: JournalStore[Small], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_entries: object) -> None:
        time.sleep(0.05)
        raise JournalError("no room")

    running = Running(store)
    await running.writer.start()
    await running.writer.run(lambda _: None)
    monkeypatch.setattr(store, "write", refuse)
    appended = running.writer.append(buys(1))
    work = running.writer.run(lambda store: store.head)
    for one in (appended, work):
        with pytest.raises(JournalFailed, match="no room"):
            await asyncio.wait_for(asyncio.shield(one), 5)
