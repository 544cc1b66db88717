"""What a margin account holds, as its venue holds it: a net, or lots of which some may stand against others.

Used wherever an account's worth is told; what belongs to a strategy is told by its book. Changes nothing.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from quantd.domain.instruments import InstrumentId
from quantd.domain.numbers import ZERO
from quantd.engine.books import Holding
from quantd.engine.lots import Lots
from quantd.engine.portfolio import Portfolio
from quantd.engine.rates import Pricing, Rates


def positions(portfolio: Portfolio, lots: Mapping[str, Lots], venue: str) -> Iterable[Holding]:
    """Return the open holdings of a venue's account, by instrument or by book.

    Where it hedges, a book may have realised by an order what the venue has not: the order opened a lot against another.
    So the lots count there, as long as they add up to the books; else something of them is not told yet, and the books do.
    """
    nets = [net for net in portfolio.nets.values() if net.instrument.venue == venue]
    if not portfolio.account(venue).is_hedging:
        return [net for net in nets if net.quantity]
    by_lots = _by_lots(portfolio, lots.get(venue))
    held: list[Holding] = []
    for net in nets:
        lot = by_lots.get(net.instrument.id)
        if lot is not None and lot.quantity == net.quantity:
            held.append(lot)
        else:
            held += (book for book in portfolio.books(net.instrument.id) if book.quantity)
    return held


def unrealised(held: Iterable[Holding], rates: Rates, price_of: Pricing) -> Decimal | None:
    """Return the profit of open holdings in the base currency, None when a price or rate is missing."""
    total = ZERO
    for one in held:
        price = price_of(rates.marks[one.instrument.id])
        rate = rates.rate(one.instrument.settlement_currency, price_of)
        if price is None or rate is None:
            return None
        total += one.unrealised(price) * rate
    return total


def _by_lots(portfolio: Portfolio, lots: Lots | None) -> dict[InstrumentId, Holding]:
    """Return what the lots of each instrument are together."""
    sums: dict[InstrumentId, Holding] = {}
    for one in () if lots is None else lots.all():
        lot = one.lot
        rules = portfolio.instruments.get(lot.instrument)
        if rules is None:
            continue
        total = sums.setdefault(rules.id, Holding(rules))
        total.quantity += lot.signed
        total.cost += rules.worth(lot.signed, lot.open_price)
    return sums
