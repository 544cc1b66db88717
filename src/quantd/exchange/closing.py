"""Closing lots: by the account's wish, and by the exchange when margin runs out.

Used by `Exchange`. It places orders; it matches nothing.
"""

from decimal import Decimal

import msgspec

from quantd.domain.instruments import InstrumentId
from quantd.domain.lots import LotProtection
from quantd.domain.numbers import on_step
from quantd.domain.orders import Effect, OrderKind, OrderSpec, Side
from quantd.exchange.accounts import AccountBook
from quantd.exchange.entry import OrderEntry
from quantd.exchange.lots import MarginLot
from quantd.exchange.margin import MarginAccount
from quantd.exchange.market import MarketState
from quantd.exchange.requests import NewOrder, Placed, Refused


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


def close_out(account: MarginAccount, entry: OrderEntry, now_ns: int) -> None:
    """Place the exchange's own orders that close all lots of an account; no second ones for those under way."""
    under_way = {order.lot for order in account.open.values() if order.origin == "margin_call"}
    for lot in list(account.lots.values()):
        if lot.id not in under_way:
            entry.place_forced(account, closing_order(lot, lot.quantity), now_ns)


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
