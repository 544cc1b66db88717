"""From the server's rows to the domain's words; pure.

Amounts are JSON floats: they are brought to the nearest lot, which undoes what a float adds. Prices keep their text.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal

from quantd.domain.fills import Fill, Quality
from quantd.domain.instruments import FeeSchedule, Instrument, TickTier, instrument_id, symbol_of
from quantd.domain.numbers import ZERO, Rounding, plain, snap
from quantd.domain.orders import OrderKind, OrderSpec, OrderState, Side
from quantd.domain.reports import OrderReport
from quantd.errors import Unavailable
from quantd.venues.hummingbot import wire
from quantd.venues.hummingbot.classify import failure_of
from quantd.venues.parsing import instant_ns

SECOND_NS = 1_000_000_000
HUGE, TINY = Decimal("1e30"), Decimal("1e-30")
"""Beyond these, a rule stands for "none"."""
_FINEST = Decimal("1e-18")
"""Step where the exchange names none: what the server's database can keep."""
ENDED = frozenset({"FILLED", "CANCELLED", "FAILED"})
_STATES = {
    "SUBMITTED": OrderState.WORKING,
    "OPEN": OrderState.WORKING,
    "PENDING_CANCEL": OrderState.WORKING,
    "PARTIALLY_FILLED": OrderState.PARTIALLY_FILLED,
    "FILLED": OrderState.FILLED,
    "CANCELLED": OrderState.CANCELLED,
}


def instrument(venue: str, pair: str, rules: wire.Rules, fees: FeeSchedule) -> Instrument:
    """Return a pair's rules; the server's stand-ins for "none" become none, or the finest step."""
    base, quote = assets(pair)
    if not base or not quote:
        raise Unavailable(venue, "trading_rules", f"expected a pair BASE-QUOTE, found {pair!r}")
    notionals = [value for value in (rules.min_notional_size, rules.min_order_value) if value and TINY < value < HUGE]
    most = rules.max_order_size
    return Instrument(
        instrument_id(venue, pair),
        base=base,
        quote=quote,
        ticks=(TickTier(ZERO, _step(rules.min_price_increment)),),
        lot=_step(rules.min_base_amount_increment),
        min_quantity=rules.min_order_size if rules.min_order_size > TINY else None,
        max_quantity=most if most is not None and ZERO < most < HUGE else None,
        min_notional=max(notionals, default=None),
        fees=fees,
    )


def _step(told: Decimal) -> Decimal:
    return told.normalize() if told > TINY else _FINEST


def new_order(account: str, connector: str, spec: OrderSpec) -> wire.NewOrder:
    """Return the body of a placement."""
    kind = "MARKET" if spec.kind is OrderKind.MARKET else "LIMIT_MAKER" if spec.post_only else "LIMIT"
    return wire.NewOrder(
        account,
        connector,
        symbol_of(spec.instrument),
        spec.side.name,
        plain(spec.quantity),
        kind,
        None if spec.price is None else plain(spec.price),
    )


def state_of(row: wire.OrderRow) -> tuple[OrderState, str]:
    """Return where an order stands and why it ended.

    FAILED is an end only where its text proves that the exchange refused it or never saw it. An unknown word keeps it
    working: a person or the next look decides.
    """
    if row.status == "FAILED":
        proof = failure_of(row.error_message or "")
        return (OrderState.REJECTED, proof) if proof else (OrderState.WORKING, "")
    state = _STATES.get(row.status, OrderState.WORKING)
    return state, "cancelled" if state is OrderState.CANCELLED else ""


def fills_of(rows: Iterable[wire.TradeRow], rules: Instrument) -> tuple[Fill, ...]:
    """Return the executions that the database kept, oldest first; their sum is the nearest lot of all amounts.

    One that is less than a lot is told with the next ones, at their average price and with all fees, once they make up
    a lot. A fee that was not converted is estimated by the schedule.
    """
    fills: list[Fill] = []
    together: list[wire.TradeRow] = []
    amount = told = ZERO
    for row in sorted(rows, key=lambda one: (one.timestamp or "", one.trade_id)):
        together.append(row)
        amount += row.amount
        quantity = nearest(amount, rules) - told
        if quantity > 0:
            fills.append(_fill(together, quantity, rules))
            told += quantity
            together = []
    return tuple(fills)


def _fill(rows: Sequence[wire.TradeRow], quantity: Decimal, rules: Instrument) -> Fill:
    """Return the fill of rows that make up `quantity` together, by the newest's id."""
    price = rows[-1].price
    if any(row.price != price for row in rows):
        price = sum((row.amount * row.price for row in rows), ZERO) / sum((row.amount for row in rows), ZERO)
    fees: dict[str, Decimal] = {}
    estimated = False
    for row in rows:
        told = row.fee_paid is not None and row.fee_paid > 0 and bool(row.fee_currency)
        amount = quantity if len(rows) == 1 else row.amount
        fee = row.fee_paid if told and row.fee_paid is not None else amount * row.price * rules.fees.taker
        asset = row.fee_currency if told and row.fee_currency else rules.quote
        fees[asset] = fees.get(asset, ZERO) + fee
        estimated = estimated or (not told and bool(fee))
    paid = tuple((asset, fee) for asset, fee in fees.items() if fee)
    return Fill(rows[-1].trade_id, quantity, price, Quality.CONFIRMED, fees=paid, fees_estimated=estimated)


def nearest(amount: Decimal, rules: Instrument) -> Decimal:
    """Return a float's amount on the lot that it means."""
    return snap(amount, rules.lot, Rounding.NEAREST)


def assets(pair: str) -> tuple[str, str]:
    """Return base and quote of a pair."""
    base, _, quote = pair.partition("-")
    return base, quote


def filled(row: wire.OrderRow) -> Decimal:
    """Return how much of an order has traded.

    FILLED means whole, whatever the amount says: the database loses fills that follow the acknowledgement closely.
    """
    return max(row.filled_amount, row.amount) if row.status == "FILLED" else row.filled_amount


def report(row: wire.OrderRow, rules: Instrument, fills: tuple[Fill, ...], *, received_at_ns: int) -> OrderReport:
    """Return what is known of an order."""
    state, reason = state_of(row)
    quantity = nearest(row.amount, rules)
    traded = max(nearest(filled(row), rules), sum((fill.quantity for fill in fills), ZERO))
    if state is OrderState.WORKING and traded:
        state = OrderState.PARTIALLY_FILLED
    return OrderReport(
        rules.id,
        row.order_id,
        state,
        traded,
        received_at_ns,
        side=side_of(row),
        quantity=quantity or None,
        price=row.price if row.order_type != "MARKET" else None,
        fills=fills,
        occurred_at_ns=instant_ns(row.updated_at),
        created_at_ns=instant_ns(row.created_at),
        reason=reason,
    )


def side_of(row: wire.OrderRow) -> Side | None:
    """Return the side of a row, None for a refused one, which does not tell."""
    return {"BUY": Side.BUY, "SELL": Side.SELL}.get(row.trade_type)
