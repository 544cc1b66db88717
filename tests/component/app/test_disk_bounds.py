"""What a run leaves on its disk stays bounded while it trades, and a kill at any moment loses nothing of it."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

import quantd.app
from quantd.app import Daemon
from quantd.app.disk import sizes
from quantd.app.input_recorder import InputRecorder, input_logs, remove_input_logs
from quantd.app.storage import codec
from quantd.clock import SystemClock
from quantd.config import load
from quantd.domain.events import Event, TimePassed
from quantd.domain.facts import CursorMoved, Fact
from quantd.journal.archive import folder_of
from quantd.journal.inputlog import Ended, InputLogHeader, InputLogReader, InputLogWriter
from quantd.journal.projections import projections
from quantd.journal.store import Append, JournalStore, TakeSnapshot
from quantd.journal.verify import verify
from quantd.telemetry.metrics import PrometheusObserver
from tests.component.shop import shop

pytestmark = pytest.mark.timeout(60)

LONG_AGO_NS = 1_700_000_000_000_000_000
OLD = 600


def aged(path: Path) -> None:
    """Write a journal whose first records are years old."""
    facts: list[Fact] = [CursorMoved("shop", f"n{n % 7}", f"{n}", LONG_AGO_NS + n) for n in range(OLD)]
    with closing(JournalStore.create(path, codec(), journal_id="aged1", epoch=1, projections=projections())) as store:
        store.write([Append([store.codec.encode(fact) for fact in facts], facts)])


def cursors(path: Path) -> list[str]:
    """Return what the old records hold, from wherever they lie."""
    with closing(JournalStore[Fact].open(path, codec(), read_only=True)) as store:
        facts = [store.codec.decode(record) for record in store.records()]
        assert verify(store).problems == ()
    return [fact.value for fact in facts if isinstance(fact, CursorMoved) and fact.at_ns < LONG_AGO_NS + OLD]


@pytest.fixture
def build(tmp_path: Path) -> Callable[[], Daemon]:
    """Build one daemon after the other on an old journal; it keeps a day."""
    aged(tmp_path / "q.db")
    text = shop(tmp_path).replace("record: false", "record: false, keep_days: 1, snapshot_every: 100")
    (tmp_path / "q.yaml").write_text(text)

    def built() -> Daemon:
        daemon = Daemon(load([tmp_path / "q.yaml"], {}), clock=SystemClock(), observer=PrometheusObserver())
        daemon.build()
        return daemon

    return built


@pytest.mark.asyncio
async def test_a_running_daemon_moves_what_is_old_and_starts_again_knowing_it(
    build: Callable[[], Daemon], tmp_path: Path
) -> None:
    daemon = build()

    async def once() -> None:
        await asyncio.sleep(0.8)  # the first tick takes a snapshot of what was folded
        assert daemon._disk is not None
        daemon._disk.segment_records = 250
        await daemon._disk.move(1)
        daemon.stop("SIGTERM")

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(once())
        assert await daemon.run() == 0
    assert len(list(folder_of(tmp_path / "q.db").iterdir())) == OLD // 250
    assert cursors(tmp_path / "q.db") == [f"{n}" for n in range(OLD)]
    again = build()
    assert again.engine.state.cursors["shop", "n3"] == f"{max(n for n in range(OLD) if n % 7 == 3)}"
    assert again._storage.store.archive.anchor().seq == 500
    again._storage.close()


@pytest.mark.asyncio
async def test_a_failure_is_told_leaves_the_records_where_they_are_and_is_tried_again(
    build: Callable[[], Daemon], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon = build()

    async def once() -> None:
        await asyncio.sleep(0.8)
        keeper = daemon._disk
        assert keeper is not None
        keeper.segment_records = 250
        with monkeypatch.context() as full:
            full.setattr("quantd.app.disk.ROOM_NEEDED", 2**62)
            await keeper.move(1)
        with monkeypatch.context() as faulty:
            faulty.setattr("quantd.journal.retention.remove", lambda *_: 1 / 0)
            await keeper.move(1)
        folder_of(tmp_path / "q.db").rename(tmp_path / "elsewhere")
        assert "quantd_journal_archive_failures_total 2.0" in daemon.observer.exposition("")[0].decode()
        await keeper.move(1)  # what was written before is gone, and nothing was removed: it is written again
        daemon.stop("SIGTERM")

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(once())
        assert await daemon.run() == 0
    assert cursors(tmp_path / "q.db") == [f"{n}" for n in range(OLD)]
    assert len(list(folder_of(tmp_path / "q.db").iterdir())) == OLD // 250


MOVE_FOR_EVER = """
import asyncio, os, sys
from pathlib import Path
from types import SimpleNamespace
from quantd.app.disk import DiskKeeper
from quantd.app.storage import codec
from quantd.clock import SystemClock
from quantd.domain.facts import CursorMoved
from quantd.journal import retention
from quantd.journal.projections import projections
from quantd.journal.settings import JournalSettings
from quantd.journal.store import JournalStore
from quantd.journal.writer import JournalWriter

LONG_AGO_NS = 1_700_000_000_000_000_000
retention.remove.__defaults__ = (7,)

class Silent:
    def observe(self, *a, **b): pass
    def gauge(self, *a, **b): pass
    def count(self, *a, **b): os._exit(4)

async def main(path):
    store = JournalStore.open(path, codec(), projections=projections())
    writer = JournalWriter(store, clock=SystemClock(), observer=Silent(), on_failure=lambda error: os._exit(3))
    await writer.start()
    shared = SimpleNamespace(settings=SimpleNamespace(journal=JournalSettings(path=path)), clock=SystemClock(), observer=Silent())
    keeper = DiskKeeper(shared, writer, None)
    keeper.segment_records = 40

    async def moves():
        while True:
            await keeper.move(1)
            await asyncio.sleep(0)
    task = asyncio.create_task(moves())
    n = store.head.seq
    while True:
        n += 1
        waiting = writer.append([CursorMoved("shop", "n", str(n), LONG_AGO_NS + n)])
        if n % 10 == 0:
            writer.snapshot(b"%d" % n)
        await waiting
        os.write(1, b"%d\\n" % n)

asyncio.run(main(Path(sys.argv[1])))
"""


def test_a_kill_while_records_are_appended_and_moved_loses_none_that_was_acknowledged(tmp_path: Path) -> None:
    path, draw = tmp_path / "q.db", random.Random(5)
    JournalStore[Fact].create(path, codec(), journal_id="k7", epoch=1, projections=projections()).close()
    environment = {**os.environ, "PYTHONPATH": str(Path(quantd.app.__file__).parents[2])}
    moved = 0
    for _ in range(2):  # the second process goes on in what the first one left
        child = subprocess.Popen(
            [sys.executable, "-c", MOVE_FOR_EVER, str(path)], stdout=subprocess.PIPE, env=environment
        )
        with child:
            assert child.stdout is not None
            last = int(child.stdout.readline())
            time.sleep(draw.uniform(0.2, 0.6))
            child.send_signal(signal.SIGKILL)
            lines = [line for line in child.stdout.read().splitlines(keepends=True) if line.endswith(b"\n")]
            last = int(lines[-1]) if lines else last
        assert child.returncode == -signal.SIGKILL
        with closing(JournalStore[Fact].open(path, codec(), projections=projections())) as store:
            values = [fact.value for fact in map(store.codec.decode, store.records()) if isinstance(fact, CursorMoved)]
            assert values == [f"{n}" for n in range(1, store.head.seq + 1)]
            assert store.head.seq >= last
            assert verify(store).problems == ()
            moved = store.archive.anchor().seq
    assert moved > 40, "it was killed while it moved"


# -- input logs ------------------------------------------------------------------------------------------------------


def recorded(journal: Path, started_at_ns: int, inputs: int, max_bytes: int | None = None) -> InputRecorder:
    path = Path(f"{journal}.inputs-3-0-{started_at_ns}")
    log = InputRecorder(InputLogWriter(path, InputLogHeader("k7", 3, 0, started_at_ns)), max_bytes)
    for n in range(inputs):
        log.append(TimePassed(n))
    log.close()
    return log


def test_a_recording_ends_at_its_limit_and_says_so_where_it_is_read(tmp_path: Path) -> None:
    log = recorded(tmp_path / "q.db", 9, 10_000, max_bytes=20_000)
    assert log.has_ended
    assert 20_000 <= log.path.stat().st_size < 20_200
    *inputs, end = InputLogReader[Event](log.path, Event).story()
    assert end == Ended("it has reached 20000 bytes")
    assert inputs == [TimePassed(n) for n in range(len(inputs))]
    assert list(InputLogReader[Event](log.path, Event)) == inputs


def test_the_logs_of_the_oldest_runs_go_first_and_the_running_ones_stays(tmp_path: Path) -> None:
    journal = tmp_path / "q.db"
    logs = [recorded(journal, started, 1_000).path for started in (8, 9, 10, 111)]
    (tmp_path / "q.db.inputs-mine").write_bytes(b"x" * 100_000)
    (tmp_path / "q.db2.inputs-1-1-1").write_bytes(b"x" * 100_000)
    size = logs[0].stat().st_size
    remove_input_logs(journal, logs[3], 100_000 + 3 * size)
    assert [one.exists() for one in logs] == [False, True, True, True]
    remove_input_logs(journal, logs[1], 1)
    assert [one for one in input_logs(journal) if one in logs] == [logs[1]]
    assert (tmp_path / "q.db.inputs-mine").exists()
    assert (tmp_path / "q.db2.inputs-1-1-1").exists()


def test_the_sizes_are_those_of_the_files(tmp_path: Path) -> None:
    aged(tmp_path / "q.db")
    log = recorded(tmp_path / "q.db", 9, 100)
    with closing(JournalStore.open(tmp_path / "q.db", codec(), projections=projections())) as store:
        store.write([TakeSnapshot(b"{}")])
        found = sizes(tmp_path / "q.db")
    assert found["quantd_journal_bytes"] > (tmp_path / "q.db").stat().st_size
    assert found["quantd_journal_archive_bytes"] == 0
    assert found["quantd_input_log_bytes"] == log.path.stat().st_size
    assert found["quantd_disk_free_bytes"] > 0
