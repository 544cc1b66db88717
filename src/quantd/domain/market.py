"""Market data: quotes, bars and books, in floats.

Pollers, recorded data and the synthetic market make them; indicators and strategies read them. Money never comes from
here except through `Instrument.price`.
"""

import msgspec

from quantd.domain.instruments import InstrumentId, MarketStatus


class Quote(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Best bid and ask. Sizes are in the instrument's quantity unit; 0 where the venue does not tell."""

    instrument: InstrumentId
    bid: float
    ask: float
    received_at_ns: int
    occurred_at_ns: int | None = None
    bid_size: float = 0.0
    ask_size: float = 0.0

    @property
    def mid(self) -> float:
        """The middle of bid and ask."""
        return (self.bid + self.ask) * 0.5


class Bar(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Prices over an interval; its event time is its close. Volume in the instrument's quantity unit."""

    instrument: InstrumentId
    opened_at_ns: int
    closed_at_ns: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    received_at_ns: int
    complete: bool = True
    is_history: bool = False
    """Loaded to warm up a series: its close is no price of now, and triggers nothing."""

    @property
    def interval_ns(self) -> int:
        """The length of the bar in nanoseconds."""
        return self.closed_at_ns - self.opened_at_ns


class Book(msgspec.Struct, frozen=True, tag=True):
    """Depth: (price, quantity) by level, best first."""

    instrument: InstrumentId
    bids: tuple[tuple[float, float], ...]
    asks: tuple[tuple[float, float], ...]
    received_at_ns: int
    occurred_at_ns: int | None = None
    sequence: int = 0


class StatusChanged(msgspec.Struct, frozen=True, tag=True):
    """The market of an instrument opened, closed or was restricted."""

    instrument: InstrumentId
    status: MarketStatus
    received_at_ns: int
