"""A journal that an older quantd wrote: its records are migrated, its snapshots passed over, and nothing is lost."""

import base64
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from quantd.app import storage
from quantd.domain.facts import Fact, RunStarted
from quantd.engine import images
from quantd.engine.rates import Rates
from quantd.engine.state import State
from quantd.errors import JournalError
from quantd.journal.records import Draft, Record, RecordCodec
from quantd.journal.store import Append, JournalStore, TakeSnapshot
from quantd.testing.builders import Rig
from quantd.testing.portrait import portrait
from tests.component.start.test_long_journal import close, started, write

ROOT = Path(__file__).parents[3]
RECORDED = ROOT / "tests/golden/facts-of-schema-1.jsonl"
AGO = 1
"""The schema version of the older quantd in these tests; the one that starts writes the next."""


def older(draft: Draft) -> Draft:
    """Write a fact as the older quantd of these tests did, which had other names for two fields."""
    content = msgspec.msgpack.decode(draft.payload)
    if draft.kind == "StrategySaved":
        content["saved"] = content.pop("state")
    if draft.kind == "FillRecorded":
        content["total"] = content.pop("cumulative")
    return draft._replace(version=AGO, payload=msgspec.msgpack.encode(content))


def newer(content: dict[str, Any]) -> dict[str, Any]:
    """Migrate what `older` wrote."""
    if content["type"] == "StrategySaved":
        content["state"] = content.pop("saved")
    if content["type"] == "FillRecorded":
        content["cumulative"] = content.pop("total")
    return content


class Aged(RecordCodec[Fact]):
    """Writes as the older quantd did."""

    def encode(self, fact: Fact) -> Draft:
        """Encode in the older way."""
        return older(super().encode(fact))


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, State]:
    """A journal of the older version with snapshots of another shape, and the state that it tells."""
    with monkeypatch.context() as before:
        before.setattr("tests.component.start.test_long_journal.codec", lambda: Aged(Fact, version=AGO))
        before.setattr(images, "shape", lambda: "older")
        state = write(tmp_path / "q.db", 3_000, snapshot_every=1_000)
    monkeypatch.setattr(storage, "SCHEMA_VERSION", AGO + 1)
    monkeypatch.setattr(storage, "MIGRATIONS", {AGO: newer})
    return tmp_path, state


def versions(path: Path) -> dict[int, int]:
    with closing(sqlite3.connect(path)) as connection:
        return dict(connection.execute("SELECT version, count(*) FROM records GROUP BY version"))


def test_a_daemon_starts_on_it_knowing_all_of_it_and_goes_on_in_its_own_version(
    journal: tuple[Path, State], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, state = journal
    for start in range(2):  # the second one meets both versions
        _, daemon = started(folder, monkeypatch)
        assert portrait(daemon.engine.state) == portrait(state)
        store = daemon._storage.store
        fact = msgspec.structs.replace(next(iter(state.saves.values())), at_ns=start)
        state.apply(fact)
        store.write([Append([store.codec.encode(fact)], [fact])])
        close(daemon)
    assert versions(folder / "q.db") == {AGO: 3_000, AGO + 1: 2}


def test_a_snapshot_of_another_shape_is_passed_over_and_one_of_ours_is_used_again(
    journal: tuple[Path, State], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = journal
    _, daemon = started(folder, monkeypatch)
    again = storage.fold(daemon._storage.store, _fresh(daemon), daemon._this_run)
    assert (again.snapshot_seq, again.records, len(again.outdated_snapshots)) == (0, 3_000, 2)
    daemon._storage.store.write([TakeSnapshot(images.dump(daemon.engine.state))])
    again = storage.fold(daemon._storage.store, _fresh(daemon), daemon._this_run)
    assert (again.snapshot_seq, again.records, again.outdated_snapshots) == (3_000, 0, ())
    close(daemon)


def _fresh(daemon: Any) -> Any:
    daemon.engine.state.__init__(Rates("USDT"))
    return daemon.engine


def test_without_a_migration_the_record_is_named_and_nothing_starts(
    journal: tuple[Path, State], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = journal
    monkeypatch.setattr(storage, "MIGRATIONS", {})
    run = RunStarted("", "", {}, "aged1", 1, 1)
    message = r"record 1 \(InstrumentRecorded\): no migration leads from schema version 1 to 2"
    with (
        closing(JournalStore.open(folder / "q.db", storage.codec())) as store,
        pytest.raises(JournalError, match=message),
    ):
        storage.fold(store, Rig().engine, run)
    monkeypatch.setattr(storage, "MIGRATIONS", {AGO: newer})
    _, daemon = started(folder, monkeypatch)  # what was refused is unharmed
    close(daemon)


# -- what was really written -----------------------------------------------------------------------------------------


def recorded() -> list[dict[str, Any]]:
    return [json.loads(line) for line in RECORDED.read_text().splitlines()]


@pytest.mark.parametrize("line", recorded(), ids=lambda line: str(line["kind"]))
def test_a_fact_as_schema_1_wrote_it_is_read_for_ever(line: dict[str, Any]) -> None:
    """One of each kind, in the bytes of version 0.1.0; a change that these cannot follow needs a migration."""
    fact = storage.codec().decode(Record(1, 1, line["kind"], 0, base64.b64decode(line["payload"]), b""))
    told = msgspec.json.decode(msgspec.json.encode(fact))
    for name, value in line["reads"].items():
        assert as_of_then(told[name], value) == value, f"{line['kind']}.{name}"


def as_of_then(told: Any, known: Any) -> Any:
    """Return what is told without the members that came later, which have their defaults."""
    if isinstance(told, dict) and isinstance(known, dict):
        return {name: as_of_then(value, known[name]) for name, value in told.items() if name in known}
    if isinstance(told, list) and isinstance(known, list) and len(told) == len(known):
        return [as_of_then(one, other) for one, other in zip(told, known, strict=True)]
    return told
