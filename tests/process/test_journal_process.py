"""The daemon and a journal that something happened to: the promised message, and no acknowledged record lost."""

import resource
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from quantd.app.storage import codec
from quantd.domain.facts import Fact, OrderIntended
from quantd.journal.store import JournalStore
from tests.process.harness import SIGKILL, SIGTERM, quantd, until
from tests.process.receiver import Receiver, receiver
from tests.process.test_paper_process import config as paper
from tests.process.test_paper_process import fills

config = paper


def run_until_filled(folder: Path, end: int = SIGTERM) -> set[str]:
    """Let a daemon trade, end it, and return the ids of the orders it told of."""
    with quantd(["run", "q.yaml"], folder) as daemon:
        until(lambda: fills(daemon) >= 1, 45, "a fill")
        daemon.signal(end)
        return {line["client_order_id"] for line in daemon.lines("order_intended")}


def intended(path: Path) -> set[str]:
    """The ids of all orders in a journal."""
    with closing(JournalStore[Fact].open(path, codec(), read_only=True)) as store:
        facts = map(store.codec.decode, store.records())
        return {str(fact.client_order_id) for fact in facts if isinstance(fact, OrderIntended)}


def refused(folder: Path, name: str = "q.yaml") -> str:
    """Start a daemon that must refuse; what it said."""
    with quantd(["run", name], folder) as daemon:
        assert daemon.popen.wait(30) == 1, daemon.text()
        assert not daemon.lines("venue_ready")
        return daemon.text()


@pytest.mark.timeout(120)
def test_a_flipped_byte_is_named_nothing_starts_and_a_backup_brings_it_back_under_new_ids(config: Path) -> None:
    journal = config / "var/q.db"
    before = run_until_filled(config)
    with quantd(["journal", "backup", "var/q.db", "kept.db"], config) as copied:
        assert copied.popen.wait(20) == 0, copied.text()
    between = run_until_filled(config)
    with closing(sqlite3.connect(journal, isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("DELETE FROM snapshots")
        payload = connection.execute("SELECT payload FROM records WHERE seq = 7").fetchone()[0]
    whole = journal.read_bytes()
    place = whole.index(payload)
    journal.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    assert "record 7 (" in refused(config)
    shutil.copy(config / "kept.db", journal)
    assert "a copy that a backup wrote" in refused(config)
    with quantd(["journal", "restore", "kept.db", "var/q.db", "--replace"], config) as restored:
        assert restored.popen.wait(20) == 0, restored.text()
    after = run_until_filled(config)
    assert before <= intended(journal)
    assert not after & (before | between), "an id was used a second time"


def notify(people: Receiver, folder: Path) -> str:
    """Write a configuration by which the daemon tells a receiver; its file's name."""
    (folder / "notify.yaml").write_text(f"notify: {{webhooks: {{desk: {{url: '{people.url}'}}}}}}\n")
    return "notify.yaml"


@pytest.mark.timeout(120)
def test_a_full_disk_ends_the_daemon_halted_and_loses_nothing_that_was_acknowledged(config: Path) -> None:
    with receiver() as people, quantd(["run", "q.yaml", notify(people, config)], config) as daemon:
        until(lambda: fills(daemon) >= 1, 45, "a fill")
        # Enough for the log and the latch, and too little for the journal's write-ahead log, which grows faster.
        limit = daemon.log.stat().st_size + 100_000
        resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        until(lambda: daemon.popen.poll() is not None, 60, "its end")
        assert daemon.popen.returncode == 1
        assert daemon.lines("journal_failed"), daemon.text()[-2000:]
        told = {line["client_order_id"] for line in daemon.lines("order_intended")}
        assert [key for key, _ in people.notices()] == ["journal", "daemon"], (
            "people hear of it before the process is gone"
        )
    assert told <= intended(config / "var/q.db"), "what was told had been acknowledged"
    with quantd(["journal", "verify", "var/q.db"], config) as verify:
        assert verify.popen.wait(30) == 0, verify.text()
    with quantd(["run", "q.yaml"], config) as daemon:
        until(lambda: daemon.lines("order_denied"), 45, "a denial")
        assert not daemon.lines("order_intended"), "it stays halted until a person looked"
        assert daemon.signal(SIGTERM) == 0


@pytest.mark.timeout(60)
def test_a_second_daemon_on_the_same_account_is_refused_and_named_though_its_journal_is_another(config: Path) -> None:
    text = (config / "q.yaml").read_text()
    (config / "other.yaml").write_text(text.replace("path: var/q.db", "path: var/other.db"))
    with quantd(["run", "q.yaml"], config) as first:
        first.wait_line("venue_ready")
        said = refused(config, "other.yaml")
        assert f"held by process {first.pid}" in said
        assert "paper" in said
        assert not (config / "var/other.db").exists()
        assert first.signal(SIGTERM) == 0


@pytest.mark.timeout(60)
def test_a_folder_that_cannot_be_made_is_named(config: Path) -> None:
    (config / "var").write_text("a file where the folder should be")
    assert "quantd: var" in refused(config)


@pytest.mark.timeout(120)
def test_a_write_ahead_log_that_is_torn_after_a_kill_loses_only_what_was_never_told(config: Path) -> None:
    told = run_until_filled(config, SIGKILL)
    log = config / "var/q.db-wal"
    whole = log.read_bytes()
    used = len(whole.rstrip(b"\0"))
    log.write_bytes(whole[:used] + b"\x5a" * 3_000)  # half a frame that the disk had begun when the power went
    again = run_until_filled(config)
    assert told | again <= intended(config / "var/q.db")
    with quantd(["journal", "verify", "var/q.db"], config) as verify:
        assert verify.popen.wait(30) == 0, verify.text()


@pytest.mark.timeout(120)
def test_a_journal_without_its_write_ahead_log_uses_no_id_twice_and_opens_nothing_until_a_person_looked(
    config: Path,
) -> None:
    before = run_until_filled(config, SIGKILL)
    (config / "var/q.db-wal").unlink()
    with quantd(["run", "q.yaml"], config) as daemon:
        until(lambda: daemon.lines("order_denied"), 45, "a denial")
        assert "its write-ahead log is gone or damaged" in (config / "var/state/halt.json").read_text()
        assert not daemon.lines("order_intended")
        assert daemon.signal(SIGTERM) == 0
    with quantd(["resume", "q.yaml", "--by", "ann", "--why", "compared"], config) as resumed:
        assert resumed.popen.wait(20) == 0, resumed.text()
    assert not run_until_filled(config) & before
