"""Records that were moved into the archive: whatever is asked of the journal has the answer that it had before."""

import gzip
import os
import re
import shutil
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantd.errors import JournalCorrupt, JournalError
from quantd.journal import archive, backup, layout, retention
from quantd.journal.fold import recover
from quantd.journal.records import Record, RecordCodec
from quantd.journal.retention import Moved, export, move_all, next_segment
from quantd.journal.store import JournalStore, TakeSnapshot
from quantd.journal.verify import verify
from tests.component.journal.kit import Small, Sums, buys, fill

SIZE = 20
FOR_EVER = 2**62


def written(path: Path, count: int, snapshots: tuple[int, ...]) -> Path:
    """Make a journal with snapshots after some of its records, and the projection of its sums."""
    codec: RecordCodec[Small] = RecordCodec(Small)
    with closing(JournalStore.create(path, codec, journal_id="k7", epoch=3, projections=[Sums()])) as store:
        facts, done = buys(count), 0
        for after in (*snapshots, count):
            fill(store, facts[done:after])
            done = after
            if after in snapshots:
                store.write([TakeSnapshot(b"%d" % after)])
    return path


def opened(path: Path, **options: Any) -> closing[JournalStore[Small]]:
    return closing(JournalStore[Small].open(path, RecordCodec(Small), projections=[Sums()], **options))


def moved(path: Path, before_ns: int = FOR_EVER, size: int = SIZE) -> Moved:
    with opened(path) as store:
        return move_all(store, before_ns, size=size)


def told(path: Path, after: int = 0) -> list[Record]:
    with opened(path, read_only=True) as store:
        return list(store.records(after))


def rows(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as connection:
        return [seq for (seq,) in connection.execute("SELECT seq FROM records ORDER BY seq")]


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return written(tmp_path / "q.db", 100, (50, 70, 90))


def files(path: Path) -> list[Path]:
    return sorted(archive.folder_of(path).iterdir())


def test_whole_segments_before_the_oldest_snapshot_leave_the_file_and_nothing_else_does(journal: Path) -> None:
    result = moved(journal)
    assert (result.segments, result.records) == (2, 40)
    assert rows(journal) == list(range(41, 101))
    assert [one.name[:26] for one in files(journal)] == ["000000000001-000000000020-", "000000000021-000000000040-"]
    assert result.bytes == sum(one.stat().st_size for one in files(journal))
    assert moved(journal) == (0, 0, 0)


def test_younger_records_stay(journal: Path) -> None:
    assert moved(journal, before_ns=40_000).records == 20  # record 40 is from then, and not from before
    assert rows(journal)[0] == 21


def test_the_newest_record_stays_even_when_a_snapshot_stands_for_it(tmp_path: Path) -> None:
    path = written(tmp_path / "q.db", 40, (40,))
    assert moved(path).records == 20


@settings(max_examples=25)
@given(
    count=st.integers(1, 130),
    marks=st.lists(st.integers(1, 130), min_size=1, max_size=5),
    size=st.integers(4, 40),
    age=st.integers(0, 140_000),
)
def test_archive_and_journal_tell_what_the_journal_told(
    tmp_path_factory: pytest.TempPathFactory, count: int, marks: list[int], size: int, age: int
) -> None:
    path = written(tmp_path_factory.mktemp("j") / "q.db", count, tuple(sorted({one for one in marks if one <= count})))
    records, before = told(path), recovered(path)
    with opened(path) as store:
        sums = store.query("SELECT * FROM sums ORDER BY 1")
    result = moved(path, before_ns=age, size=size)
    assert rows(path) == list(range(result.records + 1, count + 1))
    for after in {0, 1, min(size, count), result.records, count // 2, count - 1, count}:
        assert told(path, after) == records[after:]
    assert recovered(path) == before
    with opened(path) as store:
        assert store.query("SELECT * FROM sums ORDER BY 1") == sums
        store.rebuild_projections()
        assert store.query("SELECT * FROM sums ORDER BY 1") == sums
        assert [one.seq for one in store.tail(10)] == list(range(max(1, count - 9), count + 1))
        found = verify(store)
        assert (found.problems, found.records, found.archived) == ((), count, result.records)
        fill(store, buys(3, first=count + 1))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM snapshots")
    snapshot, facts = recovered(path)
    assert (snapshot, facts) == ([], buys(count + 3))


def recovered(path: Path) -> tuple[list[bytes], list[Small]]:
    snapshots: list[bytes] = []
    facts: list[Small] = []
    with opened(path) as store:
        recover(store, facts.append, snapshots.append)
    return snapshots, facts


# -- kills -----------------------------------------------------------------------------------------------------------


def steps(count: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Call `count` before and after all that reaches the disk."""

    def around(function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **named: Any) -> Any:
            count()
            result = function(*arguments, **named)
            count()
            return result

        return counted

    monkeypatch.setattr(os, "fsync", around(os.fsync))
    monkeypatch.setattr(Path, "rename", around(Path.rename))
    monkeypatch.setattr(retention, "_remove", around(retention._remove))
    monkeypatch.setattr(retention, "enter", around(retention.enter))
    monkeypatch.setattr(retention, "remove", around(retention.remove))
    monkeypatch.setattr(layout, "make_archived", around(layout.make_archived))
    monkeypatch.setattr(archive.Archive, "read", around(archive.Archive.read))


def test_a_kill_at_any_step_loses_nothing_and_the_next_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention.remove, "__defaults__", (7,))
    whole = written(tmp_path / "whole" / "q.db", 70, (50, 70))
    records = told(whole)
    last, killed = 0, True
    while killed:
        path = tmp_path / f"{last}" / "q.db"
        path.parent.mkdir()
        shutil.copy(whole, path)
        killed = _killed_after(last, path, monkeypatch)
        assert told(path) == records
        with opened(path) as store:
            assert verify(store).problems == ()
        moved(path)
        assert rows(path) == list(range(41, 71))
        assert told(path) == records
        assert len(files(path)) == 2
        last += 1
    assert last > 50


def _killed_after(last: int, path: Path, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Move all in a process that is killed after so many steps; tell whether it was."""
    child = os.fork()
    if not child:
        left = iter(range(last))
        steps(lambda: None if next(left, None) is not None else os.kill(os.getpid(), signal.SIGKILL), monkeypatch)
        try:
            moved(path)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


# -- what is refused -------------------------------------------------------------------------------------------------


def test_a_file_that_was_taken_away_is_named_where_it_is_needed_and_nowhere_else(journal: Path) -> None:
    moved(journal)
    first, second = files(journal)
    first.rename(first.with_name("elsewhere"))
    message = f"{first}: records 1 to 20 were moved here, and the file is missing: bring it back"
    with opened(journal) as store:
        with pytest.raises(JournalError, match=message):
            list(store.records())
        assert [one.seq for one in store.records(25)] == list(range(26, 101))
        assert verify(store).problems == (f"{message} from where it was taken to",)
        assert verify(store, archived=False).problems == ()
        assert store.archive.missing() == [first]
    assert recovered(journal)[0] == [b"90"]
    second.unlink()
    with opened(journal, read_only=True) as store:
        assert len(verify(store).problems) == 2


def damage_text(path: Path) -> None:
    lines = gzip.decompress(path.read_bytes()).replace(b'"at_ns":7000', b'"at_ns":7001')
    path.write_bytes(gzip.compress(lines))


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


def lose_lines(path: Path) -> None:
    lines = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    path.write_bytes(gzip.compress(b"".join(lines[:-2])))


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x55
    path.write_bytes(content)


def be_another_ones(path: Path) -> None:
    lines = gzip.decompress(path.read_bytes()).replace(b'"journal":"k7"', b'"journal":"k8"')
    path.write_bytes(gzip.compress(lines))


@pytest.mark.parametrize("damage", [damage_text, cut_off, lose_lines, flip_a_byte, be_another_ones])
def test_a_damaged_file_is_named_and_is_no_part_of_any_answer(journal: Path, damage: Callable[[Path], None]) -> None:
    moved(journal)
    damage(files(journal)[0])
    with opened(journal) as store:
        with pytest.raises(JournalCorrupt, match=files(journal)[0].name):
            list(store.records())
        assert len(verify(store).problems) == 1


def test_a_file_that_does_not_hold_what_the_journal_holds_keeps_its_records_in_the_journal(journal: Path) -> None:
    with opened(journal) as store:
        segment = next_segment(store, FOR_EVER, SIZE)
        assert segment is not None
        export(store, segment, lambda: None)
    damage_text(files(journal)[0])
    with pytest.raises(JournalCorrupt, match="is not what was written as record 7"):
        moved(journal)
    assert rows(journal) == list(range(1, 101))
    assert moved_after_repair(journal) == 40


def moved_after_repair(journal: Path) -> int:
    files(journal)[0].unlink()
    return moved(journal).records


def test_a_damaged_record_is_not_moved(journal: Path) -> None:
    with closing(sqlite3.connect(journal)) as connection, connection:
        connection.execute("UPDATE records SET at_ns = at_ns + 1 WHERE seq = 30")
    with pytest.raises(JournalCorrupt, match=r"record 30 \(Bought\) does not match its checksum"):
        moved(journal)
    assert rows(journal)[0] == 21
    assert len(files(journal)) == 1


def test_with_a_damaged_snapshot_nothing_is_moved(journal: Path) -> None:
    with closing(sqlite3.connect(journal)) as connection, connection:
        connection.execute("UPDATE snapshots SET payload = x'00' WHERE seq = 70")
    with pytest.raises(JournalError, match="the snapshot after record 70 is damaged: nothing is moved out"):
        moved(journal)
    assert rows(journal) == list(range(1, 101))


def test_records_that_a_snapshot_needs_are_refused_whoever_asks(journal: Path) -> None:
    with opened(journal) as store:
        too_far = next_segment(store, FOR_EVER, SIZE)
        assert too_far is not None
        with pytest.raises(JournalError, match="the oldest snapshot stands for record 50"):
            retention.enter(store, too_far._replace(last=60))
        with pytest.raises(JournalError, match="in no archive file that the journal names"):
            retention.remove(store, too_far)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("UPDATE anchor SET seq = 39", "another record 39"),
        ("UPDATE anchor SET checksum = x'00112233445566778899aabbccddeeff'", "table anchor has another record 40"),
        ("DELETE FROM anchor", "table anchor must have one row"),
        ("DELETE FROM archive WHERE first = 1", "records 21 to 40 do not follow records 0 to 0"),
        ("DELETE FROM archive WHERE first = 21", "no archive file is named for records up to 40"),
        ("DELETE FROM records WHERE seq = 41", "record 41 is missing"),
    ],
)
def test_tables_that_were_changed_are_found(journal: Path, change: str, found: str) -> None:
    moved(journal)
    with closing(sqlite3.connect(journal)) as connection, connection:
        connection.execute(change)
    with closing(JournalStore[Small].open(journal, RecordCodec(Small), read_only=True)) as store:
        with pytest.raises(JournalCorrupt):
            list(store.records())
        assert re.search(found, str(verify(store).problems))


# -- versions and backups --------------------------------------------------------------------------------------------


def test_only_a_journal_that_lost_records_is_closed_to_older_versions(journal: Path) -> None:
    with opened(journal) as store:
        assert store.meta.layout == 1
    moved(journal)
    with opened(journal) as store:
        assert (store.meta.layout, store.meta.epoch) == (2, 3)


@pytest.fixture
def earlier(journal: Path, tmp_path: Path) -> Path:
    """A backup from before anything was moved."""
    backup.backup(journal, tmp_path / "b.db", RecordCodec(Small))
    return tmp_path / "b.db"


def test_a_backup_is_whole_without_the_archive_and_finds_it_where_it_is_restored(journal: Path, tmp_path: Path) -> None:
    records = told(journal)
    moved(journal)
    assert backup.backup(journal, tmp_path / "b.db", RecordCodec(Small)) == 100
    target = tmp_path / "new" / "q.db"
    meta = backup.restore(tmp_path / "b.db", target, RecordCodec(Small), now_ns=FOR_EVER)
    assert meta.layout == 2
    assert recovered(target)[0] == [b"90"]
    with pytest.raises(JournalError, match="bring it back"):
        told(target)
    shutil.copytree(archive.folder_of(journal), archive.folder_of(target))
    assert told(target) == records


def test_after_a_restore_another_history_gets_files_of_its_own(journal: Path, earlier: Path) -> None:
    moved(journal)
    with opened(journal) as store:
        fill(store, buys(60, first=101))
        store.write([TakeSnapshot(b"160"), TakeSnapshot(b"160")])
        fill(store, buys(10, first=161))
        store.write([TakeSnapshot(b"170")])
        fill(store, buys(10, first=171))
        store.write([TakeSnapshot(b"180")])
    moved(journal)
    before = {one: one.read_bytes() for one in files(journal)}
    backup.restore(earlier, journal, RecordCodec(Small), now_ns=FOR_EVER, replace=True)
    with opened(journal) as store:
        for first in (101, 151, 201):  # the same numbers, other facts
            fill(store, buys(50, first=first + 1_000))
            store.write([TakeSnapshot(b"%d" % (first + 49))])
    records = told(journal)
    moved(journal)
    assert told(journal) == records
    assert {one: one.read_bytes() for one in before} == before
    assert len({one.name[:25] for one in files(journal)}) < len(files(journal))
