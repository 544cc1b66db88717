"""Wilder's indicators: RSI and ATR.

Used by strategies through `Series.track`. Both smooth with Wilder's mean (weight 1 / length), started from the
plain mean of the first `length` changes. Never keeps prices, only two means.
"""

from quantd.indicators.base import Candle, Indicator, PriceIndicator, not_finite, warm_up, whole


class RSI(PriceIndicator):
    """Relative strength index, 0 to 100: the share of gains in all moves, both smoothed.

    A market that never moved has no strength either way and reads 50; only gains read 100, only losses 0.
    """

    __slots__ = ("_gain", "_last", "_loss", "_seen", "length")

    length: int
    """Number of changes smoothed."""

    def __init__(self, length: int = 14, *, source: str = "close", warmup: int | None = None) -> None:
        """Start empty; ready after `length` + 1 prices (`length` changes), or after `warmup` where given.

        Raises:
            ValueError: when `length` is smaller than 1, `warmup` smaller than `length` + 1 or `source` unknown.
        """
        self.length = whole("length", length)
        super().__init__(warm_up(length + 1, warmup), source=source)
        self._last = 0.0
        self._gain = 0.0
        self._loss = 0.0
        self._seen = 0

    def update(self, value: float) -> None:
        """Take in one price; see `PriceIndicator.update`."""
        if value - value:  # NaN for NaN and the infinities, else 0.0
            raise not_finite(self, value)
        seen = self._seen = self._seen + 1
        change = value - self._last
        self._last = value
        if seen == 1:
            return
        # While the first means build up, the divisor is the number of changes so far: a plain mean.
        share = 1.0 / (seen - 1) if seen <= self.length else 1.0 / self.length
        if change > 0.0:
            self._gain += share * (change - self._gain)
            self._loss -= share * self._loss
        else:
            self._gain -= share * self._gain
            self._loss -= share * (change + self._loss)
        if seen >= self.period:
            moves = self._gain + self._loss
            self.publish(100.0 * self._gain / moves if moves > 0.0 else 50.0)


class ATR(Indicator):
    """Average true range, in the price's unit: how far a bar reaches, gaps from the last close included."""

    __slots__ = ("_last_close", "_mean", "_seen", "length")

    length: int
    """Number of true ranges smoothed."""

    def __init__(self, length: int = 14, *, warmup: int | None = None) -> None:
        """Start empty; ready after `length` + 1 bars, since the first only gives the close, or after `warmup`.

        Raises:
            ValueError: when `length` is smaller than 1 or `warmup` smaller than `length` + 1.
        """
        self.length = whole("length", length)
        super().__init__(warm_up(length + 1, warmup))
        self._last_close = 0.0
        self._mean = 0.0
        self._seen = 0

    def on_bar(self, bar: Candle) -> None:
        """Take in one complete bar."""
        self.update(bar.high, bar.low, bar.close)

    def update(self, high: float, low: float, close: float) -> None:
        """Take in one bar's high, low and close.

        Raises:
            ValueError: when one of them is NaN or infinite.
        """
        total = high + low + close
        if total - total:
            raise not_finite(self, total)
        seen = self._seen = self._seen + 1
        last = self._last_close
        self._last_close = close
        if seen == 1:
            return
        if last > high:
            high = last
        elif last < low:
            low = last
        share = 1.0 / (seen - 1) if seen <= self.length else 1.0 / self.length
        self._mean += share * (high - low - self._mean)
        if seen >= self.period:
            self.publish(self._mean)
