"""From TradeLocker's words to the domain's values and back; pure.

Used by the readers and the connector. Quantities are lots on both sides; times come in milliseconds UTC. What a row does not
tell is none, and a word that nobody knows keeps an order working: asking on costs little, a wrong end would lose it.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from quantd.domain.commands import Amend, Submit
from quantd.domain.fills import Fill
from quantd.domain.instruments import (
    FeeSchedule,
    Instrument,
    InstrumentId,
    MarketStatus,
    QuantityUnit,
    TickTier,
    instrument_id,
)
from quantd.domain.lots import LotProtection
from quantd.domain.numbers import ONE, ZERO, plain
from quantd.domain.orders import ClientOrderId, OrderKind, OrderState, Side
from quantd.domain.reports import OrderReport
from quantd.venues.parsing import sound_decimal, time_ns
from quantd.venues.tradelocker.wire import InstrumentWire

SECOND_NS: Final = 1_000_000_000
MS_NS: Final = 1_000_000
_TIME_DIGITS: Final = 20
"""More digits are no time: Python would refuse to read thousands of them."""

Commission = tuple[str, Decimal]
"""Currency, and amount for each lot that trades."""

_SIDES = {"buy": Side.BUY, "sell": Side.SELL}
_KINDS = {"market": OrderKind.MARKET, "limit": OrderKind.LIMIT, "stop": OrderKind.STOP}
_WORKING = frozenset({"new", "none", ""})
"""``None`` as a word was seen in an example of a change; what is not told counts the same."""
_CANCELLED = frozenset({"cancelled", "unplaced", "removed"})
_REJECTED = frozenset({"refused", "rejected"})
_STATUSES = {
    "fully_open": MarketStatus.OPEN,
    "closed": MarketStatus.CLOSED,
    "trading_halt": MarketStatus.HALTED,
}


class OrderRow(msgspec.Struct, frozen=True):
    """A row of the orders or of their history."""

    id: str
    instrument: str
    """The tradable id."""
    quantity: Decimal
    side: Side | None
    kind: OrderKind | None
    status: str
    """Lower case."""
    filled: Decimal
    average: Decimal | None
    price: Decimal | None
    trigger: Decimal | None
    created_ns: int | None
    modified_ns: int | None
    """In whole seconds, so that it may precede the creation."""
    position: str
    tag: str
    final: bool
    """From the history, which lists ended orders only."""


class PositionRow(msgspec.Struct, frozen=True):
    """An open position."""

    id: str
    instrument: str
    side: Side
    quantity: Decimal
    price: Decimal
    stop_order: str
    take_order: str
    opened_ns: int | None
    tag: str


class ExecutionRow(msgspec.Struct, frozen=True):
    """A fill."""

    id: str
    order: str
    quantity: Decimal
    price: Decimal
    occurred_ns: int | None
    position: str


def order_row(cells: Mapping[str, str], *, final: bool) -> OrderRow:
    """Return an order's row; a market row's 0 as stop price tells none.

    Raises:
        ValueError: an id or a number is missing or unreadable.
    """
    return OrderRow(
        id=_needed(cells, "id"),
        instrument=_needed(cells, "tradableInstrumentId"),
        quantity=sound_decimal(_needed(cells, "qty")),
        side=_SIDES.get(cells.get("side", "").lower()),
        kind=_KINDS.get(cells.get("type", "").lower()),
        status=cells.get("status", "").lower(),
        filled=_number(cells, "filledQty") or ZERO,
        average=_number(cells, "avgPrice"),
        price=_number(cells, "price") or None,
        trigger=_number(cells, "stopPrice") or None,
        created_ns=_instant_ns(cells, "createdDate"),
        modified_ns=_instant_ns(cells, "lastModified"),
        position=cells.get("positionId", ""),
        tag=cells.get("strategyId", ""),
        final=final,
    )


def position_row(cells: Mapping[str, str]) -> PositionRow:
    """Return a position's row.

    Raises:
        ValueError: an id, a number or the side is missing or unreadable.
    """
    side = _SIDES.get(cells.get("side", "").lower())
    if side is None:
        raise ValueError(f"side: expected buy or sell, found {cells.get('side', '')[:16]!r}")
    return PositionRow(
        id=_needed(cells, "id"),
        instrument=_needed(cells, "tradableInstrumentId"),
        side=side,
        quantity=sound_decimal(_needed(cells, "qty")),
        price=sound_decimal(_needed(cells, "avgPrice")),
        stop_order=cells.get("stopLossId", ""),
        take_order=cells.get("takeProfitId", ""),
        opened_ns=_instant_ns(cells, "openDate"),
        tag=cells.get("strategyId", ""),
    )


def execution_row(cells: Mapping[str, str]) -> ExecutionRow:
    """Return a fill's row.

    Raises:
        ValueError: an id or a number is missing or unreadable.
    """
    return ExecutionRow(
        id=_needed(cells, "id"),
        order=_needed(cells, "orderId"),
        quantity=sound_decimal(_needed(cells, "qty")),
        price=sound_decimal(_needed(cells, "price")),
        occurred_ns=_instant_ns(cells, "createdDate"),
        position=cells.get("positionId", ""),
    )


def _needed(cells: Mapping[str, str], name: str) -> str:
    text = cells.get(name)
    if text is None:
        raise ValueError(f"{name}: expected a value, found nothing")
    return text


def _number(cells: Mapping[str, str], name: str) -> Decimal | None:
    text = cells.get(name)
    return None if text is None else sound_decimal(text)


def _instant_ns(cells: Mapping[str, str], name: str) -> int | None:
    text = cells.get(name, "")
    return time_ns(int(text), MS_NS) if text.isascii() and text.isdigit() and len(text) < _TIME_DIGITS else None


# --- orders -----------------------------------------------------------------------------------------------------------


def order_state(row: OrderRow) -> tuple[OrderState, str]:
    """Return the state of an order and what is strange about it, empty when nothing is."""
    alive = OrderState.PARTIALLY_FILLED if row.filled > 0 else OrderState.WORKING
    if row.status in _CANCELLED:
        return OrderState.CANCELLED, ""
    if row.status in _REJECTED:
        return (OrderState.CANCELLED if row.filled else OrderState.REJECTED), ""
    if row.status == "filled":
        if row.filled >= row.quantity:
            return OrderState.FILLED, ""
        # In the history it has ended, with what was to be had; among the working ones its rest is still to come.
        return (OrderState.CANCELLED if row.final and row.filled else alive), "filled_but_not_whole"
    return alive, "" if row.status in _WORKING and not row.final else "unknown_order_status"


def fills_of(
    row: OrderRow, told: Iterable[ExecutionRow], commission: Commission, *, known: Decimal
) -> tuple[Fill, ...]:
    """Return an order's fills: those that the session's list tells in full, else all of it at the row's average.

    The list forgets with its session. Where it does not add up and a part is known already, the row's cumulative figures
    speak for themselves.

    Args:
        row: The order.
        told: Fills of the session, of any order.
        commission: What each is charged; the venue does not tell.
        known: What was filled before, as far as the engine knows.
    """
    mine = [one for one in told if one.order == row.id]
    if mine and sum((one.quantity for one in mine), ZERO) == row.filled:
        return tuple(
            _fill(one.id, one.quantity, one.price, commission, lot=one.position or row.position, at_ns=one.occurred_ns)
            for one in mine
        )
    if row.average is None or not row.filled or known:
        return ()
    fill_id = f"{row.id}/{plain(row.filled)}"
    return (_fill(fill_id, row.filled, row.average, commission, lot=row.position, at_ns=row.modified_ns),)


def _fill(  # noqa: PLR0913 -- the fields of a fill
    fill_id: str, quantity: Decimal, price: Decimal, commission: Commission, *, lot: str, at_ns: int | None
) -> Fill:
    currency, per_lot = commission
    fees = ((currency, quantity * per_lot),) if per_lot else ()
    return Fill(fill_id, quantity, price, fees=fees, occurred_at_ns=at_ns, lot=lot, fees_estimated=bool(fees))


def order_report(  # noqa: PLR0913 -- a row and what it does not tell
    instrument: InstrumentId,
    row: OrderRow,
    fills: tuple[Fill, ...],
    received_at_ns: int,
    *,
    client_order_id: ClientOrderId | None = None,
    lot: str = "",
) -> OrderReport:
    """Return the report of an order. `lot` where it is an exit that hangs on one, or has closed one."""
    state, _ = order_state(row)
    return OrderReport(
        instrument=instrument,
        venue_order_id=row.id,
        state=state,
        filled_quantity=row.filled,
        received_at_ns=received_at_ns,
        client_order_id=client_order_id,
        side=row.side,
        quantity=row.quantity,
        price=row.price if row.kind is OrderKind.LIMIT else None,
        average_price=row.average if row.filled else None,
        fills=fills,
        created_at_ns=row.created_ns,
        reason=row.status[:32] if state in (OrderState.CANCELLED, OrderState.REJECTED) else "",
        kind=row.kind,
        trigger=row.trigger if row.kind is OrderKind.STOP else None,
        lot=lot,
    )


def new_order(command: Submit, instrument: str, route: str) -> dict[str, Any]:
    """Return the body of a create: equal commands give equal bytes.

    Raises:
        ValueError: the terms cannot be told to the venue.
    """
    spec = command.spec
    if spec.kind is OrderKind.STOP_LIMIT or (spec.kind is OrderKind.LIMIT and spec.price is None):
        raise ValueError(f"{spec.kind.value} at {spec.price}")
    market = spec.kind is OrderKind.MARKET
    body: dict[str, Any] = {
        "tradableInstrumentId": _id(instrument),
        "routeId": _id(route),
        "side": spec.side.value,
        "type": spec.kind.value,
        "validity": "IOC" if market else "GTC",
        "qty": _exact(spec.quantity),
        "price": _exact(spec.price) if spec.kind is OrderKind.LIMIT and spec.price is not None else 0,
        "strategyId": command.client_order_id,
    }
    if spec.kind is OrderKind.STOP:
        if spec.trigger is None:
            raise ValueError("a stop without a trigger")
        body["stopPrice"] = _exact(spec.trigger)
    exits = command.protection
    if exits is not None and exits.stop is not None:
        body |= {"stopLoss": _exact(exits.stop), "stopLossType": "absolute"}
    if exits is not None and exits.take is not None:
        body |= {"takeProfit": _exact(exits.take), "takeProfitType": "absolute"}
    return body


def changes(command: Amend) -> dict[str, Any]:
    """Return the body of a change: the new total and price, as far as they change."""
    body: dict[str, Any] = {}
    if command.quantity is not None:
        body["qty"] = _exact(command.quantity)
    if command.price is not None:
        body["price"] = _exact(command.price)
    return body


def has_terms(row: OrderRow, command: Amend) -> bool:
    """Tell whether an order stands with the terms of a change."""
    return command.quantity in (None, row.quantity) and command.price in (None, row.price)


def exits_body(wanted: LotProtection) -> dict[str, Any]:
    """Return the body that makes a position's exits what is wanted; null removes one."""
    return {
        "stopLoss": None if wanted.stop is None else _exact(wanted.stop),
        "takeProfit": None if wanted.take is None else _exact(wanted.take),
    }


def close_body(quantity: Decimal | None) -> dict[str, Any]:
    """Return the body that closes a part of a position, or all of it."""
    return {"qty": 0 if quantity is None else _exact(quantity)}


def _exact(value: Decimal) -> Decimal:
    """Return a number that is written without an exponent."""
    return Decimal(plain(value))


def _id(text: str) -> int | str:
    return int(text) if text.isascii() and text.isdigit() else text


# --- instruments ------------------------------------------------------------------------------------------------------


def instrument(venue: str, name: str, rules: InstrumentWire, fees: FeeSchedule) -> Instrument:
    """Return an instrument.

    Raises:
        ValueError: a step, a size or the leverage is not above zero.
    """
    steps = [tier.tick_size for tier in rules.tick_size]
    if not steps or min(*steps, rules.lot_step, rules.lot_size) <= 0 or (rules.leverage or ONE) <= 0:
        found = f"ticks {steps}, lot step {rules.lot_step}, lot size {rules.lot_size}, leverage {rules.leverage}"
        raise ValueError(f"{name}: expected steps and sizes above zero, found {found}")
    tiers = sorted((tier.left_range_limit or ZERO, tier.tick_size) for tier in rules.tick_size)
    return Instrument(
        id=instrument_id(venue, name),
        base=rules.base_currency or name,
        quote=rules.quoting_currency,
        # Below the first limit its own step holds.
        ticks=tuple(TickTier(limit if at else ZERO, step) for at, (limit, step) in enumerate(tiers)),
        lot=rules.lot_step,
        quantity_unit=QuantityUnit.LOTS,
        units_per_quantity=rules.lot_size,
        min_quantity=rules.min_lot or None,
        max_quantity=rules.max_lot or None,
        margin_rate=ONE / rules.leverage if rules.leverage else ONE,
        fees=fees,
        status=market_status(rules.symbol_status),
    )


def market_status(word: str) -> MarketStatus:
    """Return the status of an instrument; a word that we do not know does not trade."""
    return _STATUSES.get(word.lower(), MarketStatus.HALTED)


def is_known_status(word: str) -> bool:
    """Tell whether an instrument's status is a word that we know."""
    return word.lower() in _STATUSES


def allows_nothing(slots: Sequence[int]) -> bool:
    """Tell whether a session's state allows no operation at all; what single slots mean is not documented."""
    return bool(slots) and not any(slots)
