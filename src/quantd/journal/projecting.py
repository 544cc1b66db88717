"""What a projection is, and how the store keeps several at the journal's head.

Used by the store; the projections themselves lie in `projections` and in tests. Commits nothing by itself.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Generic, Protocol, TypeVar

import msgspec

from quantd.journal.records import FactT

FactT_contra = TypeVar("FactT_contra", bound=msgspec.Struct, contravariant=True)


VERSIONS = "SELECT name, version FROM projections"
"""What a journal says of its tables."""


class Projection(Protocol[FactT_contra]):
    """Tables that are derived from the facts, for queries; written in the same transaction."""

    @property
    def name(self) -> str:
        """Its name in the journal."""

    @property
    def version(self) -> int:
        """Another version than the one on disk makes `JournalStore.open` build the tables anew from the records."""

    def create(self, connection: sqlite3.Connection) -> None:
        """Drop this projection's tables where they exist and create them empty."""

    def apply(self, connection: sqlite3.Connection, facts: Sequence[tuple[int, FactT_contra]]) -> None:
        """Bring the tables forward by facts with their record numbers."""


class ProjectionSet(Generic[FactT]):
    """All projections of a journal.

    Invariant: the tables on disk are those of the set that wrote last, up to the head. A journal opened for writing
    with another set is rebuilt for that set, so that no record is ever written past tables that are kept.
    """

    def __init__(self, projections: Sequence[Projection[FactT]]) -> None:
        self._projections = tuple(projections)

    def __len__(self) -> int:
        return len(self._projections)

    def are_current(self, known: Iterable[tuple[str, int]]) -> bool:
        """Tell whether the tables are these projections', by the rows of table projections."""
        return dict(known) == {projection.name: projection.version for projection in self._projections}

    def create(self, connection: sqlite3.Connection) -> None:
        """Make all tables anew, empty."""
        connection.execute("DELETE FROM projections")
        for projection in self._projections:
            projection.create(connection)
            connection.execute("INSERT INTO projections VALUES (?, ?)", (projection.name, projection.version))

    def apply(self, connection: sqlite3.Connection, facts: Sequence[tuple[int, FactT]]) -> None:
        """Bring all tables forward by at least one fact."""
        for projection in self._projections:
            projection.apply(connection, facts)
