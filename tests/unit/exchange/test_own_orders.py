"""A margin account's own orders do not meet, and none of them keeps another from closing a lot."""

from decimal import Decimal

from quantd.domain.lots import LotProtection
from quantd.domain.orders import OrderState, Role
from quantd.exchange import NewOrder
from tests.unit.exchange.scenes import BUY, SECOND, book, exchange, instrument, margin, place, quote, shown, spec

D = Decimal


def test_a_stop_of_a_lot_passes_by_the_account_s_resting_bid() -> None:
    venue = exchange(margin(), instruments=(instrument(margin_rate="0.1"),))
    venue.handle(quote(1, 100.0, 100.0))
    venue.submit("a", NewOrder("e", spec(BUY, "2"), LotProtection(stop=D(90), take=D(120))), SECOND)
    venue.handle(quote(2, 100.0, 100.0))
    bid = place(venue, "a", spec(BUY, "5", "91"), 2 * SECOND)
    venue.handle(book(4, [(89.0, 5.0)], [(90.5, 1.0)]))  # fills a part of the bid, and reaches the stop
    assert shown(venue, "a", bid).filled_quantity == D(1)
    (stop,) = [order for order in venue.orders("a", working=False) if order.role is Role.STOP]
    assert (stop.state, stop.reason) == (OrderState.FILLED, "")
