"""RSI mean reversion: buys what fell too fast and sells it when its strength is back."""

from decimal import Decimal

from quantd import RSI, Bar, Market, Strategy, param


class RsiReversion(Strategy):
    """Holds `quantity` from the bar whose RSI is below `low` until the bar whose RSI is above `high`.

    It looks at levels and not at crossings: a purchase that was denied for a passing reason is tried again at the next
    bar that is still oversold. Long only, so that it works on spot accounts.
    """

    period: int = param(14, ge=2, doc="changes that the RSI smooths")
    low: float = param(30.0, gt=0, lt=100, doc="RSI below which it buys")
    high: float = param(55.0, gt=0, lt=100, doc="RSI above which it gets out")
    quantity: Decimal = param(Decimal("0.01"), gt=0)
    needs = {Market}

    def setup(self) -> None:
        if self.low >= self.high:
            raise ValueError(f"low is {self.low} and high {self.high}: expected low below high")
        self.rsi = self.bars().track(RSI(self.period))

    def on_bar(self, bar: Bar) -> None:
        if self.rsi.value < self.low:
            self.target(bar.instrument, self.quantity, why="oversold")
        elif self.rsi.value > self.high:
            self.target(bar.instrument, 0, why="recovered")
