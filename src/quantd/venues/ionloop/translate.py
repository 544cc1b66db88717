"""From the venue's words to the domain's values and back; pure.

Used by the connector, `search` and the webhook receiver. Decides nothing about outcomes and asks nobody.
"""

from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal

from quantd.domain.cash import Balance, CashFlow, CashFlowKind
from quantd.domain.commands import Submit
from quantd.domain.instruments import FeeSchedule, Instrument, MarketStatus, TickTier, instrument_id, symbol_of
from quantd.domain.market import Book, Quote
from quantd.domain.numbers import ZERO, plain
from quantd.domain.orders import ClientOrderId, OrderState, Side
from quantd.domain.reports import OrderReport
from quantd.venues.ionloop import wire
from quantd.venues.parsing import EPOCH, instant_ns

SECOND_NS = 1_000_000_000

_SIDES = {"buy": Side.BUY, "sell": Side.SELL}
_MARKET_STATUS = {
    "online": MarketStatus.OPEN,
    "halted": MarketStatus.HALTED,
    "post_only": MarketStatus.POST_ONLY,
    "offline": MarketStatus.CLOSED,
}
_CASH_FLOWS = {
    "deposit": (CashFlowKind.DEPOSIT, 1),
    "withdrawal": (CashFlowKind.WITHDRAWAL, -1),
    "fee": (CashFlowKind.FEE, -1),
}


def instant_text(at_ns: int, *, round_up: bool = False) -> str:
    """Return ISO-8601 in UTC with whole seconds, the resolution that the venue shows."""
    seconds = -(-at_ns // SECOND_NS) if round_up else at_ns // SECOND_NS
    return (EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def new_order_body(command: Submit) -> bytes:
    """Return the exact bytes of a create: equal commands give equal bytes, in this process and the next.

    The venue knows limit orders that stand until they are cancelled; the engine emulates the rest with them.

    Raises:
        ValueError: when the terms cannot be told to the venue.
    """
    spec = command.spec
    if spec.price is None:
        raise ValueError("an order without a limit price")
    return wire.encode(
        wire.NewOrder(
            symbol=symbol_of(spec.instrument),
            side=spec.side.value,
            type="limit",
            quantity=plain(spec.quantity),
            price=plain(spec.price),
            time_in_force="GTC",
        )
    )


def idempotency_key(command: Submit) -> str:
    """Return the key of one submit: the same after a restart, another for each write of the order."""
    return f"{command.client_order_id}-{command.operation}"


def side(text: str) -> Side | None:
    """Return the side that the venue names, None for an unknown word."""
    return _SIDES.get(text)


def order_state(order: wire.OrderWire) -> tuple[OrderState, str]:
    """Return the state of an order and what is strange about it, empty when nothing is.

    Only ``filled`` and ``cancelled`` are ends. A word that we do not know, or ``filled`` with something missing, is
    taken for an order that still works: asking on costs little, a wrong end would lose the order.
    """
    filled = order.filled_quantity
    alive = OrderState.PARTIALLY_FILLED if filled > 0 else OrderState.WORKING
    if order.status == "open":
        return alive, ""
    if order.status == "filled":
        return (OrderState.FILLED, "") if filled >= order.quantity else (alive, "filled_but_not_whole")
    if order.status == "cancelled":
        return OrderState.CANCELLED, ""
    return alive, "unknown_order_status"


def order_report(
    venue: str,
    order: wire.OrderWire,
    *,
    received_at_ns: int,
    client_order_id: ClientOrderId | None = None,
    average_price: Decimal | None = None,
) -> OrderReport:
    """Return the report of an order; `average_price` where a notice has told it for the same filled quantity."""
    state, _ = order_state(order)
    return OrderReport(
        instrument=instrument_id(venue, order.symbol),
        venue_order_id=order.id,
        state=state,
        filled_quantity=order.filled_quantity,
        received_at_ns=received_at_ns,
        client_order_id=client_order_id,
        side=side(order.side),
        quantity=order.quantity,
        price=order.price,
        average_price=average_price,
        created_at_ns=instant_ns(order.created_at),
        reason="cancelled" if state is OrderState.CANCELLED else "",
    )


def market_status(text: str) -> MarketStatus:
    """Return the status of a market; a word that we do not know does not trade."""
    return _MARKET_STATUS.get(text, MarketStatus.HALTED)


def is_known_status(text: str) -> bool:
    """Tell whether the word for a market's status is one that we know."""
    return text in _MARKET_STATUS


def instrument(venue: str, item: wire.MarketItem, rules: wire.MarketRules, fees: FeeSchedule) -> Instrument:
    """Return an instrument from its row in the list (assets) and its details (rules).

    Raises:
        ValueError: when the steps are not above zero.
    """
    if rules.tick_size <= 0 or rules.step_size <= 0:
        raise ValueError(f"{rules.symbol}: expected steps above zero, found {rules.tick_size} and {rules.step_size}")
    return Instrument(
        id=instrument_id(venue, item.symbol),
        base=item.base_asset,
        quote=item.quote_asset,
        ticks=(TickTier(ZERO, rules.tick_size),),
        lot=rules.step_size,
        min_quantity=rules.step_size,
        min_notional=rules.min_notional,
        fees=fees,
        status=market_status(rules.status),
    )


def quote(instrument: Instrument, ticker: wire.Ticker, meta: wire.Meta, received_at_ns: int) -> Quote:
    """Return a quote; its time is the envelope's, for the ticker has none.

    Raises:
        ValueError: when a price is no number.
    """
    return Quote(
        instrument=instrument.id,
        bid=float(ticker.bid),
        ask=float(ticker.ask),
        received_at_ns=received_at_ns,
        occurred_at_ns=instant_ns(meta.timestamp),
    )


def book(instrument: Instrument, depth: wire.OrderBook, meta: wire.Meta, received_at_ns: int) -> Book:
    """Return a book, best first on both sides whatever the venue's order.

    Raises:
        ValueError: when a price or quantity is no number.
    """
    bids = sorted(((float(price), float(size)) for price, size in depth.bids), reverse=True)
    asks = sorted((float(price), float(size)) for price, size in depth.asks)
    return Book(
        instrument=instrument.id,
        bids=tuple(bids),
        asks=tuple(asks),
        received_at_ns=received_at_ns,
        occurred_at_ns=instant_ns(meta.timestamp),
        sequence=depth.sequence,
    )


def balances(rows: Iterable[wire.BalanceWire]) -> tuple[Balance, ...]:
    """Return balances; total is what can be used plus what is locked."""
    return tuple(Balance(row.asset, row.available + row.locked, row.available, row.locked) for row in rows)


def added_up(wallets: Iterable[Iterable[wire.BalanceWire]]) -> tuple[Balance, ...]:
    """Return the balances of several wallets, added up by asset."""
    totals: dict[str, tuple[Decimal, Decimal]] = {}
    for row in (row for rows in wallets for row in rows):
        free, locked = totals.get(row.asset, (ZERO, ZERO))
        totals[row.asset] = (free + row.available, locked + row.locked)
    return tuple(Balance(asset, free + locked, free, locked) for asset, (free, locked) in totals.items())


def cash_flow(venue: str, row: wire.Transaction) -> CashFlow | None:
    """Return the money that a ledger row moved, None for trades and rows that do not say how much of what.

    Only trades are documented in full. Of the others we read `amount`, else `quantity`, of `asset`; the sign follows
    from the type, whichever sign the venue puts.
    """
    kind = _CASH_FLOWS.get(row.type)
    amount = row.amount if row.amount is not None else row.quantity
    at_ns = instant_ns(row.created_at)
    if row.type == "fee" and amount is None:
        amount = row.fee
    if kind is None or amount is None or not row.asset or at_ns is None:
        return None
    return CashFlow(
        venue=venue,
        id=row.id,
        kind=kind[0],
        asset=row.asset,
        amount=abs(amount) * kind[1],
        occurred_at_ns=at_ns,
        instrument=instrument_id(venue, row.symbol) if row.symbol else "",
    )
