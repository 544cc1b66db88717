"""quantd: an algorithmic-trading daemon. This module is all that a strategy imports; nothing else is public to it."""

from quantd.domain.events import TradingState
from quantd.domain.fills import Fill, Liquidity, Quality
from quantd.domain.instruments import Instrument, InstrumentId, MarketStatus
from quantd.domain.market import Bar, Book, Quote, StatusChanged
from quantd.domain.orders import Limit, Market, OrderState, Protect, Side, Stop, StopLimit, TimeInForce
from quantd.engine.orders import Order
from quantd.engine.params import param
from quantd.engine.risk.wish import Denial, Denied
from quantd.engine.series import Series
from quantd.engine.strategy import Strategy
from quantd.engine.views import Instruments, Position
from quantd.indicators import (
    ATR,
    EMA,
    RSI,
    SMA,
    Donchian,
    Indicator,
    PriceIndicator,
    StandardDeviation,
    ZScore,
    crossed_above,
    crossed_below,
)

__version__ = "0.1.0"

__all__ = [
    "ATR",
    "EMA",
    "RSI",
    "SMA",
    "Bar",
    "Book",
    "Denial",
    "Denied",
    "Donchian",
    "Fill",
    "Indicator",
    "Instrument",
    "InstrumentId",
    "Instruments",
    "Limit",
    "Liquidity",
    "Market",
    "MarketStatus",
    "Order",
    "OrderState",
    "Position",
    "PriceIndicator",
    "Protect",
    "Quality",
    "Quote",
    "Series",
    "Side",
    "StandardDeviation",
    "StatusChanged",
    "Stop",
    "StopLimit",
    "Strategy",
    "TimeInForce",
    "TradingState",
    "ZScore",
    "__version__",
    "crossed_above",
    "crossed_below",
    "param",
]
