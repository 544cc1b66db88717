"""The user's orders as lists: the seed document's listing with every filter and the cursor, and the open orders.

Used by the venue. Newest first.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from quantd.simulators.ripio.answers import INVALID, NS_PER_S, Problem, instant_ns
from quantd.simulators.ripio.desk import OrderDesk
from quantd.simulators.ripio.lists import cut, pagination, read_page, read_window
from quantd.simulators.ripio.options import Switches
from quantd.simulators.ripio.order import STATUSES, VenueOrder
from quantd.simulators.ripio.pairs import Pairs
from quantd.simulators.ripio.terms import REQUIRED
from quantd.simulators.venue import Json

PAGE_SIZE = 100
"""Of the user's orders, as the sample has it."""
OPEN_PAGE_SIZE = 200
IDS_MAX = 10
EARLIEST_NS = round(datetime(2017, 10, 1, tzinfo=UTC).timestamp()) * NS_PER_S
SPAN_MAX_NS = 184 * 86_400 * NS_PER_S
"""Six months, at their longest."""


class Listing:
    """Lists orders of the desk."""

    def __init__(self, desk: OrderDesk, pairs: Pairs, switches: Switches) -> None:
        self._desk = desk
        self._pairs = pairs
        self._switches = switches

    def user_orders(self, account: str, query: Mapping[str, str], now_ns: int) -> Json:
        """Answer ``GET /orders``.

        Raises:
            Problem: a filter or a page is none.
        """
        pair = self._pairs.find(query.get("pair"))
        statuses = _choice(query, "status", STATUSES, self._switches.default_status)
        sides = _choice(query, "side", ("buy", "sell"))
        types = _choice(query, "type", tuple(REQUIRED))
        ids = _ids(query)
        _check_dates(query)
        window = read_window(query, ("start_date", "end_date"), now_ns + self._desk.skew)
        if window[1] - window[0] > SPAN_MAX_NS:
            raise Problem(INVALID, "the interval between start_date and end_date is greater than 6 months")
        page = read_page(query, PAGE_SIZE)
        rows: list[VenueOrder] = []
        for order in reversed(self._desk.by_account.get(account, [])):
            at_ns = order.created_at_ns + self._desk.skew
            if at_ns < window[0]:
                break
            if (
                at_ns <= window[1]
                and order.terms.pair is pair
                and order.terms.side.value in sides
                and order.terms.type in types
                and (ids is None or order.id in ids)
                and self._desk.status(order, now_ns) in statuses
                and self._desk.is_visible(order, now_ns)
            ):
                rows.append(order)
        shown, cursors = cut(rows, page, _place)
        return {
            "orders": [order.listed(self._desk.status(order, now_ns), self._desk.skew) for order in shown],
            "pagination": pagination(page, rows),
            **cursors,
        }

    def open_orders(self, account: str, query: Mapping[str, str], now_ns: int) -> Json:
        """Answer ``GET /orders/open``.

        Raises:
            Problem: a filter or a page is none.
        """
        pair = self._pairs.find(query["pair"]) if "pair" in query else None
        sides = _choice(query, "side", ("buy", "sell"))
        page = read_page(query, OPEN_PAGE_SIZE)
        rows = [
            order for order in reversed(self._desk.open.values())
            if order.account == account and pair in (None, order.terms.pair) and order.terms.side.value in sides
            and self._desk.is_visible(order, now_ns)
        ]  # fmt: skip
        shown, cursors = cut(rows, page, _place)
        return {
            "orders": [order.listed(self._desk.status(order, now_ns), self._desk.skew) for order in shown],
            "pagination": pagination(page, rows),
            **cursors,
        }


def _place(order: VenueOrder) -> int:
    return order.place


def _choice(query: Mapping[str, str], name: str, known: tuple[str, ...], default: str = "") -> tuple[str, ...]:
    """Return which of the known words a filter names, all of them without one."""
    text = query.get(name, default)
    if not text:
        return known
    words = tuple(text.split(","))
    for word in words:
        if word not in known:
            raise Problem(INVALID, f"{name} must be of {', '.join(known)}, found {word[:32]}")
    return words


def _ids(query: Mapping[str, str]) -> set[str] | None:
    if "ids" not in query:
        return None
    ids = query["ids"].upper().split(",")
    if len(ids) > IDS_MAX:
        raise Problem(INVALID, f"ids may be {IDS_MAX} at most, found {len(ids)}")
    return set(ids)


def _check_dates(query: Mapping[str, str]) -> None:
    start_ns = instant_ns(query.get("start_date", ""))
    if start_ns is not None and start_ns < EARLIEST_NS:
        raise Problem(INVALID, "start_date is before 2017-10-01")
