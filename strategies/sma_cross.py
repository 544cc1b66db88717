"""The moving-average cross: in the market while the short-term trend is above the long-term one."""

from decimal import Decimal

from quantd import SMA, Bar, Market, Strategy, crossed_above, crossed_below, param


class SmaCross(Strategy):
    """Buys when the fast average rises through the slow one, and gets out when it falls back."""

    fast: int = param(10, ge=1, doc="bars")
    slow: int = param(30, ge=2, doc="bars")
    quantity: Decimal = param(Decimal("0.01"), gt=0)
    needs = {Market}

    def setup(self) -> None:
        bars = self.bars()
        self.fast_ma, self.slow_ma = bars.track(SMA(self.fast)), bars.track(SMA(self.slow))

    def on_bar(self, bar: Bar) -> None:
        if crossed_above(self.fast_ma, self.slow_ma):
            self.target(bar.instrument, self.quantity, why="cross up")
        elif crossed_below(self.fast_ma, self.slow_ma):
            self.target(bar.instrument, 0, why="cross down")
