"""Reads what TradeLocker lists of an account: orders, their history, positions, executions, sums.

Used by the readers above. The server names the columns; rows come out as values. One read of the history serves all who
wait for one, for it may be asked for once a second only. Never decides what a list means.
"""

import asyncio
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import TypeVar

import msgspec

from quantd.errors import Unavailable, VenueError
from quantd.venues.alerts import Alerts
from quantd.venues.budget import Lane
from quantd.venues.listing import lots_of
from quantd.venues.parsing import CANNOT_READ, sound_decimal
from quantd.venues.tradelocker import wire
from quantd.venues.tradelocker.api import Api, decode
from quantd.venues.tradelocker.classify import envelope
from quantd.venues.tradelocker.columns import ColumnMap
from quantd.venues.tradelocker.translate import (
    MS_NS,
    SECOND_NS,
    ExecutionRow,
    OrderRow,
    PositionRow,
    execution_row,
    order_row,
    position_row,
)

EARLIER_NS = 3_600 * SECOND_NS
"""Ranges begin so much before what is looked for: the venue's clock may differ, and which of a row's times they filter is
not documented."""
_PAGES_MAX = 10
_T = TypeVar("_T")


class History(msgspec.Struct, frozen=True):
    """Ended orders since some time."""

    rows: Mapping[str, OrderRow]
    complete: bool
    """Whether every order that ended since then is in it."""


class _Read(msgspec.Struct, frozen=True):
    began_ns: int
    since_ns: int
    history: History


class Lists:
    """The lists of one account.

    Args:
        api: The session.
        account: Its id, for the paths.
        alerts: Told of a history that cannot be read whole.
    """

    def __init__(self, api: Api, account: str, alerts: Alerts) -> None:
        self._api = api
        self._base = f"/trade/accounts/{account}"
        self._alerts = alerts
        self._maps: Mapping[str, ColumnMap] = {}
        self._reading = asyncio.Lock()
        self._read: _Read | None = None

    def adopt(self, maps: Mapping[str, ColumnMap]) -> None:
        """Take over the columns as the server has just told them."""
        self._maps = maps

    async def orders(self, lane: Lane) -> dict[str, OrderRow]:
        """Return the orders that work by id, exits of positions among them.

        Raises:
            VenueError: they could not be read.
        """
        found = await self._api.read("orders", f"{self._base}/orders", wire.OrderRows, lane)
        rows = self._rows("ordersConfig", found.orders if found else (), lambda cells: order_row(cells, final=False))
        return {row.id: row for row in rows}

    def told_by(self, body: bytes, order_id: str) -> OrderRow | None:
        """Return an order's row from the answer to a change of it; None where it holds none that can be read."""
        try:
            told = envelope(body)
            rows = decode(wire.OrderRows, bytes(told.d)).orders if told is not None and told.d else ()
            found = self._rows("ordersConfig", rows, lambda cells: order_row(cells, final=False))
        except (*CANNOT_READ, VenueError):
            return None
        return next((row for row in found if row.id == order_id), None)

    async def history(self, lane: Lane, since_ns: int) -> History:
        """Return the orders that were placed since a time (wall nanoseconds) and have ended; older ones may be among them.

        Raises:
            VenueError: they could not be read.
        """
        wanted_ns = self._api.http.clock.monotonic_ns()
        async with self._reading:
            read = self._read
            if read is not None and read.began_ns >= wanted_ns and read.since_ns <= since_ns:
                return read.history
            began_ns = self._api.http.clock.monotonic_ns()
            history = await self._history(lane, max(0, since_ns - EARLIER_NS))
            self._read = _Read(began_ns, since_ns, history)
            return history

    async def _history(self, lane: Lane, since_ns: int) -> History:
        """Go back from the newest: an answer that is cut off is continued at its oldest row, which comes twice."""
        rows: dict[str, OrderRow] = {}
        query = {"from": str(since_ns // MS_NS)}
        for _ in range(_PAGES_MAX):
            path = f"{self._base}/ordersHistory"
            found = await self._api.read("orders_history", path, wire.HistoryRows, lane, query)
            if found is None:
                return History(rows, complete=True)
            before = len(rows)
            told = self._rows("ordersHistoryConfig", found.orders_history, lambda cells: order_row(cells, final=True))
            rows |= {row.id: row for row in told}
            if not found.has_more:
                return History(rows, complete=True)
            oldest_ns = min((row.created_ns for row in told if row.created_ns is not None), default=None)
            if oldest_ns is None or len(rows) == before:
                break
            query["to"] = str(oldest_ns // MS_NS)
        self._alerts.note("history_not_complete", "orders")
        return History(rows, complete=False)

    async def positions(self, lane: Lane) -> dict[str, PositionRow]:
        """Return the open positions by id.

        Raises:
            VenueError: they could not be read, or one is listed in two ways.
        """
        found = await self._api.read("positions", f"{self._base}/positions", wire.PositionRows, lane)
        rows = self._rows("positionsConfig", found.positions if found else (), position_row)
        return lots_of(self._api.venue, "positions", rows, lambda row: row.id, self._alerts)

    async def executions(self, lane: Lane) -> list[ExecutionRow]:
        """Return the fills of the present session.

        Raises:
            VenueError: they could not be read.
        """
        found = await self._api.read("executions", f"{self._base}/executions", wire.ExecutionRows, lane)
        return self._rows("filledOrdersConfig", found.executions if found else (), execution_row)

    async def state(self, lane: Lane) -> dict[str, Decimal]:
        """Return the account's sums by the name of their column.

        Raises:
            VenueError: they could not be read.
        """
        found = await self._api.read("state", f"{self._base}/state", wire.StateWire, lane)
        if found is None:
            raise Unavailable(self._api.venue, "state", "the server tells no data of the account")
        (sums,) = self._rows(
            "accountDetailsConfig",
            (found.account_details_data,),
            lambda cells: {name: sound_decimal(text) for name, text in cells.items()},
        )
        return sums

    def _rows(self, key: str, rows: tuple[wire.Row, ...], read: Callable[[Mapping[str, str]], _T]) -> list[_T]:
        columns = self._maps.get(key)
        if columns is None:
            raise Unavailable(self._api.venue, "config", "the columns have not been read yet")
        try:
            return [read(columns.cells(row)) for row in rows]
        except ValueError as error:
            raise Unavailable(self._api.venue, key, f"a row cannot be read: {error}") from error
