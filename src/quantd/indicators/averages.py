"""Moving averages: SMA and EMA.

Used by strategies through `Series.track`. Never keeps more than one window of prices.
"""

from math import fsum

from quantd.indicators.base import PriceIndicator, not_finite, warm_up, whole


class SMA(PriceIndicator):
    """Simple moving average: the mean of the last `length` prices.

    The running sum is taken anew from the window once in every `length` updates, so that rounding errors never
    live longer than one window, at a constant cost for each update.
    """

    __slots__ = ("_at", "_ring", "_total", "length")

    length: int
    """Number of prices averaged."""

    def __init__(self, length: int, *, source: str = "close") -> None:
        """Start empty; ready after `length` prices.

        Raises:
            ValueError: when `length` is smaller than 1 or `source` is unknown.
        """
        self.length = whole("length", length)
        super().__init__(length, source=source)
        self._ring = [0.0] * length
        self._at = 0
        self._total = 0.0

    def update(self, value: float) -> None:
        """Take in one price; see `PriceIndicator.update`."""
        if value - value:  # NaN for NaN and the infinities, else 0.0: the cheapest test there is
            raise not_finite(self, value)
        ring = self._ring
        at = self._at
        total = self._total + (value - ring[at])
        ring[at] = value
        at += 1
        if at == self.length:
            at = 0
            total = fsum(ring)
            self.ready = True
        self._at = at
        self._total = total
        if self.ready:
            self.previous = self.value
            self.value = total / self.length


class EMA(PriceIndicator):
    """Exponential moving average with weight 2 / (length + 1), started from the mean of the first `length` prices.

    It never forgets its start wholly. A longer `warmup` (four times `length` leaves 0.03 % of it) makes the value
    after a restart agree with that of a daemon that kept running.
    """

    __slots__ = ("_mean", "_seen", "_start", "length", "weight")

    length: int
    """Number of prices that sets the weight."""
    weight: float
    """Share of the newest price, in (0, 1]."""

    def __init__(self, length: int, *, source: str = "close", warmup: int | None = None) -> None:
        """Start empty; ready after `length` prices, or after `warmup` where given.

        Raises:
            ValueError: when `length` is smaller than 1, `warmup` smaller than `length` or `source` unknown.
        """
        self.length = whole("length", length)
        super().__init__(warm_up(length, warmup), source=source)
        self.weight = 2.0 / (length + 1.0)
        self._start: list[float] = []
        self._mean = 0.0
        self._seen = 0

    def update(self, value: float) -> None:
        """Take in one price; see `PriceIndicator.update`."""
        if value - value:  # NaN for NaN and the infinities, else 0.0
            raise not_finite(self, value)
        self._seen += 1
        if self._seen > self.length:
            self._mean += self.weight * (value - self._mean)
        else:
            self._start.append(value)
            if self._seen == self.length:
                self._mean = fsum(self._start) / self.length
                self._start.clear()
        if self._seen >= self.period:
            self.previous = self.value
            self.value = self._mean
            self.ready = True
