"""A strategy's view of one instrument's bars: indicators that follow them, the last bars, and the warm-up."""

import copy
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from typing import TypeVar

from quantd.domain.instruments import InstrumentId
from quantd.domain.market import Bar
from quantd.indicators.base import Indicator, PriceIndicator

HISTORY_MAX = 1_000
"""Bars that `Series.history` can reach back."""

AnyIndicator = TypeVar("AnyIndicator", bound=Indicator)


class Series:
    """Complete bars of one instrument at one interval, oldest first; made by `Strategy.bars`."""

    __slots__ = (
        "_bars",
        "_close_followers",
        "_followers",
        "_indicators",
        "_pristine",
        "count",
        "every_s",
        "gaps",
        "instrument",
        "is_aligned",
        "last",
        "max_age_s",
        "max_gap_ns",
        "needed",
    )

    def __init__(
        self, instrument: InstrumentId, every_s: int, *, max_gap_s: float | None, max_age_s: float | None
    ) -> None:
        self.instrument = instrument
        self.every_s = every_s
        self.max_gap_ns = int((max_gap_s if max_gap_s is not None else every_s * 10) * 1e9)
        self.max_age_s = max_age_s
        self.last: Bar | None = None
        """The newest complete bar."""
        self.count = 0
        """Bars since the warm-up began."""
        self.gaps = 0
        """How often the warm-up began anew behind a gap."""
        self.needed = 1
        """Bars that the longest tracked indicator needs."""
        self.is_aligned = False
        """Whether the strategy takes it together with others in `on_bars`."""
        self._indicators: list[Indicator] = []
        self._pristine: list[Indicator] = []
        self._close_followers: list[Callable[[float], None]] = []
        """Indicators of the close, which most are, without a call between; the others take the whole bar."""
        self._followers: list[Callable[[Bar], None]] = []
        self._bars: deque[Bar] = deque(maxlen=HISTORY_MAX)

    def track(self, indicator: AnyIndicator) -> AnyIndicator:
        """Feed every bar to `indicator` and count its warm-up; returns it."""
        self._indicators.append(indicator)
        follower: Indicator = indicator
        if (
            isinstance(follower, PriceIndicator)
            and type(follower).on_bar is PriceIndicator.on_bar
            and follower.source == "close"
        ):
            self._close_followers.append(follower.update)
        else:
            self._followers.append(follower.on_bar)
        self._pristine.append(copy.deepcopy(indicator))
        self.needed = max(self.needed, indicator.period)
        return indicator

    def history(self, count: int) -> Sequence[Bar]:
        """Return the last `count` bars, oldest first; fewer where there are fewer, at most `HISTORY_MAX`."""
        have = len(self._bars)
        return list(islice(self._bars, max(0, have - count), have))

    @property
    def is_ready(self) -> bool:
        """Whether every tracked indicator has its warm-up behind it."""
        return self.count >= self.needed

    def add(self, bar: Bar) -> bool:
        """Take in a complete bar and tell whether the series is warm. One that is not newer changes nothing."""
        last = self.last
        if last is not None:
            if bar.closed_at_ns <= last.closed_at_ns:
                return False
            if bar.opened_at_ns - last.closed_at_ns > self.max_gap_ns:
                self.gaps += 1
                self.restart()
        self.last = bar
        self._bars.append(bar)
        close = bar.close
        for update in self._close_followers:
            update(close)
        for follow in self._followers:
            follow(bar)
        self.count += 1
        return self.count >= self.needed

    def restart(self) -> None:
        """Begin the warm-up anew: a gap makes what the indicators know worthless.

        The authors hold references to the indicators, so each takes on the state of its untouched copy.
        """
        self.count = 0
        self._bars.clear()
        for indicator, pristine in zip(self._indicators, self._pristine, strict=True):
            fresh = copy.deepcopy(pristine)
            for name in _attributes(fresh):
                setattr(indicator, name, getattr(fresh, name))


def _attributes(indicator: Indicator) -> list[str]:
    names = list(getattr(indicator, "__dict__", ()))
    for cls in type(indicator).__mro__:
        slots = getattr(cls, "__slots__", ())
        names.extend((slots,) if isinstance(slots, str) else slots)
    return [name for name in dict.fromkeys(names) if name != "__dict__" and hasattr(indicator, name)]
