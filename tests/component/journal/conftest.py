"""A small union of facts, a store of them, and an observer that keeps what it was told."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from quantd.clock import SystemClock
from quantd.errors import JournalFailed
from quantd.journal.records import RecordCodec
from quantd.journal.store import Append, JournalStore, TakeSnapshot
from quantd.journal.writer import JournalWriter


class Bought(msgspec.Struct, frozen=True, tag=True):
    order: str
    quantity: Decimal
    at_ns: int


class Noted(msgspec.Struct, frozen=True, tag=True):
    text: str
    at_ns: int


Small = Bought | Noted


class Sums:
    """A projection: how much each order bought, and in how many facts."""

    name = "sums"

    def __init__(self, version: int = 1) -> None:
        self.version = version

    def create(self, connection) -> None:
        connection.execute("DROP TABLE IF EXISTS sums")
        connection.execute(
            'CREATE TABLE sums ("order" TEXT PRIMARY KEY, quantity TEXT, facts INTEGER, last_seq INTEGER)'
        )

    def apply(self, connection, facts) -> None:
        for seq, fact in facts:
            if isinstance(fact, Bought):
                row = connection.execute('SELECT quantity, facts FROM sums WHERE "order" = ?', (fact.order,)).fetchone()
                quantity, count = (Decimal(row[0]), row[1]) if row else (Decimal(0), 0)
                values = (fact.order, str(quantity + fact.quantity), count + 1, seq)
                connection.execute("INSERT OR REPLACE INTO sums VALUES (?, ?, ?, ?)", values)


class Counting:
    """An observer that keeps observations by metric."""

    def __init__(self) -> None:
        self.observed: dict[str, list[float]] = {}

    def count(self, metric, amount=1, /, **labels) -> None:
        raise AssertionError(metric)

    def gauge(self, metric, value, /, **labels) -> None:
        raise AssertionError(metric)

    def observe(self, metric, value, /, **labels) -> None:
        self.observed.setdefault(metric, []).append(value)


class Running:
    """A writer with what it told."""

    def __init__(self, store: JournalStore, **options) -> None:
        self.observer = Counting()
        self.failures: list[JournalFailed] = []
        self.writer = JournalWriter(
            store, clock=SystemClock(), observer=self.observer, on_failure=self.failures.append, **options
        )


def buys(count: int, first: int = 1) -> list[Bought]:
    """Return facts that differ in every field."""
    return [Bought(f"q-{n % 7}", Decimal(n) / 100, n * 1_000) for n in range(first, first + count)]


def fill(store: JournalStore, facts: list) -> None:
    """Write facts past the writer."""
    store.write([Append([store.codec.encode(fact) for fact in facts], facts)])


@pytest.fixture
def codec() -> RecordCodec:
    return RecordCodec(Small)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "var" / "quantd.db"


@pytest.fixture
def store(path: Path, codec: RecordCodec) -> Iterator[JournalStore]:
    store = JournalStore.create(path, codec, journal_id="k7", epoch=3)
    yield store
    store.close()


@pytest.fixture
def closed(path: Path, codec: RecordCodec) -> Callable[..., Path]:
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


@pytest.fixture
def kit() -> SimpleNamespace:
    """What the tests build with, by name."""
    return SimpleNamespace(
        Bought=Bought, Noted=Noted, Small=Small, Sums=Sums, Counting=Counting, Running=Running, buys=buys, fill=fill
    )
