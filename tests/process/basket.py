"""A strategy on as many instruments as it is given, for the soak; copied into a strategies folder."""

from decimal import Decimal
from typing import ClassVar

from quantd import SMA, Bar, Limit, Market, Strategy, param


class Basket(Strategy):
    """In each instrument above its average, out below; it enters at the market and leaves by an order that waits."""

    window: int = param(4, ge=2, doc="bars of the average")
    quantity: Decimal = param(Decimal("0.02"), gt=0)
    needs: ClassVar = {Market, Limit}

    def setup(self) -> None:
        self.averages = {one: self.bars(one).track(SMA(self.window)) for one in self.instruments}

    def on_bar(self, bar: Bar) -> None:
        average = self.averages[bar.instrument]
        if not average.ready:
            return
        if bar.close > average.value:
            self.target(bar.instrument, self.quantity)
        else:
            self.target(bar.instrument, 0, Limit(bar.close))
