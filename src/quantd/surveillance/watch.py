"""Puts the journal's facts before every detector and collects what they find.

Used live beside the engine, over a journal by `quantd surveil`, and over backtests by tests. Costs nothing on the way of an
order: it is handed facts that are on disk already.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from quantd.domain.facts import Fact
from quantd.domain.orders import OrderSpec
from quantd.surveillance.findings import Finding, Sighting, Tally, Thresholds
from quantd.surveillance.flow import Flow, Gone, Move, Shown, Traded, Withdrawn, market_of
from quantd.surveillance.shows import Shows
from quantd.surveillance.trades import Momentum, Wash


class _Market:
    """The detectors of one market."""

    def __init__(self, name: str, thresholds: Thresholds) -> None:
        self.shows = Shows(thresholds)
        self.wash = Wash(thresholds)
        self.momentum = Momentum(thresholds)
        self.tally = Tally(name, thresholds)


class Surveillance:
    """Looks at our flow in every market.

    Args:
        thresholds: How much of a pattern counts.
        marketplaces: Key of a venue -> marketplace, so that accounts at one marketplace count together.
    """

    def __init__(self, thresholds: Thresholds, marketplaces: Mapping[str, str]) -> None:
        self._thresholds = thresholds
        self._marketplaces = marketplaces
        self._flow = Flow()
        self._markets: dict[str, _Market] = {}

    def resume(self, order_id: str, strategy: str, spec: OrderSpec, *, filled: Decimal, since_ns: int) -> None:
        """Take in an order that worked before the facts begin."""
        order = self._flow.resume(order_id, strategy, spec, filled=filled, since_ns=since_ns)
        if order.is_shown:
            self._market(order.spec).shows.shown(Shown(order, order.remaining, since_ns))

    def facts(self, facts: Iterable[Fact]) -> list[Finding]:
        """Take in facts, oldest first; return what they make a person look at."""
        found: list[Finding] = []
        for fact in facts:
            for move in self._flow.moves(fact):
                market = self._market(move.order.spec)
                seen = [*market.shows.over(move.at_ns), *_moved(market, move)]
                found += [told for one in seen if (told := market.tally.add(one)) is not None]
        return found

    def over(self, now_ns: int) -> list[Finding]:
        """Close what waited for its time to pass: call it now and then, and at the end of a journal."""
        return [
            told
            for market in self._markets.values()
            for one in market.shows.over(now_ns)
            if (told := market.tally.add(one)) is not None
        ]

    def _market(self, spec: OrderSpec) -> _Market:
        name = market_of(spec.instrument, self._marketplaces)
        market = self._markets.get(name)
        if market is None:
            market = self._markets[name] = _Market(name, self._thresholds)
        return market


def _moved(market: _Market, move: Move) -> list[Sighting]:
    match move:
        case Shown():
            market.shows.shown(move)
        case Withdrawn():
            market.shows.withdrawn(move)
        case Gone():
            market.shows.gone(move)
        case Traded():
            market.shows.traded(move)
            return [seen for one in (market.wash, market.momentum) if (seen := one.traded(move)) is not None]
    return []
