"""Reads ``/trade/config``: which column of a row means what, how often each route may be asked, and general limits.

Used at every start, for all three differ by server and none is ours to know. Columns are found by name; more of them,
in any order, do no harm; one that is needed and missing is an error that names it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from quantd.errors import Refused

NEEDED: Mapping[str, tuple[str, ...]] = {
    "positionsConfig": (
        "id", "tradableInstrumentId", "side", "qty", "avgPrice", "stopLossId", "takeProfitId", "openDate", "strategyId",
    ),
    "ordersConfig": (
        "id", "tradableInstrumentId", "qty", "side", "type", "status", "filledQty", "avgPrice", "price", "stopPrice",
        "createdDate", "lastModified", "positionId", "strategyId",
    ),
    "ordersHistoryConfig": (
        "id", "tradableInstrumentId", "qty", "side", "type", "status", "filledQty", "avgPrice", "price", "stopPrice",
        "createdDate", "lastModified", "positionId", "strategyId",
    ),
    "filledOrdersConfig": ("id", "price", "side", "createdDate", "qty", "orderId", "positionId", "tradableInstrumentId"),
    "accountDetailsConfig": ("balance", "projectedBalance", "availableFunds", "initialMarginReq"),
}  # fmt: skip
"""Columns without which orders and positions cannot be told apart, by key of the configuration."""


class _Column(msgspec.Struct, frozen=True):
    id: str


class _Columns(msgspec.Struct, frozen=True):
    columns: tuple[_Column, ...]


class RateLimitWire(msgspec.Struct, frozen=True, rename="camel"):
    """At most `limit` requests in each `interval_num` of `measure`."""

    rate_limit_type: str
    measure: str
    interval_num: int
    limit: int


class LimitWire(msgspec.Struct, frozen=True, rename="camel"):
    """One general limit."""

    limit_type: str
    limit: int


class ConfigWire(msgspec.Struct, frozen=True, rename="camel"):
    """``d`` of the answer, as far as it is read."""

    positions_config: _Columns
    orders_config: _Columns
    orders_history_config: _Columns
    filled_orders_config: _Columns
    account_details_config: _Columns
    rate_limits: tuple[RateLimitWire, ...] = ()
    limits: tuple[LimitWire, ...] = ()


class ColumnMap:
    """Cells of one list's rows by name.

    Args:
        venue: For errors.
        key: Of the configuration, such as ``ordersConfig``.
        names: Of the columns, in the server's order.

    Raises:
        Refused: a column that is needed is missing; names it.
    """

    def __init__(self, venue: str, key: str, names: Sequence[str]) -> None:
        self._venue = venue
        self._key = key
        self._places = {name: place for place, name in enumerate(names)}
        self._width = len(names)
        missing = [name for name in NEEDED[key] if name not in self._places]
        if missing:
            words = f"{key} has no column {', '.join(missing)}; there are {', '.join(names)}"
            raise Refused(venue, "config", "columns_missing", words)

    def cells(self, row: Sequence[Any]) -> dict[str, str]:
        """Return a row's cells by name as text, without those that are null or empty: both mean that nothing is told.

        Raises:
            Refused: the row is not as long as the map.
        """
        if len(row) != self._width:
            words = f"a row of {self._key} has {len(row)} cells, expected {self._width}"
            raise Refused(self._venue, "config", "columns_changed", words)
        told = {name: row[place] for name, place in self._places.items()}
        return {name: str(cell) for name, cell in told.items() if cell is not None and cell != ""}


def column_maps(venue: str, config: ConfigWire) -> dict[str, ColumnMap]:
    """Return the map of each list by its key in the configuration.

    Raises:
        Refused: a column that is needed is missing.
    """
    told = {
        "positionsConfig": config.positions_config,
        "ordersConfig": config.orders_config,
        "ordersHistoryConfig": config.orders_history_config,
        "filledOrdersConfig": config.filled_orders_config,
        "accountDetailsConfig": config.account_details_config,
    }
    return {key: ColumnMap(venue, key, [one.id for one in found.columns]) for key, found in told.items()}
