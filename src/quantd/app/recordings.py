"""The files that paper venues play back: do they serve the strategies, and what is joined from their bars.

Used by `quantd check`, by the daemon before it opens anything, and by the feeds. Reads the files and nothing else.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from quantd.app.strategies import Prepared
from quantd.config import Settings
from quantd.domain.events import Event, MarketEvent
from quantd.domain.instruments import InstrumentId
from quantd.domain.market import Bar
from quantd.errors import ConfigError
from quantd.feeds.bar_makers import BarMakers
from quantd.feeds.bars import NS_PER_S
from quantd.feeds.recorded import read_market
from quantd.feeds.replay import merge_by_time
from quantd.venues.paper.settings import PaperSettings, RecordedData


class Recording:
    """Recorded data of one venue, with the longer bars that strategies want of it, each behind its last part.

    Bars are joined before they are played back, while their times still lie on multiples of their length.

    Args:
        files: By instrument.
        bars: Instrument -> the intervals that strategies want, in seconds.
    """

    def __init__(self, files: Mapping[InstrumentId, Path], bars: Mapping[InstrumentId, Iterable[int]]) -> None:
        self._files = files
        self._makers = BarMakers(bars)
        self._joined: set[tuple[InstrumentId, int]] = set()
        """Instruments and lengths in nanoseconds of the bars that were joined."""

    def events(self) -> Iterator[MarketEvent]:
        """Yield everything in the order of time.

        Raises:
            ConfigError: on iterating, when a file cannot be read, or its bars do not fill those that are wanted.
        """
        for event in merge_by_time(*(read_market(path, instrument) for instrument, path in self._files.items())):
            yield event
            if isinstance(event, Bar) and event.instrument in self._makers.watched:
                for bar in self._makers.take(event):
                    self._joined.add((bar.instrument, bar.interval_ns))
                    yield bar

    def is_joined(self, event: Event) -> bool:
        """Whether an event was joined from others: the market has moved with its parts already."""
        return isinstance(event, Bar) and (event.instrument, event.interval_ns) in self._joined


def check_recordings(settings: Settings, prepared: Sequence[Prepared]) -> None:
    """Refuse recorded bars that cannot become those that a strategy wants.

    Raises:
        ConfigProblems: bars that are too long, that do not fill the wanted ones, or that are played at another speed than
            their own, where bars of a minute would close every second.
        ConfigError: a file that cannot be read.
    """
    for one in prepared:
        for instrument, every_s in one.declared.bars:
            venue, _, symbol = instrument.partition(":")
            section = settings.venues[venue]
            data = section.data.recorded if isinstance(section, PaperSettings) else None
            if data is not None and symbol in data.files:
                _check_bars(settings, one.setup.id, data, InstrumentId(instrument), every_s)


def _check_bars(settings: Settings, strategy: str, data: RecordedData, instrument: InstrumentId, every_s: int) -> None:
    venue, _, symbol = instrument.partition(":")
    length_ns = bar_length_ns(data.files[symbol], instrument)
    if length_ns and every_s * NS_PER_S % length_ns:
        raise settings.error(
            ("strategies", strategy, "bars"),
            found=f"bars of {every_s} s of {instrument}, recorded in bars of {length_ns / NS_PER_S:g} s",
            expected="a multiple of the recorded bars' length",
        )
    if length_ns and data.speed != 1:
        raise settings.error(
            ("venues", venue, "data", "recorded", "speed"),
            found=f"{data.speed:g}, and {strategy} wants bars of {instrument}, which is recorded in bars",
            expected="1: bars keep their length; `quantd backtest` runs through them as fast as it can",
        )


def bar_length_ns(path: Path, instrument: InstrumentId) -> int:
    """Return the length of a file's bars in nanoseconds, 0 where it holds quotes.

    Raises:
        ConfigError: the file cannot be read, or has no row that can be used.
    """
    first = next(read_market(path, instrument), None)
    if first is None:
        raise ConfigError(f"{path}: no row that can be used for {instrument}")
    return first.interval_ns if isinstance(first, Bar) else 0
