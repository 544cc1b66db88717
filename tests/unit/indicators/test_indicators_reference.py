"""Our indicators against TA-Lib, value by value, on seeded random walks; and against numpy where it has none."""

import random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

from quantd.indicators import ATR, EMA, RSI, SMA, Donchian, Indicator, StandardDeviation, ZScore

talib: Any = pytest.importorskip("talib")


Values = npt.NDArray[np.float64]


class Candle(NamedTuple):
    open: float
    high: float
    low: float
    close: float
    volume: float


def candles(count: int, seed: int) -> Iterator[Candle]:
    rng = random.Random(seed)
    close = 1000.0
    for _ in range(count):
        opened = close + rng.gauss(0.0, 0.3)
        close = opened + rng.gauss(0.0, 2.0)
        yield Candle(
            opened,
            max(opened, close) + rng.random(),
            min(opened, close) - rng.random(),
            close,
            rng.uniform(1.0, 9.0),
        )


BARS = list(candles(3000, seed=11))
OPEN, HIGH, LOW, CLOSE, VOLUME = (np.array(column) for column in zip(*BARS, strict=True))


def values(indicator: Indicator, attribute: str = "value") -> Values:
    found = []
    for bar in BARS:
        indicator.on_bar(bar)
        found.append(getattr(indicator, attribute))
    return np.array(found)


def zscore(length: int) -> Values:
    score: Values = (CLOSE - talib.SMA(CLOSE, length)) / talib.STDDEV(CLOSE, length)
    return score


@pytest.mark.parametrize("length", [2, 3, 10, 30, 200])
@pytest.mark.parametrize(
    ("ours", "reference"),
    [
        (SMA, lambda n: talib.SMA(CLOSE, n)),
        (EMA, lambda n: talib.EMA(CLOSE, n)),
        (RSI, lambda n: talib.RSI(CLOSE, n)),
        (ATR, lambda n: talib.ATR(HIGH, LOW, CLOSE, n)),
        (StandardDeviation, lambda n: talib.STDDEV(CLOSE, n)),
        (ZScore, zscore),
    ],
    ids=["SMA", "EMA", "RSI", "ATR", "StandardDeviation", "ZScore"],
)
def test_equals_ta_lib_from_the_same_bar_on(
    ours: Callable[[int], Indicator], reference: Callable[[int], Values], length: int
) -> None:
    np.testing.assert_allclose(values(ours(length)), reference(length), rtol=1e-7, atol=1e-7, equal_nan=True)


@pytest.mark.parametrize("length", [2, 3, 20, 55])
def test_donchian_equals_ta_libs_moving_extremes(length: int) -> None:
    np.testing.assert_array_equal(values(Donchian(length), "upper"), talib.MAX(HIGH, length))
    np.testing.assert_array_equal(values(Donchian(length), "lower"), talib.MIN(LOW, length))
    middle = (talib.MAX(HIGH, length) + talib.MIN(LOW, length)) / 2.0
    np.testing.assert_array_equal(values(Donchian(length), "middle"), middle)


@pytest.mark.parametrize("length", [2, 20, 55])
def test_sample_deviation_equals_numpys(length: int) -> None:
    windows = np.lib.stride_tricks.sliding_window_view(CLOSE, length)
    found = values(StandardDeviation(length, sample=True))[length - 1 :]
    np.testing.assert_allclose(found, windows.std(axis=1, ddof=1), rtol=1e-9)


@pytest.mark.parametrize(
    ("source", "column"),
    [
        ("open", OPEN),
        ("high", HIGH),
        ("low", LOW),
        ("close", CLOSE),
        ("volume", VOLUME),
        ("median", talib.MEDPRICE(HIGH, LOW)),
        ("typical", talib.TYPPRICE(HIGH, LOW, CLOSE)),
    ],
)
def test_source_chooses_the_price_that_is_followed(source: str, column: Values) -> None:
    np.testing.assert_allclose(values(SMA(7, source=source)), talib.SMA(column, 7), rtol=1e-9, equal_nan=True)


@pytest.mark.parametrize("make", [lambda: EMA(10, warmup=40), lambda: RSI(10, warmup=40), lambda: ATR(10, warmup=40)])
def test_a_longer_warm_up_hides_the_first_values_and_changes_none(make: Callable[[], EMA | RSI | ATR]) -> None:
    kind: type[EMA | RSI | ATR] = type(make())
    shown, reference = values(make()), values(kind(10))
    assert np.isnan(shown[:39]).all()
    np.testing.assert_array_equal(shown[39:], reference[39:])
