"""The orders that guard lots: stop, target and trailing stop, kept in step with the lot's quantity.

Used by margin accounts (when lots open and shrink) and by the exchange (when exits are set). Ids of exits stay the
same while they are only changed.
"""

from collections.abc import Mapping
from decimal import Decimal

from quantd.domain.instruments import InstrumentId
from quantd.domain.lots import LotProtection
from quantd.domain.market import Bar
from quantd.domain.numbers import Rounding
from quantd.domain.orders import OrderKind, OrderSpec, Role, Side
from quantd.exchange.accounts import AccountBook, Deal
from quantd.exchange.execution import Execution
from quantd.exchange.lots import MarginLot
from quantd.exchange.market import MarketState
from quantd.exchange.orders import ExchangeOrder, new_order
from quantd.exchange.requests import NewOrder

_KINDS = {Role.STOP: OrderKind.STOP, Role.TARGET: OrderKind.LIMIT, Role.TRAIL: OrderKind.STOP}


class LotExits:
    """Places, moves and removes lots' exits. One for each margin account."""

    def __init__(self, account: AccountBook, markets: Mapping[InstrumentId, MarketState], execution: Execution) -> None:
        self._account = account
        self._markets = markets
        self._execution = execution

    def opened(self, lot: MarginLot, order: ExchangeOrder, deal: Deal) -> None:
        """Give a lot the exits of the order that opened it, or stretch those that it has."""
        for exit_order in lot.exits.values():
            exit_order.quantity = exit_order.filled + lot.quantity
        if order.protection is None or (lot.exits and order.protection == lot.protection):
            return
        # A bar's close came after the deal: a trailing stop that began there would know the future.
        market = self._markets[InstrumentId(lot.instrument)]
        start = deal.price if isinstance(market.event, Bar) else market.closing_price(lot.is_long)
        self._set(lot, order.protection, start, deal.at_ns)

    def reduced(self, lot: MarginLot, order: ExchangeOrder, at_ns: int) -> None:
        """Shrink a lot's exits, or cancel them with it."""
        market = self._markets[InstrumentId(lot.instrument)]
        for exit_order in list(lot.exits.values()):
            if exit_order is order:
                continue
            if lot.quantity:
                exit_order.quantity = exit_order.filled + lot.quantity
            elif exit_order.is_open:
                self._execution.cancel(exit_order, market, "lot_closed", at_ns)
        if not lot.quantity:
            lot.exits.clear()
            market.refresh()

    def set(self, lot: MarginLot, protection: LotProtection, at_ns: int) -> None:
        """Replace a lot's exits; None in a field removes that exit. A trailing stop whose distance stays trails on."""
        market = self._markets[InstrumentId(lot.instrument)]
        self._set(lot, protection, market.closing_price(lot.is_long), at_ns)

    def _set(self, lot: MarginLot, protection: LotProtection, start: Decimal | None, at_ns: int) -> None:
        """Replace a lot's exits; its trailing stop begins at `start`."""
        market = self._markets[InstrumentId(lot.instrument)]
        lot.protection = protection
        trail = protection.trail
        for role, price in (
            (Role.STOP, protection.stop),
            (Role.TARGET, protection.take),
            (Role.TRAIL, None if trail is None or start is None else _trailed(market, start, trail, lot.is_long)),
        ):
            order = lot.exits.get(role)
            if order is not None and not order.is_open:
                order = None
            if price is None:
                if order is not None:
                    del lot.exits[role]
                    self._execution.cancel(order, market, "client", at_ns)
            elif order is None:
                lot.exits[role] = self._place(market, lot, role, price, at_ns)
            elif role is not Role.TRAIL or order.trail != trail:
                self.move(market, order, price, at_ns)
                order.trail = trail if role is Role.TRAIL else None
        market.refresh()

    def _place(self, market: MarketState, lot: MarginLot, role: Role, price: Decimal, at_ns: int) -> ExchangeOrder:
        limit = price if role is Role.TARGET else None
        spec = OrderSpec(
            InstrumentId(lot.instrument), Side.SELL if lot.is_long else Side.BUY, lot.quantity, _KINDS[role],
            limit, None if limit is not None else price, reduce_only=True,
        )  # fmt: skip
        order = new_order(
            self._account, self._execution.next_order_id(), NewOrder("", spec, lot=lot.id, tag=lot.tag), at_ns
        )
        order.role = role
        order.origin = "protection"
        order.sequence = self._execution.next_sequence()
        self._account.add(order)
        market.stand(order)
        if role is Role.TRAIL:
            order.trail = lot.protection.trail
            market.trailing.append(order)
        self._execution.touch(order)
        return order

    def move(self, market: MarketState, order: ExchangeOrder, price: Decimal, at_ns: int) -> None:
        """Move a standing exit; one that has triggered, or that stands there already, is left alone."""
        if order.triggered or order.place is None or price == (order.price or order.trigger):
            return
        trails = order.trail is not None
        market.remove(order)
        if order.kind is OrderKind.LIMIT:
            order.price = price
        else:
            order.trigger = price
        order.sequence = self._execution.next_sequence()
        order.updated_at_ns = order.arrives_at_ns = at_ns
        market.stand(order)
        if trails:
            market.trailing.append(order)


def _trailed(market: MarketState, price: Decimal, distance: Decimal, is_long: bool) -> Decimal:
    rounding = Rounding.FLOOR if is_long else Rounding.CEILING
    return market.instrument.price(price - distance if is_long else price + distance, rounding)


def move_trailing(market: MarketState, at_ns: int) -> None:
    """Draw the trailing stops after the closing side of the market's present quote or book."""
    for order in list(market.trailing):
        price = market.closing_price(not order.is_buy)
        if price is not None:
            draw_trailing(market, order, price, at_ns)


def draw_trailing(market: MarketState, order: ExchangeOrder, price: Decimal, at_ns: int) -> None:
    """Draw a trailing stop after a price; it never moves back."""
    is_long = not order.is_buy
    assert order.trail is not None
    assert order.trigger is not None
    trigger = _trailed(market, price, order.trail, is_long)
    if trigger > order.trigger if is_long else trigger < order.trigger:
        market.remove(order)
        order.trigger = trigger
        order.updated_at_ns = at_ns
        market.stand(order)
        market.trailing.append(order)
