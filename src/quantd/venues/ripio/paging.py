"""Reads lists page by page by the venue's cursor, as far as they can be trusted.

Used by the reads of orders and trades. Rows may move between pages while we read, so they are kept by id.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

PAGE_SIZE = 100
"""Documented: 200 by default, up to 1000."""
PAGES_MAX = 50
"""More pages than this are not read; the answer then says that it is not complete."""


class Row(Protocol):
    """Anything with the venue's id."""

    @property
    def id(self) -> str:
        """The venue's id."""


_Row = TypeVar("_Row", bound=Row)
Fetch = Callable[[dict[str, str]], Awaitable[tuple[Sequence[_Row], dict[str, str] | None]]]
"""Reads one page with the given query; gives its rows, and what to ask for the next page, None at the end."""


async def read_pages(fetch: Fetch[_Row]) -> tuple[dict[str, _Row], bool]:
    """Return all rows by id (upper case, for the venue writes ids in both), and whether they are all."""
    rows: dict[str, _Row] = {}
    following: dict[str, str] | None = {}
    asked: list[dict[str, str]] = []
    for _ in range(PAGES_MAX):
        if following is None:
            return rows, True
        if following in asked:
            return rows, False  # the cursor leads back: what lies between is not known
        asked.append(following)
        items, following = await fetch(following)
        # A row seen again further on is the newer sight of it.
        rows.update((item.id.upper(), item) for item in items)
    return rows, following is None
