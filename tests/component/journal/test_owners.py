"""Who may read and write what the commands leave, whoever gave them."""

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from quantd.journal.archive import folder_of
from quantd.journal.backup import EPOCH_ZERO_S, backup, restore
from quantd.journal.locks import lock_journal
from quantd.journal.records import RecordCodec
from quantd.journal.retention import move_all
from quantd.journal.store import JournalStore, TakeSnapshot
from tests.component.journal.kit import MakeClosed, Small, as_nobody, buys, fill

NOW = (EPOCH_ZERO_S + 1_000) * 1_000_000_000
NOBODY = 65_534


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of another user than root, as the daemon's is; not under tmp_path, whose parents that one may not enter."""
    if os.geteuid() != 0:
        pytest.skip("only root can leave files of another user")
    with tempfile.TemporaryDirectory(prefix="quantd-") as name:
        os.chown(name, NOBODY, NOBODY)
        yield Path(name)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("wanted", [0o600, 0o640, 0o644])
def test_a_copy_is_readable_by_nobody_who_cannot_read_the_journal(
    tmp_path: Path, closed: MakeClosed, codec: RecordCodec[Small], wanted: int
) -> None:
    path = closed(10)
    path.chmod(wanted)
    backup(path, tmp_path / "backup.db", codec)
    assert mode(tmp_path / "backup.db") == wanted
    path.chmod(0o600)
    restore(tmp_path / "backup.db", path, codec, now_ns=NOW, replace=True)
    assert mode(path) == 0o600
    restore(tmp_path / "backup.db", tmp_path / "other.db", codec, now_ns=NOW)
    assert mode(tmp_path / "other.db") == wanted


def test_what_root_restores_archives_and_locks_the_daemon_can_write(
    folder: Path, tmp_path: Path, closed: MakeClosed, codec: RecordCodec[Small]
) -> None:
    backup(closed(10), tmp_path / "backup.db", codec)
    path = folder / "quantd.db"
    with lock_journal(path, what="quantd journal restore"):
        restore(tmp_path / "backup.db", path, codec, now_ns=NOW)
    with closing(JournalStore.open(path, codec)) as store:
        fill(store, buys(10, first=11))
        store.write([TakeSnapshot(b"after 20")])
        fill(store, buys(10, first=21))
        move_all(store, 10_000, size=5)
    with as_nobody(), lock_journal(path, what="quantd run"), closing(JournalStore.open(path, codec)) as store:
        move_all(store, 1_000_000, size=5)
        fill(store, buys(1, first=31))
        assert [codec.decode(record) for record in store.records()] == buys(31)
    assert len(list(folder_of(path).iterdir())) == 4
