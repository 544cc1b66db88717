"""Keeps the last good prices of what is held in the journal, so that loss limits and margin distance see after a restart.

At once for what is newly held, then once a minute while any of them moves: the newest market data comes from the venue,
this is for a market that shows none.
"""

from collections.abc import Iterable

from quantd.domain.instruments import InstrumentId
from quantd.domain.limit_facts import MarksRecorded
from quantd.engine.context import Context

EVERY_S = 60.0


class LastPrices:
    """Records them."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._looked_at_ns = 0

    def time_passed(self) -> None:
        """Record what has changed, if it is time."""
        context, rates = self._context, self._context.state.rates
        wanted = dict.fromkeys(self._wanted())
        is_due = context.now_ns - self._looked_at_ns >= EVERY_S * 1e9
        if not is_due and wanted.keys() <= rates.recorded.keys():
            return
        if is_due:
            self._looked_at_ns = context.now_ns
        found = {one: rates.last_good(rates.marks[one]) for one in wanted}
        prices = {one: price for one, price in found.items() if price is not None}
        if prices.keys() - rates.recorded.keys() or (is_due and prices != rates.recorded):
            context.record(MarksRecorded(prices, context.now_ns))

    def _wanted(self) -> Iterable[InstrumentId]:
        """Yield what is held, and what leads from its currencies and the accounts' to the base currency."""
        state = self._context.state
        currencies: dict[str, None] = {}
        for book in state.portfolio.books():
            if book.quantity:
                yield book.instrument.id
            if book.has_result:
                currencies |= dict.fromkeys((book.instrument.settlement_currency, *book.costs))
        for account in state.portfolio.accounts.values():
            if account.is_margin:
                currencies |= {asset: None for asset, amount in account.totals.items() if amount}
        for currency in currencies:
            yield from state.rates.on_the_way(currency)
