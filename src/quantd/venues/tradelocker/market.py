"""Rules, prices, depth, bars and statuses of TradeLocker's instruments.

Used by the connector. Only reads. Several INFO routes may lead to an instrument and some be dead for the user: the one that
answered last is asked first, then the others, last to first, as the official client does.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final, TypeVar

import msgspec

from quantd.domain.instruments import FeeSchedule, Instrument, InstrumentId, MarketStatus, symbol_of
from quantd.domain.market import Bar, Book, Quote
from quantd.domain.numbers import ZERO
from quantd.errors import Refused, Unavailable
from quantd.ports import wall_ns
from quantd.venues.alerts import Alerts
from quantd.venues.budget import Lane
from quantd.venues.quoting import each_quote
from quantd.venues.tradelocker import translate, wire
from quantd.venues.tradelocker.api import Api
from quantd.venues.tradelocker.catalogue import Catalogue, Listed
from quantd.venues.tradelocker.classify import Envelope
from quantd.venues.tradelocker.translate import MS_NS, SECOND_NS, Commission

RESOLUTIONS: Final = {
    60: "1m", 300: "5m", 900: "15m", 1_800: "30m", 3_600: "1H", 14_400: "4H", 86_400: "1D", 604_800: "1W",
}  # fmt: skip
"""The venue's name of an interval by its seconds; months, which have no fixed length, are left out."""
BARS_MAX: Final = 20_000
"""Of one answer, as documented; the configuration may say less, and where it says more it is not believed."""
_RANGES_MAX = 4
_CLOSED_S = 3 * 86_400
"""Added to a range of bars: a week-end has none."""
_T = TypeVar("_T")


class MarketReader:
    """Reads the markets of one account.

    Args:
        api: The session.
        catalogue: Ids and routes.
        commission_per_lot: Of every instrument, in the account's currency; the API tells none.
        alerts: Told of words and routes that are not what they should be.
    """

    def __init__(self, api: Api, catalogue: Catalogue, commission_per_lot: Decimal, alerts: Alerts) -> None:
        self._api = api
        self._catalogue = catalogue
        self._commission_per_lot = commission_per_lot
        self._alerts = alerts
        self._known: dict[str, Instrument] = {}
        self._alive: dict[str, str] = {}
        """INFO route that answered last, by tradable id."""
        self.bars_max = BARS_MAX
        self.home = ""
        """The account's currency, once it is known."""

    # --- rules --------------------------------------------------------------------------------------------------------

    async def instruments(self, names: Iterable[str]) -> tuple[Instrument, ...]:
        """Return trading rules.

        Raises:
            Refused: a name is not listed, is shared, or may not be traded by this user.
            VenueError: rules could not be read.
        """
        found = []
        for listed in await self._catalogue.find(names):
            if not listed.trade_route:
                raise Refused(self._api.venue, "instruments", "no_trade_route", f"{listed.name} has no TRADE route")
            found.append(await self._instrument(listed))
        return tuple(found)

    async def _instrument(self, listed: Listed) -> Instrument:
        rules = await self._rules(listed, Lane.ACCOUNT)
        try:
            fees = FeeSchedule(per_unit=self._commission_per_lot, per_unit_asset=self.home)
            fresh = translate.instrument(self._api.venue, listed.name, rules, fees)
        except ValueError as error:
            raise Unavailable(self._api.venue, "instrument", str(error)) from error
        known = self._known.get(listed.name)
        if known is not None:
            same = msgspec.structs.replace(fresh, version=known.version, status=known.status) == known
            fresh = msgspec.structs.replace(fresh, version=known.version if same else known.version + 1)
        self._known[listed.name] = fresh
        return fresh

    def commission(self, instrument: InstrumentId) -> Commission:
        """Return what a lot of an instrument is charged; nothing where its rules have not been read."""
        known = self._known.get(symbol_of(instrument))
        return ("", ZERO) if known is None else (known.commission_currency, known.fees.per_unit)

    async def _rules(self, listed: Listed, lane: Lane) -> wire.InstrumentWire:
        query = {"routeId": listed.trade_route or "".join(listed.info_routes[:1]), "locale": "en"}
        path = f"/trade/instruments/{listed.id}"
        return self._told("instrument", await self._api.read("instrument", path, wire.InstrumentWire, lane, query))

    async def conversion(self, currency: str, into: str) -> str | None:
        """Return the instrument between two currencies, either way round; None where there is none.

        Brokers put suffixes behind names, so that a name that begins with both is looked at, the shortest first.

        Raises:
            VenueError: rules could not be read.
        """
        pairs = (currency + into, into + currency)
        for name in sorted((one for one in self._catalogue.names() if one.startswith(pairs)), key=len):
            listed = self._catalogue.known(name)
            if listed is None or not listed.trade_route:
                continue
            known = self._known.get(name) or await self._instrument(listed)
            if {known.base, known.quote} == {currency, into}:
                return name
        return None

    async def statuses(self, instruments: Sequence[Instrument]) -> Mapping[str, MarketStatus]:
        """Return statuses by the instrument's own word, then by its session.

        Raises:
            VenueError: one could not be read.
        """
        sessions: dict[str, bool] = {}
        return {one.id: await self._status(one, sessions) for one in instruments}

    async def _status(self, instrument: Instrument, sessions: dict[str, bool]) -> MarketStatus:
        listed = self._catalogue.known(instrument.symbol)
        if listed is None:
            return MarketStatus.DELISTED
        rules = await self._rules(listed, Lane.MARKET_DATA)
        if not translate.is_known_status(rules.symbol_status):
            self._alerts.note("unknown_symbol_status", instrument.symbol, status=rules.symbol_status[:32])
        status = translate.market_status(rules.symbol_status)
        if status is not MarketStatus.OPEN:
            return status
        for name, kind, number in (
            ("session", "sessions", rules.trade_session_id),
            ("session_status", "sessionStatuses", rules.trade_session_status_id),
        ):
            if number is None:
                continue
            key = f"/trade/{kind}/{number}"
            if key not in sessions:
                sessions[key] = await self._is_shut(name, key)
            if sessions[key]:
                return MarketStatus.CLOSED
        return status

    async def _is_shut(self, operation: str, path: str) -> bool:
        if operation == "session":
            hours = await self._api.read(operation, path, wire.SessionWire, Lane.MARKET_DATA)
            return hours is not None and hours.block_trading
        state = await self._api.read(operation, path, wire.SessionStatusWire, Lane.MARKET_DATA)
        return state is not None and translate.allows_nothing(state.allowed_operations)

    # --- prices -------------------------------------------------------------------------------------------------------

    async def quotes(self, instruments: Sequence[Instrument]) -> tuple[Quote, ...]:
        """Return the best prices; they come without a time. One without both sides is left out.

        Raises:
            VenueError: the venue does not answer, or none could be read.
        """
        return await each_quote(instruments, self._quote, self._alerts)

    async def _quote(self, instrument: Instrument) -> Quote | None:
        told = await self._informed("quotes", "/trade/quotes", instrument)
        row = self._api.payload("quotes", told, wire.QuoteWire)
        if not (row.bid and row.ask):
            return None
        now_ns = self._api.http.clock.now_ns()
        sizes = {"bid_size": row.bid_size or 0.0, "ask_size": row.ask_size or 0.0}
        return Quote(instrument.id, row.bid, row.ask, now_ns, None, **sizes)

    async def book(self, instrument: Instrument, depth: int) -> Book:
        """Return up to `depth` levels a side, best first whatever the venue's order.

        Raises:
            VenueError: it could not be read.
        """
        told = await self._informed("depth", "/trade/depth", instrument)
        levels = self._api.payload("depth", told, wire.DepthWire)
        if any(len(level) < 2 for level in (*levels.bids, *levels.asks)):
            raise Unavailable(self._api.venue, "depth", f"{instrument.symbol}: a level without price and size")
        bids = sorted(((level[0], level[1]) for level in levels.bids), reverse=True)[:depth]
        asks = sorted((level[0], level[1]) for level in levels.asks)[:depth]
        return Book(instrument.id, tuple(bids), tuple(asks), self._api.http.clock.now_ns())

    async def bars(self, instrument: Instrument, interval_s: int, count: int) -> tuple[Bar, ...]:
        """Return up to `count` whole bars of the instrument's own side of the book, oldest first.

        Raises:
            VenueError: a range could not be read.
        """
        clock = self._api.http.clock
        now_ms = wall_ns(clock) // MS_NS
        wanted = min(count, self.bars_max - 1)
        span_ms = min(wanted + 1 + _CLOSED_S // interval_s, self.bars_max - 1) * interval_s * 1_000
        found: dict[int, wire.BarWire] = {}
        until_ms = now_ms
        for _ in range(_RANGES_MAX):
            query = {
                "resolution": RESOLUTIONS[interval_s], "from": str(max(0, until_ms - span_ms)), "to": str(until_ms),
            }  # fmt: skip
            told = await self._informed("history", "/trade/history", instrument, query)
            rows = () if told.s == "no_data" else self._api.payload("history", told, wire.BarsWire).bar_details
            found |= {row.t: row for row in rows if row.t + interval_s * 1_000 <= now_ms}
            if len(found) >= wanted or until_ms <= span_ms:
                break
            if rows:
                until_ms = max(0, until_ms - span_ms)
            elif isinstance(told.nb, int) and 0 < told.nb < until_ms:
                until_ms = told.nb
            else:
                break
        bars = [_bar(instrument, row, interval_s, clock.now_ns()) for _, row in sorted(found.items())]
        return tuple(bars[-wanted:])

    async def _informed(
        self, operation: str, path: str, instrument: Instrument, more: Mapping[str, str] | None = None
    ) -> Envelope:
        """Ask over an INFO route that is alive."""
        listed = self._catalogue.known(instrument.symbol)
        if listed is None or not listed.info_routes:
            words = f"{instrument.symbol} has no INFO route"
            raise Refused(self._api.venue, operation, "no_info_route", words)
        alive = self._alive.get(listed.id, listed.info_routes[-1])
        routes = [alive, *(one for one in reversed(listed.info_routes) if one != alive)]
        refusal: Refused | None = None
        for route in routes:
            query = {"routeId": route, "tradableInstrumentId": listed.id, **(more or {})}
            try:
                told = await self._api.ask(operation, path, Lane.MARKET_DATA, query)
            except Refused as error:
                refusal = refusal or error
                continue
            if route != alive:
                self._alerts.note("dead_info_route", instrument.symbol, route=alive)
            self._alive[listed.id] = route
            return told
        assert refusal is not None, "one route at least was asked"
        raise refusal

    def _told(self, operation: str, payload: _T | None) -> _T:
        if payload is None:
            raise Unavailable(self._api.venue, operation, "the server tells no data")
        return payload


def _bar(instrument: Instrument, row: wire.BarWire, interval_s: int, received_at_ns: int) -> Bar:
    opened_at_ns = row.t * MS_NS
    return Bar(
        instrument.id, opened_at_ns, opened_at_ns + interval_s * SECOND_NS, row.o, row.h, row.l, row.c, row.v,
        received_at_ns=received_at_ns,
    )  # fmt: skip
