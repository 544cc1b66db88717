"""Our own flow as others at the venue could see it: what we showed, withdrew and traded, told from the journal's facts.

Used by `watch`. An amendment is a withdrawal and a showing; a stop, an order that the engine holds and one that never waits
in the book show nothing.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple

from quantd.domain import facts as f
from quantd.domain.fills import Fill, Liquidity
from quantd.domain.instruments import InstrumentId
from quantd.domain.numbers import ZERO
from quantd.domain.orders import OrderKind, OrderSpec, Side, TimeInForce, Trigger

ENDED_KEPT: Final = 2_000
"""Ended orders that are remembered, for fills that are told late."""
_AT_ONCE: Final = frozenset({TimeInForce.IOC, TimeInForce.FOK})


class Order:
    """One of our orders, as far as surveillance needs it."""

    __slots__ = ("asked", "filled", "id", "is_shown", "placed_at_ns", "spec", "strategy")

    def __init__(self, order_id: str, strategy: str, spec: OrderSpec, placed_at_ns: int) -> None:
        self.id = order_id
        self.strategy = strategy
        self.spec = spec
        self.placed_at_ns = placed_at_ns
        self.filled = ZERO
        self.is_shown = False
        self.asked = not strategy
        """Whether we asked for its end or change; of a foreign order somebody with our account did."""

    @property
    def remaining(self) -> Decimal:
        """What is not filled."""
        return self.spec.quantity - self.filled

    @property
    def rests(self) -> bool:
        """Whether it waits in the book for all to see."""
        return self.spec.kind is OrderKind.LIMIT and self.spec.time_in_force not in _AT_ONCE

    @property
    def takes(self) -> bool:
        """Whether it was made to trade at once."""
        return self.spec.kind is OrderKind.MARKET or self.spec.time_in_force in _AT_ONCE


class Shown(NamedTuple):
    """Quantity came into the book."""

    order: Order
    quantity: Decimal
    at_ns: int


class Withdrawn(NamedTuple):
    """We took quantity out of the book."""

    order: Order
    quantity: Decimal
    price: Decimal
    at_ns: int


class Traded(NamedTuple):
    """An order of ours was filled."""

    order: Order
    fill: Fill
    at_ns: int

    @property
    def is_aggressive(self) -> bool:
        """Whether we took what others had shown."""
        liquidity = self.fill.liquidity
        return self.order.takes if liquidity is Liquidity.UNKNOWN else liquidity is Liquidity.TAKER


class Gone(NamedTuple):
    """What an order still showed has ended, by us or by the venue."""

    order: Order
    at_ns: int


Move = Shown | Withdrawn | Traded | Gone


class Flow:
    """Follows every order from its intent to its end."""

    def __init__(self) -> None:
        self._orders: dict[str, Order] = {}
        self._ended: OrderedDict[str, Order] = OrderedDict()

    def resume(self, order_id: str, strategy: str, spec: OrderSpec, *, filled: Decimal, since_ns: int) -> Order:
        """Take in an order that worked before this run."""
        order = self._orders[order_id] = Order(order_id, strategy, spec, since_ns)
        order.filled = filled
        order.is_shown = order.rests
        return order

    def moves(self, fact: f.Fact) -> Iterator[Move]:
        """Yield what a fact means for others at the venue."""
        handler = _HANDLERS.get(type(fact))
        if handler is not None:
            yield from handler(self, fact)

    def _intended(self, fact: f.OrderIntended) -> Iterator[Move]:
        order = self._orders[fact.client_order_id] = Order(fact.client_order_id, fact.strategy, fact.spec, fact.at_ns)
        if not fact.held:
            yield from self._shown(order, fact.at_ns)

    def _released(self, fact: f.OrderReleased) -> Iterator[Move]:
        order = self._orders.get(fact.client_order_id)
        if order is not None:
            order.spec, order.placed_at_ns = fact.spec, fact.at_ns
            yield from self._shown(order, fact.at_ns)

    def _foreign(self, fact: f.ExternalOrderSeen) -> Iterator[Move]:
        order = self._orders[fact.client_order_id] = Order(fact.client_order_id, fact.strategy, fact.spec, fact.at_ns)
        order.asked, order.filled = True, fact.filled_quantity
        yield from self._shown(order, fact.at_ns)

    def _shown(self, order: Order, at_ns: int) -> Iterator[Move]:
        if order.rests and order.remaining > 0:
            order.is_shown = True
            yield Shown(order, order.remaining, at_ns)

    def _asked(self, fact: f.CancelIntended | f.AmendIntended) -> Iterator[Move]:
        order = self._orders.get(fact.client_order_id)
        if order is not None:
            order.asked = True
        return iter(())

    def _amended(self, fact: f.OrderAmended) -> Iterator[Move]:
        order = self._orders.get(fact.client_order_id)
        if order is None:
            return
        before, left = order.spec, order.remaining
        price = fact.price if fact.price is not None else before.price
        order.spec = OrderSpec(
            before.instrument, before.side, fact.quantity, before.kind, price, time_in_force=before.time_in_force
        )
        if not order.is_shown or before.price is None:
            return
        if price != before.price:
            order.placed_at_ns = fact.at_ns
            yield Withdrawn(order, left, before.price, fact.at_ns)
            yield Shown(order, order.remaining, fact.at_ns)
        elif order.remaining < left:
            yield Withdrawn(order, left - order.remaining, before.price, fact.at_ns)
        elif order.remaining > left:
            yield Shown(order, order.remaining - left, fact.at_ns)

    def _moved(self, fact: f.OrderMoved) -> Iterator[Move]:
        if fact.trigger is Trigger.REOPEN:
            order = self._ended.pop(fact.client_order_id, None)
            if order is not None:
                self._orders[order.id] = order
                yield from self._shown(order, fact.at_ns)
            return
        order = self._orders.get(fact.client_order_id)
        if order is None:
            return
        # An order whose end was chosen with it was withdrawn as much as one that was cancelled.
        chosen = fact.trigger is Trigger.EXPIRE and order.spec.time_in_force is TimeInForce.GTD
        if (
            order.is_shown
            and order.spec.price is not None
            and (chosen or (fact.trigger is Trigger.CANCEL and order.asked))
        ):
            yield Withdrawn(order, order.remaining, order.spec.price, fact.at_ns)
        self._end(order)
        yield Gone(order, fact.at_ns)

    def _filled(self, fact: f.FillRecorded) -> Iterator[Move]:
        order = self._orders.get(fact.client_order_id) or self._ended.get(fact.client_order_id)
        if order is None:  # older than what is remembered: what it was is not known, that it traded is
            order = Order(fact.client_order_id, fact.strategy, _unknown(fact), fact.at_ns)
        order.filled = fact.cumulative
        yield Traded(order, fact.fill, fact.at_ns)
        if order.remaining <= 0:
            self._end(order)

    def _end(self, order: Order) -> None:
        if self._orders.pop(order.id, None) is not None:
            order.is_shown = False
            self._ended[order.id] = order
            if len(self._ended) > ENDED_KEPT:
                self._ended.popitem(last=False)


def market_of(instrument: InstrumentId, marketplaces: Mapping[str, str]) -> str:
    """Return ``marketplace:SYMBOL``: two accounts at one marketplace meet in the same book."""
    venue, _, symbol = instrument.partition(":")
    return f"{marketplaces.get(venue, venue)}:{symbol}"


def worse(price: Decimal, side: Side, bps: float) -> Decimal:
    """Return the price that lies `bps` further from the market than `price`, for an order of `side`."""
    away = Decimal(str(bps)) / 10_000
    return price * (1 - away if side is Side.BUY else 1 + away)


def _unknown(fact: f.FillRecorded) -> OrderSpec:
    return OrderSpec(fact.instrument, fact.side, fact.cumulative, OrderKind.LIMIT, fact.fill.price)


_HANDLERS: Final[Mapping[type, Callable[[Flow, Any], Iterator[Move]]]] = {
    f.OrderIntended: Flow._intended,
    f.OrderReleased: Flow._released,
    f.ExternalOrderSeen: Flow._foreign,
    f.CancelIntended: Flow._asked,
    f.AmendIntended: Flow._asked,
    f.OrderAmended: Flow._amended,
    f.OrderMoved: Flow._moved,
    f.FillRecorded: Flow._filled,
}
