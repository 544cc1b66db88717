"""What the journal's tests build with: a small union of facts, a projection of them, an observer that remembers."""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Protocol

import msgspec
import pytest

from quantd.clock import SystemClock
from quantd.errors import JournalFailed
from quantd.journal.store import Append, JournalStore
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

    def create(self, connection: sqlite3.Connection) -> None:
        connection.execute("DROP TABLE IF EXISTS sums")
        connection.execute(
            'CREATE TABLE sums ("order" TEXT PRIMARY KEY, quantity TEXT, facts INTEGER, last_seq INTEGER)'
        )

    def apply(self, connection: sqlite3.Connection, facts: Sequence[tuple[int, Small]]) -> None:
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

    def count(self, metric: str, amount: float = 1, order: str = "", /, **labels: str) -> None:
        raise AssertionError(metric)

    def gauge(self, metric: str, value: float, /, **labels: str) -> None:
        raise AssertionError(metric)

    def observe(self, metric: str, value: float, order: str = "", /, **labels: str) -> None:
        self.observed.setdefault(metric, []).append(value)


class Running:
    """A writer with what it told."""

    def __init__(self, store: JournalStore[Small], queue_records_max: int = 65_536) -> None:
        self.observer = Counting()
        self.failures: list[JournalFailed] = []
        self.writer = JournalWriter(
            store,
            clock=SystemClock(),
            observer=self.observer,
            on_failure=self.failures.append,
            queue_records_max=queue_records_max,
        )


def buys(count: int, first: int = 1) -> list[Bought]:
    """Return facts that differ in every field."""
    return [Bought(f"q-{n % 7}", Decimal(n) / 100, n * 1_000) for n in range(first, first + count)]


def fill(store: JournalStore[Small], facts: Sequence[Small]) -> None:
    """Write facts past the writer."""
    store.write([Append([store.codec.encode(fact) for fact in facts], facts)])


class MakeClosed(Protocol):
    """Makes a journal with that many records, closed."""

    def __call__(self, count: int, snapshot_after: int = 0) -> Path:
        """Return its path."""


@contextmanager
def as_nobody() -> Iterator[None]:
    """Give up root's right to write anywhere."""
    if os.geteuid() != 0:
        yield
        return
    try:
        os.seteuid(65_534)
    except OSError:
        pytest.skip("cannot become another user here")
    try:
        yield
    finally:
        os.seteuid(0)
