"""How far prices scatter: StandardDeviation and ZScore.

Used by strategies through `Series.track`. Never keeps more than one window of prices.
"""

from math import fsum, sqrt
from typing import Final

from quantd.indicators.base import PriceIndicator, not_finite, whole

_COLLAPSE: Final = 1e-3
"""When the squared deviations shrink below this share of their peak, what is left may be rounding error."""


class _Window:
    """Mean and sum of squared deviations of a sliding window (Welford's update, old price out, new price in).

    The mean is kept as a distance from an anchor near the prices, so that a large price level costs no digits.
    Rounding errors are removed by taking all anew from the window: once in every `length` updates, whenever all
    prices are equal, and when the deviations collapse because an outlier left. An outlier must have stayed for a
    whole window before it can leave, so that all this costs O(1) an update on average.
    """

    __slots__ = ("_anchor", "_at", "_drift", "_length", "_peak", "_ring", "_same", "distance", "full", "squares")

    distance: float
    """How far the newest price lies above the mean; holds once `full`."""
    squares: float
    """Sum of squared deviations from the mean; holds once `full`."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._ring = [0.0] * length
        self._at = 0
        self._same = 0
        self._peak = 0.0
        self._anchor = 0.0
        self._drift = 0.0
        self.full = False
        self.distance = 0.0
        self.squares = 0.0

    @property
    def mean(self) -> float:
        """The mean of the window; holds once `full`."""
        return self._anchor + self._drift

    def push(self, value: float) -> None:
        """Let `value` in and the oldest price out."""
        ring, at = self._ring, self._at
        old = ring[at]
        self._same = self._same + 1 if value == ring[at - 1] else 1
        ring[at] = value
        at += 1
        if at == self._length:
            self._at = 0
            self.full = True
            self._take_anew(value)
            return
        self._at = at
        if not self.full:
            return
        if self._same >= self._length:
            self._take_anew(value)
            return
        step = value - old
        before = self._drift
        drift = self._drift = before + step / self._length
        distance = self.distance = (value - self._anchor) - drift
        squares = self.squares = self.squares + step * (distance + ((old - self._anchor) - before))
        if squares > self._peak:
            self._peak = squares
        elif squares <= self._peak * _COLLAPSE:
            self._take_anew(value)

    def _take_anew(self, newest: float) -> None:
        if self._same >= self._length:  # without a sum: the mean of equal prices is exactly the price
            self._anchor, self._drift, self.distance, self.squares, self._peak = newest, 0.0, 0.0, 0.0, 0.0
            return
        anchor = self._anchor = fsum(self._ring) / self._length
        apart = [price - anchor for price in self._ring]
        drift = self._drift = fsum(apart) / self._length
        self.distance = (newest - anchor) - drift
        self.squares = self._peak = fsum([(gap - drift) ** 2 for gap in apart])


class StandardDeviation(PriceIndicator):
    """Standard deviation of the last `length` prices, in the price's unit; of the population unless `sample`."""

    __slots__ = ("_divisor", "_window", "length", "sample")

    length: int
    """Number of prices in the window."""
    sample: bool
    """Whether the divisor is `length` - 1 instead of `length`."""

    def __init__(self, length: int, *, sample: bool = False, source: str = "close") -> None:
        """Start empty; ready after `length` prices.

        Raises:
            ValueError: when `length` is smaller than 1 (2 for a sample) or `source` is unknown.
        """
        self.length = whole("length", length, least=2 if sample else 1)
        super().__init__(length, source=source)
        self.sample = sample
        self._divisor = length - 1 if sample else length
        self._window = _Window(length)

    @property
    def mean(self) -> float:
        """The mean of the window; meaningful once `ready`."""
        return self._window.mean

    def update(self, value: float) -> None:
        """Take in one price; see `PriceIndicator.update`."""
        if value - value:  # NaN for NaN and the infinities, else 0.0
            raise not_finite(self, value)
        window = self._window
        window.push(value)
        if window.full:
            self.publish(sqrt(window.squares / self._divisor))


class ZScore(PriceIndicator):
    """How many standard deviations the newest price lies above (below: negative) the mean of the last `length`.

    Prices that are all equal have no scale; the score is then 0.
    """

    __slots__ = ("_divisor", "_window", "length", "sample")

    length: int
    """Number of prices in the window, the newest included."""
    sample: bool
    """Whether the deviation's divisor is `length` - 1 instead of `length`."""

    def __init__(self, length: int, *, sample: bool = False, source: str = "close") -> None:
        """Start empty; ready after `length` prices.

        Raises:
            ValueError: when `length` is smaller than 2 or `source` is unknown.
        """
        self.length = whole("length", length, least=2)
        super().__init__(length, source=source)
        self.sample = sample
        self._divisor = length - 1 if sample else length
        self._window = _Window(length)

    def update(self, value: float) -> None:
        """Take in one price; see `PriceIndicator.update`."""
        if value - value:  # NaN for NaN and the infinities, else 0.0
            raise not_finite(self, value)
        window = self._window
        window.push(value)
        if window.full:
            deviation = sqrt(window.squares / self._divisor)
            self.publish(window.distance / deviation if deviation > 0.0 else 0.0)
