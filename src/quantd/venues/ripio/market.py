"""Market data and trading rules of Ripio, from the private twins of its routes: the public ones may be 30 s old.

Used by the connector. Only reads; keeps the rules that it has read, to tell a change of them.
"""

from collections.abc import Iterable, Sequence

import msgspec

from quantd.domain.instruments import FeeSchedule, Instrument, MarketStatus
from quantd.domain.market import Book, Quote
from quantd.errors import Refused, Unavailable
from quantd.venues.alerts import Alerts
from quantd.venues.budget import Lane
from quantd.venues.listing import Markets, readable
from quantd.venues.ripio import translate, wire
from quantd.venues.ripio.api import Api, part

DEPTH_MAX = 100
"""Documented: the default number of levels; more are had with ``max`` only."""

_ROWS = wire.reader(tuple[msgspec.Raw, ...])
_FEES = wire.reader(tuple[wire.Fee, ...])
_TICKER = wire.reader(wire.Ticker)
_BOOK = wire.reader(wire.Book)
_TRADES = wire.reader(wire.PublicTrades)


class MarketReader:
    """Reads markets with one account's key."""

    def __init__(self, api: Api, fees: FeeSchedule, alerts: Alerts) -> None:
        self._api = api
        self._alerts = alerts
        self._fees = fees
        self.known: dict[str, Instrument] = {}
        """Rules by pair."""

    async def _pairs(self, lane: Lane) -> Markets[wire.Pair]:
        answer = await self._api.read("pairs", _ROWS, "/pairs", lane=lane)
        return Markets[wire.Pair](self._api.venue, "pairs", self._alerts).read(answer.payload, wire.Pair, "symbol")

    async def instruments(self, symbols: Iterable[str]) -> tuple[Instrument, ...]:
        """Return the rules of `symbols` with the account's own fees.

        Raises:
            Refused: the venue does not list a symbol.
            Contradicts: it lists one in several ways.
            VenueError: when they could not be read.
        """
        pairs = await self._pairs(Lane.ACCOUNT)
        return tuple([await self._instrument(pairs.expect(symbol)) for symbol in symbols])

    async def _instrument(self, pair: wire.Pair) -> Instrument:
        fees = await self._fees_of(pair.symbol)
        try:
            fresh = translate.instrument(self._api.venue, pair, fees)
        except ValueError as error:
            raise Unavailable(self._api.venue, "pairs", str(error)) from error
        known = self.known.get(pair.symbol)
        if known is not None:
            same = msgspec.structs.replace(fresh, version=known.version, status=known.status) == known
            fresh = msgspec.structs.replace(fresh, version=known.version if same else known.version + 1)
        self.known[pair.symbol] = fresh
        return fresh

    async def _fees_of(self, symbol: str) -> FeeSchedule:
        """Return the account's fees; the configured ones where the venue does not tell them."""
        try:
            answer = await self._api.read(
                "trading_fees", _FEES, "/user/trading-fees", lane=Lane.ACCOUNT, query={"pair": symbol}
            )
        except Refused:
            return self._fees
        try:
            return translate.fee_schedule(answer.payload)
        except ValueError as error:
            raise Unavailable(self._api.venue, "trading_fees", f"{symbol}: {error}") from error

    async def conversion(self, currency: str, into: str) -> str | None:
        """Return the pair of two currencies, either way round; None where there is none that is enabled.

        Raises:
            VenueError: when the list could not be read.
        """
        pairs = (await self._pairs(Lane.ACCOUNT)).sure().values()
        wanted = {currency, into}
        return next((pair.symbol for pair in pairs if {pair.base, pair.quote} == wanted and pair.enabled), None)

    async def quotes(self, instruments: Sequence[Instrument]) -> tuple[Quote, ...]:
        """Return the top of book of each instrument, all by one request; one with an empty side is left out.

        Raises:
            VenueError: when they could not be read.
        """
        if len(instruments) == 1:
            path = f"/ticker/{part(instruments[0].symbol)}"
            one = await self._api.read("ticker", _TICKER, path, lane=Lane.MARKET_DATA)
            made = translate.quote(instruments[0], one.payload, one.venue_ms, one.received_at_ns)
            return (made,) if made is not None else ()
        answer = await self._api.read("tickers", _ROWS, "/ticker", lane=Lane.MARKET_DATA)
        rows, unreadable = readable(answer.payload, wire.Ticker, "pair", self._alerts, "ticker")
        if unreadable and not rows:
            raise Unavailable(self._api.venue, "tickers", f"no ticker can be read: {unreadable}"[:300])
        tickers = {ticker.pair: ticker for ticker in rows}
        quotes = (
            translate.quote(each, tickers[each.symbol], answer.venue_ms, answer.received_at_ns)
            for each in instruments
            if each.symbol in tickers
        )
        return tuple(quote for quote in quotes if quote is not None)

    async def book(self, instrument: Instrument, depth: int) -> Book:
        """Return up to `depth` levels a side.

        Raises:
            VenueError: when it could not be read.
        """
        limit = str(max(depth, 1)) if depth <= DEPTH_MAX else "max"
        query = {"pair": instrument.symbol, "limit": limit}
        answer = await self._api.read("book", _BOOK, "/book/orders/level-2", lane=Lane.MARKET_DATA, query=query)
        return translate.book(instrument, answer.payload, depth, answer.received_at_ns)

    async def trades(self, symbol: str, count: int) -> tuple[wire.PublicTrade, ...]:
        """Return the newest prints of a pair, up to `count` (at most 1000), newest first; beside the port.

        Raises:
            VenueError: when they could not be read.
        """
        query = {"pair": symbol, "page_size": str(min(max(count, 1), 1000))}
        answer = await self._api.read("trades", _TRADES, "/trades", lane=Lane.MARKET_DATA, query=query)
        return answer.payload.trades

    async def statuses(self, instruments: Sequence[Instrument]) -> dict[str, MarketStatus]:
        """Return the status of each market: one that is not enabled, or whose row cannot be read, does not trade, one not listed is delisted.

        Raises:
            VenueError: when they could not be read.
        """
        pairs = await self._pairs(Lane.MARKET_DATA)

        def status(symbol: str) -> MarketStatus:
            if not pairs.lists(symbol):
                return MarketStatus.DELISTED
            pair = pairs.get(symbol)
            return MarketStatus.OPEN if pair is not None and pair.enabled else MarketStatus.HALTED

        return {each.id: status(each.symbol) for each in instruments}
