"""Every indicator against its definition, computed naively from the whole window, on inputs that hypothesis picks."""

import math
import random
from collections.abc import Callable, Sequence
from itertools import pairwise
from statistics import fmean
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

import quantd.indicators
from quantd.indicators import ATR, EMA, RSI, SMA, Donchian, Indicator, PriceIndicator, StandardDeviation, ZScore

PRICES = st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=1, max_size=80)
LENGTHS = st.integers(2, 12)


class Candle(NamedTuple):
    open: float
    high: float
    low: float
    close: float
    volume: float


CANDLES = st.lists(
    st.tuples(*[st.floats(0.01, 1e6)] * 3).map(lambda p: Candle(p[0], max(p), min(p), p[1], 1.0)),
    min_size=1,
    max_size=60,
)


def exact_mean(window: Sequence[float]) -> float:
    return math.fsum(window) / len(window)


def exact_deviation(window: Sequence[float], *, sample: bool = False) -> float:
    mean = exact_mean(window)
    return math.sqrt(math.fsum((x - mean) ** 2 for x in window) / (len(window) - sample))


def wilder(changes: Sequence[float], length: int) -> float:
    mean = fmean(changes[:length])
    for change in changes[length:]:
        mean += (change - mean) / length
    return mean


def assert_follows(
    indicator: PriceIndicator, prices: Sequence[float], define: Callable[[Sequence[float]], float], tolerance: float
) -> None:
    """Feed `prices`; `define` maps all prices so far to the value. Checks value, previous and ready at each step."""
    last = math.nan
    for count, price in enumerate(prices, start=1):
        indicator.update(price)
        assert indicator.ready == (count >= indicator.period)
        assert indicator.previous == last or (math.isnan(indicator.previous) and math.isnan(last))
        if indicator.ready:
            expected = define(prices[:count])
            assert indicator.value == pytest.approx(expected, rel=1e-9, abs=tolerance)
        else:
            assert math.isnan(indicator.value)
        last = indicator.value


@given(PRICES, LENGTHS)
def test_sma_is_the_mean_of_the_window(prices: list[float], n: int) -> None:
    assert_follows(SMA(n), prices, lambda seen: exact_mean(seen[-n:]), tolerance=1e-8)


@given(PRICES, LENGTHS)
def test_ema_is_the_weighted_fold_from_the_first_mean(prices: list[float], n: int) -> None:
    def define(seen: Sequence[float]) -> float:
        mean = exact_mean(seen[:n])
        for price in seen[n:]:
            mean = price * 2 / (n + 1) + mean * (1 - 2 / (n + 1))
        return mean

    assert_follows(EMA(n), prices, define, tolerance=1e-6)


@given(st.lists(st.integers(1, 500).map(float), min_size=1, max_size=60), LENGTHS)
def test_rsi_is_the_share_of_smoothed_gains(prices: list[float], n: int) -> None:
    def define(seen: Sequence[float]) -> float:
        changes = [b - a for a, b in pairwise(seen)]
        gain, loss = wilder([max(c, 0) for c in changes], n), wilder([max(-c, 0) for c in changes], n)
        return 50.0 if gain + loss == 0 else 100 - 100 / (1 + gain / loss) if loss else 100.0

    assert_follows(RSI(n), prices, define, tolerance=1e-6)


@given(PRICES, LENGTHS, st.booleans())
def test_deviation_is_that_of_the_window(prices: list[float], n: int, sample: bool) -> None:
    """Outliers may be 1e6 and the rest tiny: the squares then keep 1e-10 of the outlier, their root a little more."""

    def define(seen: Sequence[float]) -> float:
        return exact_deviation(seen[-n:], sample=sample)

    assert_follows(StandardDeviation(n, sample=sample), prices, define, tolerance=1e-4)


@given(st.lists(st.integers(1, 9).map(lambda i: i / 10), min_size=1, max_size=80), LENGTHS)
def test_zscore_is_the_distance_from_the_mean_in_deviations_and_zero_without_any(prices: list[float], n: int) -> None:
    def define(seen: Sequence[float]) -> float:
        window = seen[-n:]
        if len(set(window)) == 1:
            return 0.0
        return (window[-1] - exact_mean(window)) / exact_deviation(window)

    assert_follows(ZScore(n), prices, define, tolerance=1e-9)


@given(CANDLES, LENGTHS)
def test_donchian_spans_the_window_and_remembers_the_channel_before(bars: list[Candle], n: int) -> None:
    channel = Donchian(n)
    for count, bar in enumerate(bars, start=1):
        before = channel.upper, channel.lower, channel.middle
        channel.on_bar(bar)
        assert channel.ready == (count >= n)
        if not channel.ready:
            continue
        window = bars[count - n : count]
        assert (channel.upper, channel.lower) == (max(b.high for b in window), min(b.low for b in window))
        if count > n:
            assert (channel.previous_upper, channel.previous_lower, channel.previous) == before


@given(CANDLES, LENGTHS)
def test_atr_is_the_smoothed_true_range(bars: list[Candle], n: int) -> None:
    indicator = ATR(n)
    ranges: list[float] = []
    for count, bar in enumerate(bars, start=1):
        if count > 1:
            close = bars[count - 2].close
            ranges.append(max(bar.high - bar.low, abs(bar.high - close), abs(bar.low - close)))
        indicator.on_bar(bar)
        assert indicator.ready == (count > n)
        if indicator.ready:
            assert indicator.value == pytest.approx(wilder(ranges, n), rel=1e-9)


@pytest.mark.parametrize("offset", [0.0, 1e6, 1e9])
def test_nothing_drifts_over_a_long_walk_on_a_large_offset(offset: float) -> None:
    """After 100,000 steps the value is as good as one computed from the window alone."""
    rng, n = random.Random(5), 30
    price = offset
    window: list[float] = []
    average, deviation, score = SMA(n), StandardDeviation(n), ZScore(n)
    for step in range(100_000):
        price += rng.choice((-0.01, 0.01))
        window = [*window[1 - n :], price]
        for indicator in (average, deviation, score):
            indicator.update(price)
        if step > n and step % 997 == 0:
            assert average.value == pytest.approx(exact_mean(window), rel=1e-15)
            apart = [x - price for x in window]  # exact: neighbours differ by far less than their size
            expected = exact_deviation(apart)
            assert deviation.value == pytest.approx(expected, rel=1e-9)
            assert score.value == pytest.approx(-exact_mean(apart) / expected, rel=1e-9)


def test_an_outlier_leaves_no_trace_in_the_deviation_once_it_has_left_the_window() -> None:
    n = 20
    indicator = StandardDeviation(n)
    rng = random.Random(3)
    prices = [rng.uniform(1.0, 2.0) for _ in range(100)]
    prices[41] = 1e12
    for count, price in enumerate(prices, start=1):
        indicator.update(price)
        if count > n and not 42 <= count < 42 + n:
            assert indicator.value == pytest.approx(exact_deviation(prices[count - n : count]), rel=1e-9)


def test_the_mean_of_an_sma_recovers_from_an_outlier_within_one_more_window() -> None:
    n = 20
    indicator = SMA(n)
    for count in range(1, 101):
        indicator.update(1e16 if count == 42 else 1.5)
        if count >= 42 + 2 * n:
            assert indicator.value == 1.5


def test_equal_prices_have_exactly_no_deviation_whatever_came_before() -> None:
    deviation, score = StandardDeviation(5), ZScore(5)
    for price in (0.1, 123456.7, 0.3, *[0.7] * 5):
        deviation.update(price)
        score.update(price)
    assert deviation.value == 0.0
    assert score.value == 0.0


def test_a_market_that_never_moved_has_an_rsi_of_fifty() -> None:
    indicator = RSI(3)
    for _ in range(10):
        indicator.update(42.0)
    assert indicator.value == 50.0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    "indicator", [SMA(3), EMA(3), RSI(3), ATR(3), Donchian(3), StandardDeviation(3), ZScore(3)], ids=repr
)
def test_what_is_no_number_is_refused_and_leaves_the_state_alone(indicator: Indicator, bad: float) -> None:
    def feed(*prices: float) -> tuple[float, float]:
        for price in prices:
            indicator.on_bar(Candle(price, price, price, price, 1.0))
        return indicator.value, indicator.previous

    before = feed(1.0, 2.0, 3.0, 4.0, 5.0)
    with pytest.raises(ValueError, match="expected a finite number"):
        feed(bad)
    assert (indicator.value, indicator.previous) == before
    assert all(map(math.isfinite, feed(3.0, 4.0)))


@pytest.mark.parametrize("kind", [SMA, EMA, RSI, ATR, Donchian, StandardDeviation, ZScore])
@pytest.mark.parametrize("length", [0, -1, 2.5, True, "10"])
def test_a_length_that_is_no_count_is_refused(kind: Callable[[int], Indicator], length: int) -> None:
    with pytest.raises(ValueError, match="length is"):
        kind(length)


def test_a_warm_up_shorter_than_the_definition_and_an_unknown_source_are_refused() -> None:
    with pytest.raises(ValueError, match="warmup is 9"):
        EMA(10, warmup=9)
    with pytest.raises(ValueError, match="source is 'mid'"):
        SMA(10, source="mid")
    with pytest.raises(ValueError, match="length is 1"):
        StandardDeviation(1, sample=True)


def test_an_author_writes_an_indicator_with_one_method() -> None:
    class Range(Indicator):
        """High minus low."""

        __slots__ = ()

        def on_bar(self, bar: quantd.indicators.Candle) -> None:
            self.publish(bar.high - bar.low)

    indicator = Range(1)
    indicator.on_bar(Candle(1.0, 3.0, 0.5, 2.0, 1.0))
    indicator.on_bar(Candle(1.0, 4.0, 0.5, 2.0, 1.0))
    assert (indicator.ready, indicator.previous, indicator.value) == (True, 2.5, 3.5)


def test_a_base_class_left_unimplemented_says_which_method_is_missing() -> None:
    with pytest.raises(NotImplementedError, match="Indicator must implement on_bar"):
        Indicator(1).on_bar(Candle(1.0, 1.0, 1.0, 1.0, 1.0))
    with pytest.raises(NotImplementedError, match="PriceIndicator must implement update"):
        PriceIndicator(1).update(1.0)
