"""The data that paper venues play back or make up: do they serve the strategies, and what is joined from files' bars.

Used by `quantd check`, by the daemon before it opens anything, and by the feeds. Reads the files and nothing else.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from quantd.app.strategies import Prepared
from quantd.config import Settings
from quantd.config.problems import choice, nearest
from quantd.domain.events import Event, MarketEvent
from quantd.domain.instruments import Instrument, InstrumentId
from quantd.domain.market import Bar, Quote
from quantd.domain.numbers import Rounding
from quantd.errors import ConfigError
from quantd.feeds.bar_makers import BarMakers
from quantd.feeds.bars import NS_PER_S
from quantd.feeds.recorded import ReadOptions, Stamp, read_market
from quantd.feeds.replay import merge_by_time
from quantd.venues.paper.rules import instruments_of
from quantd.venues.paper.settings import PaperSettings, RecordedData

SAMPLE = 200
"""Rows by which a file is judged."""
_ROUNDING_MAX = 1e-4
"""Share of a price that a price step may have where the recorded prices lie between its steps: a basis point."""


class Recording:
    """Recorded data of one venue, with the bars that strategies want of it: of quotes, or of shorter bars, each behind its last part.

    They are made before the data are played back, while times still lie on multiples of their length: the bars are those
    of a backtest on the same files.

    Args:
        files: By instrument.
        bars: Instrument -> the intervals that strategies want, in seconds.
        stamp: Which end of a bar its time names.
        of_quotes: Whether bars are made of quotes, too. Played back at another speed they would not be as long as they should.
    """

    def __init__(
        self,
        files: Mapping[InstrumentId, Path],
        bars: Mapping[InstrumentId, Iterable[int]],
        *,
        stamp: Stamp = Stamp.OPEN,
        of_quotes: bool = True,
    ) -> None:
        self._files = files
        self._parts = (Bar, Quote) if of_quotes else (Bar,)
        self._options = ReadOptions(stamp=stamp)
        self._makers = BarMakers(bars)
        self._joined: set[tuple[InstrumentId, int]] = set()
        """Instruments and lengths in nanoseconds of the bars that were made."""

    def events(self) -> Iterator[MarketEvent]:
        """Yield everything in the order of time.

        Raises:
            ConfigError: on iterating, when a file cannot be read, or its bars do not fill those that are wanted.
        """
        options = self._options
        files = [read_market(path, instrument, options=options) for instrument, path in self._files.items()]
        makers = self._makers
        for event in merge_by_time(*files):
            while makers.due_at_ns <= event.received_at_ns:
                yield from self._told(makers.due(makers.due_at_ns))
            yield event
            if isinstance(event, self._parts) and event.instrument in makers.watched:
                yield from self._told(makers.take(event))

    def _told(self, joined: list[Bar]) -> list[Bar]:
        """Remember which bars were made."""
        self._joined.update((bar.instrument, bar.interval_ns) for bar in joined)
        return joined

    def is_joined(self, event: Event) -> bool:
        """Whether an event was made of others: the market has moved with its parts already."""
        return isinstance(event, Bar) and (event.instrument, event.interval_ns) in self._joined


def check_recordings(settings: Settings, prepared: Sequence[Prepared]) -> None:
    """Refuse recorded bars that cannot become those that a strategy wants, and prices that the venue's step would move.

    Raises:
        ConfigProblems: an instrument of which a paper venue has neither a file nor a made-up market; bars that are too long, that do not fill the wanted ones, or that are played at another speed than
            their own, where bars of a minute would close every second; a price step that is too wide.
        ConfigError: a file that cannot be read.
    """
    for one in prepared:
        for instrument in one.setup.instruments:
            _check_listed(settings, one.setup.id, instrument)
    for instrument in dict.fromkeys(instrument for one in prepared for instrument in one.setup.instruments):
        _check_tick(settings, instrument)
    for one in prepared:
        for instrument, every_s in one.declared.bars:
            venue, _, symbol = instrument.partition(":")
            section = settings.venues[venue]
            data = section.data.recorded if isinstance(section, PaperSettings) else None
            if data is not None and symbol in data.files:
                _check_bars(settings, one.setup.id, data, InstrumentId(instrument), every_s)


def _check_listed(settings: Settings, strategy: str, instrument: InstrumentId) -> None:
    venue, _, symbol = instrument.partition(":")
    section = settings.venues[venue]
    if not isinstance(section, PaperSettings) or section.data.venue is not None:
        return
    known = list(instruments_of(venue, section))
    if symbol not in known:
        raise settings.error(
            ("strategies", strategy, "instruments"),
            found=f"{symbol}, of which {venue} has no data",
            expected=choice(known),
            nearest=nearest(symbol, known),
        )


def _check_tick(settings: Settings, instrument: InstrumentId) -> None:
    venue, _, symbol = instrument.partition(":")
    section = settings.venues[venue]
    data = section.data.recorded if isinstance(section, PaperSettings) else None
    if not isinstance(section, PaperSettings) or data is None or symbol not in data.files:
        return
    rules = instruments_of(venue, section)[symbol]
    price = between_steps(islice(read_market(data.files[symbol], instrument), SAMPLE), rules)
    if price is not None and moves(price, rules):
        raise settings.error(
            ("venues", venue, "data", "recorded", "tick"),
            found=f"{data.tick:f}, and prices such as {price} in {data.files[symbol]}",
            expected="the price step that the recorded prices lie on",
        )


def rounded(path: Path, events: Iterable[object], rules: Instrument) -> list[str]:
    """Say that a file's prices lie between the price steps.

    Raises:
        ConfigError: so far that rounding them would make another market of them.
    """
    price, tick = between_steps(events, rules), rules.ticks[0].tick
    if price is None:
        return []
    if moves(price, rules):
        raise ConfigError(
            f"{path}: found prices such as {price}, and a price step of {tick:f} for {rules.id}; expected the step that "
            "they lie on, as `tick` of the venue's data or --tick"
        )
    return [f"prices of {path} lie between the price steps of {tick:f}: they are rounded to them"]


def between_steps(events: Iterable[object], rules: Instrument) -> float | None:
    """Return a price that lies between an instrument's price steps, where more than half of the prices do."""
    prices = [price for event in events for price in _prices(event)]
    off = [one for one in prices if abs(float(rules.price(one, Rounding.NEAREST)) - one) > 1e-9 * one]
    return off[0] if len(off) * 2 > len(prices) else None


def moves(price: float, rules: Instrument) -> bool:
    """Tell whether rounding to the price step would give another market: it is more than a basis point of the price."""
    return float(rules.ticks[0].tick) > price * _ROUNDING_MAX


def _prices(event: object) -> tuple[float, ...]:
    if isinstance(event, Bar):
        return event.open, event.high, event.low, event.close
    return (event.bid, event.ask) if isinstance(event, Quote) else ()


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
