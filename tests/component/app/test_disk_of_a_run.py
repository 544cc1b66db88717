"""What a run leaves on its disk when something goes wrong, and what a disk that refuses does to a run.

Method: the real daemon in real time on a paper venue, with its journal, latch and input log in a folder.
"""

import asyncio
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from quantd.app import Daemon
from quantd.app.input_recorder import input_logs
from quantd.app.replay import replay_inputs
from quantd.app.storage import codec
from quantd.clock import SystemClock
from quantd.config import load
from quantd.domain.events import TimePassed
from quantd.domain.facts import CursorMoved, Fact
from quantd.errors import JournalError
from quantd.journal.inputlog import InputLogWriter
from quantd.journal.store import JournalStore
from quantd.telemetry.metrics import PrometheusObserver
from tests.component.shop import shop

pytestmark = [pytest.mark.timeout(60), pytest.mark.asyncio]


Build = Callable[[], Daemon]


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Build one daemon after the other in one folder."""
    (tmp_path / "q.yaml").write_text(shop(tmp_path, record=True))

    def built() -> Daemon:
        daemon = Daemon(load([tmp_path / "q.yaml"], {}), clock=SystemClock(), observer=PrometheusObserver())
        daemon.build()
        return daemon

    return built


async def run(daemon: Daemon) -> int:
    """Run for a moment; the exit code."""
    asyncio.get_running_loop().call_later(0.3, daemon.stop, "SIGTERM")
    return await daemon.run()


async def test_what_a_fault_left_half_done_is_in_no_snapshot(
    build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its facts are in no record: a journal whose snapshot knows more cannot be folded once that snapshot is gone."""
    daemon = build()

    def fail(event: TimePassed) -> None:
        daemon.engine.context.record(CursorMoved("shop", "half", "done", event.received_at_ns))
        raise ZeroDivisionError("in the engine")

    monkeypatch.setitem(daemon.engine._handlers, TimePassed, fail)
    with pytest.raises(ExceptionGroup):
        await daemon.run()
    with closing(JournalStore[Fact].open(tmp_path / "q.db", codec(), read_only=True)) as store:
        kept = [snapshot.payload for _, snapshot in store.snapshots() if snapshot is not None]
        facts = [store.codec.decode(record) for record in store.records()]
    assert not any(isinstance(fact, CursorMoved) and fact.name == "half" for fact in facts)
    assert not any(b'"half"' in payload for payload in kept)


async def test_a_disk_that_refuses_the_input_log_ends_the_recording_and_nothing_else(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon = build()

    def refuse(_log: InputLogWriter[TimePassed]) -> None:
        raise JournalError("no space left on device")

    monkeypatch.setattr(InputLogWriter, "flush", refuse)
    assert await run(daemon) == 0
    assert daemon._input_log is not None
    assert daemon._input_log.has_ended


async def test_a_replay_of_a_torn_input_log_says_so_and_compares_up_to_there(build: Build, tmp_path: Path) -> None:
    """After a power cut the journal has more than the log, which is no difference between the run and its replay."""
    assert await run(build()) == 0
    (inputs,) = input_logs(tmp_path / "q.db")
    os.truncate(inputs, cut := os.stat(inputs).st_size // 4)
    replayed = await asyncio.to_thread(replay_inputs, load([tmp_path / "q.yaml"], {}), inputs)
    assert replayed.difference == "", replayed
    (note,) = replayed.notes
    offset = int(note.partition("from byte ")[2].split()[0])
    assert f"torn behind input {replayed.inputs}, {cut - offset} bytes from byte {offset} on" in note
    with closing(JournalStore[Fact].open(tmp_path / "q.db", codec(), read_only=True)) as store:
        assert 0 < replayed.records < store.head.seq


async def test_what_was_folded_counts_toward_the_next_snapshot(build: Build, tmp_path: Path) -> None:
    """Else a daemon that is killed again and again folds more each time."""
    daemon = build()
    assert daemon._runner.records == 0
    await run(daemon)
    with closing(sqlite3.connect(tmp_path / "q.db")) as connection, connection:
        connection.execute("DELETE FROM snapshots")
        (count,) = connection.execute("SELECT count(*) FROM records").fetchone()
    again = build()
    assert again._runner.records == count > 0
    assert await run(again) == 0
