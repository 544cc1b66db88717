"""Rules, prices, books and candles of one exchange behind the server.

Used by the connector. Only reads. There is no ticker with both sides: a book of depth one stands for it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from quantd.domain.instruments import FeeSchedule, Instrument, MarketStatus
from quantd.domain.market import Bar, Book, Quote
from quantd.errors import Refused, Unavailable, Unsound
from quantd.ports import wall_ns
from quantd.venues.alerts import Alerts
from quantd.venues.budget import Lane
from quantd.venues.hummingbot import translate, wire
from quantd.venues.hummingbot.api import Api
from quantd.venues.hummingbot.options import INTERVALS
from quantd.venues.hummingbot.translate import SECOND_NS
from quantd.venues.listing import UNREADABLE
from quantd.venues.quoting import each_quote

DEPTH_MAX = 1_000
_NAMES = {seconds: name for name, seconds in INTERVALS.items()}


class MarketReader:
    """Reads the markets of one connector."""

    def __init__(self, api: Api, connector: str, fees: FeeSchedule, alerts: Alerts) -> None:
        self._api = api
        self._alerts = alerts
        self._connector = connector
        self._fees = fees
        self.known: dict[str, Instrument] = {}
        """Rules by pair, as they were last read."""

    async def instruments(self, pairs: Iterable[str]) -> tuple[Instrument, ...]:
        """Return trading rules.

        Raises:
            Refused: the exchange does not list a pair; the server says so inside a good answer.
            Unsound: the rules of one cannot be read.
        """
        wanted = list(pairs)
        found, unreadable = await self._rules(wanted)
        fresh = []
        for pair in wanted:
            if pair in unreadable:
                raise Unsound(self._api.venue, "trading_rules", f"{pair} cannot be read: {unreadable[pair]}")
            rules = found.get(pair)
            if rules is None:
                raise Refused(self._api.venue, "trading_rules", "unknown", f"no such pair: {pair}")
            one = translate.instrument(self._api.venue, pair, rules, self._fees)
            before = self.known.get(pair)
            if before is not None and msgspec.structs.replace(one, version=before.version) != before:
                one = msgspec.structs.replace(one, version=before.version + 1)
            elif before is not None:
                one = before
            self.known[pair] = one
            fresh.append(one)
        return tuple(fresh)

    async def _rules(self, pairs: Sequence[str]) -> tuple[Mapping[str, wire.Rules], Mapping[str, str]]:
        """Return rules by pair, and why those of others cannot be read."""
        path = f"/connectors/{self._connector}/trading-rules"
        query = {"trading_pairs": list(pairs)} if pairs else None
        try:
            answer = await self._api.get("trading_rules", path, dict[str, Any], Lane.ACCOUNT, query)
        except Refused as error:
            if error.code != "not_found":
                raise
            # A connector that the server does not know and an exchange that it cannot reach answer alike; that it has our
            # keys for this one was asked at the start.
            raise Unavailable(self._api.venue, "trading_rules", error.detail) from error
        if "error" in answer:
            raise Refused(self._api.venue, "trading_rules", "unknown", str(answer["error"])[:200])
        listed = {pair: rules for pair, rules in answer.items() if not (isinstance(rules, dict) and "error" in rules)}
        found: dict[str, wire.Rules] = {}
        unreadable: dict[str, str] = {}
        for pair, rules in listed.items():
            try:
                found[pair] = msgspec.convert(rules, wire.Rules, strict=False)
            except (msgspec.ValidationError, ValueError) as error:
                unreadable[pair] = str(error)[:200]
                self._alerts.note(UNREADABLE, f"market {pair}", error=unreadable[pair])
        return found, unreadable

    async def conversion(self, currency: str, into: str) -> str | None:
        """Return the pair of two currencies, either way round; None where the exchange lists none."""
        listed, _ = await self._rules(())
        return next((pair for pair in (f"{currency}-{into}", f"{into}-{currency}") if pair in listed), None)

    async def quotes(self, instruments: Sequence[Instrument]) -> tuple[Quote, ...]:
        """Return the top of each book; one without both sides is left out.

        Raises:
            VenueError: the server does not answer, or no book could be read.
        """
        return await each_quote(instruments, self._quote, self._alerts)

    async def _quote(self, instrument: Instrument) -> Quote | None:
        book = await self.book(instrument, 1)
        if not (book.bids and book.asks):
            return None
        (bid, bid_size), (ask, ask_size) = book.bids[0], book.asks[0]
        return Quote(instrument.id, bid, ask, book.received_at_ns, None, bid_size=bid_size, ask_size=ask_size)

    async def book(self, instrument: Instrument, depth: int) -> Book:
        """Return a book. Its time is the server's own, not the book's age, so none is told."""
        body = {
            "connector_name": self._connector, "trading_pair": instrument.symbol, "depth": min(depth, DEPTH_MAX),
        }  # fmt: skip
        rows = await self._api.ask("order_book", "/market-data/order-book", body, wire.BookRows, Lane.MARKET_DATA)
        bids = tuple((level.price, level.amount) for level in rows.bids[:depth])
        asks = tuple((level.price, level.amount) for level in rows.asks[:depth])
        return Book(instrument.id, bids, asks, self._api.http.clock.now_ns())

    async def bars(self, instrument: Instrument, interval_s: int, count: int) -> tuple[Bar, ...]:
        """Return up to `count` whole bars, oldest first; the newest candle is mostly unfinished and left out."""
        now_ns = wall_ns(self._api.http.clock)
        now_s = now_ns // SECOND_NS
        body = {
            "connector_name": self._connector,
            "trading_pair": instrument.symbol,
            "interval": _NAMES[interval_s],
            "start_time": now_s - (count + 1) * interval_s,
            "end_time": now_s,
        }
        path = "/market-data/historical-candles"
        try:
            rows = await self._api.ask("candles", path, body, tuple[wire.Candle, ...], Lane.MARKET_DATA)
        except Refused as error:
            if error.code != "not_found":
                raise
            return ()  # nothing has traded in that time
        bars = []
        for row in rows:
            opened_at_ns = round(row.timestamp) * SECOND_NS
            closed_at_ns = opened_at_ns + interval_s * SECOND_NS
            if closed_at_ns <= now_ns:
                bars.append(
                    Bar(
                        instrument.id, opened_at_ns, closed_at_ns, row.open, row.high, row.low, row.close, row.volume,
                        received_at_ns=self._api.http.clock.now_ns(),
                    )
                )  # fmt: skip
        return tuple(bars[-count:])

    async def statuses(self, instruments: Sequence[Instrument]) -> Mapping[str, MarketStatus]:
        """Return OPEN while the rules are loaded: the server tells no status. HALTED where they cannot be read."""
        listed, unreadable = await self._rules([one.symbol for one in instruments])

        def status(pair: str) -> MarketStatus:
            if pair in unreadable:
                return MarketStatus.HALTED
            return MarketStatus.OPEN if pair in listed else MarketStatus.DELISTED

        return {one.id: status(one.symbol) for one in instruments}
