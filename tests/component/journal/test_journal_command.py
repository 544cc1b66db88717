"""`quantd journal`: exit codes, the record that is damaged by name, and restores that change the epoch."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from quantd.cli.journal import app
from quantd.domain import facts as f
from quantd.journal.locks import lock_journal
from quantd.journal.projections import projections
from quantd.journal.records import RecordCodec
from quantd.journal.standing import Standing, mark
from quantd.journal.store import Append, JournalStore, TakeSnapshot

Run = Callable[..., Result]
AT_NS = 1_714_567_890_000_000_123


@pytest.fixture
def journal(path: Path) -> Path:
    """A journal of 30 facts, at rest."""
    facts: list[f.Fact] = [f.CursorMoved("paper", f"orders-{n}", str(n), AT_NS + n) for n in range(29)]
    facts.append(f.PeaksRecorded({"all": Decimal("7.250")}, AT_NS))
    with closing(
        JournalStore[f.Fact].create(path, RecordCodec(f.Fact), journal_id="k7", epoch=3, projections=projections())
    ) as store:
        store.write([Append([store.codec.encode(fact) for fact in facts], facts)])
    return path


@pytest.fixture
def run() -> Run:
    def invoke(*arguments: object) -> Result:
        return CliRunner(env={"COLUMNS": "200"}).invoke(app, [str(argument) for argument in arguments])

    return invoke


def test_a_clean_journal_is_verified(journal: Path, run: Run) -> None:
    result = run("verify", journal)
    assert (result.exit_code, result.stdout) == (0, "ok: 30 records, 0 snapshots, journal k7, epoch 3\n")


def test_a_journal_that_may_lack_its_write_ahead_log_is_verified_with_a_warning(journal: Path, run: Run) -> None:
    with closing(sqlite3.connect(journal, isolation_level=None)) as connection:
        mark(connection, Standing.IN_USE)
    result = run("verify", journal)
    assert result.exit_code == 0
    assert "its write-ahead log is not beside it: what came after record 30 is missing" in result.stderr


def test_damaged_records_are_named_and_the_exit_code_tells(journal: Path, run: Run) -> None:
    with closing(sqlite3.connect(journal, isolation_level=None)) as connection:
        connection.execute("DELETE FROM records WHERE seq = 4")
        connection.execute("UPDATE records SET payload = x'00' WHERE seq = 9")
    result = run("verify", journal)
    assert result.exit_code == 1
    assert f"{journal}: record 4 is missing\n" in result.stderr
    assert f"{journal}: record 9 (CursorMoved) does not match its checksum" in result.stderr
    assert "damaged: 2 problems in 29 records" in result.stderr


def test_a_missing_journal_is_named(tmp_path: Path, run: Run) -> None:
    result = run("verify", tmp_path / "none.db")
    assert (result.exit_code, result.stderr) == (1, f"{tmp_path / 'none.db'}: there is no journal here\n")


def test_the_newest_records_are_shown_as_a_table(journal: Path, run: Run) -> None:
    result = run("show", journal, "--tail", "2")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert len(lines) == 3
    assert lines[1].split() == [
        "29", "2024-05-01", "12:51:30.000000151", "CursorMoved", "venue=paper", "name=orders-28", "value=28",
    ]  # fmt: skip
    assert 'peaks={"all":"7.250"}' in lines[2]


def test_records_of_a_kind_are_found_however_far_back(journal: Path, run: Run) -> None:
    result = run("show", journal, "--tail", "1", "--kind", "CursorMoved", "--json")
    assert json.loads(result.stdout) == {
        "record": 29,
        "at": "2024-05-01 12:51:30.000000151",
        "kind": "CursorMoved",
        "fact": {"venue": "paper", "name": "orders-28", "value": "28"},
    }
    assert run("show", journal, "--kind", "RunStarted", "--json").stdout == ""
    result = run("show", journal, "--kind", "Nonsense")
    assert result.exit_code == 2
    assert "Nonsense" in result.stderr


def test_a_backup_is_restored_with_a_new_epoch(journal: Path, tmp_path: Path, run: Run) -> None:
    assert run("backup", journal, tmp_path / "b.db").stdout == f"ok: 30 records in {tmp_path / 'b.db'}\n"
    target = tmp_path / "new" / "quantd.db"
    result = run("restore", tmp_path / "b.db", target)
    assert result.exit_code == 0
    assert f"ok: journal k7 restored to {target}, epoch " in result.stdout
    refused = run("restore", tmp_path / "b.db", target)
    assert refused.exit_code == 1
    assert "a journal is here already" in refused.stderr
    assert run("restore", tmp_path / "b.db", target, "--replace").exit_code == 0
    assert run("verify", target).exit_code == 0


def test_a_journal_in_use_is_not_restored_over(journal: Path, tmp_path: Path, run: Run) -> None:
    run("backup", journal, tmp_path / "b.db")
    with lock_journal(journal, what="quantd run"):
        result = run("restore", tmp_path / "b.db", journal, "--replace")
    assert result.exit_code == 1
    assert "held by process" in result.stderr


@pytest.fixture
def long(path: Path) -> Path:
    """A journal of 25,000 facts with a snapshot near its end, at rest."""
    facts: list[f.Fact] = [f.CursorMoved("paper", f"orders-{n}", str(n) * 20, AT_NS + n) for n in range(25_000)]
    with closing(
        JournalStore[f.Fact].create(path, RecordCodec(f.Fact), journal_id="k7", epoch=3, projections=projections())
    ) as store:
        for part, snapshot in ((facts[:24_000], True), (facts[24_000:], False)):
            store.write([Append([store.codec.encode(fact) for fact in part], part)])
            if snapshot:
                store.write([TakeSnapshot(b"state")])
    return path


def test_old_records_are_moved_beside_a_journal_at_rest_and_everything_is_still_told(
    long: Path, tmp_path: Path, run: Run
) -> None:
    before = run("show", long, "--tail", "1", "--about", "orders-77", "--json").stdout
    size = long.stat().st_size
    result = run("archive", long, "--keep-days", "30", "--compact")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("ok: 20000 records moved into 2 files of ")
    assert f"in {long}.archive; the journal holds 5000 of 25000 records, " in result.stdout
    assert long.stat().st_size < size / 2
    told = "journal k7, epoch 3\n"
    assert run("verify", long).stdout == f"ok: 25000 records, 20000 of them in 2 archive files, 1 snapshots, {told}"
    assert run("verify", long, "--no-archive").stdout == (
        f"ok: 5000 records behind record 20000, the archive not read, 1 snapshots, {told}"
    )
    assert run("show", long, "--tail", "1", "--about", "orders-77", "--json").stdout == before != ""
    assert run("archive", long, "--keep-days", "30").stdout.startswith("ok: 0 records moved")
    backup = run("backup", long, tmp_path / "b.db").stdout
    assert backup == (
        f"ok: 25000 records in {tmp_path / 'b.db'}, those up to 20000 in {long}.archive: copy that folder, too\n"
    )
    restored = run("restore", tmp_path / "b.db", tmp_path / "other.db")
    assert restored.exit_code == 0
    assert "2 files of the archive are missing, from " in restored.stderr


def test_a_journal_in_use_is_not_moved_from_outside(journal: Path, run: Run) -> None:
    with lock_journal(journal, what="quantd run"):
        result = run("archive", journal, "--keep-days", "30")
    assert (result.exit_code, "held by process" in result.stderr) == (1, True)


def test_a_changed_table_is_named_and_built_anew(journal: Path, run: Run) -> None:
    with closing(sqlite3.connect(journal, isolation_level=None)) as connection:
        connection.execute("INSERT INTO equity VALUES (7, 1, '2024-05-01', 'all', '5', '5')")
    result = run("verify", journal)
    assert result.exit_code == 1
    assert "table equity: the records say (30, " in result.stderr
    assert "quantd journal rebuild" in result.stderr
    assert run("verify", journal, "--no-tables").exit_code == 0
    with lock_journal(journal, what="quantd run"):
        assert run("rebuild", journal).exit_code == 1
    result = run("rebuild", journal)
    assert (result.exit_code, result.stdout) == (0, "ok: tables built from 30 records\n")
    assert run("verify", journal).exit_code == 0


def test_a_wrong_path_is_named_and_leaves_nothing_behind(journal: Path, tmp_path: Path, run: Run) -> None:
    wrong = tmp_path / "wrong" / "quantd.db"
    for command in (["archive", wrong, "--keep-days", "1"], ["rebuild", wrong], ["restore", tmp_path / "no.db", wrong]):
        result = run(*command)
        assert result.exit_code == 1
        assert "there is no journal here" in result.stderr
    assert not wrong.parent.exists()
    result = run("verify", journal.parent)
    assert result.exit_code == 1
    assert "expected a file, found a folder" in result.stderr
