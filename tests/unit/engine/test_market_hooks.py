"""Market data on its way to strategies: warm-up, gaps, age, series taken together."""

from collections.abc import Sequence

import pytest

from quantd.domain.market import Bar, Book, Quote
from quantd.engine.series import Series
from quantd.indicators import SMA
from quantd.testing.builders import BTC, SECOND_NS, Puppet, Rig, make_instrument

MINUTE_NS = 60 * SECOND_NS
ETH = "paper:ETH-USD"


def bar(rig: Rig, number: int, close: float = 100.0, *, instrument: str = BTC, delay_s: float = 0.0) -> None:
    """Close the n-th minute, received `delay_s` later."""
    closed = (number + 1) * MINUTE_NS
    rig.now_ns = closed + round(delay_s * SECOND_NS)
    rig.handle(
        Bar(make_instrument(instrument).id, closed - MINUTE_NS, closed, close, close, close, close, 1.0, rig.now_ns)
    )


# -- market data -----------------------------------------------------------------------------------------------------


class Averaging(Puppet):
    """Follows an average of three."""

    def setup(self) -> None:
        self.series: Series = self.bars(every="1m", max_age_s=30.0)
        self.average = self.series.track(SMA(3))

    def on_bar(self, bar: Bar) -> None:
        self.seen.append(("on_bar", (bar.close, self.average.value)))


def test_bars_are_passed_on_once_the_indicators_are_warm() -> None:
    averaging = Averaging()
    rig = Rig(strategies={"s1": averaging})
    for number, close in enumerate((1.0, 2.0, 3.0, 4.0)):
        bar(rig, number, close)
    assert averaging.hooks("on_bar") == [(3.0, 2.0), (4.0, 3.0)]


def test_a_bar_that_arrives_twice_or_late_in_order_is_fed_once() -> None:
    averaging = Averaging()
    rig = Rig(strategies={"s1": averaging})
    for number in (0, 1, 1, 0, 2):
        bar(rig, number, float(number))
    assert averaging.hooks("on_bar") == [(2.0, 1.0)]


def test_an_incomplete_bar_moves_the_mark_only() -> None:
    averaging = Averaging()
    rig = Rig(strategies={"s1": averaging}, price=None)
    for number in range(5):
        rig.handle(Bar(BTC, number, number + MINUTE_NS, 1.0, 1.0, 1.0, 7.0, 0.0, rig.now_ns, complete=False))
    assert averaging.hooks("on_bar") == []
    assert rig.state.rates.marks[BTC].last == 7.0


def joined(rig: Rig, number: int, close: float, minutes: int) -> None:
    """Hand in a bar of several minutes that ends with the n-th, as late as it is by the rig's clock."""
    closed = (number + 1) * MINUTE_NS
    rig.handle(Bar(BTC, closed - minutes * MINUTE_NS, closed, close, close, close, close, 1.0, rig.now_ns))


def test_a_longer_bar_that_ends_late_does_not_set_the_price_back() -> None:
    rig = Rig(price=None)
    mark = rig.state.rates.marks[BTC]
    bar(rig, 3, 100.0)
    bar(rig, 20, 200.0)
    joined(rig, 4, 100.0, 5)
    assert (mark.last, mark.jump) == (200.0, 1.0)


def test_a_longer_bar_does_not_hide_the_jump_of_its_last_part() -> None:
    rig = Rig(price=None)
    bar(rig, 3, 100.0)
    bar(rig, 4, 110.0)
    joined(rig, 4, 110.0, 5)
    assert rig.state.rates.marks[BTC].jump == pytest.approx(0.1)


def test_a_gap_restarts_the_warm_up() -> None:
    averaging = Averaging()
    rig = Rig(strategies={"s1": averaging}, setups={"s1": {"max_gap_s": 60.0}})
    for number in (0, 1, 2, 5, 6, 7):
        bar(rig, number, float(number))
    assert averaging.hooks("on_bar") == [(2.0, 1.0), (7.0, 6.0)]


def test_an_old_bar_feeds_the_indicators_and_is_not_acted_on() -> None:
    averaging = Averaging()
    rig = Rig(strategies={"s1": averaging})
    for number in range(3):
        bar(rig, number, float(number), delay_s=31.0)
    assert averaging.hooks("on_bar") == []
    bar(rig, 3, 3.0, delay_s=30.0)
    assert averaging.hooks("on_bar") == [(3.0, 2.0)]


class Pair(Puppet):
    """Takes two series together."""

    def setup(self) -> None:
        self.aligned(self.bars(BTC, "1m"), self.bars(ETH, "1m"), late_after_s=5.0)

    def on_bars(self, bars: Sequence[Bar]) -> None:
        self.seen.append(("on_bars", [one.close for one in bars]))


def pair() -> tuple[Rig, Pair]:
    strategy = Pair()
    return Rig(strategies={"s1": strategy}, instruments=[make_instrument(), make_instrument(ETH)]), strategy


def test_aligned_bars_come_together_in_the_order_in_which_they_were_named() -> None:
    rig, strategy = pair()
    bar(rig, 0, 2.0, instrument=ETH)
    assert strategy.hooks("on_bars") == []
    bar(rig, 0, 1.0)
    bar(rig, 1, 3.0)
    bar(rig, 1, 4.0, instrument=ETH)
    assert strategy.hooks("on_bars") == [[1.0, 2.0], [3.0, 4.0]]


def test_a_close_that_one_lacks_too_long_is_dropped_and_counted() -> None:
    rig, strategy = pair()
    bar(rig, 0, 1.0)
    bar(rig, 0, 2.0, instrument=ETH, delay_s=5.0)
    bar(rig, 1, 1.0)
    bar(rig, 1, 2.0, instrument=ETH, delay_s=5.001)
    bar(rig, 2, 3.0)
    bar(rig, 3, 5.0)
    bar(rig, 3, 6.0, instrument=ETH)
    assert strategy.hooks("on_bars") == [[1.0, 2.0], [5.0, 6.0]]
    assert rig.engine.desks["s1"].late_closes == 2


class Watcher(Puppet):
    """Takes quotes of at most two seconds, and books."""

    def setup(self) -> None:
        self.quotes(max_age_s=2.0)
        self.book(depth=5)

    def on_quote(self, quote: Quote) -> None:
        self.seen.append(("on_quote", quote.bid))

    def on_book(self, book: Book) -> None:
        self.seen.append(("on_book", book.sequence))


def test_quotes_and_books_come_to_who_asked_for_them_unless_too_old() -> None:
    watcher = Watcher()
    rig = Rig(strategies={"s1": watcher, "s2": Puppet()}, price=None)
    now = rig.now_ns
    rig.handle(Quote(BTC, 1.0, 2.0, now, now - 2 * SECOND_NS))
    rig.handle(Quote(BTC, 3.0, 4.0, now, now - 2 * SECOND_NS - 1))
    rig.handle(Quote(BTC, 5.0, 6.0, now))
    rig.handle(Book(BTC, ((1.0, 1.0),), ((2.0, 1.0),), now, sequence=7))
    assert watcher.hooks("on_quote") == [1.0, 5.0]
    assert watcher.hooks("on_book") == [7]
