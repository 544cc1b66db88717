"""The schemas of the journal's query tables, and the projection that is a schema with handlers.

Used by `projections`. Column names are the trade's; `docs/` may name them, so a change of one is a new version.
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from quantd.domain.facts import Fact

Handler = Callable[[sqlite3.Connection, int, Any], None]
"""Moves the tables by one fact: connection, record number, fact."""

ORDERS = """
CREATE TABLE orders (
    client_order_id TEXT PRIMARY KEY, strategy TEXT, instrument TEXT, side TEXT, kind TEXT, quantity TEXT, price TEXT,
    trigger_price TEXT, state TEXT, filled_quantity TEXT, operation TEXT, venue_order_id TEXT, origin TEXT, role TEXT,
    parent TEXT, why TEXT, reason TEXT, created_at_ns INTEGER, changed_at_ns INTEGER, seq INTEGER
) WITHOUT ROWID;
CREATE INDEX orders_by_strategy ON orders (strategy, created_at_ns);
"""
FILLS = """
CREATE TABLE fills (
    client_order_id TEXT, fill_id TEXT, strategy TEXT, instrument TEXT, side TEXT, quantity TEXT, price TEXT,
    quality TEXT, liquidity TEXT, fees TEXT, occurred_at_ns INTEGER, at_ns INTEGER, seq INTEGER,
    PRIMARY KEY (client_order_id, fill_id)
) WITHOUT ROWID;
CREATE INDEX fills_by_time ON fills (at_ns);
"""
LOTS = """
CREATE TABLE instruments (id TEXT PRIMARY KEY, rules BLOB) WITHOUT ROWID;
CREATE TABLE accounts (venue TEXT PRIMARY KEY, account BLOB) WITHOUT ROWID;
CREATE TABLE books (
    strategy TEXT, instrument TEXT, quantity TEXT, cost TEXT, realised TEXT, costs TEXT, changed_at_ns INTEGER,
    PRIMARY KEY (strategy, instrument)
) WITHOUT ROWID;
CREATE TABLE lots (
    seq INTEGER PRIMARY KEY, strategy TEXT, instrument TEXT, quantity TEXT, open_price TEXT, client_order_id TEXT,
    fill_id TEXT, venue_lot TEXT, opened_at_ns INTEGER
);
CREATE INDEX lots_by_book ON lots (strategy, instrument);
"""
EQUITY = """
CREATE TABLE equity (seq INTEGER, at_ns INTEGER, day TEXT, scope TEXT, profit TEXT, peak TEXT);
CREATE INDEX equity_by_scope ON equity (scope, at_ns);
CREATE TABLE balances (
    venue TEXT, asset TEXT, total TEXT, free TEXT, locked TEXT, at_ns INTEGER, PRIMARY KEY (venue, asset)
) WITHOUT ROWID;
CREATE TABLE cash_flows (
    venue TEXT, id TEXT, kind TEXT, asset TEXT, amount TEXT, instrument TEXT, occurred_at_ns INTEGER, seq INTEGER,
    PRIMARY KEY (venue, id)
) WITHOUT ROWID;
"""
RUNS = """
CREATE TABLE runs (seq INTEGER PRIMARY KEY, at_ns INTEGER, run BLOB);
CREATE INDEX runs_by_time ON runs (at_ns);
"""


class Tables:
    """A projection made of a schema and a handler for each kind of fact that moves it; implements `Projection`."""

    def __init__(self, name: str, version: int, schema: str, handlers: Mapping[type, Handler]) -> None:
        self.name = name
        self.version = version
        self._schema = [statement.strip() for statement in schema.split(";") if statement.strip()]
        self._handlers = dict(handlers)

    def create(self, connection: sqlite3.Connection) -> None:
        """Drop this projection's tables where they exist and create them empty."""
        for statement in self._schema:
            if statement.startswith("CREATE TABLE"):
                connection.execute(f"DROP TABLE IF EXISTS {statement.split()[2]}")
        for statement in self._schema:
            connection.execute(statement)

    def apply(self, connection: sqlite3.Connection, facts: Sequence[tuple[int, Fact]]) -> None:
        """Bring the tables forward by facts with their record numbers."""
        handlers = self._handlers
        for seq, fact in facts:
            handler = handlers.get(type(fact))
            if handler is not None:
                handler(connection, seq, fact)
