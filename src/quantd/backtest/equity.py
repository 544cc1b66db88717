"""The equity curve, at a constant cost for each event.

What is in a currency that no instrument brings to the base currency is left out of it: the result names such currencies.

Between two facts the account's worth is a constant plus a weight times each price, so only facts make it count anew.
Where it is none, for it takes a rate times a price or an inverse one, each event does.
Floats throughout: it is read, never traded on.
"""

from array import array
from collections.abc import Mapping

from quantd.domain.instruments import InstrumentId
from quantd.engine.books import Holding
from quantd.engine.portfolio import AccountBalances
from quantd.engine.positions import positions
from quantd.engine.rates import Mark
from quantd.engine.state import State


class EquityCurve:
    """Worth of all accounts in the base currency over time.

    Args:
        state: The engine's state, read only.
    """

    def __init__(self, state: State) -> None:
        self.times = array("q")
        """Nanoseconds UTC."""
        self.values = array("d")
        self.constant = 0.0
        self.terms: list[tuple[Mark, float]] = []
        """Worth = `constant` + sum of weight * last price."""
        self.is_steady = False
        """Whether the terms hold until the next fact: all have prices, and each is worth a price in the base currency."""
        self._state = state

    def refresh(self) -> bool:
        """Count the terms anew; to be called after facts, and after each event while `is_steady` is false.

        Returns whether every term has a price; nothing is sampled before.
        """
        constant, weights = 0.0, _Weights()
        known = self.is_steady = True
        for venue, account in self._state.portfolio.accounts.items():
            cash = self._assets(account, weights)
            held = self._positions(venue, weights) if account.is_margin else 0.0
            if cash is None or held is None:
                known = False
                break
            constant += cash + held
        marks = self._state.rates.marks
        self.constant = constant
        self.terms = [(marks[instrument], weight) for instrument, weight in weights.items() if weight]
        known = known and all(mark.last > 0.0 for mark, _ in self.terms)
        self.is_steady = self.is_steady and known
        return known

    def _assets(self, account: AccountBalances, weights: "_Weights") -> float | None:
        """Add an account's assets; None while a rate has no price yet."""
        total = 0.0
        rates = self._state.rates
        for asset, amount in account.totals.items():
            if not amount or not rates.can_convert(asset):
                continue
            if asset == rates.base_currency:
                total += float(amount)
                continue
            single = self._single(asset)
            if single is not None:
                weights.add(single, float(amount))
                continue
            self.is_steady = False  # worth by way of several prices, or of an inverse one
            rate = rates.rate_float(asset)
            if rate is None:
                return None
            total += float(amount) * rate
        return total

    def _single(self, asset: str) -> InstrumentId | None:
        """Return the instrument that prices an asset directly in the base currency."""
        rates = self._state.rates
        for instrument, mark in rates.marks.items():
            rules = mark.instrument
            if rules.base == asset and rules.quote == rates.base_currency and not rules.inverse:
                return instrument
        return None

    def _positions(self, venue: str, weights: "_Weights") -> float | None:
        """Add what a margin account's positions are worth; None while a rate has no price yet."""
        total = 0.0
        for held in positions(self._state.portfolio, self._state.lots, venue):
            if not self._state.rates.can_convert(held.instrument.settlement_currency):
                continue
            worth = self._open_position(held, weights)
            if worth is None:
                return None
            total += worth
        return total

    def _open_position(self, held: Holding, weights: "_Weights") -> float | None:
        rules, rates = held.instrument, self._state.rates
        rate = rates.rate_float(rules.settlement_currency)
        mark = rates.marks[rules.id]
        if rate is None or not mark.last > 0:
            return None
        if rules.inverse or rules.settlement_currency != rates.base_currency:
            self.is_steady = False
        if rules.inverse:
            return (-float(held.quantity * rules.units_per_quantity) / mark.last - float(held.cost)) * rate
        weights.add(rules.id, float(held.quantity * rules.units_per_quantity) * rate)
        return -float(held.cost) * rate

    def now(self) -> float:
        """Return the worth at the present prices."""
        return self.constant + sum(weight * mark.last for mark, weight in self.terms)


class _Weights(dict[InstrumentId, float]):
    def add(self, instrument: InstrumentId, weight: float) -> None:
        self[instrument] = self.get(instrument, 0.0) + weight


def by_strategy(state: State) -> Mapping[str, float]:
    """Return each strategy's profit so far in the base currency, open positions at the present prices."""
    profits: dict[str, float] = {}
    for book in state.portfolio.books():
        rate = state.rates.rate_float(book.instrument.settlement_currency)
        last = state.rates.marks[book.instrument.id].last
        if rate is None:
            continue
        profit = book.profit_float(last) if last > 0 else float(book.realised)
        costs = sum(float(amount) * (state.rates.rate_float(asset) or 0.0) for asset, amount in book.costs.items())
        profits[book.strategy] = profits.get(book.strategy, 0.0) + profit * rate - costs
    return profits
