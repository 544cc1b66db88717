"""A flipped bit anywhere in a journal, its archive or its tables is named, or changes nothing that anybody reads.

Method: a journal with an archive, snapshots and a table; one bit after the other is flipped, and everything read.
"""

import hashlib
import random
import shutil
from contextlib import closing
from pathlib import Path

import pytest

from quantd.errors import JournalError
from quantd.journal.archive import folder_of
from quantd.journal.records import RecordCodec
from quantd.journal.retention import move_all
from quantd.journal.store import JournalStore, TakeSnapshot
from quantd.journal.verify import verify, verify_tables
from tests.component.journal.kit import Noted, Small, Sums, buys, fill

SAID = ("* FROM meta", "seq, checksum FROM head", "seq, checksum FROM anchor", "* FROM archive", "* FROM sums")


@pytest.fixture
def whole(path: Path, codec: RecordCodec[Small]) -> Path:
    with closing(JournalStore.create(path, codec, journal_id="k7", epoch=3, projections=[Sums()])) as store:
        fill(store, buys(60))
        store.write([TakeSnapshot(b"the state after 60")])
        fill(store, [Noted("naïve £", 61_000), *buys(40, first=62)])
        move_all(store, 40_000, size=10)
        assert store.archive.anchor().seq == 30
    return path


def read(path: Path, codec: RecordCodec[Small]) -> tuple[tuple[str, ...], str]:
    """Return what is named of a journal, else a digest of all that it says."""
    try:
        with closing(JournalStore.open(path, codec, read_only=True, projections=[Sums()])) as store:
            if problems := verify(store).problems or verify_tables(store):
                return problems, ""
            said = [*store.records(), *store.snapshots(), *(store.query(f"SELECT {what}") for what in SAID)]
            return (), hashlib.sha256(repr(said).encode()).hexdigest()
    except JournalError as error:
        return (str(error),), ""


def places(size: int, count: int, seed: int) -> list[int]:
    return sorted(random.Random(seed).sample(range(size * 8), min(count, size * 8)))


def test_every_flipped_bit_is_named_or_harmless(whole: Path, codec: RecordCodec[Small], tmp_path: Path) -> None:
    base = read(whole, codec)
    assert base[0] == ()
    copy = tmp_path / "copy" / whole.name
    shutil.copytree(whole.parent, copy.parent)
    named: dict[str, int] = {}
    for file in (copy, *folder_of(copy).iterdir()):
        content = file.read_bytes()
        for place in places(len(content), 600 if file == copy else 100, 14):
            damaged = bytearray(content)
            damaged[place // 8] ^= 1 << place % 8
            file.write_bytes(damaged)
            found = read(copy, codec)
            assert found == base or found[0], f"{file.name}: bit {place}"
            named[file.suffix] = named.get(file.suffix, 0) + bool(found[0])
            for left in ("-wal", "-shm"):
                copy.with_name(copy.name + left).unlink(missing_ok=True)
        file.write_bytes(content)
    assert all(count > 50 for count in named.values()), named


@pytest.mark.parametrize("table", ["records", "head", "anchor", "snapshots"])
def test_a_changed_definition_is_named(whole: Path, codec: RecordCodec[Small], table: str) -> None:
    """Read by another one, a whole row is another row: the number of a record is none any more."""
    content = whole.read_bytes()
    place = content.index(b"INTEGER PRIMARY KEY", content.index(b"CREATE TABLE %s " % table.encode()))
    whole.write_bytes(content[:place] + b"INTEGEP" + content[place + 7 :])
    (found,), _ = read(whole, codec)
    assert f"the definition of table {table} was changed or is missing" in found


def test_a_snapshot_that_is_listed_and_not_found_is_damaged(
    whole: Path, codec: RecordCodec[Small], monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(JournalStore.open(whole, codec)) as store:
        query = store.query
        monkeypatch.setattr(store, "query", lambda sql, values=(): [] if "payload" in sql else query(sql, values))
        assert list(store.snapshots()) == [(60, None)]


def test_a_changed_row_of_a_table_is_named_and_built_anew(whole: Path, codec: RecordCodec[Small]) -> None:
    with closing(JournalStore.open(whole, codec, projections=[Sums()])) as store:
        assert verify_tables(store) == ()
        with store.transaction() as connection:
            connection.execute("UPDATE sums SET quantity = '7000' WHERE \"order\" = 'q-3'")
        (found,) = verify_tables(store)
        assert "table sums: the records say ('q-3', " in found
        assert "found ('q-3', '7000'" in found
        store.rebuild_projections()
        assert verify_tables(store) == ()
        with store.transaction() as connection:
            connection.execute("DELETE FROM sums WHERE \"order\" = 'q-6'")
        assert "found None" in verify_tables(store)[0]
        with store.transaction() as connection:
            connection.execute("DROP TABLE sums")
        assert "table sums cannot be read" in verify_tables(store)[0]
    with closing(JournalStore.open(whole, codec, read_only=True, projections=[Sums(version=2)])) as store:
        assert verify_tables(store) == (), "a start builds them anew"
