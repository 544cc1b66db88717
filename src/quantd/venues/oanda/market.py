"""Rules, prices, ladders and candles.

Used by the connector. Only reads.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

import msgspec

from quantd.domain.instruments import Instrument, InstrumentId, MarketStatus
from quantd.domain.market import Bar, Book, Quote
from quantd.errors import Unavailable
from quantd.venues.alerts import Alerts
from quantd.venues.budget import Lane
from quantd.venues.listing import Markets, readable
from quantd.venues.oanda import translate, wire
from quantd.venues.oanda.api import Api
from quantd.venues.oanda.formats import SECOND_NS, instant_ns
from quantd.venues.oanda.options import GRANULARITIES

COUNT_MAX = 5_000
"""The most candles that one answer may hold."""


class MarketReader:
    """Reads the markets that the account may trade."""

    def __init__(self, api: Api, alerts: Alerts) -> None:
        self._api = api
        self._alerts = alerts
        self.known: dict[str, Instrument] = {}
        """Rules by the venue's name, as they were last read."""
        self.account_rate: Decimal | None = None
        """The account's own margin rate, which the stricter of the two overrides."""
        self.home = ""
        """The account's currency, in which commission is charged."""

    async def instruments(self, names: Iterable[str]) -> tuple[Instrument, ...]:
        """Return trading rules.

        Raises:
            Refused: the account may not trade one of them.
            Contradicts: the venue lists one of them in several ways.
            Unsound: it lists one in a way that cannot be read.
        """
        listed = await self._listed()
        fresh = []
        for name in names:
            one = translate.instrument(self._api.venue, listed.expect(name), self.account_rate, self.home)
            before = self.known.get(name)
            if before is not None and msgspec.structs.replace(one, version=before.version) != before:
                one = msgspec.structs.replace(one, version=before.version + 1)
            elif before is not None:
                one = before
            self.known[name] = one
            fresh.append(one)
        return tuple(fresh)

    async def _listed(self) -> Markets[wire.Rules]:
        answer = await self._api.get("instruments", "/instruments", wire.RulesAnswer, Lane.ACCOUNT)
        return Markets[wire.Rules](self._api.venue, "instruments", self._alerts).read(
            answer.instruments, wire.Rules, "name"
        )

    async def conversion(self, currency: str, into: str) -> str | None:
        """Return the instrument of two currencies, either way round; None where there is none."""
        sure = (await self._listed()).sure()
        return next((name for name in (f"{currency}_{into}", f"{into}_{currency}") if name in sure), None)

    async def _prices(self, instruments: Sequence[Instrument]) -> dict[InstrumentId, wire.Price]:
        if not instruments:
            return {}
        query = {"instruments": ",".join(one.symbol for one in instruments), "includeUnitsAvailable": "False"}
        answer = await self._api.get("pricing", "/pricing", wire.Prices, Lane.MARKET_DATA, query)
        prices, unreadable = readable(answer.prices, wire.Price, "instrument", self._alerts, "price")
        if unreadable and not prices:
            raise Unavailable(self._api.venue, "pricing", f"no price can be read: {unreadable}"[:300])
        by_name = {price.instrument: price for price in prices}
        return {one.id: by_name[one.symbol] for one in instruments if one.symbol in by_name}

    async def quotes(self, instruments: Sequence[Instrument]) -> tuple[Quote, ...]:
        """Return the top of each ladder; one without both sides is left out."""
        prices, now_ns = await self._prices(instruments), self._api.http.clock.now_ns()
        return tuple(found for id, price in prices.items() if (found := quote(id, price, now_ns)) is not None)

    async def book(self, instrument: Instrument, depth: int) -> Book:
        """Return the ladder that the account would trade on, up to `depth` levels a side."""
        price = (await self._prices([instrument])).get(instrument.id)
        if price is None:
            raise Unavailable(self._api.venue, "pricing", f"no price of {instrument.symbol} in the answer")
        bids, asks = (
            tuple((float(level.price), float(level.liquidity)) for level in side[:depth])
            for side in (price.bids, price.asks)
        )
        return Book(instrument.id, bids, asks, self._api.http.clock.now_ns(), instant_ns(price.time))

    async def statuses(self, instruments: Sequence[Instrument]) -> Mapping[str, MarketStatus]:
        """Return whether each can be traded now: closed at weekends, at the daily break and in halts alike."""
        prices = await self._prices(instruments)
        return {id: MarketStatus.OPEN if price.tradeable else MarketStatus.CLOSED for id, price in prices.items()}

    async def bars(self, instrument: Instrument, interval_s: int, count: int) -> tuple[Bar, ...]:
        """Return up to `count` whole bars of mid prices, oldest first; intervals without a price are left out.

        Days and hours are cut in UTC, as the bars that are built from quotes; volume counts prices, as there is no other.
        """
        query = {
            "granularity": GRANULARITIES[interval_s],
            "price": "M",
            "count": str(min(count + 1, COUNT_MAX)),
            "dailyAlignment": "0",
            "alignmentTimezone": "UTC",
        }
        path = f"/instruments/{instrument.symbol}/candles"
        answer = await self._api.get("candles", path, wire.Candles, Lane.MARKET_DATA, query)
        now_ns = self._api.http.clock.now_ns()
        bars = []
        for candle in answer.candles:
            opened_at_ns, mid = instant_ns(candle.time), candle.mid
            if not candle.complete or opened_at_ns is None or mid is None:
                continue
            closed_at_ns = opened_at_ns + interval_s * SECOND_NS
            bars.append(
                Bar(
                    instrument.id, opened_at_ns, closed_at_ns, float(mid.o), float(mid.h), float(mid.l), float(mid.c),
                    candle.volume, now_ns,
                )
            )  # fmt: skip
        return tuple(bars[-count:])


def quote(id: InstrumentId, price: wire.Price, received_at_ns: int) -> Quote | None:
    """Return the best price of each side, None where a side is missing."""
    if not price.bids or not price.asks:
        return None
    bid, ask = price.bids[0], price.asks[0]
    return Quote(
        id,
        float(bid.price),
        float(ask.price),
        received_at_ns,
        instant_ns(price.time),
        bid_size=float(bid.liquidity),
        ask_size=float(ask.liquidity),
    )
