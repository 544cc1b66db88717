"""The column maps that ``/trade/config`` tells, and rows laid out by them: text or null, in the order of the map."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from quantd.domain.numbers import plain
from quantd.simulators.tradelocker.answers import NS_PER_MS, NS_PER_S
from quantd.simulators.tradelocker.options import Setup
from quantd.simulators.venue import Json


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_ORDERS = _names(
    "id tradableInstrumentId routeId qty side type status filledQty avgPrice price stopPrice validity expireDate "
    "createdDate lastModified isOpen positionId stopLoss stopLossType takeProfit takeProfitType strategyId"
)
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "positionsConfig": _names(
        "id tradableInstrumentId routeId side qty avgPrice stopLossId takeProfitId openDate unrealizedPl strategyId"
    ),
    "ordersConfig": _ORDERS,
    "ordersHistoryConfig": _ORDERS,
    "filledOrdersConfig": _names("id price side createdDate qty orderId positionId tradableInstrumentId"),
    "accountDetailsConfig": _names(
        "balance projectedBalance availableFunds blockedBalance cashBalance unsettledCash withdrawalAvailable "
        "stocksValue optionValue initialMarginReq maintMarginReq marginWarningLevel blockedForStocks stockOrdersReq "
        "stopOutLevel warningMarginReq marginBeforeWarning todayGross todayNet todayFees todayVolume "
        "todayTradesCount openGrossPnL openNetPnL positionsCount ordersCount"
    ),
}
"""Names of columns by key of the configuration, in the order that was seen."""

_EXTRA = "simulatedExtra"
_TITLES = {
    "positionsConfig": ("positions", "Positions"),
    "ordersConfig": ("orders", "Orders"),
    "ordersHistoryConfig": ("ordersHistory", "Orders history"),
    "filledOrdersConfig": ("filledOrders", "Filled orders"),
    "accountDetailsConfig": ("accountDetails", "Account details"),
}


def config(setup: Setup, *, more: bool) -> Json:
    """Return ``d`` of the configuration; `more` puts an unknown column in front of each map."""
    access = ("orders", "ordersHistory", "filledOrders", "positions", "symbolInfo", "marketDepth")
    told: Json = {"customerAccess": dict.fromkeys(access, True)}
    for key, names in COLUMNS.items():
        name, title = _TITLES[key]
        columns = [{"id": one} for one in ((_EXTRA, *names) if more else names)]
        told[key] = {"id": name, "title": title, "columns": columns}
    told["rateLimits"] = list(setup.rate_limits)
    told["limits"] = [{"limitType": name, "limit": limit} for name, limit in setup.limits.items()]
    return told


def row(key: str, cells: Mapping[str, Any], *, more: bool) -> list[Any]:
    """Return a row of the list that `key` describes; a column without a cell is null."""
    unknown = set(cells) - set(COLUMNS[key])
    assert not unknown, f"{key} has no columns {unknown}"
    found = [cells.get(name) for name in COLUMNS[key]]
    return [None, *found] if more else found


def number(value: Decimal | None) -> str | None:
    """Return a decimal as a cell."""
    return None if value is None else plain(value)


def milliseconds(at_ns: int) -> str:
    """Return a time as a cell."""
    return str(at_ns // NS_PER_MS)


def whole_seconds(at_ns: int) -> str:
    """Return a time of change as a cell: in milliseconds, cut to seconds, so that it can precede the creation."""
    return str(at_ns // NS_PER_S * 1000)
