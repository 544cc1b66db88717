"""The server's lists with their pages: two of them turn pages properly, the search of orders does not.

Used by the venue. An unknown cursor begins again at the first page, as the real server's does.
"""

from datetime import datetime
from typing import Any

from quantd.simulators.hummingbot.answers import Problem
from quantd.simulators.hummingbot.options import Setup, Switches
from quantd.simulators.hummingbot.orders import OrderDesk
from quantd.simulators.hummingbot.requests import Listing
from quantd.simulators.venue import Json

BROKEN_CURSOR = "0:"


class Lists:
    """Answers the list routes."""

    def __init__(self, desk: OrderDesk, setup: Setup, switches: Switches) -> None:
        self._desk = desk
        self._setup = setup
        self._switches = switches

    def page(self, operation: str, wanted: Listing, skew_ns: int) -> Json:
        """Return one page of a list."""
        match operation:
            case "active_orders":
                rows = [self._desk.row(one, from_memory=True, skew_ns=skew_ns) for one in self._desk.active()]
                return _turned(self._chosen(rows, wanted), wanted, "order_id")
            case "search_orders":
                rows = [self._desk.row(one, from_memory=False, skew_ns=skew_ns) for one in self._desk.recorded()]
                rows = [row for row in self._chosen(rows, wanted) if _within(row["created_at"], wanted)]
                if self._switches.keyset_cursor:
                    return _turned(rows, wanted, "order_id")
                return self._broken(rows, wanted)
            case "trades":
                rows = [row for row in self._desk.trade_rows(skew_ns) if _within(row["timestamp"], wanted)]
                return _turned(self._chosen(rows, wanted)[: 2 * wanted.limit], wanted, "trade_id")
            case "positions" | "funding_payments":
                return _envelope([], wanted, has_more=False, cursor=None, total=0)
        raise Problem(404, "Not Found")

    def _chosen(self, rows: list[Json], wanted: Listing) -> list[Json]:
        filters: tuple[tuple[str, tuple[str, ...] | None], ...] = (
            ("account_name", wanted.accounts),
            ("connector_name", wanted.connectors),
            ("trading_pair", wanted.pairs),
            ("status", None if wanted.status is None else (wanted.status,)),
        )
        return [row for row in rows if all(names is None or row[key] in names for key, names in filters)]

    def _broken(self, rows: list[Json], wanted: Listing) -> Json:
        """Page as the real search does: every later page is the list without its first row, for ever."""
        rows = rows[: 2 * wanted.limit]
        shown = rows[1:] if wanted.cursor == BROKEN_CURSOR else rows
        has_more = len(shown) > wanted.limit
        return _envelope(
            shown[: wanted.limit],
            wanted,
            has_more=has_more,
            cursor=BROKEN_CURSOR if has_more else None,
            total=len(rows),
        )


def _within(told: str, wanted: Listing) -> bool:
    at_ms = datetime.fromisoformat(told).timestamp() * 1_000
    return (not wanted.from_ms or at_ms >= wanted.from_ms) and (not wanted.to_ms or at_ms <= wanted.to_ms)


def _turned(rows: list[Json], wanted: Listing, key: str) -> Json:
    """Page by the last id that was shown."""
    start = next((at + 1 for at, row in enumerate(rows) if row[key] == wanted.cursor), 0)
    shown = rows[start : start + wanted.limit]
    has_more = start + wanted.limit < len(rows)
    cursor: Any = shown[-1][key] if has_more else None
    return _envelope(shown, wanted, has_more=has_more, cursor=cursor, total=len(rows))


def _envelope(rows: list[Json], wanted: Listing, *, has_more: bool, cursor: Any, total: int) -> Json:
    return {
        "data": rows,
        "pagination": {"limit": wanted.limit, "has_more": has_more, "next_cursor": cursor, "total_count": total},
    }
