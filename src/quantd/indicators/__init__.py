"""Incremental indicators: O(1) for each bar, floats only, pure.

Used by strategies (`from quantd import SMA`) and by the engine, which calls `on_bar` of every tracked indicator.
Never reads clocks, files or chance.
"""

from quantd.indicators.averages import EMA, SMA
from quantd.indicators.base import SOURCES, Candle, Indicator, PriceIndicator
from quantd.indicators.channels import Donchian
from quantd.indicators.crossing import TIE, Line, crossed_above, crossed_below
from quantd.indicators.dispersion import StandardDeviation, ZScore
from quantd.indicators.wilder import ATR, RSI

__all__ = [
    "ATR",
    "EMA",
    "RSI",
    "SMA",
    "SOURCES",
    "TIE",
    "Candle",
    "Donchian",
    "Indicator",
    "Line",
    "PriceIndicator",
    "StandardDeviation",
    "ZScore",
    "crossed_above",
    "crossed_below",
]
