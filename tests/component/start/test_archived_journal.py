"""A daemon on a journal whose first records lie in the archive: it knows what it knew, or says what it lacks."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from quantd.app import storage
from quantd.engine import images
from quantd.engine.rates import Rates
from quantd.engine.state import State
from quantd.errors import JournalError
from quantd.journal.archive import folder_of
from quantd.journal.projections import projections
from quantd.journal.retention import move_all
from quantd.journal.store import JournalStore
from quantd.journal.verify import verify
from quantd.testing.portrait import portrait
from tests.component.start.test_long_journal import close, started, write

RECORDS = 4_200
TABLES = ("orders", "fills", "instruments", "accounts", "books", "lots", "equity", "balances", "cash_flows", "runs")


def content(path: Path) -> dict[str, list[Any]]:
    """All that queries are answered from."""
    with closing(sqlite3.connect(path)) as connection:
        return {name: sorted(connection.execute(f"SELECT * FROM {name}")) for name in TABLES}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, State]:
    """A journal of orders and fills with snapshots, and the state at its end."""
    folder = tmp_path_factory.mktemp("aged")
    return folder, write(folder / "q.db", RECORDS, snapshot_every=1_000)


@pytest.fixture
def journal(written: tuple[Path, State], tmp_path: Path) -> tuple[Path, State]:
    """A copy of it with the first records in the archive."""
    folder, state = written
    shutil.copy(folder / "q.db", tmp_path / "q.db")
    with closing(JournalStore.open(tmp_path / "q.db", storage.codec(), projections=projections())) as store:
        assert move_all(store, 2**62, size=500).records == 2_000
    return tmp_path, state


def test_a_start_a_fold_of_everything_and_every_query_are_what_they_were(
    journal: tuple[Path, State], written: tuple[Path, State], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, state = journal
    assert content(folder / "q.db") == content(written[0] / "q.db")
    _, daemon = started(folder, monkeypatch)
    assert portrait(daemon.engine.state) == portrait(state)
    store = daemon._storage.store
    whole = State(Rates("USDT"))
    for record in store.records():
        whole.apply(store.codec.decode(record))
    assert portrait(whole) == portrait(state)
    assert images.dump(whole) == images.dump(state)
    store.rebuild_projections()
    assert content(folder / "q.db") == content(written[0] / "q.db")
    assert verify(store).problems == ()
    close(daemon)


def test_after_an_upgrade_that_reads_no_snapshot_the_archive_is_folded(
    journal: tuple[Path, State], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, state = journal
    monkeypatch.setattr(images, "shape", lambda: "newer")
    _, daemon = started(folder, monkeypatch)
    assert portrait(daemon.engine.state) == portrait(state)
    close(daemon)


def test_where_the_archive_is_needed_and_not_there_nothing_starts_and_nothing_is_changed(
    journal: tuple[Path, State], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, state = journal
    archive = folder_of(folder / "q.db")
    archive.rename(folder / "elsewhere")
    with capture_logs() as lines:
        _, daemon = started(folder, monkeypatch)  # from a snapshot it starts without
    (warned,) = (line for line in lines if line["event"] == "archive_files_missing")
    assert warned["files"] == 4
    assert portrait(daemon.engine.state) == portrait(state)
    close(daemon)
    monkeypatch.setattr(images, "shape", lambda: "newer")
    before = content(folder / "q.db")
    with pytest.raises(JournalError, match=r"records 1 to 500 were moved here, and the file is missing: bring it back"):
        started(folder, monkeypatch)
    assert content(folder / "q.db") == before
    (folder / "elsewhere").rename(archive)
    with closing(JournalStore.open(folder / "q.db", storage.codec(), read_only=True)) as store:
        assert verify(store).problems == ()


def test_tables_of_another_version_are_built_from_the_archive_too_or_not_at_all(journal: tuple[Path, State]) -> None:
    folder, _ = journal
    archive, before = folder_of(folder / "q.db"), content(folder / "q.db")
    with closing(sqlite3.connect(folder / "q.db")) as connection, connection:
        connection.execute("UPDATE projections SET version = 99 WHERE name = 'lots'")
    archive.rename(folder / "elsewhere")
    with pytest.raises(JournalError, match="bring it back"):
        JournalStore.open(folder / "q.db", storage.codec(), projections=projections())
    assert content(folder / "q.db") == before
    (folder / "elsewhere").rename(archive)
    JournalStore.open(folder / "q.db", storage.codec(), projections=projections()).close()
    assert content(folder / "q.db") == before
