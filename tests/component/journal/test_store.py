"""What the file holds comes back, and whatever is done to the file behind our back is named."""

import os
import sqlite3
import tempfile
from collections.abc import Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from quantd.errors import JournalCorrupt, JournalError
from quantd.journal.fold import Recovery, recover
from quantd.journal.records import RecordCodec
from quantd.journal.store import JournalStore, TakeSnapshot
from quantd.journal.verify import verify
from tests.component.journal.kit import Bought, MakeClosed, Noted, Small, Sums, as_nobody, buys, fill


def fold(store: JournalStore[Small]) -> tuple[bytes | None, list[Small], Recovery]:
    """Return what a recovery gives: the snapshot's bytes, the facts after it, and its report."""
    facts: list[Small] = []
    restored: list[bytes] = []
    report = recover(store, facts.append, restored.append)
    return (restored[0] if restored else None), facts, report


def opened(
    path: Path, codec: RecordCodec[Small], *, read_only: bool = False, projections: Sequence[Sums] = ()
) -> closing[JournalStore[Small]]:
    return closing(JournalStore.open(path, codec, read_only=read_only, projections=projections))


def tamper(path: Path, sql: str, *parameters: object) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(sql, parameters)


def test_facts_come_back_in_order_after_reopening(
    path: Path, codec: RecordCodec[Small], store: JournalStore[Small]
) -> None:
    facts: list[Small] = [*buys(3), Noted("naïve £", 9), *buys(2, first=10)]
    fill(store, facts)
    with opened(path, codec) as again:
        assert fold(again) == (None, facts, Recovery(0, 6))
        assert again.head == store.head
        assert again.meta.journal_id == "k7"
        assert again.meta.epoch == 3


def test_a_fold_starts_at_the_newest_snapshot(
    path: Path, codec: RecordCodec[Small], store: JournalStore[Small]
) -> None:
    for round_ in range(6):
        fill(store, buys(10, first=round_ * 10 + 1))
        store.write([TakeSnapshot(b"state %d" % round_)])
    fill(store, buys(2, first=61))
    with opened(path, codec) as again:
        assert fold(again) == (b"state 5", buys(2, first=61), Recovery(60, 2))
        assert [seq for seq, _ in again.snapshots()] == [60, 50, 40]


def test_a_damaged_snapshot_is_passed_over_for_an_older_one(
    path: Path, codec: RecordCodec[Small], store: JournalStore[Small]
) -> None:
    fill(store, buys(4))
    store.write([TakeSnapshot(b"old")])
    fill(store, buys(3, first=5))
    store.write([TakeSnapshot(b"new")])
    store.close()
    tamper(path, "UPDATE snapshots SET payload = ? WHERE seq = 7", b"neu")
    with opened(path, codec) as again:
        assert fold(again) == (b"old", buys(3, first=5), Recovery(4, 3, (7,)))
        assert verify(again).problems == ("the snapshot after record 7 is damaged",)


def test_a_fold_does_not_read_what_the_snapshot_covers(closed: MakeClosed, codec: RecordCodec[Small]) -> None:
    path = closed(50, snapshot_after=40)
    tamper(path, "UPDATE records SET payload = x'00' WHERE seq = 11")
    with opened(path, codec) as store:
        assert fold(store)[2] == Recovery(40, 10)
        assert verify(store).problems == ("record 11 (Bought) does not match its checksum: it was changed or torn",)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("UPDATE records SET payload = zeroblob(5) WHERE seq = 7", r"record 7 \(Bought\) does not match its checksum"),
        ("UPDATE records SET at_ns = at_ns + 1 WHERE seq = 7", r"record 7 \(Bought\) does not match its checksum"),
        ("UPDATE records SET kind = 'Noted' WHERE seq = 7", r"record 7 \(Noted\) does not match its checksum"),
        ("UPDATE records SET version = -1 WHERE seq = 7", r"record 7 \(Bought\) does not match its checksum"),
        ("UPDATE records SET payload = 'text' WHERE seq = 7", r"record 7 \(Bought\) does not match its checksum"),
        ("UPDATE records SET checksum = 5 WHERE seq = 7", r"record 7 \(Bought\) does not match its checksum"),
        ("UPDATE records SET kind = CAST(x'ff' AS TEXT) WHERE seq = 7", "record 7 cannot be read"),
        ("DELETE FROM records WHERE seq = 7", r"record 7 is missing; the next one found is record 8 \(Bought\)"),
        ("DELETE FROM records WHERE seq = 1", "record 1 is missing"),
        ("DELETE FROM records WHERE seq = 20", "record 20 is missing"),
        ("DELETE FROM records WHERE seq > 15", "records 16 to 20 are missing"),
        ("DELETE FROM records", "records 1 to 20 are missing"),
        ("INSERT INTO records SELECT 21, version, kind, at_ns, payload, checksum FROM records WHERE seq = 20",
         "record 21 stands after the last record, 20"),
        ("UPDATE head SET seq = 'x'", "table head must have one row"),
        ("DELETE FROM head", "table head must have one row"),
        ("UPDATE records SET checksum = x'00' WHERE seq = 20", r"record 20 \(Bought\) is not the one that was written"),
        ("UPDATE meta SET value = '2' WHERE key = 'epoch'", r"the description \(table meta\) was changed"),
        ("UPDATE meta SET value = 'zz' WHERE key = 'journal_id'", r"the description \(table meta\) was changed"),
    ],
)  # fmt: skip
def test_what_was_changed_behind_our_back_is_refused_and_named(
    closed: MakeClosed, codec: RecordCodec[Small], change: str, message: str
) -> None:
    path = closed(20)
    tamper(path, change)
    with pytest.raises(JournalCorrupt, match=message), opened(path, codec) as store:
        fold(store)


def test_swapped_records_are_refused(closed: MakeClosed, codec: RecordCodec[Small]) -> None:
    path = closed(20)
    for before, after in ((7, 1000), (8, 7), (1000, 8)):
        tamper(path, "UPDATE records SET seq = ? WHERE seq = ?", after, before)
    with opened(path, codec) as store, pytest.raises(JournalCorrupt, match=r"record 7 \(Bought\) does not match"):
        fold(store)


def test_a_record_that_follows_the_snapshot_must_follow_the_record_before(
    closed: MakeClosed, codec: RecordCodec[Small]
) -> None:
    path = closed(20, snapshot_after=10)
    tamper(path, "DELETE FROM records WHERE seq = 10")
    with opened(path, codec) as store, pytest.raises(JournalCorrupt, match="record 10 is missing"):
        fold(store)


def test_every_flipped_byte_of_a_record_is_found(closed: MakeClosed, codec: RecordCodec[Small]) -> None:
    """Flip each byte of one record's payload and checksum in the file itself, one at a time."""
    path = closed(9)
    with opened(path, codec, read_only=True) as store:
        record = store.tail(5)[0]
    whole = path.read_bytes()
    place = whole.index(record.payload + record.checksum)
    for offset in range(place, place + len(record.payload) + len(record.checksum)):
        path.write_bytes(whole[:offset] + bytes([whole[offset] ^ 0x10]) + whole[offset + 1 :])
        with opened(path, codec) as store, pytest.raises(JournalCorrupt, match="record 5 "):
            fold(store)


@pytest.mark.parametrize("kept", [0.95, 0.5, 0.1])
def test_a_truncated_file_is_refused(closed: MakeClosed, codec: RecordCodec[Small], kept: float) -> None:
    path = closed(2_000)
    os.truncate(path, int(path.stat().st_size * kept))
    with pytest.raises(JournalCorrupt, match=r"(record \d+|the file is damaged)"), opened(path, codec) as store:
        fold(store)


def test_verify_lists_all_that_is_wrong(closed: MakeClosed, codec: RecordCodec[Small]) -> None:
    path = closed(30, snapshot_after=20)
    tamper(path, "DELETE FROM records WHERE seq IN (3, 11, 12)")
    tamper(path, "UPDATE records SET payload = x'00' WHERE seq IN (6, 25)")
    told: list[tuple[int, int]] = []
    with opened(path, codec, read_only=True) as store:
        found = verify(store, lambda done, of: told.append((done, of)))
    assert found.problems == (
        "record 3 is missing",
        "record 6 (Bought) does not match its checksum: it was changed or torn",
        "records 11 to 12 are missing",
        "record 25 (Bought) does not match its checksum: it was changed or torn",
    )
    assert (found.records, found.snapshots, told) == (27, 1, [(27, 30)])


def test_verify_of_a_clean_journal_finds_nothing(closed: MakeClosed, codec: RecordCodec[Small]) -> None:
    with opened(closed(30, snapshot_after=20), codec, read_only=True) as store:
        assert verify(store) == (30, 1, (), 0)


def test_a_reader_beside_a_writer_sees_one_moment_and_no_end_that_is_not_there(
    path: Path, codec: RecordCodec[Small], store: JournalStore[Small]
) -> None:
    fill(store, buys(5))
    with opened(path, codec, read_only=True) as reader:
        fill(store, buys(3))
        assert [record.seq for record in reader.records()] == [1, 2, 3, 4, 5]
        assert verify(reader).problems == ()
    with opened(path, codec, read_only=True) as reader:
        assert len(list(reader.records())) == 8


def test_a_snapshot_of_nothing_is_one(path: Path, codec: RecordCodec[Small], store: JournalStore[Small]) -> None:
    store.write([TakeSnapshot(b"empty")])
    assert fold(store) == (b"empty", [], Recovery(0, 0))


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "the file is empty"), (b"journal: {path: x}\n" * 100, "the file is no SQLite database")],
)
def test_what_is_no_journal_is_refused(tmp_path: Path, codec: RecordCodec[Small], content: bytes, message: str) -> None:
    path = tmp_path / "quantd.db"
    path.write_bytes(content)
    with pytest.raises(JournalError, match=message):
        JournalStore.open(path, codec)


def test_another_programs_database_is_refused(tmp_path: Path, codec: RecordCodec[Small]) -> None:
    path = tmp_path / "other.db"
    tamper(path, "CREATE TABLE meta (key, value)")
    with pytest.raises(JournalError, match="a SQLite database of another program"):
        JournalStore.open(path, codec)


def test_a_missing_journal_is_not_made_by_opening(tmp_path: Path, codec: RecordCodec[Small]) -> None:
    with pytest.raises(JournalError, match="there is no journal here"):
        JournalStore.open(tmp_path / "quantd.db", codec)
    assert not list(tmp_path.iterdir())


def test_an_existing_file_is_not_overwritten_by_creating(closed: MakeClosed, codec: RecordCodec[Small]) -> None:
    with pytest.raises(JournalError, match="exists already"):
        JournalStore.create(closed(1), codec, journal_id="k7", epoch=4)


@pytest.mark.parametrize(("journal_id", "epoch"), [("UPPER", 1), ("", 1), ("waytoolong", 1), ("ok", 0)])
def test_a_bad_identity_leaves_nothing_behind(
    tmp_path: Path, codec: RecordCodec[Small], journal_id: str, epoch: int
) -> None:
    with pytest.raises(JournalError, match=r"a journal id has|an epoch is"):
        JournalStore.create(tmp_path / "quantd.db", codec, journal_id=journal_id, epoch=epoch)
    assert not list(tmp_path.iterdir())


def test_a_newer_layout_is_refused_with_its_number(closed: MakeClosed, codec: RecordCodec[Small]) -> None:
    path = closed(1)
    tamper(path, "UPDATE meta SET value = '9' WHERE key = 'layout'")
    with pytest.raises(JournalError, match="has layout 9, this quantd knows up to 2"):
        JournalStore.open(path, codec)


def test_older_records_are_migrated_and_newer_ones_refused(path: Path, store: JournalStore[Small]) -> None:
    fill(store, buys(2))

    def renamed(content: dict[str, Any]) -> dict[str, Any]:
        return {**content, "order": content["order"].upper()}

    newer: RecordCodec[Small] = RecordCodec(Small, version=2, migrations={1: renamed})
    with opened(path, newer) as again:
        facts = fold(again)[1]
        assert [fact.order for fact in facts if isinstance(fact, Bought)] == ["Q-1", "Q-2"]
        assert isinstance(facts[0], Bought)
        assert facts[0].quantity == Decimal("0.01")
        fill(again, buys(1, first=3))
    with (
        opened(path, store.codec) as old,
        pytest.raises(JournalError, match=r"record 3 \(Bought\) has schema version 2"),
    ):
        fold(old)


def test_a_read_only_directory_is_refused_with_the_path(codec: RecordCodec[Small]) -> None:
    # Not under tmp_path, whose parents another user may not enter.
    with tempfile.TemporaryDirectory(prefix="quantd-") as name:
        directory = Path(name)
        JournalStore.create(directory / "quantd.db", codec, journal_id="k7", epoch=1).close()
        directory.chmod(0o555)
        try:
            with as_nobody():
                with pytest.raises(JournalError, match=r"quantd\.db: cannot be written"):
                    JournalStore.open(directory / "quantd.db", codec)
                with pytest.raises(JournalError, match=r"new\.db.*ermission denied|new\.db.*unable to open"):
                    JournalStore.create(directory / "new.db", codec, journal_id="k7", epoch=1)
        finally:
            directory.chmod(0o755)


def test_projections_follow_the_facts_and_are_built_anew_for_another_version(
    path: Path, codec: RecordCodec[Small]
) -> None:
    with closing(JournalStore.create(path, codec, journal_id="k7", epoch=1, projections=[Sums()])) as store:
        fill(store, buys(20))
        before = store.query("SELECT * FROM sums")
        assert sum(row[2] for row in before) == 20
        with store.transaction() as connection:
            connection.execute("DELETE FROM sums")
    with opened(path, codec, projections=[Sums()]) as store:
        assert store.query("SELECT * FROM sums") == []
    with opened(path, codec, projections=[Sums(version=2)]) as store:
        assert store.query("SELECT * FROM sums") == before
        assert verify(store).problems == ()


def test_facts_written_without_the_projection_are_in_it_when_it_is_back(
    path: Path, codec: RecordCodec[Small], store: JournalStore[Small]
) -> None:
    fill(store, buys(5))
    store.close()
    told: list[tuple[int, int]] = []
    with opened(path, codec, projections=[Sums()]) as again:
        assert again.query("SELECT sum(facts) FROM sums") == [(5,)]
        again.rebuild_projections(lambda done, of: told.append((done, of)))
    assert told == [(5, 5)]


def test_records_written_without_a_projection_are_never_missing_from_it(path: Path, codec: RecordCodec[Small]) -> None:
    JournalStore.create(path, codec, journal_id="k7", epoch=1, projections=[Sums()]).close()
    with opened(path, codec) as without:
        fill(without, buys(5))
    with opened(path, codec, projections=[Sums()]) as again:
        assert again.query("SELECT sum(facts) FROM sums") == [(5,)]


def test_a_transaction_that_fails_leaves_nothing(
    path: Path, codec: RecordCodec[Small], store: JournalStore[Small]
) -> None:
    fill(store, buys(1))

    class Broken(Sums):
        def apply(self, connection: sqlite3.Connection, facts: Sequence[tuple[int, Small]]) -> None:
            raise sqlite3.IntegrityError("constraint")

    store.close()
    with pytest.raises(JournalError, match="constraint"):
        JournalStore.open(path, codec, projections=[Broken()])
    with opened(path, codec) as again:
        assert fold(again)[1] == buys(1)
        assert again.query("SELECT name FROM sqlite_master WHERE name = 'sums'") == []
