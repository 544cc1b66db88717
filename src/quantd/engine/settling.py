"""What an execution on a margin account closes, settles and earns, worked out before its fact is written.

A fold has no prices, so that what depends on a rate or on a lot of the moment goes into the fact.
"""

from decimal import Decimal
from typing import NamedTuple

from quantd.domain.fills import Fill
from quantd.domain.instruments import Instrument
from quantd.domain.orders import Side
from quantd.engine.books import Holding
from quantd.engine.context import Context
from quantd.engine.orders import LiveOrder


class Settlement(NamedTuple):
    """How an execution is to be booked; nothing special on a spot account."""

    opened_at: Decimal | None = None
    """Open price of the lot that it closes."""
    settled: tuple[str, Decimal] | None = None
    """(currency, amount) that moves the account where the venue tells none."""
    earned: tuple[str, Decimal] | None = None
    """(currency, amount) for which the venue exchanged what the strategy's book realised."""


def settlement_of(context: Context, order: LiveOrder, fill: Fill) -> Settlement:
    """Return how a fill of an order is to be booked."""
    portfolio, rates = context.state.portfolio, context.state.rates
    rules = portfolio.instruments[order.instrument]
    account = portfolio.account(rules.venue)
    if account.account is None or not account.is_margin:
        return Settlement()
    opened_at = _opened_at(context, order, fill, rules.venue)
    home = account.account.home_currency
    if home == rules.settlement_currency:
        return Settlement(opened_at)
    signed = fill.quantity if order.spec.side is Side.BUY else -fill.quantity
    book = portfolio.book(order.strategy, order.instrument)
    own = closed = _realised(book, signed, fill.price, opened_at)
    if not account.is_hedging:
        closed = _realised(portfolio.nets[order.instrument], signed, fill.price, opened_at)
    elif opened_at is not None:
        closed = _by_lot(rules, signed, fill.price, opened_at)
    ours, theirs = rates.rate(rules.settlement_currency), rates.rate(home)
    rate = ours / theirs if ours and theirs else None
    if fill.settled is not None:
        return Settlement(opened_at, None, _earned(fill.settled, own, closed, rate))
    if rate is None:
        return Settlement(opened_at)  # booked in the currency of settlement, until a snapshot tells what became of it
    settled = (own if account.is_hedging else closed) * rate
    return Settlement(opened_at, (home, settled), (home, own * rate) if own else None)


def _earned(
    told: tuple[str, Decimal], own: Decimal, closed: Decimal, rate: Decimal | None
) -> tuple[str, Decimal] | None:
    """Return what a book's own profit was exchanged for, by the amount that the venue tells for what it closed itself.

    Where the two are the same, its word counts to the cent. Where others' positions stood against the book's they are not,
    and what the venue settled before or settles later goes by our rate now: nobody tells its own.
    """
    if not own:
        return None
    if own == closed and told[1]:
        return told
    return None if rate is None else (told[0], own * rate)


def _realised(holding: Holding, signed: Decimal, price: Decimal, opened_at: Decimal | None) -> Decimal:
    """Return the profit that a trade would realise."""
    trial = Holding(holding.instrument)
    trial.quantity, trial.cost = holding.quantity, holding.cost
    trial.trade(signed, price, opened_at)
    return trial.realised


def _by_lot(rules: Instrument, signed: Decimal, price: Decimal, opened_at: Decimal) -> Decimal:
    return rules.worth(-signed, price) - rules.worth(-signed, opened_at)


def _opened_at(context: Context, order: LiveOrder, fill: Fill, venue: str) -> Decimal | None:
    """Return the open price of the strategy's own lot that a fill closes, where each lot is the work of one order."""
    lots, capabilities = context.state.lots.get(venue), context.capabilities.get(venue)
    if lots is None or capabilities is None or not capabilities.lot_writes:
        return None
    held = lots.get(order.lot or fill.lot)
    if held is None or held.strategy != order.strategy or held.lot.side is order.spec.side:
        return None
    return held.lot.open_price
