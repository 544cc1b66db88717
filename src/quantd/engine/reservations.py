"""What an order takes from its account at worst: used by the state to reserve it and by the gate to ask for room.

Pure: terms in, (asset, amount) out.
"""

from collections.abc import Mapping
from decimal import Decimal

from quantd.domain.instruments import Instrument, InstrumentId
from quantd.domain.numbers import ZERO
from quantd.domain.orders import Side
from quantd.engine.orders import LiveOrder, OrderBlotter
from quantd.engine.portfolio import AccountBalances

NO_RESERVATION = ("", ZERO)


def reservation_of(order: LiveOrder, rules: Instrument, account: AccountBalances) -> tuple[str, Decimal]:
    """Return the asset and amount that an order may still need at worst."""
    remaining = order.remaining
    if not remaining:
        return NO_RESERVATION
    price = worst_price(order, rules)
    return cost_of(rules, account, order.spec.side, remaining, price, exit=order.exit)


def worst_price(order: LiveOrder, rules: Instrument) -> Decimal:
    """Return the price that an open order counts at: of its own, that of an amendment and the gate's the dearer one.

    An inverse contract is worth more the lower its price is. Zero where nothing names a price.
    """
    dearer = min if rules.inverse else max
    spec, operation = order.spec, order.operation
    price = spec.price or spec.trigger or order.reference or ZERO
    if operation is not None and operation.price is not None:
        price = dearer(price, operation.price)
    if order.reference is not None and spec.price is None:
        price = dearer(price, order.reference)
    return price


def cost_of(  # noqa: PLR0913 -- an order's terms
    rules: Instrument, account: AccountBalances, side: Side, quantity: Decimal, price: Decimal, *, exit: bool
) -> tuple[str, Decimal]:
    """Return the asset and amount that trading `quantity` at `price` takes from an account, fees and commission included."""
    if account.is_margin and exit:
        return rules.settlement_currency, ZERO
    if side is Side.SELL and not account.is_margin:
        return rules.base, quantity * rules.units_per_quantity
    notional, fees = rules.notional(quantity, price), rules.fees
    commission = _commission(rules, quantity, price) if fees.per_unit else ZERO
    if account.is_margin:
        margin = notional * (rules.margin_rate or ZERO)
        return rules.settlement_currency, margin + notional * fees.taker + commission
    # A fee that is taken from what the trade brings in needs no room of its own: the venue locks the notional.
    fee = ZERO if fees.asset in ("received", "base") else notional * fees.taker
    return rules.quote, notional + fee + commission


def _commission(rules: Instrument, quantity: Decimal, price: Decimal) -> Decimal:
    """Return the commission in the money of the notional.

    What a reservation is must follow from the journal, where no rates stand: of other currencies than the instrument's own
    two it counts as none. It is a small part of the margin, and fills tell it.
    """
    amount, asset = quantity * rules.fees.per_unit, rules.commission_currency
    if asset == (rules.base if rules.inverse else rules.quote) or asset == rules.settlement_currency:
        return amount
    return amount * price if asset == rules.base else ZERO


def locked_by_us(
    orders: OrderBlotter, last_event_ns: Mapping[InstrumentId, int], venue: str, asked_at_ns: int
) -> dict[str, Decimal]:
    """By asset, what of our reservations a venue certainly counted as locked when it was asked."""
    inside: dict[str, Decimal] = {}
    for order in orders.open_orders():
        quiet = last_event_ns.get(order.instrument, 0) < asked_at_ns
        if quiet and order.is_acknowledged and order.instrument.partition(":")[0] == venue:
            asset, amount = order.reservation
            inside[asset] = inside.get(asset, ZERO) + amount
    return inside
