"""Lists of orders and trades: filters, ``count``, ``beforeID`` and the link to the next page.

Used by the desks. Pages go from the newest down; ``beforeID`` is exclusive, and a full page has a link even when nothing
is left, as the document's sample shows.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol, TypeVar
from urllib.parse import urlencode

from quantd.simulators.oanda.answers import Answer, Failed, malformed
from quantd.simulators.oanda.options import InstrumentRules
from quantd.simulators.oanda.routes import Asked
from quantd.simulators.venue import Json

COUNT, COUNT_MAX = 50, 500


class _Numbered(Protocol):
    id: int
    rules: InstrumentRules


R = TypeVar("R", bound=_Numbered)


def ids_of(asked: Asked) -> frozenset[int] | None:
    """Return the ids that are asked for, None for all.

    Raises:
        Failed: one is none (400).
    """
    text = asked.query.get("ids")
    if not text:
        return None
    parts = text.split(",")
    if not all(one.isascii() and one.isdigit() for one in parts):
        raise malformed("ids")
    return frozenset(int(one) for one in parts)


def count_of(asked: Asked) -> int:
    """Return how many are asked for.

    Raises:
        Failed: it is no number (400), or too large a one.
    """
    text = asked.query.get("count", str(COUNT))
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise malformed("count")
    if int(text) > COUNT_MAX:
        raise Failed(400, "Maximum value for 'count' exceeded")
    return int(text)


def instrument_of(asked: Asked, known: Mapping[str, InstrumentRules]) -> str:
    """Return the instrument that is asked for, empty for all.

    Raises:
        Failed: there is none of this name (400).
    """
    name = asked.query.get("instrument", "")
    if name and name not in known:
        raise malformed("instrument")
    return name


def page(
    asked: Asked, records: Iterable[R], known: Mapping[str, InstrumentRules], show: Callable[[R], Json], member: str
) -> Answer:
    """Return one page of what is given from the newest down, with its link.

    Raises:
        Failed: a parameter is malformed (400).
    """
    wanted, count, name = ids_of(asked), count_of(asked), instrument_of(asked, known)
    before = asked.query.get("beforeID")
    if before is not None and not (before.isascii() and before.isdigit()):
        raise malformed("beforeID")
    found: list[R] = []
    for record in records:
        if before is not None and record.id >= int(before):
            continue
        if (wanted is not None and record.id not in wanted) or (name and record.rules.name != name):
            continue
        found.append(record)
        if len(found) == count:
            break
    headers = {}
    if len(found) == count:
        kept = {key: value for key, value in asked.query.items() if key != "beforeID"}
        query = urlencode({"beforeID": str(found[-1].id), **kept})
        headers["link"] = f'<{asked.host}{asked.path}?{query}>; rel="next"'
    return Answer({member: [show(one) for one in found]}, headers=headers)
