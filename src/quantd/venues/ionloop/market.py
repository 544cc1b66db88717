"""Market data and trading rules of ionloop, and whether the venue works.

Used by the connector. Only reads; keeps the rules it has read to tell a change of them.
"""

from collections.abc import Iterable, Sequence

import msgspec

from quantd.domain.instruments import FeeSchedule, Instrument, MarketStatus
from quantd.domain.market import Bar, Book, Quote
from quantd.errors import Refused, Unavailable, Unreadable
from quantd.ports import Observer
from quantd.venues.alerts import Alerts
from quantd.venues.budget import Lane, Limit
from quantd.venues.ionloop import translate, wire
from quantd.venues.ionloop.api import Api
from quantd.venues.ionloop.classify import MarketClosed
from quantd.venues.ionloop.limits import ticker_limit
from quantd.venues.ionloop.translate import SECOND_NS
from quantd.venues.listing import Markets
from quantd.venues.quoting import each_quote

DEPTH_MAX = 500
OPERATIONAL = "operational"


class MarketReader:
    """Reads markets of one account's venue."""

    def __init__(
        self, api: Api, *, fees: FeeSchedule, limits: Iterable[Limit], observer: Observer, alerts: Alerts
    ) -> None:
        self._api = api
        self._fees = fees
        self._limits = tuple(limits)
        self._observer = observer
        self._alerts = alerts
        self._known: dict[str, Instrument] = {}
        self._sequences: dict[str, int] = {}

    async def instruments(self, symbols: Iterable[str]) -> tuple[Instrument, ...]:
        """Return the rules of `symbols`: assets from the list, the rest from each market's details.

        Raises:
            Refused: the venue does not list a symbol.
            Contradicts: it lists one in several ways.
            VenueError: when a page could not be read.
        """
        listed = await self._listed()
        found = [await self._instrument(listed.expect(symbol)) for symbol in symbols]
        budget = self._api.http.budget
        budget.reconfigure((*self._limits, *(ticker_limit(symbol) for symbol in sorted(self._known))))
        return tuple(found)

    async def conversion(self, currency: str, into: str) -> str | None:
        """Return the market between two currencies, either way round; None where there is none that is online.

        Raises:
            VenueError: when the list could not be read.
        """
        wanted = {currency, into}
        for symbol, item in (await self._listed()).sure().items():
            if {item.base_asset, item.quote_asset} == wanted and item.status == "online":
                return symbol
        return None

    async def _listed(self) -> Markets[wire.MarketItem]:
        answer = await self._api.read("list_markets", wire.Markets, lane=Lane.ACCOUNT)
        return Markets[wire.MarketItem](self._api.venue, "list_markets", self._alerts).read(
            answer.payload.items, wire.MarketItem, "symbol"
        )

    async def _instrument(self, item: wire.MarketItem) -> Instrument:
        answer = await self._api.read("market", wire.MarketRules, lane=Lane.ACCOUNT, parts={"symbol": item.symbol})
        try:
            fresh = translate.instrument(self._api.venue, item, answer.payload, self._fees)
        except ValueError as error:
            raise Unavailable(self._api.venue, "market", str(error)) from error
        known = self._known.get(item.symbol)
        if known is not None:
            same = msgspec.structs.replace(fresh, version=known.version, status=known.status) == known
            fresh = msgspec.structs.replace(fresh, version=known.version if same else known.version + 1)
        self._known[item.symbol] = fresh
        return fresh

    async def quotes(self, instruments: Sequence[Instrument]) -> tuple[Quote, ...]:
        """Return the top of book of each instrument; a closed market has none and is left out.

        So is one that cannot be read, such as a market without bids, see `each_quote`.

        Raises:
            VenueError: when the venue does not answer, or no ticker could be read.
        """
        found = await each_quote(instruments, self._quote, self._alerts)
        self._tell_clock()
        return found

    async def _quote(self, instrument: Instrument) -> Quote | None:
        parts = {"symbol": instrument.symbol}
        try:
            answer = await self._api.read("ticker", wire.Ticker, lane=Lane.MARKET_DATA, parts=parts)
        except MarketClosed:
            return None
        try:
            return translate.quote(instrument, answer.payload, answer.meta, answer.received_at_ns)
        except ValueError as error:
            raise Unreadable(self._api.venue, "ticker", f"{instrument.symbol}: {error}") from error

    async def book(self, instrument: Instrument, depth: int) -> Book:
        """Return up to `depth` levels a side.

        Raises:
            VenueError: when it could not be read.
        """
        query = {"depth": str(min(max(depth, 1), DEPTH_MAX))}
        parts = {"symbol": instrument.symbol}
        answer = await self._api.read("order_book", wire.OrderBook, lane=Lane.MARKET_DATA, query=query, parts=parts)
        try:
            book = translate.book(instrument, answer.payload, answer.meta, answer.received_at_ns)
        except ValueError as error:
            raise Unavailable(self._api.venue, "order_book", f"{instrument.symbol}: {error}") from error
        # Sequences jump between polls; only one that falls means that an older book was served.
        if book.sequence < self._sequences.get(instrument.symbol, 0):
            self._alerts.note("sequence_fell", instrument.symbol)
        self._sequences[instrument.symbol] = book.sequence
        return book

    async def bars(self, instrument: Instrument, interval_s: int, count: int) -> tuple[Bar, ...]:
        """Return nothing: the venue has no bars."""
        return ()

    async def status(self) -> wire.StatusWire:
        """Return the state of the venue by part.

        Raises:
            VenueError: when it could not be read.
        """
        answer = await self._api.read("status", wire.StatusWire, lane=Lane.MARKET_DATA)
        self._tell_clock()
        return answer.payload

    def _tell_clock(self) -> None:
        offset_s = self._api.offset_ns / SECOND_NS
        self._observer.gauge("quantd_venue_clock_offset_seconds", offset_s, venue=self._api.venue)

    async def statuses(self, instruments: Sequence[Instrument]) -> dict[str, MarketStatus]:
        """Return the status of each market; all are halted while API or matching engine is not operational.

        Raises:
            VenueError: when something could not be read.
        """
        status = await self.status()
        if status.api != OPERATIONAL or status.matching_engine != OPERATIONAL:
            return {instrument.id: MarketStatus.HALTED for instrument in instruments}
        return {instrument.id: await self._market_status(instrument.symbol) for instrument in instruments}

    async def _market_status(self, symbol: str) -> MarketStatus:
        try:
            answer = await self._api.read("market", wire.MarketRules, lane=Lane.MARKET_DATA, parts={"symbol": symbol})
        except MarketClosed:
            return MarketStatus.HALTED
        except Refused as error:
            if error.code == "not_found":
                return MarketStatus.DELISTED
            raise
        if not translate.is_known_status(answer.payload.status):
            self._alerts.note("unknown_market_status", symbol, status=answer.payload.status[:32])
        return translate.market_status(answer.payload.status)
