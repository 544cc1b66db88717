"""What an indicator is: the small base classes that quantd's own and an author's own indicators share.

Used by `Series.track`, which feeds bars to every tracked indicator, and by strategies, which read `value`,
`previous` and `ready`. Never reads a clock, draws chance or keeps more than its window.
"""

import math
from collections.abc import Callable
from operator import attrgetter
from typing import Final, Protocol


class Candle(Protocol):
    """What an indicator reads of a bar; `quantd.Bar` satisfies it."""

    @property
    def open(self) -> float:
        """First price."""

    @property
    def high(self) -> float:
        """Highest price."""

    @property
    def low(self) -> float:
        """Lowest price."""

    @property
    def close(self) -> float:
        """Last price."""

    @property
    def volume(self) -> float:
        """Traded quantity."""


def _median(bar: Candle) -> float:
    return (bar.high + bar.low) / 2.0


def _typical(bar: Candle) -> float:
    return (bar.high + bar.low + bar.close) / 3.0


SOURCES: Final[dict[str, Callable[[Candle], float]]] = {
    "open": attrgetter("open"),
    "high": attrgetter("high"),
    "low": attrgetter("low"),
    "close": attrgetter("close"),
    "volume": attrgetter("volume"),
    "median": _median,
    "typical": _typical,
}
"""What `source=` may name: a field of the bar, `median` (high and low) or `typical` (high, low and close)."""


class Indicator:
    """Base of all indicators: a number that follows the bars, one O(1) step for each.

    To write your own, subclass this, implement `on_bar`, and call `publish` with each value once the indicator
    knows one. Indicators of a single price subclass `PriceIndicator` and implement `update` instead.

    Invariants: `value` and `previous` are NaN until known, so that every comparison with them is false;
    `ready` is true exactly when `value` is known.
    """

    __slots__ = ("period", "previous", "ready", "value")

    period: int
    """Warm-up: the number of bars after which `ready` is true."""
    value: float
    """The newest value; NaN before the warm-up is over."""
    previous: float
    """The value one bar earlier; NaN until there were two."""
    ready: bool
    """Whether `value` is known."""

    def __init__(self, period: int) -> None:
        """Start empty.

        Raises:
            ValueError: when `period` is smaller than 1.
        """
        self.period = whole("period", period)
        self.value = math.nan
        self.previous = math.nan
        self.ready = False

    def on_bar(self, bar: Candle) -> None:
        """Take in one complete bar. The engine calls this once for each, in order of time."""
        raise NotImplementedError(f"{type(self).__name__} must implement on_bar")

    def publish(self, value: float) -> None:
        """Make `value` the newest value and keep the last one as `previous`."""
        self.previous = self.value
        self.value = value
        self.ready = True

    def __repr__(self) -> str:
        """Show the class, the warm-up and the newest value."""
        return f"{type(self).__name__}(period={self.period}, value={self.value!r})"


class PriceIndicator(Indicator):
    """Base of the indicators that follow one price of each bar: implement `update`."""

    __slots__ = ("_price", "source")

    source: str
    """Which price of the bar is followed, one of `SOURCES`."""

    def __init__(self, period: int, *, source: str = "close") -> None:
        """Start empty.

        Raises:
            ValueError: when `period` is smaller than 1 or `source` is not one of `SOURCES`.
        """
        super().__init__(period)
        if source not in SOURCES:
            raise ValueError(f"{type(self).__name__}: source is {source!r}, expected one of {', '.join(SOURCES)}")
        self.source = source
        self._price = SOURCES[source]

    def on_bar(self, bar: Candle) -> None:
        """Take in the chosen price of one complete bar."""
        self.update(self._price(bar))

    def update(self, value: float) -> None:
        """Take in one price.

        Raises:
            ValueError: when `value` is NaN or infinite.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement update")


def whole(name: str, value: object, *, least: int = 1) -> int:
    """Return `value` if it is a whole number of at least `least`.

    Raises:
        ValueError: otherwise; the message names the argument.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= least:
        return value
    raise ValueError(f"{name} is {value!r}, expected a whole number of at least {least}")


def warm_up(least: int, wanted: int | None) -> int:
    """Return the warm-up count: `least`, or what the author `wanted` if that is longer.

    Raises:
        ValueError: when `wanted` is smaller than `least`.
    """
    return least if wanted is None else whole("warmup", wanted, least=least)


def not_finite(indicator: Indicator, value: float) -> ValueError:
    """Return the error for a price that is no number; one would stay in a running sum for ever."""
    return ValueError(f"{type(indicator).__name__}: input is {value!r}, expected a finite number")
