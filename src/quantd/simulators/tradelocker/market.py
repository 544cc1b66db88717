"""What a simulated TradeLocker tells of its instruments: lists, details, quotes, depth, bars, sessions.

Used by the venue. Bars are made of the bids that were seen, by the minute, and put together for longer ones. Assumed: a
wrong route or instrument is a refusal with status 200, weeks begin on Monday, ``nb`` stands beside ``s``.
"""

from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from itertools import groupby
from typing import Any

import msgspec

from quantd.domain.instruments import MarketStatus, symbol_of
from quantd.domain.market import Quote
from quantd.exchange import Exchange
from quantd.simulators.tradelocker.answers import NS_PER_MS, RefusedByVenue
from quantd.simulators.tradelocker.options import InstrumentRules, Setup, Switches
from quantd.simulators.tradelocker.orders import milliseconds_of
from quantd.simulators.tradelocker.routes import Asked
from quantd.simulators.venue import Json

BARS_MAX = 20_000
"""Of one answer, as the document has it; the configuration answer says another number."""
RESOLUTIONS_MS = {
    "1m": 60_000, "5m": 300_000, "15m": 900_000, "30m": 1_800_000, "1H": 3_600_000, "4H": 14_400_000,
    "1D": 86_400_000, "1W": 604_800_000, "1M": 2_678_400_000,
}  # fmt: skip
_MINUTE_MS = 60_000
_KEPT = 100_000
_MONDAY_MS = 4 * 86_400_000
_STATUS = {MarketStatus.CLOSED: "CLOSED", MarketStatus.HALTED: "TRADING_HALT", MarketStatus.DELISTED: "CLOSED"}


class Candle(msgspec.Struct):
    """A bar, its opening in milliseconds."""

    t: int
    o: float
    h: float
    l: float
    c: float
    v: float = 0.0


class MarketDesk:
    """All instruments."""

    def __init__(
        self, exchange: Exchange, rules: Mapping[str, InstrumentRules], setup: Setup, *, switches: Switches
    ) -> None:
        self._exchange = exchange
        self._rules = rules
        self._setup = setup
        self._switches = switches
        self._minutes: dict[str, deque[Candle]] = {one.name: deque(maxlen=_KEPT) for one in rules.values()}

    def note(self, quote: Quote) -> None:
        """Take a price into its minute's bar."""
        bars, price = self._minutes[symbol_of(quote.instrument)], quote.bid
        minute = quote.received_at_ns // NS_PER_MS // _MINUTE_MS * _MINUTE_MS
        if not bars or bars[-1].t < minute:
            bars.append(Candle(minute, price, price, price, price))
        last = bars[-1]
        last.h, last.l, last.c, last.v = max(last.h, price), min(last.l, price), price, last.v + 1

    # --- instruments ------------------------------------------------------------------------------------------------

    def instruments(self) -> Json:
        """Return the list; it has no lots and no ticks. The route for orders comes first, though none may rely on it."""
        return {"instruments": [self._listed(one) for one in self._rules.values()]}

    def _listed(self, rules: InstrumentRules) -> Json:
        routes = [{"id": rules.trade_route, "type": "TRADE"}]
        routes += [{"id": route, "type": "INFO"} for route in rules.info_routes]
        return {
            "tradableInstrumentId": rules.tradable_id, "id": rules.id, "name": rules.name,
            "description": f"{rules.base} vs {rules.quote}", "type": rules.type, "tradingExchange": "Simulated",
            "marketDataExchange": "Simulated", "country": None, "logoUrl": None, "localizedName": rules.name,
            "routes": routes, "barSource": "BID", "hasIntraday": True, "hasDaily": True,
        }  # fmt: skip

    def details(self, asked: Asked) -> Json:
        """Return one instrument's rules; either kind of route will do.

        Raises:
            RefusedByVenue: there is no such instrument or route.
        """
        rules = self._rules.get(asked.parts["instrument"])
        if rules is None:
            raise RefusedByVenue("Instrument not found")
        if asked.query.get("routeId") not in {str(one) for one in (rules.trade_route, *rules.info_routes)}:
            raise RefusedByVenue("Route is not valid")
        listed = self._listed(rules)
        del listed["routes"], listed["tradableInstrumentId"], listed["id"]
        status = self._exchange.status(rules.instrument().id)
        absent = (
            "betSize betStep bettingCurrency contractMonth deliveryStatus exerciseStyle firstTradeDate industry "
            "lastTradeDate marketCap noticeDate sector settlementDate strikePrice strikeType"
        )
        ticks = [{"leftRangeLimit": tier.from_price or None, "tickSize": tier.tick} for tier in rules.ticks]
        return {
            **listed, **dict.fromkeys(absent.split()), "isin": "", "baseCurrency": rules.base,
            "quotingCurrency": rules.quote, "leverage": f"{rules.leverage:.2f}", "lotSize": rules.lot_size,
            "lotStep": rules.lot_step, "minLot": rules.min_lot, "maxLot": rules.max_lot,
            "margin_hedging_type": "fx_cfd", "settlementSystem": "Immediate",
            "symbolStatus": _STATUS.get(status, "FULLY_OPEN"), "tickSize": ticks,
            "tickCost": [{"leftRangeLimit": None, "tickCost": 0.0}], "tradeSessionId": rules.session_id,
            "tradeSessionStatusId": rules.session_status_id,
        }  # fmt: skip

    def session(self, asked: Asked) -> Json:
        """Return an instrument's hours: always open; the shape of the times is assumed.

        Raises:
            RefusedByVenue: there is no such session.
        """
        if asked.parts["session"] not in {str(one.session_id) for one in self._rules.values()}:
            raise RefusedByVenue("Trade session not found")
        return {"blockTrading": False, "holidays": [], "sessionType": "FULL"}

    def session_status(self, asked: Asked) -> Json:
        """Return what is allowed in a state of the session; the meaning of the slots is not documented.

        Raises:
            RefusedByVenue: there is no such state.
        """
        for rules in self._rules.values():
            if asked.parts["session"] == str(rules.session_status_id):
                is_open = int(self._exchange.status(rules.instrument().id) is MarketStatus.OPEN)
                return {"allowedOperations": [is_open] * 3, "allowedOrderTypes": [is_open] * 6}
        raise RefusedByVenue("Session status not found")

    # --- prices -----------------------------------------------------------------------------------------------------

    def _informed(self, asked: Asked) -> InstrumentRules:
        """Return the instrument that is asked for over an INFO route that is alive."""
        rules = self._rules.get(asked.query.get("tradableInstrumentId", ""))
        if rules is None:
            raise RefusedByVenue("Instrument not found")
        alive = rules.info_routes[: len(rules.info_routes) - self._switches.dead_info_routes]
        if asked.query.get("routeId") not in {str(one) for one in alive}:
            raise RefusedByVenue("Route is not valid")
        return rules

    def quotes(self, asked: Asked) -> Json:
        """Return the best prices; they come without a time.

        Raises:
            RefusedByVenue: there is no such instrument or route, or no price yet.
        """
        rules = self._informed(asked)
        quote = self._exchange.quote(rules.instrument().id)
        if quote is None:
            raise RefusedByVenue("No quote")
        return {"ap": quote.ask, "as": quote.ask_size, "bp": quote.bid, "bs": quote.bid_size}

    def depth(self, asked: Asked) -> Json:
        """Return levels as [price, size].

        Raises:
            RefusedByVenue: there is no such instrument or route.
        """
        book = self._exchange.book(self._informed(asked).instrument().id, 20)
        return {"asks": [list(level) for level in book.asks], "bids": [list(level) for level in book.bids]}

    def daily_bar(self, asked: Asked, now_ns: int) -> Json:
        """Return the present day's bar.

        Raises:
            RefusedByVenue: there is no such instrument, route or kind of bar, or no price yet.
        """
        rules = self._informed(asked)
        if asked.query.get("barType") not in ("ASK", "BID", "TRADE"):
            raise RefusedByVenue("barType is not valid")
        day = now_ns // NS_PER_MS // RESOLUTIONS_MS["1D"] * RESOLUTIONS_MS["1D"]
        bars = [one for one in self._bars(rules, "1D") if one.t == day]
        if not bars:
            raise RefusedByVenue("No bar")
        return {name: getattr(bars[0], name) for name in "ohlcv"}

    def history(self, asked: Asked) -> Json:
        """Return the whole answer of a range of bars: both ends count, the last may be forming.

        Raises:
            Failed: a time is malformed (400).
            RefusedByVenue: there is no such instrument, route or resolution, or the range is too long.
        """
        rules = self._informed(asked)
        resolution = asked.query.get("resolution", "")
        step_ms = RESOLUTIONS_MS.get(resolution)
        if step_ms is None or "from" not in asked.query or "to" not in asked.query:
            raise RefusedByVenue("resolution, from and to are required")
        since_ms, until_ms = milliseconds_of(asked, "from", 0), milliseconds_of(asked, "to", 0)
        if (until_ms - since_ms) // step_ms > BARS_MAX:
            raise RefusedByVenue(f"Too many bars requested; the limit is {BARS_MAX}")
        bars = self._bars(rules, resolution)
        wanted = [one for one in bars if since_ms <= one.t <= until_ms]
        if wanted:
            return {"s": "ok", "d": {"barDetails": wanted}}
        before = [one.t for one in bars if one.t < since_ms]
        return {"s": "no_data", "nb": before[-1]} if before and self._switches.tells_next_bar else {"s": "no_data"}

    def _bars(self, rules: InstrumentRules, resolution: str) -> list[Candle]:
        def begins(bar: Candle) -> int:
            return _begins(bar.t, resolution)

        found = []
        for opened, group in groupby(self._minutes[rules.name], begins):
            parts = list(group)
            found.append(
                Candle(
                    opened, parts[0].o, max(one.h for one in parts), min(one.l for one in parts), parts[-1].c,
                    sum(one.v for one in parts),
                )
            )  # fmt: skip
        return found

    def mids(self) -> dict[str, Decimal]:
        """Return the present mid prices by instrument's name."""
        found: dict[str, Any] = {}
        for rules in self._rules.values():
            quote = self._exchange.quote(rules.instrument().id)
            if quote is not None:
                found[rules.name] = Decimal(repr(quote.mid))
        return found

    def shown(self) -> Json:
        """Return bid and ask by name as text, for a status line."""
        quotes = {one.name: self._exchange.quote(one.instrument().id) for one in self._rules.values()}
        return {name: (str(one.bid), str(one.ask)) for name, one in quotes.items() if one is not None}


def _begins(at_ms: int, resolution: str) -> int:
    """Return the opening of the bar that a minute belongs to."""
    if resolution == "1M":
        first = datetime.fromtimestamp(at_ms / 1000, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        return round(first.timestamp() * 1000)
    step = RESOLUTIONS_MS[resolution]
    offset = _MONDAY_MS if resolution == "1W" else 0
    return (at_ms - offset) // step * step + offset
