"""Pages of the venue's lists: sizes, page numbers and cursors, newest first.

Used by all handlers that list. A cursor names a place in time, so that rows which come while a client pages neither
hide nor repeat one; page numbers shift, as they do at any venue.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from quantd.simulators.ripio.answers import INVALID, NS_PER_S, Problem, instant_ns
from quantd.simulators.venue import Json

SIZE_MAX = 1000
_DAY_NS = 86_400 * NS_PER_S
DEFAULT_DAYS = 10
"""How far a list reaches back where no start is named (v4)."""
_Row = TypeVar("_Row")


class Page(msgspec.Struct, frozen=True):
    """What part of a list is asked for."""

    size: int
    number: int = 1
    older_than: int | None = None
    """Place of the cursor that goes on."""
    newer_than: int | None = None
    """Place of the cursor that goes back."""


def read_number(query: Mapping[str, str], name: str, default: int, highest: int) -> int:
    """Return a number of a query, 1 to `highest`.

    Raises:
        Problem: it is none.
    """
    text = query.get(name, str(default))
    value = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    if not 1 <= value <= highest:
        raise Problem(INVALID, f"{name} must be 1 to {highest}, found {text[:16]}")
    return value


def read_page(query: Mapping[str, str], default: int) -> Page:
    """Return the page that a query asks for; a cursor counts before a page number.

    Raises:
        Problem: size, number or cursor is none.
    """
    size = read_number(query, "page_size", default, SIZE_MAX)
    number = read_number(query, "current_page", 1, 10**9 - 1)
    text = query.get("c")
    if not text:
        return Page(size, number)
    try:
        kind, _, place = urlsafe_b64decode(text.encode()).decode().partition(":")
        at = int(place)
    except ValueError:
        raise Problem(INVALID, f"c is no cursor: {text[:32]}") from None
    if kind not in ("older", "newer"):
        raise Problem(INVALID, f"c is no cursor: {text[:32]}")
    return Page(size, older_than=at) if kind == "older" else Page(size, newer_than=at)


def _cursor(kind: str, place: int) -> str:
    return urlsafe_b64encode(f"{kind}:{place}".encode()).decode()


def cut(rows: Sequence[_Row], page: Page, place: Callable[[_Row], int]) -> tuple[Sequence[_Row], Json]:
    """Return the rows of a page and the cursors ``nc`` and ``pc``; `place` falls from row to row."""
    start = (page.number - 1) * page.size
    end = start + page.size
    if page.older_than is not None:
        start = bisect_right(rows, -page.older_than, key=lambda row: -place(row))
        end = start + page.size
    elif page.newer_than is not None:
        end = bisect_left(rows, -page.newer_than, key=lambda row: -place(row))
        start = max(0, end - page.size)
    shown = rows[start:end]
    older = bool(shown) and end < len(rows)
    return shown, {
        "nc": _cursor("older", place(shown[-1])) if older else None,
        "pc": _cursor("newer", place(shown[0])) if shown and start else None,
    }


def pagination(page: Page, rows: Sequence[Any]) -> Json:
    """Return the page numbers beside a list; they say nothing of where a cursor is."""
    return {
        "current_page": page.number,
        "registers_count": len(rows),
        "total_pages": -(-len(rows) // page.size),
        "page_size": page.size,
    }


def read_window(query: Mapping[str, str], names: tuple[str, str], now_ns: int) -> tuple[int, int]:
    """Return (from, to) of two dates, both inclusive; the last ten days without a start.

    Raises:
        Problem: one is no ISO-8601 date, or the window is empty.
    """
    found: list[int | None] = []
    for name in names:
        text = query.get(name)
        at_ns = None if text is None else instant_ns(text)
        if text is not None and at_ns is None:
            raise Problem(INVALID, f"{name} must be an ISO-8601 date, found {text[:40]}")
        found.append(at_ns)
    to_ns = now_ns if found[1] is None else found[1]
    from_ns = min(now_ns, to_ns) - DEFAULT_DAYS * _DAY_NS if found[0] is None else found[0]
    if from_ns > to_ns:
        raise Problem(INVALID, f"{names[0]} is after {names[1]}")
    return from_ns, to_ns
