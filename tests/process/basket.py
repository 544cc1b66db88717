"""A strategy on as many instruments as it is given, for the soak; copied into a strategies folder."""

from decimal import Decimal
from typing import ClassVar

from quantd import Bar, Limit, Market, Quote, Strategy, param


class Basket(Strategy):
    """In each instrument well above its average, out well below; it enters at the market and leaves by a waiting order."""

    weight: float = param(0.05, gt=0, lt=1, doc="of a new price in the average")
    band_bps: float = param(4.0, gt=0, doc="distance from the average at which it acts")
    quantity: Decimal = param(Decimal("0.02"), gt=0)
    needs: ClassVar = {Market, Limit}

    def setup(self) -> None:
        self.averages: dict[str, float] = {}
        self.closes: dict[str, float] = {}
        for one in self.instruments:
            self.quotes(one)
            self.bars(one)

    def on_bar(self, bar: Bar) -> None:
        self.closes[bar.instrument] = bar.close

    def on_quote(self, quote: Quote) -> None:
        average = self.averages.setdefault(quote.instrument, quote.mid)
        self.averages[quote.instrument] = average = average + self.weight * (quote.mid - average)
        away_bps = (quote.mid / average - 1) * 10_000
        if away_bps > self.band_bps:
            self.target(quote.instrument, self.quantity)
        elif away_bps < -self.band_bps:
            self.target(quote.instrument, 0, Limit(quote.mid))
