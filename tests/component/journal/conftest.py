"""Journals of small facts, new, open and closed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from quantd.journal.records import RecordCodec
from quantd.journal.store import JournalStore, TakeSnapshot
from tests.component.journal.kit import MakeClosed, Small, buys, fill


@pytest.fixture
def codec() -> RecordCodec[Small]:
    return RecordCodec(Small)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "var" / "quantd.db"


@pytest.fixture
def store(path: Path, codec: RecordCodec[Small]) -> Iterator[JournalStore[Small]]:
    store = JournalStore.create(path, codec, journal_id="k7", epoch=3)
    yield store
    store.close()


@pytest.fixture
def closed(path: Path, codec: RecordCodec[Small]) -> MakeClosed:
    """Make a closed journal with that many records."""

    def make(count: int, snapshot_after: int = 0) -> Path:
        store = JournalStore.create(path, codec, journal_id="k7", epoch=3)
        facts = buys(count)
        fill(store, facts[:snapshot_after])
        if snapshot_after:
            store.write([TakeSnapshot(b"state after %d" % snapshot_after)])
        fill(store, facts[snapshot_after:])
        store.close()
        return path

    return make
