"""What an execution on a margin account closes and settles, worked out before its fact is written.

A fold has no prices, so that what depends on a rate or on a lot of the moment goes into the fact.
"""

from decimal import Decimal

from quantd.domain.fills import Fill
from quantd.domain.orders import Side
from quantd.engine.books import Book
from quantd.engine.context import Context
from quantd.engine.orders import LiveOrder

Settlement = tuple[Decimal | None, tuple[str, Decimal] | None]
"""Open price of the lot that a fill closes, and (currency, amount) that moves the account where the venue tells none."""
_PLAIN: Settlement = (None, None)


def settlement_of(context: Context, order: LiveOrder, fill: Fill) -> Settlement:
    """Return how a fill of an order is to be booked; nothing special on a spot account."""
    portfolio = context.state.portfolio
    rules = portfolio.instruments[order.instrument]
    account = portfolio.account(rules.venue)
    if account.account is None or not account.is_margin:
        return _PLAIN
    opened_at = _opened_at(context, order, fill, rules.venue)
    home = account.account.home_currency
    if fill.settled is not None or home == rules.settlement_currency:
        return opened_at, None
    trial = Book(order.strategy, rules)
    book = portfolio.book(order.strategy, order.instrument)
    trial.quantity, trial.cost = book.quantity, book.cost
    trial.trade(fill.quantity if order.spec.side is Side.BUY else -fill.quantity, fill.price, opened_at)
    ours, theirs = context.state.rates.rate(rules.settlement_currency), context.state.rates.rate(home)
    if not ours or not theirs:
        return opened_at, None  # booked in the currency of settlement, until a snapshot tells what became of it
    return opened_at, (home, trial.realised * ours / theirs)


def _opened_at(context: Context, order: LiveOrder, fill: Fill, venue: str) -> Decimal | None:
    """Return the open price of the strategy's own lot that a fill closes, where each lot is the work of one order."""
    lots, capabilities = context.state.lots.get(venue), context.capabilities.get(venue)
    if lots is None or capabilities is None or not capabilities.lot_writes:
        return None
    held = lots.get(order.lot or fill.lot)
    if held is None or held.strategy != order.strategy or held.lot.side is order.spec.side:
        return None
    return held.lot.open_price
