"""The bars that the data do not have: built from quotes, or joined from shorter bars.

Used by the backtest, and by paper venues that play back recorded bars. What is made here goes to the engine only: the
exchange matches by the data themselves.
"""

from collections.abc import Iterable, Mapping
from itertools import chain

from quantd.domain.instruments import InstrumentId
from quantd.domain.market import Bar, Book, Quote, StatusChanged
from quantd.errors import ConfigError
from quantd.feeds.bars import NS_PER_S, BarAggregator, BarBuilder

NEVER = 1 << 63
_GRACE_S = 0.25
"""How long a larger bar waits for its last part: what comes with its close must be in it."""


class BarMakers:
    """Makers of bars by instrument; what each needs is decided by the instrument's first event.

    Args:
        wanted: Instrument -> the intervals that strategies want, in seconds.
    """

    def __init__(self, wanted: Mapping[InstrumentId, Iterable[int]]) -> None:
        self.watched: dict[InstrumentId, tuple[int, ...]] = {
            instrument: tuple(sorted(set(lengths))) for instrument, lengths in wanted.items()
        }
        """Instruments whose events must be shown to `take`; those that need nothing made drop out."""
        self.due_at_ns = NEVER
        """When a bar is due next that no event completes: one built from quotes, or joined of parts of which the last is missing."""
        self._builders: dict[InstrumentId, list[BarBuilder]] = {}
        self._aggregators: dict[InstrumentId, list[BarAggregator]] = {}

    def take(self, event: Quote | Bar | Book | StatusChanged) -> list[Bar]:
        """Take an event in and return the bars that it completes; those of quotes, and those without their last part, come by `due`.

        Raises:
            ConfigError: when bars of the data are too long, or do not fill the interval that is wanted.
        """
        if isinstance(event, Quote):
            return self._quote(event)
        if isinstance(event, Bar):
            return self._bar(event)
        return []

    def _quote(self, quote: Quote) -> list[Bar]:
        builders = self._builders.get(quote.instrument)
        if builders is None:
            lengths = self.watched[quote.instrument]
            builders = self._builders[quote.instrument] = [BarBuilder(quote.instrument, one) for one in lengths]
        made: list[Bar] = []
        for builder in builders:
            made += builder.on_quote(quote)
            self._plan_look(builder)
        return [bar for bar in made if bar.complete]

    def due(self, now_ns: int) -> list[Bar]:
        """Return the bars that have closed by `now_ns`, by instrument, and plan the next."""
        made: list[Bar] = []
        self.due_at_ns = NEVER
        builders, aggregators = self._builders.values(), self._aggregators.values()
        makers: Iterable[BarBuilder | BarAggregator] = chain(*builders, *aggregators)
        for maker in makers:
            made += maker.on_time(now_ns)
            self._plan_look(maker)
        return [bar for bar in made if bar.complete]

    def _plan_look(self, maker: BarBuilder | BarAggregator) -> None:
        due = maker.due_at_ns
        if due is not None and due < self.due_at_ns:
            self.due_at_ns = due

    def _bar(self, bar: Bar) -> list[Bar]:
        if bar.instrument in self._builders:
            return []  # its quotes are followed already
        aggregators = self._aggregators.get(bar.instrument)
        if aggregators is None:
            aggregators = self._plan(bar)
        made: list[Bar] = []
        for one in aggregators:
            made += one.on_bar(bar)
            self._plan_look(one)
        return [larger for larger in made if larger.complete]

    def _plan(self, bar: Bar) -> list[BarAggregator]:
        have_ns, made = bar.interval_ns, []
        for length in self.watched[bar.instrument]:
            length_ns = length * NS_PER_S
            if length_ns == have_ns:
                continue
            if length_ns % have_ns or bar.opened_at_ns % have_ns:
                raise ConfigError(
                    f"{bar.instrument}: a strategy wants bars of {length} s, the data are bars of "
                    f"{have_ns / NS_PER_S:g} s; expected data that fill its bars, or another interval"
                )
            made.append(BarAggregator(bar.instrument, length, grace_s=_GRACE_S))
        if made:
            self._aggregators[bar.instrument] = made
        else:
            del self.watched[bar.instrument]
        return made
