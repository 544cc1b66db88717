"""Lists in which a venue names each thing once, or should: markets, assets, positions.

Used by the venues' readers. What stands there twice in the same words is taken once; of what stands there in different words
nobody can tell which holds, so that it is named, and whoever reads the list does without it and with all the others.
"""

from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec

from quantd.errors import Contradicts, Unavailable
from quantd.venues.alerts import Alerts

LISTED_TWICE, CONTRADICTS = KINDS = ("listed_twice", "listing_contradicts")
"""The kinds of alerts."""
_Row = TypeVar("_Row", bound=msgspec.Struct)


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
