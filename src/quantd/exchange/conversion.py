"""Conversion of currencies through the mids of the listed instruments.

Margin accounts use it to count profit, margin and fees in their home currency. A rate that is not known is None.
"""

from collections import deque
from collections.abc import Mapping
from decimal import Decimal

from quantd.domain.instruments import InstrumentId
from quantd.domain.numbers import ONE
from quantd.exchange.market import MarketState

Route = tuple[tuple[MarketState, bool], ...]
"""(market, whether its price divides) from one currency to another."""


class Conversion:
    """Finds the shortest chain of markets between two currencies, once for each pair."""

    def __init__(self, markets: Mapping[InstrumentId, MarketState]) -> None:
        self._markets = markets
        self._routes: dict[tuple[str, str], Route | None] = {}

    def reset(self) -> None:
        """Forget the routes; an instrument was listed."""
        self._routes.clear()

    def rate(self, source: str, target: str) -> Decimal | None:
        """Return how much of `target` one unit of `source` is worth at mid, None when it is not known."""
        if source == target:
            return ONE
        pair = (source, target)
        if pair not in self._routes:
            self._routes[pair] = self._search(source, target)
        route = self._routes[pair]
        if route is None:
            return None
        value = ONE
        for market, divides in route:
            mid = market.mid()
            if mid is None or mid <= 0:
                return None
            value = value / mid if divides else value * mid
        return value

    def _search(self, source: str, target: str) -> Route | None:
        frontier: deque[tuple[str, Route]] = deque([(source, ())])
        seen = {source}
        while frontier:
            here, route = frontier.popleft()
            for market in self._markets.values():
                instrument = market.instrument
                if instrument.inverse:
                    continue
                for start, end, divides in (
                    (instrument.base, instrument.quote, False),
                    (instrument.quote, instrument.base, True),
                ):
                    if start != here or end in seen:
                        continue
                    extended = (*route, (market, divides))
                    if end == target:
                        return extended
                    seen.add(end)
                    frontier.append((end, extended))
        return None
