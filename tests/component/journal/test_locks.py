"""Two processes never hold one journal or one account, and a dead one holds nothing."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import quantd.journal
from quantd.errors import JournalError, JournalLocked
from quantd.journal.locks import FileLock, lock_account, lock_journal

HOLD = """
import sys
from pathlib import Path
from quantd.journal.locks import lock_journal
held = lock_journal(Path(sys.argv[1]), what="quantd run other.yaml", started_at_ns=7)
print("held", flush=True)
sys.stdin.read()
"""


def test_the_second_process_is_told_who_holds_the_journal_and_gets_it_after_a_kill(path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(quantd.journal.__file__).parents[2])}
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        with pytest.raises(JournalLocked, match=rf"quantd\.db\.lock: held by process {child.pid} \(quantd run other"):
            lock_journal(path, what="quantd run")
        child.send_signal(signal.SIGKILL)
        child.wait()
        with lock_journal(path, what="quantd run"):
            pass


def test_a_second_lock_in_the_same_process_is_refused_until_the_first_is_released(path: Path) -> None:
    first = lock_journal(path, what="first")
    with pytest.raises(JournalLocked, match=rf"process {os.getpid()} \(first\)"):
        lock_journal(path, what="second")
    first.release()
    first.release()
    lock_journal(path, what="second").release()


def test_a_lock_whose_file_was_taken_away_or_replaced_says_that_it_keeps_nobody_out(path: Path) -> None:
    with lock_journal(path, what="first") as first:
        assert first.is_held
        first.path.unlink()
        assert not first.is_held
        with lock_journal(path, what="second") as second:
            assert second.is_held
            assert not first.is_held
    assert not second.is_held, "released"


def test_accounts_are_locked_one_by_one(tmp_path: Path) -> None:
    with lock_account(tmp_path / "state", "oanda/practice", "101-001", what="a"):
        with lock_account(tmp_path / "state", "oanda/practice", "101-002", what="a"):
            pass
        with lock_account(tmp_path / "state", "oanda", "practice--101-001", what="a"):
            pass
        with pytest.raises(JournalLocked, match="held by process"):
            lock_account(tmp_path / "state", "oanda/practice", "101-001", what="b")


def test_a_holder_that_has_not_written_its_name_is_another_process(tmp_path: Path) -> None:
    with FileLock(tmp_path / "x.lock", what="a") as held:
        os.truncate(held.path, 0)
        with pytest.raises(JournalLocked, match="held by another process"):
            FileLock(tmp_path / "x.lock", what="b")


def test_a_lock_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.lock").mkdir()
    with pytest.raises(JournalError, match=r"x\.lock: the lock file cannot be opened: Is a directory"):
        FileLock(tmp_path / "x.lock", what="a")


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_a_file_system_without_locks_is_named() -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "pipe.lock"
        path.symlink_to("/proc/self/environ")
        with pytest.raises(JournalError, match=r"pipe\.lock"):
            FileLock(path, what="a")
