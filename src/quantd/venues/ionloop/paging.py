"""Reads lists page by page, as far as they can be trusted.

Used by the connector's lists of orders and transactions. The venue gives neither a total nor a next marker and does
not state a sort order: rows may move between pages while we read, so they are kept by id and no known id ends it.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

PAGE_SIZE = 100
"""The largest that the venue allows."""

PAGES_MAX = 200
"""More pages than this are not read; the answer then says that it is not complete."""


class Row(Protocol):
    """Anything with the venue's id."""

    @property
    def id(self) -> str:
        """The venue's id."""


_Row = TypeVar("_Row", bound=Row)

Fetch = Callable[[int], Awaitable[tuple[Sequence[_Row], int | None]]]
"""Reads one page, from 1; gives its rows and the page size that the venue echoed."""


async def read_pages(fetch: Fetch[_Row], *, pages_max: int = PAGES_MAX) -> tuple[dict[str, _Row], bool]:
    """Return all rows by id, and whether they are all.

    The end is a page shorter than its size. A full page without a new row means that the venue turns no pages.
    """
    rows: dict[str, _Row] = {}
    for page in range(1, pages_max + 1):
        items, echoed_size = await fetch(page)
        before = len(rows)
        # A row seen again further on is the newer sight of it.
        rows.update((item.id, item) for item in items)
        if len(items) < (echoed_size or PAGE_SIZE):
            return rows, True
        if len(rows) == before:
            return rows, False
    return rows, False
