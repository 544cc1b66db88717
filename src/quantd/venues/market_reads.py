"""The market side of a connector whose venue is asked for everything: each read goes to the venue's own reader.

Used by the connectors that add nothing to it. One that streams prices answers from its stream first and reads by itself.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from quantd.domain.instruments import Instrument, MarketStatus
from quantd.domain.market import Bar, Book, Quote


class MarketReader(Protocol):
    """What each venue's reader can do; the port `Connector` says what the calls mean."""

    async def instruments(self, symbols: Iterable[str], /) -> tuple[Instrument, ...]:
        """Return trading rules."""

    async def conversion(self, currency: str, into: str, /) -> str | None:
        """Return the symbol between two currencies."""

    async def quotes(self, instruments: Sequence[Instrument], /) -> tuple[Quote, ...]:
        """Return the top of each book."""

    async def book(self, instrument: Instrument, depth: int, /) -> Book:
        """Return up to `depth` levels a side."""

    async def bars(self, instrument: Instrument, interval_s: int, count: int, /) -> tuple[Bar, ...]:
        """Return complete bars, oldest first."""

    async def statuses(self, instruments: Sequence[Instrument], /) -> Mapping[str, MarketStatus]:
        """Return the status by instrument id."""


class MarketReads:
    """The six reads of the port; `_markets` is set by the connector."""

    _markets: MarketReader

    async def instruments(self, symbols: Iterable[str]) -> tuple[Instrument, ...]:
        """Return trading rules; unknown symbols raise `Refused`."""
        return await self._markets.instruments(symbols)

    async def conversion(self, currency: str, into: str) -> str | None:
        """Return the symbol of an instrument between two currencies, None where there is none."""
        return await self._markets.conversion(currency, into)

    async def quotes(self, instruments: Sequence[Instrument]) -> tuple[Quote, ...]:
        """Return the top of book of each instrument."""
        return await self._markets.quotes(instruments)

    async def book(self, instrument: Instrument, depth: int) -> Book:
        """Return up to `depth` levels a side, best first."""
        return await self._markets.book(instrument, depth)

    async def bars(self, instrument: Instrument, interval_s: int, count: int) -> tuple[Bar, ...]:
        """Return up to `count` complete bars, oldest first; empty where the venue has no history."""
        return await self._markets.bars(instrument, interval_s, count)

    async def statuses(self, instruments: Sequence[Instrument]) -> Mapping[str, MarketStatus]:
        """Return the market status by instrument id."""
        return await self._markets.statuses(instruments)
