"""Bars from quotes and larger bars from smaller ones, against naive definitions."""

from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantd.clock import ManualClock
from quantd.domain.events import Event
from quantd.domain.instruments import InstrumentId
from quantd.domain.market import Bar, Quote
from quantd.feeds.bars import BarAggregator, BarBuilder, BarStage, bars_from_quotes

EUR = InstrumentId("oanda:EUR_USD")
S = 1_000_000_000


def quote(price: float, occurred_s: float, received_s: float | None = None) -> Quote:
    received = occurred_s if received_s is None else received_s
    return Quote(EUR, price - 0.5, price + 0.5, round(received * S), round(occurred_s * S))


def shape(bar: Bar) -> tuple[float, ...]:
    return bar.opened_at_ns / S, bar.open, bar.high, bar.low, bar.close


def naive_bars(quotes: list[Quote], interval_s: int) -> list[tuple[float, ...]]:
    """Sort by the venue's time, group by interval, take first, largest, smallest and last mid."""

    def opened(quote: Quote) -> int:
        assert quote.occurred_at_ns is not None
        return quote.occurred_at_ns // (interval_s * S) * interval_s

    bars: list[tuple[float, ...]] = []
    ordered = sorted(quotes, key=lambda quote: quote.occurred_at_ns or 0)
    for start, group in groupby(ordered, key=opened):
        mids = [quote.mid for quote in group]
        bars.append((start, mids[0], max(mids), min(mids), mids[-1]))
    return bars


moments = st.integers(0, 600_000).map(lambda ms: ms / 1000)
prices = st.integers(100, 200).map(float)


@given(st.lists(st.tuples(moments, prices, st.integers(0, 3_000)), max_size=60), st.sampled_from([1, 7, 60]), st.data())
def test_bars_agree_with_the_naive_definition_when_quotes_come_within_the_grace(
    ticks: list[tuple[float, float, int]], interval_s: int, data: st.DataObject
) -> None:
    quotes = [quote(price, at_s, at_s + late_ms / 1000) for at_s, price, late_ms in ticks]
    quotes.sort(key=lambda quote: quote.received_at_ns)
    builder = BarBuilder(EUR, interval_s, grace_s=3.001, started_at_ns=0)
    bars: list[Bar] = []
    for each in quotes:
        if data.draw(st.booleans()):
            bars.extend(builder.on_time(each.received_at_ns))
        bars.extend(builder.on_quote(each))
    bars.extend(builder.on_time(10_000 * S))
    assert [shape(bar) for bar in bars] == naive_bars(quotes, interval_s)
    assert all(bar.complete and bar.volume == 0 and bar.interval_ns == interval_s * S for bar in bars)
    assert builder.late == 0
    assert builder.due_at_ns is None


@given(st.lists(st.tuples(moments, prices, st.integers(0, 90_000)), max_size=60), st.integers(0, 5))
def test_bars_are_final_ordered_and_lose_only_what_is_counted(
    ticks: list[tuple[float, float, int]], grace_s: int
) -> None:
    quotes = [quote(price, at_s, at_s + late_ms / 1000) for at_s, price, late_ms in ticks]
    quotes.sort(key=lambda quote: quote.received_at_ns)
    builder = BarBuilder(EUR, 10, grace_s=grace_s)
    bars: list[Bar] = []
    for each in quotes:
        for bar in builder.on_quote(each):
            assert bar.closed_at_ns + grace_s * S <= each.received_at_ns == bar.received_at_ns
            bars.append(bar)
    bars.extend(builder.on_time(10_000 * S))
    opened = [bar.opened_at_ns for bar in bars]
    assert opened == sorted(set(opened))
    assert len(naive_bars(quotes, 10)) - builder.late <= len(bars) <= len(naive_bars(quotes, 10))


def test_a_quote_on_the_boundary_belongs_to_the_next_bar() -> None:
    builder = BarBuilder(EUR, 60, started_at_ns=0)
    assert builder.on_quote(quote(100, 59.999)) == ()
    (bar,) = builder.on_quote(quote(200, 60))
    assert shape(bar) == (0, 100, 100, 100, 100)
    assert [shape(bar) for bar in builder.on_time(120 * S)] == [(60, 200, 200, 200, 200)]


def test_an_interval_without_quotes_has_no_bar() -> None:
    builder = BarBuilder(EUR, 60, started_at_ns=0)
    builder.on_quote(quote(100, 30))
    (bar,) = builder.on_quote(quote(110, 400))
    assert bar.closed_at_ns == 60 * S
    assert [bar.opened_at_ns for bar in builder.on_time(480 * S)] == [360 * S]


def test_the_clock_ends_a_bar_after_its_grace_and_later_quotes_are_counted() -> None:
    builder = BarBuilder(EUR, 60, grace_s=2, started_at_ns=0)
    builder.on_quote(quote(100, 10))
    assert builder.on_time(61 * S) == ()
    builder.on_quote(quote(105, 59, 61.5))  # late, within the grace
    (bar,) = builder.on_time(62 * S)
    assert bar.close == 105
    assert builder.on_quote(quote(300, 59.5, 62.5)) == ()
    assert builder.late == 1


def test_a_bar_begun_in_the_middle_is_not_complete() -> None:
    builder = BarBuilder(EUR, 60)
    builder.on_quote(quote(100, 10))
    bars = [*builder.on_quote(quote(100, 70)), *builder.on_time(120 * S)]
    assert [bar.complete for bar in bars] == [False, True]


def test_our_time_counts_where_the_venue_tells_none() -> None:
    builder = BarBuilder(EUR, 60, started_at_ns=0)
    builder.on_quote(Quote(EUR, 1, 3, 61 * S))
    assert [shape(bar) for bar in builder.on_time(120 * S)] == [(60, 2, 2, 2, 2)]


@pytest.mark.parametrize("make", [BarBuilder, BarAggregator])
def test_an_impossible_interval_is_refused(make: type[BarBuilder] | type[BarAggregator]) -> None:
    with pytest.raises(ValueError, match="interval_s >= 1"):
        make(EUR, 0)


@given(st.lists(st.tuples(moments, prices), min_size=1, max_size=80))
def test_joined_bars_equal_bars_built_at_once(ticks: list[tuple[float, float]]) -> None:
    quotes = [quote(price, at_s) for at_s, price in sorted(ticks)]
    small, large = BarBuilder(EUR, 5, started_at_ns=0), BarBuilder(EUR, 60, started_at_ns=0)
    aggregator = BarAggregator(EUR, 60, started_at_ns=0)
    joined: list[Bar] = []
    built: list[Bar] = []
    for each in quotes:
        for bar in small.on_quote(each):
            joined.extend(aggregator.on_bar(bar))
        built.extend(large.on_quote(each))
    for bar in small.on_time(10_000 * S):
        joined.extend(aggregator.on_bar(bar))
    joined.extend(aggregator.on_time(10_000 * S))
    built.extend(large.on_time(10_000 * S))
    assert [shape(bar) for bar in joined] == [shape(bar) for bar in built]


def part(opened_s: int, *, volume: float = 1.0, complete: bool = True, length_s: int = 60) -> Bar:
    closed = (opened_s + length_s) * S
    return Bar(EUR, opened_s * S, closed, 1.0, 2.0, 0.5, 1.5, volume, closed, complete)


def test_volumes_add_up_and_an_incomplete_part_shows() -> None:
    aggregator = BarAggregator(EUR, 120, started_at_ns=0)
    assert aggregator.on_bar(part(0, volume=2)) == ()
    (whole,) = aggregator.on_bar(part(60, volume=3))
    assert (whole.volume, whole.complete) == (5, True)
    aggregator.on_bar(part(120, complete=False))
    assert [bar.complete for bar in aggregator.on_bar(part(180))] == [False]


def test_a_missing_last_part_ends_with_the_next_bar_or_by_the_clock() -> None:
    aggregator = BarAggregator(EUR, 120, grace_s=1, started_at_ns=0)
    aggregator.on_bar(part(0))
    assert [bar.closed_at_ns for bar in aggregator.on_bar(part(120))] == [120 * S]
    assert aggregator.on_time(240 * S) == ()
    assert [bar.closed_at_ns for bar in aggregator.on_time(241 * S)] == [240 * S]


def test_parts_that_do_not_fit_are_refused() -> None:
    aggregator = BarAggregator(EUR, 120)
    with pytest.raises(ValueError, match="aligned divisor"):
        aggregator.on_bar(part(0, length_s=50))
    aggregator.on_bar(part(60))
    aggregator.on_bar(part(120))
    with pytest.raises(ValueError, match="expected a bar from"):
        aggregator.on_bar(part(120))


def test_events_of_a_backtest_are_joined_by_their_bars() -> None:
    quotes: list[Event] = [quote(100, 0), quote(101, 61), quote(102, 62)]
    events = list(bars_from_quotes(quotes, [BarBuilder(EUR, 60)]))
    assert [type(event) for event in events] == [Quote, Bar, Quote, Quote]


def test_the_stage_emits_complete_bars_before_the_quote_and_tells_all_of_them() -> None:
    clock = ManualClock(30 * S)
    built: list[Bar] = []
    stage = BarStage({EUR: [60, 120]}, clock, grace_s=0, on_bar=built.append)
    passed: list[Event] = []
    emit = stage.guard(passed.append)
    for at_s in (31, 70, 130):
        emit(quote(100, at_s))
    assert [type(event) for event in passed] == [Quote, Quote, Bar, Quote]
    assert [(bar.opened_at_ns // S, bar.complete) for bar in built] == [(0, False), (60, True), (0, False)]
    stage.tick(180 * S, passed.append)
    assert isinstance(passed[-1], Bar)
