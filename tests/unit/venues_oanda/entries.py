"""Entries of the log as the venue writes them, for the tests of what reads them."""

from typing import Any

import msgspec

from quantd.venues.oanda import wire

TIME = "2026-11-20T10:00:00.000000001Z"


def entry(number: int, type: str, **fields: Any) -> wire.Transaction:
    """Return an entry, decoded from JSON as it comes."""
    told = {
        "id": str(number), "type": type, "time": TIME, "accountID": "101-001-1-001", "userID": 1, "batchID": str(number),
        "aFieldFromTomorrow": {"x": [1]},
    }  # fmt: skip
    return msgspec.json.decode(msgspec.json.encode(told | fields), type=wire.Transaction)


def limit(number: int, units: str = "1000", *, ours: str = "q1", **more: Any) -> wire.Transaction:
    """Return the creation of a limit order."""
    terms = {
        "instrument": "EUR_USD",
        "units": units,
        "price": "1.10000",
        "timeInForce": "GTC",
        "reason": "CLIENT_ORDER",
    }
    named = {"clientExtensions": {"id": ours}} if ours else {}
    return entry(number, "LIMIT_ORDER", **(terms | named | more))


def fill(number: int, order: int, units: str, *, trades: dict[str, Any] | None = None, **more: Any) -> wire.Transaction:
    """Return an ORDER_FILL that opens a trade under its own number, or does what `trades` says."""
    opened = {"tradeOpened": {"tradeID": str(number), "units": units, "price": "1.09990"}}
    terms = {
        "orderID": str(order),
        "instrument": "EUR_USD",
        "units": units,
        "fullVWAP": "1.09990",
        "reason": "LIMIT_ORDER",
    }
    return entry(number, "ORDER_FILL", **(terms | (opened if trades is None else trades) | more))
