"""Lists in which a venue names each thing once, or should: markets, prices, assets, positions.

Used by the venues' readers. What stands there twice in the same words is taken once; of what stands there in different words
nobody can tell which holds, so that it is named, and whoever reads the list does without it and with all the others. So it is
with a row of a market that cannot be read: one must not hide all of them.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Generic, TypeVar

import msgspec

from quantd.errors import Contradicts, Refused, Unavailable, Unsound
from quantd.venues.alerts import Alerts
from quantd.venues.parsing import CANNOT_READ

LISTED_TWICE, CONTRADICTS, UNREADABLE = KINDS = ("listed_twice", "listing_contradicts", "row_unreadable")
"""The kinds of alerts."""
_Row = TypeVar("_Row", bound=msgspec.Struct)


class Markets(Generic[_Row]):
    """What a venue lists of its markets, by name.

    Args:
        venue: Its key in the configuration.
        operation: The request that was answered with the list.
        alerts: Told of each row that cannot be read, and of each name that comes more than once; must know `KINDS`.
    """

    def __init__(self, venue: str, operation: str, alerts: Alerts) -> None:
        self._venue = venue
        self._operation = operation
        self._alerts = alerts
        self._rows: dict[str, _Row] = {}
        self._contradicted: dict[str, str] = {}
        self._unreadable: dict[str, str] = {}

    def read(self, rows: Iterable[msgspec.Raw], kind: type[_Row], name: str) -> "Markets[_Row]":
        """Take in the list: rows of `kind`, whose market stands in the field `name` of the venue's."""
        read, self._unreadable = readable(rows, kind, name, self._alerts, "market")
        field = next(one.name for one in msgspec.structs.fields(kind) if one.encode_name == name)
        self._rows, self._contradicted = once(read, lambda row: str(getattr(row, field)), self._alerts, "market")
        return self

    def expect(self, name: str) -> _Row:
        """Return the row of a market.

        Raises:
            Refused: the venue does not list it.
            Contradicts: it does so in several ways; says in what the rows differ.
            Unsound: it does so in a way that cannot be read; says why.
        """
        if name in self._unreadable:
            raise Unsound(self._venue, self._operation, f"{name} cannot be read: {self._unreadable[name]}")
        row = self._rows.get(name)
        if row is None:
            raise Refused(self._venue, self._operation, "not_found", f"{name} is not listed")
        expect_agreed(self._venue, self._operation, name, self._contradicted)
        return row

    def get(self, name: str) -> _Row | None:
        """Return the first row of a market, None for one that has none that can be read."""
        return self._rows.get(name)

    def lists(self, name: str) -> bool:
        """Tell whether the venue has a row of a market, readable or not."""
        return name in self._rows or name in self._unreadable

    def sure(self) -> Mapping[str, _Row]:
        """Return all of which the venue says one thing that can be read."""
        unsure = self._contradicted.keys() | self._unreadable.keys()
        return {name: row for name, row in self._rows.items() if name not in unsure}


def readable(
    rows: Iterable[msgspec.Raw], kind: type[_Row], name: str, alerts: Alerts, what: str
) -> tuple[list[_Row], dict[str, str]]:
    """Return the rows that can be read, and by the name of their thing why the others cannot.

    Args:
        rows: As the venue tells them.
        kind: What they should be.
        name: The field of a row that names its thing, as the venue spells it.
        alerts: Told of each row that cannot be read; must know `KINDS`.
        what: What the names are, such as ``market``.
    """
    decoder, found, failed = msgspec.json.Decoder(kind), [], {}
    for row in rows:
        try:
            found.append(decoder.decode(row))
        except CANNOT_READ as error:
            told = _named(row, name)
            failed[told] = str(error)[:200]
            alerts.note(UNREADABLE, f"{what} {told}", error=failed[told])
    return found, failed


def _named(row: msgspec.Raw, name: str) -> str:
    try:
        return str(msgspec.json.decode(row)[name])[:64]
    except (*CANNOT_READ, LookupError, TypeError):
        return "without a name"


def once(
    rows: Iterable[_Row], name_of: Callable[[_Row], str], alerts: Alerts, what: str
) -> tuple[dict[str, _Row], dict[str, str]]:
    """Return the first row of each name, and by name what the others say otherwise, in words.

    Args:
        rows: As the venue tells them.
        name_of: What a row is about.
        alerts: Told of each name that comes more than once; must know `KINDS`.
        what: What the names are, such as ``balance``.
    """
    found: dict[str, _Row] = {}
    contradicted: dict[str, str] = {}
    for row in rows:
        name = name_of(row)
        first = found.setdefault(name, row)
        if first is row:
            continue
        if first == row:
            alerts.note(LISTED_TWICE, f"{what} {name}")
        else:
            contradicted[name] = _differences(first, row)
            alerts.note(CONTRADICTS, f"{what} {name}", told=contradicted[name])
    return found, contradicted


def expect_agreed(venue: str, operation: str, name: str, contradicted: dict[str, str]) -> None:
    """Refuse what is listed in several ways.

    Raises:
        Contradicts: it is; says in what the rows differ.
    """
    if name in contradicted:
        raise Contradicts(venue, operation, f"{name} is listed more than once, with {contradicted[name]}")


def lots_of(
    venue: str, operation: str, rows: Iterable[_Row], id_of: Callable[[_Row], str], alerts: Alerts
) -> dict[str, _Row]:
    """Return positions or trades by their id.

    Raises:
        Unavailable: one is listed in several ways. What an account holds is then not known, and nothing stands for it.
    """
    found, contradicted = once(rows, id_of, alerts, "lot")
    for name, differences in contradicted.items():
        raise Unavailable(venue, operation, f"{name} is listed in two ways: {differences}")
    return found


def _differences(one: msgspec.Struct, other: msgspec.Struct) -> str:
    pairs = ((name, getattr(one, name), getattr(other, name)) for name in one.__struct_fields__)
    return "; ".join(f"{name} {first!s:.40} and {second!s:.40}" for name, first, second in pairs if first != second)
