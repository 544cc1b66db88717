"""Reading of request bodies as the server's models do: what is missing or does not fit is 422, and two cases crash it."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from quantd.ports import HttpRequest
from quantd.simulators.hummingbot.answers import Crash, Problem, missing, unfit

LIMIT_MAX = 1_000
ORDER_TYPES = ("LIMIT", "MARKET", "LIMIT_MAKER")


class Placement(msgspec.Struct, frozen=True):
    """A body of ``POST /trading/orders``, checked."""

    account: str
    connector: str
    pair: str
    side: str
    amount: Decimal
    order_type: str
    price: Decimal | None
    raw_amount: str
    raw_price: str | None


def read_object(request: HttpRequest) -> dict[str, Any]:
    """Return the JSON object of a body.

    Raises:
        Crash: the content type is not JSON.
        Problem: there is no object.
    """
    headers = {name.lower(): value for name, value in request.headers.items()}
    if not request.body:
        raise Problem(422, [{"type": "missing", "loc": ["body"], "msg": "Field required", "input": None}])
    if not headers.get("content-type", "").startswith("application/json"):
        raise Crash
    try:
        found = msgspec.json.decode(request.body)
    except msgspec.DecodeError:
        raise Problem(422, [{"type": "json_invalid", "loc": ["body", 0], "msg": "JSON decode error"}]) from None
    if not isinstance(found, dict):
        raise unfit("body", "model_attributes_type", "Input should be a valid dictionary", found)
    return found


def read_placement(body: Mapping[str, Any]) -> Placement:
    """Return a checked placement.

    Raises:
        Problem: 422, as the server's model has it.
        Crash: an amount that is not above 0 crashes the handler of 422s.
    """
    absent = [
        name for name in ("account_name", "connector_name", "trading_pair", "trade_type", "amount") if name not in body
    ]
    if absent:
        raise missing(*absent)
    for name in ("account_name", "connector_name", "trading_pair"):
        if not isinstance(body[name], str):
            raise unfit(name, "string_type", "Input should be a valid string", body[name])
    if body["trade_type"] not in ("BUY", "SELL"):
        raise unfit("trade_type", "enum", "Input should be 'BUY' or 'SELL'", body["trade_type"])
    order_type = body.get("order_type", "LIMIT")
    if order_type not in ORDER_TYPES:
        raise unfit("order_type", "enum", "Input should be 'LIMIT', 'MARKET' or 'LIMIT_MAKER'", order_type)
    if body.get("position_action", "OPEN") not in ("OPEN", "CLOSE"):
        raise unfit("position_action", "enum", "Input should be 'OPEN' or 'CLOSE'", body["position_action"])
    amount = _decimal("amount", body["amount"])
    if amount <= 0:
        raise Crash
    price = None if body.get("price") is None else _decimal("price", body["price"])
    return Placement(
        body["account_name"],
        body["connector_name"],
        body["trading_pair"],
        body["trade_type"],
        amount,
        order_type,
        price,
        str(body["amount"]),
        None if price is None else str(body["price"]),
    )


def _decimal(name: str, value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise unfit(name, "decimal_type", "Decimal input should be an integer, float, string or Decimal object", value)
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        raise unfit(name, "decimal_parsing", "Input should be a valid decimal", value) from None
    if not found.is_finite():
        raise unfit(name, "finite_number", "Input should be a finite number", value)
    return found


class Listing(msgspec.Struct, frozen=True):
    """The filters of a list, checked."""

    limit: int
    cursor: str | None
    accounts: tuple[str, ...] | None
    connectors: tuple[str, ...] | None
    pairs: tuple[str, ...] | None
    status: str | None
    from_ms: int
    to_ms: int


def read_listing(body: Mapping[str, Any]) -> Listing:
    """Return the checked filters of a list.

    Raises:
        Problem: 422.
    """
    limit = body.get("limit", 100)
    if not isinstance(limit, int) or not 1 <= limit <= LIMIT_MAX:
        raise unfit("limit", "less_than_equal", f"Input should be between 1 and {LIMIT_MAX}", limit)
    for name in ("start_time", "end_time"):
        value = body.get(name)
        if value is not None and (not isinstance(value, int | float) or value != int(value)):
            raise unfit(name, "int_from_float", "Input should be a valid integer", value)

    def names(key: str) -> tuple[str, ...] | None:
        found = body.get(key)
        return tuple(map(str, found)) if found else None

    cursor, status = body.get("cursor"), body.get("status")
    return Listing(
        limit,
        None if cursor is None else str(cursor),
        names("account_names"),
        names("connector_names"),
        names("trading_pairs"),
        None if status is None else str(status),
        int(body.get("start_time") or 0),
        int(body.get("end_time") or 0),
    )
