"""What people do to a journal's files by hand: nothing of it may pass for an ordinary start.

Method: journals as an orderly end and as a kill leave them, moved and copied as `mv` and `cp` would.
"""

import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from quantd.errors import JournalError, JournalLocked
from quantd.journal import backup as copies
from quantd.journal.archive import folder_of
from quantd.journal.backup import EPOCH_ZERO_S, backup, restore
from quantd.journal.locks import lock_journal
from quantd.journal.records import RecordCodec
from quantd.journal.store import JournalStore
from tests.component.journal.kit import MakeClosed, Running, Small, buys, fill

NOW = (EPOCH_ZERO_S + 1_000) * 1_000_000_000

Kill = Callable[[], Path]


def opened(path: Path, codec: RecordCodec[Small]) -> JournalStore[Small]:
    return JournalStore.open(path, codec)


@pytest.fixture
def killed(tmp_path: Path, codec: RecordCodec[Small]) -> Kill:
    """Leave a journal of 30 records as a kill does: the newest are in the write-ahead log alone."""

    def kill() -> Path:
        used, left = tmp_path / "used" / "quantd.db", tmp_path / "left" / "quantd.db"
        left.parent.mkdir(exist_ok=True)
        with closing(JournalStore.create(used, codec, journal_id="k7", epoch=3)) as store:
            fill(store, buys(10))
            store.reserve_log()
            for number in range(11, 31):
                fill(store, buys(1, first=number))
            for suffix in ("", "-wal"):
                shutil.copy(used.with_name(used.name + suffix), left.with_name(left.name + suffix))
        return left

    return kill


def texts(path: Path, codec: RecordCodec[Small]) -> list[Small]:
    with closing(JournalStore.open(path, codec, read_only=True)) as store:
        return [codec.decode(record) for record in store.records()]


def test_a_copy_that_was_put_in_place_as_it_is_is_refused_and_left_as_it_was(
    tmp_path: Path, closed: MakeClosed, codec: RecordCodec[Small]
) -> None:
    path = closed(10)
    backup(path, tmp_path / "backup.db", codec)
    shutil.copy(tmp_path / "backup.db", path)
    before = path.read_bytes()
    with pytest.raises(JournalError, match=r"quantd\.db: a copy that a backup wrote.*quantd journal restore"):
        opened(path, codec)
    assert path.read_bytes() == before
    restore(tmp_path / "backup.db", path, codec, now_ns=NOW, replace=True)
    opened(path, codec).close()
    assert texts(path, codec) == buys(10)


def test_a_backup_of_a_copy_and_of_a_journal_in_use_is_a_copy(
    tmp_path: Path, path: Path, store: JournalStore[Small], codec: RecordCodec[Small]
) -> None:
    store.reserve_log()
    fill(store, buys(10))
    backup(path, tmp_path / "first.db", codec)
    backup(tmp_path / "first.db", tmp_path / "second.db", codec)
    for copy in ("first.db", "second.db"):
        with pytest.raises(JournalError, match="a copy that a backup wrote"):
            opened(tmp_path / copy, codec)
    restore(tmp_path / "second.db", tmp_path / "new.db", codec, now_ns=NOW)
    with closing(opened(tmp_path / "new.db", codec)) as again:
        assert not again.lost_log


def test_after_a_kill_the_log_brings_everything_back(killed: Kill, codec: RecordCodec[Small]) -> None:
    path = killed()
    for _ in range(2):
        with closing(opened(path, codec)) as store:
            assert store.head.seq == 30
            assert not store.lost_log


def test_a_journal_that_was_taken_away_from_its_log_says_so_until_somebody_goes_on(
    killed: Kill, codec: RecordCodec[Small]
) -> None:
    path = killed()
    path.with_name("quantd.db-wal").unlink()
    for read_only in (True, False, True, False):
        with closing(JournalStore.open(path, codec, read_only=read_only)) as store:
            assert (store.head.seq, store.lost_log) == (10, True)
    with closing(opened(path, codec)) as store:
        assert copies.renew_epoch(store, NOW) == store.meta
        assert store.meta.epoch == 1_000
        assert copies.renew_epoch(store, 0).epoch == 1_001
        store.lost_log = False
    with closing(opened(path, codec)) as store:
        assert (store.meta.epoch, store.lost_log) == (1_001, False)


def test_a_copy_in_place_beside_the_log_of_the_journal_before_it_is_a_copy(
    tmp_path: Path, killed: Kill, codec: RecordCodec[Small]
) -> None:
    path = killed()
    shutil.copy(path, tmp_path / "earlier.db")
    backup(tmp_path / "earlier.db", tmp_path / "backup.db", codec)
    shutil.copy(tmp_path / "backup.db", path)
    with pytest.raises(JournalError, match="a copy that a backup wrote"):
        opened(path, codec)


def test_a_log_that_was_damaged_after_a_kill_is_known_by_the_commits_behind_the_damage(
    killed: Kill, codec: RecordCodec[Small]
) -> None:
    """SQLite ends at the damage without a word. The newest commit alone may be one that the power tore, and was never told."""
    path = killed()
    log = path.with_name("quantd.db-wal")
    whole, file = log.read_bytes()[: 32 + 100 * 4_120], path.read_bytes()
    lost: dict[int, bool] = {}
    for place in (*range(0, 56, 5), *range(56, len(whole), 9_001)):
        path.write_bytes(file)
        log.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with closing(opened(path, codec)) as store:
            assert store.lost_log == (store.head.seq < 29), (place, store.head.seq)
            lost[store.head.seq] = store.lost_log
            store.lost_log = False
    assert lost[10] is True
    assert lost[30] is False


@pytest.mark.parametrize("kept", [0, 20, 32, 40, 4_000, 60_000])
def test_a_log_that_ends_early_is_no_damage(killed: Kill, codec: RecordCodec[Small], kept: int) -> None:
    path = killed()
    log = path.with_name("quantd.db-wal")
    log.write_bytes(log.read_bytes()[:kept])
    with closing(opened(path, codec)) as store:
        assert store.lost_log == (kept == 0)


async def test_an_orderly_end_leaves_a_journal_at_rest(path: Path, codec: RecordCodec[Small]) -> None:
    running = Running(JournalStore.create(path, codec, journal_id="k7", epoch=3))
    await running.writer.start()
    await running.writer.append(buys(10))
    await running.writer.close()
    assert not path.with_name("quantd.db-wal").exists()
    with closing(opened(path, codec)) as store:
        assert not store.lost_log


def test_no_new_journal_is_made_beside_the_log_of_one_that_was_moved_away(
    killed: Kill, codec: RecordCodec[Small]
) -> None:
    """SQLite would put the old one's newest records into the new file: both are damaged by that."""
    path = killed()
    away = path.with_name("old.db")
    path.rename(away)
    with pytest.raises(JournalError, match=r"there is no journal, but .*quantd\.db-wal is here"):
        JournalStore.create(path, codec, journal_id="new", epoch=9)
    assert not path.exists()
    path.with_name("quantd.db-wal").rename(path.with_name("old.db-wal"))
    JournalStore.create(path, codec, journal_id="new", epoch=9).close()
    assert texts(away, codec) == buys(30)


@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_restore_that_was_cut_off_is_named_and_done_again(
    tmp_path: Path, killed: Kill, codec: RecordCodec[Small], monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    path = killed()
    backup(path, tmp_path / "backup.db", codec)
    moved: list[Path] = []
    rename = Path.rename

    def cut_off(self: Path, target: Path) -> Path:
        if self.suffix != ".building":
            moved.append(self)
            if len(moved) > step:
                raise KeyboardInterrupt
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", cut_off)
        with pytest.raises(KeyboardInterrupt):
            restore(tmp_path / "backup.db", path, codec, now_ns=NOW, replace=True)
    with pytest.raises(JournalError, match="there is no journal, but"):
        JournalStore.create(path, codec, journal_id="new", epoch=9)
    assert not path.exists()
    again = restore(tmp_path / "backup.db", path, codec, now_ns=0, replace=True)
    assert again.epoch == 1_001, "also by a clock that was set back"
    assert texts(path, codec) == buys(30)
    opened(path, codec).close()


@pytest.mark.parametrize("is_there", [True, False])
def test_a_link_is_the_journal_that_it_leads_to(
    tmp_path: Path, closed: MakeClosed, codec: RecordCodec[Small], is_there: bool
) -> None:
    whole, link = tmp_path / "var" / "quantd.db", tmp_path / "quantd.db"
    link.symlink_to(whole)
    if is_there:
        closed(10)
    else:
        JournalStore.create(link, codec, journal_id="k7", epoch=3).close()
    assert link.is_symlink()
    assert folder_of(link) == folder_of(whole)
    with lock_journal(whole, what="one"), pytest.raises(JournalLocked, match="one"):
        lock_journal(link, what="two")
    backup(link, tmp_path / "backup.db", codec)
    restore(tmp_path / "backup.db", link, codec, now_ns=NOW, replace=True)
    assert link.is_symlink()
    assert whole.with_name("quantd.db.before-1000").exists()
