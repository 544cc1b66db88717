"""Closing lots: by the account's wish, and by the exchange when margin runs out.

Used by `Exchange`. It places orders; it matches nothing.
"""

from decimal import Decimal

import msgspec

from quantd.domain.instruments import InstrumentId
from quantd.domain.lots import LotProtection
from quantd.domain.market import Bar
from quantd.domain.numbers import Rounding, on_step
from quantd.domain.orders import Effect, OrderKind, OrderSpec, Side
from quantd.exchange.accounts import AccountBook
from quantd.exchange.entry import OrderEntry
from quantd.exchange.lots import MarginLot
from quantd.exchange.margin import MarginAccount
from quantd.exchange.market import MarketState
from quantd.exchange.orders import ExchangeOrder
from quantd.exchange.requests import NewOrder, Placed, Refused

_BITS = 53
"""Halvings after which two floats have nothing between them."""


class LotClose(msgspec.Struct, frozen=True):
    """The wish to close a lot; `quantity` None closes all of it."""

    lot: str
    quantity: Decimal | None
    client_order_id: str = ""


def closing_order(lot: MarginLot, quantity: Decimal, client_order_id: str = "") -> NewOrder:
    """Return the market order that closes `quantity` of a lot."""
    side = Side.SELL if lot.is_long else Side.BUY
    spec = OrderSpec(
        InstrumentId(lot.instrument), side, quantity, OrderKind.MARKET, reduce_only=True, effect=Effect.CLOSE
    )
    return NewOrder(client_order_id, spec, lot=lot.id, tag=lot.tag)


def close_lot(account: AccountBook | None, entry: OrderEntry, wish: LotClose, now_ns: int) -> Placed | Refused:
    """Place the order that closes a lot, unless an older one must go first."""
    if account is None:
        return Refused("unknown_account")
    lot = account.lots.get(wish.lot) if isinstance(account, MarginAccount) else None
    if lot is None or not isinstance(account, MarginAccount):
        return Refused("no_such_lot", wish.lot)
    if wish.quantity is not None and wish.quantity > lot.quantity:
        return Refused("bad_quantity", f"{wish.quantity} of {lot.quantity}")
    if account.setup.first_in_first_out:
        for other in account.positions[lot.instrument].lots.values():
            if other is lot:
                break
            if other.is_long is lot.is_long and other.quantity == lot.quantity:
                return Refused("fifo_violation", f"{other.id} is older than {lot.id}")
    quantity = lot.quantity if wish.quantity is None else wish.quantity
    return entry.submit(account, closing_order(lot, quantity, wish.client_order_id), now_ns)


def close_out(account: MarginAccount, entry: OrderEntry, now_ns: int) -> list[ExchangeOrder]:
    """Place the exchange's own orders that close all lots of an account; no second ones for those under way."""
    under_way = {order.lot for order in account.open.values() if order.origin == "margin_call"}
    return [
        entry.place_forced(account, closing_order(lot, lot.quantity), now_ns)
        for lot in account.lots.values()
        if lot.id not in under_way
    ]


def called_at(account: MarginAccount, market: MarketState, bar: Bar) -> Decimal | None:
    """Return the price at which a bar first brings an account to its close-out level, None where it does not.

    The bar is taken to go from its open straight to its worse end; other markets stay as they are.
    """
    position = account.positions[market.instrument.id]
    is_long = position.long > position.short
    ok, bad = bar.open, bar.low if is_long else bar.high
    if not _is_called(account, market, bar, bad):
        return None
    if _is_called(account, market, bar, ok):
        return market.exact(ok)
    for _ in range(_BITS):
        middle = (ok + bad) * 0.5
        if _is_called(account, market, bar, middle):
            bad = middle
        else:
            ok = middle
    return market.instrument.price(bad, Rounding.FLOOR if is_long else Rounding.CEILING)


def _is_called(account: MarginAccount, market: MarketState, bar: Bar, price: float) -> bool:
    """Tell whether an account would be at its close-out level if the bar had come to a price and stayed there."""
    market.event = msgspec.structs.replace(bar, open=price, high=price, low=price, close=price)
    called = account.is_called(account.float_sums())
    market.event = bar
    return called


def check_protection(market: MarketState, protection: LotProtection) -> str:
    """Return why exits cannot be set, or nothing."""
    instrument = market.instrument
    for price, code in ((protection.stop, "bad_trigger"), (protection.take, "bad_price")):
        if price is not None and (price <= 0 or not on_step(price, instrument.tick(price))):
            return code
    if protection.trail is not None:
        if protection.trail <= 0:
            return "bad_trigger"
        if market.event is None:
            return "no_price"
    return ""
