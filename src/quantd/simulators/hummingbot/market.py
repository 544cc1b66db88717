"""Market data as the server tells it: last prices, books without a time of their own, candles made of what was seen."""

from bisect import bisect_left
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from quantd.domain.instruments import symbol_of
from quantd.domain.market import Book, Quote
from quantd.domain.numbers import Rounding
from quantd.exchange import Exchange
from quantd.simulators.hummingbot.answers import NS_PER_S, Crash, Problem, number
from quantd.simulators.hummingbot.options import PairRules
from quantd.simulators.venue import Json

INTERVALS_S = {"1m": 60, "3m": 180, "5m": 300, "15m": 900, "30m": 1_800, "1h": 3_600, "4h": 14_400, "1d": 86_400}
_MINUTE_S = 60


class _Minute:
    """One minute's prices."""

    __slots__ = ("close", "high", "low", "open", "started_s")

    def __init__(self, started_s: int, price: float) -> None:
        self.started_s = started_s
        self.open = self.high = self.low = self.close = price


class MarketData:
    """Prices of all pairs."""

    def __init__(self, pairs: Mapping[str, PairRules], exchange: Exchange) -> None:
        self._pairs = pairs
        self._exchange = exchange
        self._minutes: dict[str, list[_Minute]] = {pair: [] for pair in pairs}

    def note(self, event: Quote | Book) -> None:
        """Take note of a price."""
        pair = symbol_of(event.instrument)
        rules = self._pairs[pair]
        middle = event.mid if isinstance(event, Quote) else (event.bids[0][0] + event.asks[0][0]) * 0.5
        price = float(rules.instrument().price(middle, Rounding.NEAREST))
        started_s = event.received_at_ns // NS_PER_S // _MINUTE_S * _MINUTE_S
        minutes = self._minutes[pair]
        if not minutes or minutes[-1].started_s != started_s:
            minutes.append(_Minute(started_s, price))
        minute = minutes[-1]
        minute.high, minute.low, minute.close = max(minute.high, price), min(minute.low, price), price

    def last(self, pair: str) -> Decimal | None:
        """Return the last price of a pair, None before the first."""
        minutes = self._minutes.get(pair)
        return Decimal(repr(minutes[-1].close)) if minutes else None

    def prices(self, connector: str, pairs: list[Any], now_s: float) -> Json:
        """Answer ``/market-data/prices``; one unknown pair fails all."""
        told: dict[str, float] = {}
        for pair in pairs:
            last = self.last(str(pair))
            if last is None:
                raise Problem(500, f"Error fetching prices: '{pair}'")
            told[str(pair)] = number(last)
        return {"connector": connector, "prices": told, "timestamp": now_s}

    def book(self, pair: str, depth: int, now_s: float) -> Json:
        """Answer ``/market-data/order-book``; the time is the server's own."""
        if pair not in self._pairs:
            raise Problem(500, f"Error fetching order book: Order book not found for {pair}")
        book = self._exchange.book(self._pairs[pair].instrument().id, depth)

        def side(levels: tuple[tuple[float, float], ...]) -> list[Json]:
            return [{"price": price, "amount": amount} for price, amount in levels]

        return {"trading_pair": pair, "bids": side(book.bids), "asks": side(book.asks), "timestamp": now_s}

    def candles(self, pair: str, interval: str, from_s: int, to_s: int) -> list[Json]:
        """Answer the routes of candles: whole seconds, oldest first, the unfinished one among them."""
        if pair not in self._pairs:
            raise Problem(400, f"Trading pair '{pair}' appears to be invalid")
        if interval not in INTERVALS_S:
            raise Crash
        every_s = INTERVALS_S[interval]
        minutes = self._minutes[pair]
        at = bisect_left(minutes, from_s, key=lambda minute: minute.started_s)
        rows: list[Json] = []
        for minute in minutes[at:]:
            if minute.started_s > to_s:
                break
            opened_s = minute.started_s // every_s * every_s
            if rows and rows[-1]["timestamp"] == float(opened_s):
                row = rows[-1]
                row["high"], row["low"] = max(row["high"], minute.high), min(row["low"], minute.low)
                row["close"] = minute.close
            else:
                rows.append(_candle(opened_s, minute))
        return rows


def _candle(opened_s: int, minute: _Minute) -> Json:
    return {
        "timestamp": float(opened_s), "open": minute.open, "high": minute.high, "low": minute.low,
        "close": minute.close, "volume": 0.0, "quote_asset_volume": 0.0, "n_trades": 0.0,
        "taker_buy_base_volume": 0.0, "taker_buy_quote_volume": 0.0,
    }  # fmt: skip
