"""What trailing orders and icebergs need beside the exchange, which has neither on spot accounts.

A trailing order is a stop whose trigger is drawn after the market. An iceberg stands in the exchange whole and is shown
in steps; it keeps its place in time when a step is through, which is kinder than a venue would be. Used by the desk.
"""

from collections.abc import Iterator
from decimal import Decimal

from quantd.domain.market import Book, Quote
from quantd.domain.numbers import Rounding
from quantd.exchange import Exchange, OrderChange
from quantd.simulators.ripio.order import VenueOrder
from quantd.simulators.ripio.pairs import Pair


class Conditional:
    """The open trailing orders and icebergs."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._trailing: dict[str, VenueOrder] = {}
        self._icebergs: dict[str, VenueOrder] = {}

    def add(self, order: VenueOrder) -> None:
        """Take in an order, if it is of these types."""
        if order.terms.type == "trailing":
            self._trailing[order.id] = order
        elif order.terms.type == "iceberg":
            self._icebergs[order.id] = order

    def drop(self, order: VenueOrder) -> None:
        """Forget an order that has ended."""
        self._trailing.pop(order.id, None)
        self._icebergs.pop(order.id, None)

    def draw(self, event: Quote | Book, now_ns: int) -> None:
        """Draw the triggers of a pair after a market event that is about to be matched; never away from the market."""
        for order in self._trailing.values():
            terms = order.terms
            best = _followed(event, terms.is_buy)
            if terms.pair.instrument.id != event.instrument or best is None:
                continue
            view = self._exchange.order(order.account, order.exchange_id)
            assert view is not None
            assert view.spec.trigger is not None
            assert terms.distance is not None
            trigger = drawn(terms.pair.instrument.price(best, Rounding.NEAREST), terms.distance, terms.is_buy)
            nearer = trigger < view.spec.trigger if terms.is_buy else trigger > view.spec.trigger
            if nearer and not view.triggered:
                self._exchange.amend(order.account, order.exchange_id, OrderChange(trigger=trigger), now_ns)

    def hidden(self, pair: Pair) -> Iterator[tuple[Decimal, Decimal]]:
        """Yield (price, amount that nobody sees) of a pair's icebergs."""
        for order in self._icebergs.values():
            step = order.terms.step_amount
            if order.terms.pair is pair and step is not None and order.price is not None:
                left = order.amount - order.filled
                yield order.price, left - min(left, step - order.filled % step)


def drawn(price: Decimal, distance: Decimal, is_buy: bool) -> Decimal:
    """Return the trigger of a trailing order: a buy's above the price, a sell's below."""
    return price + distance if is_buy else price - distance


def _followed(event: Quote | Book, is_buy: bool) -> float | None:
    """Return the price that a trailing order follows: a buy the ask, a sell the bid."""
    if isinstance(event, Quote):
        return event.ask if is_buy else event.bid
    side = event.asks if is_buy else event.bids
    return side[0][0] if side else None
