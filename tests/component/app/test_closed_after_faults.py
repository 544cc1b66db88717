"""What a fault ends leaves no file open: neither the journal nor its locks nor a recording.

Method: the real parts on a real disk, each stopped by a fault; then the files that this process holds are listed, while the
exception and with it every object on its way still lives.
"""

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

import quantd
from quantd.app import Daemon, stress
from quantd.app.recording import open_recording
from quantd.app.replay import replay_inputs
from quantd.app.storage import codec, open_storage
from quantd.clock import ManualClock, SystemClock
from quantd.config import Settings, load
from quantd.domain.facts import CursorMoved, Fact, RunStarted
from quantd.errors import JournalError, JournalFailed
from quantd.journal.inputlog import InputLogHeader, InputLogWriter
from quantd.journal.store import Append, JournalStore
from quantd.telemetry.metrics import PrometheusObserver
from tests.component.shop import shop

HELD = Path("/proc/self/fd")
RUN = RunStarted(quantd.__version__, "", {}, "0test", 1, 1)
DAY_NS = 86_400_000_000_000

pytestmark = pytest.mark.skipif(not HELD.exists(), reason="needs /proc")


def held(folder: Path) -> list[str]:
    """Return the files under a folder that this process holds open."""
    targets = []
    for one in HELD.iterdir():
        try:
            targets.append(os.readlink(one))
        except FileNotFoundError:  # the listing's own, or another thread's
            continue
    return sorted(target for target in targets if target.startswith(str(folder)))


def site(root: Path, *, record: bool = False) -> Settings:
    (root / "q.yaml").write_text(shop(root, record=record))
    return load([root / "q.yaml"], {})


def daemon_at(root: Path, *, record: bool = False) -> Daemon:
    return Daemon(site(root, record=record), clock=SystemClock(), observer=PrometheusObserver())


def journal_of(root: Path, *facts: Fact) -> None:
    """Let an earlier run have written these."""
    storage = open_storage(site(root), {"shop": "1"}, ManualClock(1))
    storage.store.write([Append([codec().encode(fact) for fact in facts], facts)])
    storage.close()


def recording_of(root: Path, journal_id: str = "") -> Path:
    """Write the recording of a run without inputs, of the journal that is there or of one named otherwise."""
    with_meta: JournalStore[Fact] = JournalStore.open(root / "q.db", codec(), read_only=True)
    meta = with_meta.meta
    with_meta.close()
    header = InputLogHeader(
        journal_id=journal_id or meta.journal_id,
        epoch=meta.epoch,
        after_seq=0,
        started_at_ns=1,
        version=quantd.__version__,
    )
    with InputLogWriter[Any](root / "inputs", header):
        return root / "inputs"


def test_a_journal_that_is_made_says_so_and_what_is_left_of_another(tmp_path: Path) -> None:
    """Started in another folder, or with its disk not mounted, a daemon knows nothing of what it holds."""
    settings = site(tmp_path)
    with capture_logs() as told:
        open_storage(settings, {"shop": "1"}, ManualClock(1)).close()
        open_storage(settings, {"shop": "1"}, ManualClock(1)).close()
    assert [(one["event"], one["path"]) for one in told] == [("journal_made", str(tmp_path / "q.db"))]
    (tmp_path / "q.db").unlink()
    (tmp_path / "q.db.archive").mkdir()
    with capture_logs() as told:
        open_storage(settings, {"shop": "1"}, ManualClock(1)).close()
    assert [(one["event"], one["left_of_another"]) for one in told] == [("journal_made_anew", ["q.db.archive"])]


def test_a_journal_that_is_refused_for_its_time(tmp_path: Path) -> None:
    journal_of(tmp_path, CursorMoved("shop", "until", "1", SystemClock().now_ns() + 2 * DAY_NS))
    with pytest.raises(JournalError, match="ahead of this machine's clock"):
        open_storage(site(tmp_path), {"shop": "1"}, SystemClock())
    assert held(tmp_path) == []


def test_a_daemon_that_cannot_fold_its_journal(tmp_path: Path) -> None:
    journal_of(tmp_path, msgspec.structs.replace(RUN, version="999.0"))
    with pytest.raises(JournalError, match="newer than this"):
        daemon_at(tmp_path).build()
    assert held(tmp_path) == []


def test_a_daemon_whose_last_part_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **named: object) -> None:
        raise ZeroDivisionError("of a part")

    monkeypatch.setattr("quantd.app.daemon.Aftermath", refuse)
    with pytest.raises(ZeroDivisionError):
        daemon_at(tmp_path, record=True).build()
    assert held(tmp_path) == []


async def test_a_daemon_whose_bar_store_cannot_be_made(tmp_path: Path) -> None:
    """It trades as if nothing had been once the cause is gone."""
    (tmp_path / "bars.db").mkdir()
    daemon = daemon_at(tmp_path, record=True)
    daemon.build()
    with pytest.raises(Exception, match="unable to open database file"):
        await daemon.run()
    assert held(tmp_path) == []
    (tmp_path / "bars.db").rmdir()
    again = daemon_at(tmp_path)
    again.build()
    again.stop("SIGTERM")
    assert await again.run() == 0


def test_a_recording_of_another_journal(tmp_path: Path) -> None:
    journal_of(tmp_path, RUN)
    inputs = recording_of(tmp_path, "other")
    with pytest.raises(JournalError, match="not to this one"):
        open_recording(site(tmp_path), inputs)
    assert held(tmp_path) == []


def test_a_recording_that_is_replayed(tmp_path: Path) -> None:
    """Python 3.13 and later tell of a connection that goes without having been closed."""
    journal_of(tmp_path, RUN)
    replay_inputs(site(tmp_path), recording_of(tmp_path))
    assert held(tmp_path) == []


async def test_a_capacity_test_whose_disk_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise JournalError("no space left on device")

    monkeypatch.setattr(JournalStore, "write", refuse)
    with pytest.raises(JournalFailed, match="no space left"):
        await stress._journal(tmp_path / "q.db", [RUN])
    assert held(tmp_path) == []
