"""Price channels: Donchian.

Used by strategies through `Series.track`. Never keeps more than one window of highs and lows.
"""

from collections import deque
from math import nan

from quantd.indicators.base import Candle, Indicator, not_finite, whole


class Donchian(Indicator):
    """Donchian channel: the highest high and the lowest low of the last `length` bars, the newest included.

    A breakout is a close beyond the channel as it stood *before* the bar: compare with `previous_upper` and
    `previous_lower`. `value` is the middle.

    Each bar enters and leaves each queue once, so that an update costs O(1) on average.
    """

    __slots__ = ("_highs", "_lows", "_seen", "length", "lower", "previous_lower", "previous_upper", "upper")

    length: int
    """Number of bars spanned."""
    upper: float
    """Highest high, the newest bar included; NaN before the warm-up is over."""
    lower: float
    """Lowest low, the newest bar included; NaN before the warm-up is over."""
    previous_upper: float
    """`upper` one bar earlier; NaN until there were two."""
    previous_lower: float
    """`lower` one bar earlier; NaN until there were two."""

    def __init__(self, length: int) -> None:
        """Start empty; ready after `length` bars.

        Raises:
            ValueError: when `length` is smaller than 1.
        """
        self.length = whole("length", length)
        super().__init__(length)
        self.upper = self.lower = self.previous_upper = self.previous_lower = nan
        # (bar number, price): highs fall and lows rise from left to right, so the extreme stands first.
        self._highs: deque[tuple[int, float]] = deque()
        self._lows: deque[tuple[int, float]] = deque()
        self._seen = 0

    @property
    def middle(self) -> float:
        """The mean of `upper` and `lower`; NaN before the warm-up is over."""
        return self.value

    def on_bar(self, bar: Candle) -> None:
        """Take in one complete bar."""
        self.update(bar.high, bar.low)

    def update(self, high: float, low: float) -> None:
        """Take in one bar's high and low.

        Raises:
            ValueError: when one of them is NaN or infinite.
        """
        total = high + low
        if total - total:
            raise not_finite(self, total)
        seen = self._seen = self._seen + 1
        highs, lows = self._highs, self._lows
        while highs and highs[-1][1] <= high:
            highs.pop()
        highs.append((seen, high))
        while lows and lows[-1][1] >= low:
            lows.pop()
        lows.append((seen, low))
        gone = seen - self.length
        if highs[0][0] == gone:
            highs.popleft()
        if lows[0][0] == gone:
            lows.popleft()
        if gone >= 0:
            self.previous_upper, self.previous_lower = self.upper, self.lower
            self.upper, self.lower = highs[0][1], lows[0][1]
            self.publish((self.upper + self.lower) / 2.0)
