"""A backup of a journal in use is whole; a restored one has an epoch that was never used."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from quantd.errors import JournalCorrupt, JournalError
from quantd.journal.backup import EPOCH_ZERO_S, backup, mint_epoch, restore
from quantd.journal.records import RecordCodec
from quantd.journal.store import JournalStore
from tests.component.journal.kit import MakeClosed, Running, Small, buys, fill

SECOND = 1_000_000_000
NOW = (EPOCH_ZERO_S + 1_000) * SECOND


def epoch_at(path: Path, codec: RecordCodec[Small]) -> int:
    with closing(JournalStore.open(path, codec, read_only=True)) as store:
        return store.meta.epoch


def test_epochs_are_seconds_and_never_below_one() -> None:
    assert mint_epoch(NOW) == 1_000
    assert mint_epoch(0) == 1


async def test_a_backup_of_a_running_journal_is_whole(
    tmp_path: Path, path: Path, codec: RecordCodec[Small], store: JournalStore[Small]
) -> None:
    running = Running(store)
    await running.writer.start()
    await running.writer.append(buys(500))
    waiting = running.writer.append(buys(500, first=501))
    count = backup(path, tmp_path / "backup.db", codec)
    await waiting
    await running.writer.close()
    assert count >= 500
    assert not (tmp_path / "backup.db.building").exists()
    with closing(JournalStore.open(tmp_path / "backup.db", codec, read_only=True)) as copy:
        assert [codec.decode(record) for record in copy.records()] == buys(count)


def test_a_restored_journal_goes_on_with_a_new_epoch(
    tmp_path: Path, closed: MakeClosed, codec: RecordCodec[Small]
) -> None:
    path = closed(10)
    backup(path, tmp_path / "backup.db", codec)
    target = tmp_path / "other" / "quantd.db"
    meta = restore(tmp_path / "backup.db", target, codec, now_ns=NOW)
    assert (meta.journal_id, meta.epoch) == ("k7", 1_000)
    with closing(JournalStore.open(target, codec)) as store:
        assert store.meta == meta
        fill(store, buys(1, first=11))
        assert [codec.decode(record) for record in store.records()] == buys(11)
    assert epoch_at(tmp_path / "backup.db", codec) == 3


def test_restoring_the_same_backup_again_gives_yet_another_epoch(
    tmp_path: Path, closed: MakeClosed, codec: RecordCodec[Small]
) -> None:
    path = closed(10)
    backup(path, tmp_path / "backup.db", codec)
    epochs = [
        restore(tmp_path / "backup.db", path, codec, now_ns=now_ns, replace=True).epoch for now_ns in (0, 0, NOW, NOW)
    ]
    assert epochs == [4, 5, 1_000, 1_001]
    asides = {file.name for file in path.parent.iterdir() if ".before-" in file.name}
    asides -= {name for name in asides if name.endswith(("-wal", "-shm"))}
    assert asides == {f"quantd.db.before-{epoch}" for epoch in epochs}


def test_a_journal_in_place_is_replaced_only_on_request_and_kept(
    tmp_path: Path, closed: MakeClosed, codec: RecordCodec[Small]
) -> None:
    path = closed(10)
    backup(path, tmp_path / "backup.db", codec)
    with pytest.raises(JournalError, match="a journal is here already"):
        restore(tmp_path / "backup.db", path, codec, now_ns=NOW)
    path.write_bytes(b"damaged")
    meta = restore(tmp_path / "backup.db", path, codec, now_ns=NOW, replace=True)
    assert epoch_at(path, codec) == meta.epoch
    assert path.with_name("quantd.db.before-1000").read_bytes() == b"damaged"


def test_a_damaged_backup_changes_nothing(tmp_path: Path, closed: MakeClosed, codec: RecordCodec[Small]) -> None:
    path = closed(10)
    backup(path, tmp_path / "backup.db", codec)
    with closing(sqlite3.connect(tmp_path / "backup.db", isolation_level=None)) as connection:
        connection.execute("DELETE FROM records WHERE seq = 4")
    before = path.read_bytes()
    with pytest.raises(JournalCorrupt, match="not a clean copy: record 4 is missing"):
        restore(tmp_path / "backup.db", path, codec, now_ns=NOW, replace=True)
    assert path.read_bytes() == before
    # A read-only look leaves SQLite's own files beside the journal, empty; nothing else may be there.
    assert {file.name.removeprefix("quantd.db") for file in path.parent.iterdir()} <= {"", "-wal", "-shm"}


def test_a_damaged_journal_gives_no_backup(tmp_path: Path, closed: MakeClosed, codec: RecordCodec[Small]) -> None:
    path = closed(10)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE records SET payload = x'00' WHERE seq = 4")
    with pytest.raises(JournalCorrupt, match=r"not a clean copy: record 4 \(Bought\)"):
        backup(path, tmp_path / "backup.db", codec)
    assert not (tmp_path / "backup.db").exists()


def test_an_existing_file_is_not_overwritten_by_a_backup(
    tmp_path: Path, closed: MakeClosed, codec: RecordCodec[Small]
) -> None:
    (tmp_path / "backup.db").write_text("precious")
    with pytest.raises(JournalError, match="exists already"):
        backup(closed(1), tmp_path / "backup.db", codec)


def test_without_a_journal_there_is_no_backup(tmp_path: Path, codec: RecordCodec[Small]) -> None:
    with pytest.raises(JournalError, match="there is no journal here"):
        backup(tmp_path / "none.db", tmp_path / "backup.db", codec)
    assert not list(tmp_path.iterdir())
