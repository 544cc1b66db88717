"""From the venue's words to the domain's values and back; pure.

Used by the connector's parts. Decides nothing about outcomes and asks nobody.
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from decimal import Decimal

from quantd.domain.cash import Balance
from quantd.domain.commands import Submit
from quantd.domain.fills import Fill, Liquidity
from quantd.domain.instruments import FeeSchedule, Instrument, MarketStatus, TickTier, instrument_id, symbol_of
from quantd.domain.market import Book, Quote
from quantd.domain.numbers import ZERO, plain
from quantd.domain.orders import ENDS, ClientOrderId, OrderKind, OrderSpec, OrderState, Side, TimeInForce
from quantd.domain.reports import OrderReport
from quantd.venues.parsing import EPOCH, instant_ns, time_ns
from quantd.venues.ripio import wire

SECOND_NS = 1_000_000_000
MS_NS = 1_000_000
_PERCENT = Decimal("0.01")

_SIDES = {"buy": Side.BUY, "sell": Side.SELL}
_KINDS = {"limit": OrderKind.LIMIT, "market": OrderKind.MARKET, "stop_limit": OrderKind.STOP_LIMIT}
_LIQUIDITY = {"maker": Liquidity.MAKER, "taker": Liquidity.TAKER}
_ALIVE = frozenset({"open", "executed_partially", "pending_creation", "waiting"})

OPEN = "open,executed_partially"
ANY = "open,executed_partially,executed_completely,canceled"
"""Values of the list's filter by status: it has a stray default of its own, so one is always sent."""


def instant_text(at_ns: int) -> str:
    """Return ISO-8601 in UTC with milliseconds, as the venue writes it."""
    moment = EPOCH + timedelta(milliseconds=at_ns // MS_NS)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


# --- writes ---


def why_not(spec: OrderSpec) -> str:
    """Return why the venue has no such order, empty when it has."""
    tif = spec.time_in_force
    if spec.kind is OrderKind.STOP or tif is TimeInForce.DAY:
        return f"{spec.kind.value} {tif.value}"
    if spec.kind is OrderKind.STOP_LIMIT and (tif is not TimeInForce.GTC or spec.post_only):
        return f"stop_limit {tif.value} post_only={spec.post_only}"
    if spec.kind is OrderKind.MARKET and (tif is TimeInForce.GTD or spec.post_only):
        return f"market {tif.value} post_only={spec.post_only}"
    if spec.post_only and tif in (TimeInForce.IOC, TimeInForce.FOK):
        return f"limit {tif.value} post_only=True"
    return ""


def new_order(command: Submit) -> bytes:
    """Return the exact bytes of a create, with the fields of its variant only: others are refused (documented).

    Raises:
        ValueError: when the terms cannot be told to the venue.
    """
    spec = command.spec
    body: dict[str, str | bool | int] = {
        "pair": symbol_of(spec.instrument),
        "side": spec.side.value,
        "type": spec.kind.value,
        "amount": plain(spec.quantity),
    }
    if spec.kind is not OrderKind.MARKET:
        if spec.price is None:
            raise ValueError(f"{spec.kind.value}: an order without a limit price")
        body["price"] = plain(spec.price)
    if spec.kind is OrderKind.STOP_LIMIT:
        if spec.trigger is None:
            raise ValueError("stop_limit: an order without a trigger")
        body["stop_price"] = plain(spec.trigger)
    if spec.post_only:
        body["post_only"] = True
    if spec.time_in_force is TimeInForce.IOC and spec.kind is OrderKind.LIMIT:
        body["immediate_or_cancel"] = True
    if spec.time_in_force is TimeInForce.FOK:
        body["fill_or_kill"] = True
    if spec.time_in_force is TimeInForce.GTD:
        if spec.expires_at_ns is None:
            raise ValueError("gtd: an order without an end")
        body["expiration"] = spec.expires_at_ns // SECOND_NS  # whole seconds: the documented example has ten digits
    body["external_id"] = command.client_order_id
    return wire.encode(body)


def amended_order(order_id: str, quantity: Decimal | None, price: Decimal | None) -> bytes:
    """Return the bytes of an amendment; its names are its own."""
    body = {"order_id": order_id}
    if price is not None:
        body["unit_price"] = plain(price)
    if quantity is not None:
        body["amount"] = plain(quantity)
    return wire.encode(body)


# --- orders ---


def external_id(row: wire.OrderRow) -> ClientOrderId | None:
    """Return the client's id of an order as ours are written; the venue may change its case."""
    return ClientOrderId(row.external_id.lower()) if row.external_id else None


def order_state(row: wire.OrderRow) -> tuple[OrderState, str]:
    """Return the state of an order and what is strange about it, empty when nothing is.

    Only ``executed_completely`` and ``canceled`` are ends (documented); partly executed is alive. A word that we do not
    know is taken for an order that still works: asking on costs little, a wrong end would lose the order.
    """
    filled, whole = row.executed_amount, row.requested_amount
    alive = OrderState.PARTIALLY_FILLED if filled > 0 else OrderState.WORKING
    if row.status == "executed_completely":
        if not filled:
            return alive, "reply_contradicts"  # it has traded, and by an end without a fill that would be lost
        is_whole = whole is None or filled >= whole
        return (OrderState.FILLED, "") if is_whole else (OrderState.CANCELLED, "reply_contradicts")
    if row.status == "canceled":
        # What it executed is all of it only where that is told.
        return OrderState.FILLED if whole is not None and filled >= whole > 0 else OrderState.CANCELLED, ""
    return alive, "" if row.status in _ALIVE else "unknown_order_status"


def executed(row: wire.OrderRow) -> Decimal:
    """Return how much of an order has traded by its own words: one that is executed completely has in whole."""
    if row.status == "executed_completely":
        return max(row.executed_amount, row.requested_amount or ZERO)
    return row.executed_amount


def fills_of(trades: Iterable[wire.TradeRow]) -> tuple[Fill, ...]:
    """Return the executions that trades tell, oldest first."""
    made = [
        Fill(
            id=row.id,
            quantity=row.amount,
            price=row.price,
            fees=((row.fee_currency, row.fee),) if row.fee else (),
            liquidity=_LIQUIDITY.get(row.taker_or_maker, Liquidity.UNKNOWN),
            occurred_at_ns=time_ns(row.timestamp, MS_NS) or instant_ns(row.date),
        )
        for row in trades
    ]
    return tuple(sorted(made, key=lambda fill: (fill.occurred_at_ns or 0, fill.id)))


def fees_of(fills: Iterable[Fill]) -> tuple[tuple[str, Decimal], ...]:
    """Return the fees of all fills by asset."""
    sums: dict[str, Decimal] = {}
    for fill in fills:
        for asset, amount in fill.fees:
            sums[asset] = sums.get(asset, ZERO) + amount
    return tuple(sums.items())


def order_report(  # noqa: PLR0913 - the parts that a report is made of
    venue: str,
    row: wire.OrderRow,
    state: OrderState,
    *,
    fills: Sequence[Fill],
    client_order_id: ClientOrderId | None,
    received_at_ns: int,
) -> OrderReport:
    """Return the report of an order whose fills are all told: quantity, average and fees follow from them."""
    filled = sum((fill.quantity for fill in fills), ZERO)
    return OrderReport(
        instrument=instrument_id(venue, row.pair),
        venue_order_id=row.id.upper(),
        state=state,
        filled_quantity=filled,
        received_at_ns=received_at_ns,
        client_order_id=client_order_id,
        side=_SIDES.get(row.side),
        quantity=row.requested_amount,
        price=row.price,
        average_price=sum((fill.quantity * fill.price for fill in fills), ZERO) / filled if filled else None,
        fills=tuple(fills),
        fees=fees_of(fills) if fills else None,
        created_at_ns=instant_ns(row.create_date),
        reason=state.value if state in ENDS else "",
        kind=_KINDS.get(row.type),
        trigger=row.stop_price,
    )


def side(text: str) -> Side | None:
    """Return the side that the venue names, None for an unknown word."""
    return _SIDES.get(text)


# --- market ---


def instrument(venue: str, pair: wire.Pair, fees: FeeSchedule) -> Instrument:
    """Return the trading rules of a pair.

    Raises:
        ValueError: when a step is not above zero.
    """
    if pair.price_tick <= 0 or pair.amount_tick <= 0:
        raise ValueError(f"{pair.symbol}: expected steps above zero, found {pair.price_tick} and {pair.amount_tick}")
    band = pair.max_price_variation
    return Instrument(
        id=instrument_id(venue, pair.symbol),
        base=pair.base,
        quote=pair.quote,
        ticks=(TickTier(ZERO, pair.price_tick),),
        lot=pair.amount_tick,
        min_quantity=pair.min_amount,
        min_notional=pair.min_value,
        price_band=band * _PERCENT if band else None,
        fees=fees,
        status=MarketStatus.OPEN if pair.enabled else MarketStatus.HALTED,
    )


def fee_schedule(rows: Sequence[wire.Fee]) -> FeeSchedule:
    """Return the account's fees: percent of what is received (documented by samples); the dearer side counts.

    Raises:
        ValueError: when there are none, or they cannot be percent.
    """
    maker = max((row.maker for row in rows), default=Decimal(-1)) * _PERCENT
    taker = max((row.taker for row in rows), default=Decimal(-1)) * _PERCENT
    if not 0 <= maker <= _PERCENT * 10 or not 0 <= taker <= _PERCENT * 10:
        raise ValueError(f"expected fees of 0 to 10 percent, found {maker} and {taker} as fractions")
    return FeeSchedule(maker=maker, taker=taker, asset="received")


def quote(instrument: Instrument, ticker: wire.Ticker, venue_ms: int | None, received_at_ns: int) -> Quote | None:
    """Return a quote with the time of the answer, for the ticker's date is the last trade's; None where a side is empty."""
    if not ticker.bid or not ticker.ask:
        return None
    occurred_at_ns = time_ns(venue_ms, MS_NS)
    return Quote(instrument.id, ticker.bid, ticker.ask, received_at_ns, occurred_at_ns)


def book(instrument: Instrument, told: wire.Book, depth: int, received_at_ns: int) -> Book:
    """Return a book of up to `depth` levels a side, best first whatever the venue's order."""
    bids = sorted(((level.price, level.amount) for level in told.bids if level.amount > 0), reverse=True)
    asks = sorted((level.price, level.amount) for level in told.asks if level.amount > 0)
    occurred_at_ns = time_ns(told.timestamp, MS_NS)
    return Book(instrument.id, tuple(bids[:depth]), tuple(asks[:depth]), received_at_ns, occurred_at_ns)


def balances(rows: Iterable[wire.BalanceRow]) -> tuple[Balance, ...]:
    """Return balances; total is what can be used plus what is locked."""
    return tuple(
        Balance(row.currency_code, row.available_amount + row.locked_amount, row.available_amount, row.locked_amount)
        for row in rows
    )
