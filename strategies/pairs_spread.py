"""The pairs spread: two instruments that move together, bought and sold against each other when they part."""

from collections.abc import Sequence
from decimal import Decimal
from math import isfinite, log

from quantd import Bar, Denied, InstrumentId, Market, Strategy, ZScore, param

PATIENCE = 2
"""Bars that one leg may stand alone before both are closed."""


class PairsSpread(Strategy):
    """Trades the z-score of log(a / b) back to its mean.

    Far above the mean it sells `a` and buys `b` for the same money, contract sizes and currencies taken in; far below it
    does the opposite; and near the mean, or beyond it, it closes both. The legs are two targets; a leg that is refused for good, or stands alone for `PATIENCE` bars, closes
    the other one too, for half a pair is a bet that nobody meant. Needs an account that can be short, and instruments by
    role: ``{a: oanda:EUR_USD, b: oanda:GBP_USD}``.
    """

    window: int = param(60, ge=2, doc="bars of the mean and the deviation")
    enter_z: float = param(2.0, gt=0, doc="deviations from the mean at which it enters")
    exit_z: float = param(0.5, ge=0, doc="deviations from the mean at which it closes")
    quantity: Decimal = param(Decimal("0.01"), gt=0, doc="of leg a; leg b has the same worth")
    needs = {Market}

    def setup(self) -> None:
        if self.exit_z >= self.enter_z:
            raise ValueError(f"exit_z is {self.exit_z} and enter_z {self.enter_z}: expected exit_z below enter_z")
        self.a, self.b = self.instruments["a"], self.instruments["b"]
        # The score follows two series, so neither can track it: the warm-up is as long as its window.
        self.bars_a, self.bars_b = self.bars("a", warm_up=self.window), self.bars("b", warm_up=self.window)
        self.aligned(self.bars_a, self.bars_b)
        self.score = ZScore(self.window)
        self.seen_until_ns = 0
        self.alone = 0
        """Bars since only one leg is held."""

    def on_bars(self, bars: Sequence[Bar]) -> None:
        a, b = bars
        self.follow(a, b)
        if not self.score.ready or self.is_lopsided():
            return
        held = self.position(self.a).quantity
        # Signed, so that a score that jumps over the mean closes the pair too.
        dear = self.score.value if held <= 0 else -self.score.value
        if held and dear <= self.exit_z:
            self.close_both("back at the mean")
        elif not held and self.score.value >= self.enter_z:
            self.enter(-self.quantity, "a is dear")
        elif not held and self.score.value <= -self.enter_z:
            self.enter(self.quantity, "a is cheap")

    def on_denied(self, denied: Denied, instrument: InstrumentId) -> None:
        self.log("leg_refused", instrument=instrument, code=denied.code.value)
        self.close_both("other leg refused")

    def follow(self, a: Bar, b: Bar) -> None:
        """Take one pair of bars into the score; after a start or a gap, all that the warm-up brought."""
        if self.seen_until_ns == a.opened_at_ns:
            self.score.update(log(a.close / b.close))
        else:
            self.score = ZScore(self.window)
            closes = {bar.closed_at_ns: bar.close for bar in self.bars_b.history(2 * self.window)}
            for bar in self.bars_a.history(2 * self.window):
                if bar.closed_at_ns in closes:
                    self.score.update(log(bar.close / closes[bar.closed_at_ns]))
        self.seen_until_ns = a.closed_at_ns

    def enter(self, quantity_a: Decimal, why: str) -> None:
        """Set both legs; none while it is not known what they are worth."""
        ratio = self.notional(self.a) / self.notional(self.b)
        if isfinite(ratio):
            self.target(self.a, quantity_a, why=why)
            self.target(self.b, -float(quantity_a) * ratio, why=why)
        else:
            self.log("worth_unknown", a=self.notional(self.a), b=self.notional(self.b))

    def close_both(self, why: str) -> None:
        """Close both legs."""
        self.close(self.a, why=why)
        self.close(self.b, why=why)

    def is_lopsided(self) -> bool:
        """Tell whether one leg stands alone, and close it when it has done so for too long."""
        alone = bool(self.position(self.a)) != bool(self.position(self.b))
        self.alone = self.alone + 1 if alone else 0
        if self.alone > PATIENCE:
            self.close_both("other leg missing")
        return alone
