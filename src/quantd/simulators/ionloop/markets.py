"""Markets as the venue shows them: list, rules, ticker, book, and the state of the whole venue.

Used by the venue. Prices come from the exchange's present event; nothing here trades.
"""

from collections import deque
from collections.abc import Mapping
from decimal import Decimal

from quantd.domain.instruments import MarketStatus
from quantd.domain.market import Book, Quote, StatusChanged
from quantd.domain.numbers import Rounding
from quantd.exchange import Exchange
from quantd.simulators.ionloop.envelope import NS_PER_S, Problem, in_steps, plain
from quantd.simulators.ionloop.options import MarketRules, MarketWord, Switches
from quantd.simulators.venue import Json

DEPTH_DEFAULT = 50
DEPTH_MAX = 500
_MINUTE_NS = 60 * NS_PER_S
_DAY_MINUTES = 1440


class _Minute:
    """Extremes and volume of one minute."""

    __slots__ = ("high", "low", "number", "volume")

    def __init__(self, number: int, price: float) -> None:
        self.number = number
        self.high = self.low = price
        self.volume = Decimal(0)


class Market:
    """One market: its rules and what it looked like."""

    def __init__(self, rules: MarketRules, sequence: int) -> None:
        self.rules = rules
        self.instrument = rules.instrument()
        self.word: MarketWord = "online"
        self.sequence = sequence
        """Of the book; grows with every change and is larger after a restart than before it."""
        self.last: float | None = None
        self.frozen: dict[str, Json] = {}
        """What a stale market keeps showing."""
        self._minutes: deque[_Minute] = deque(maxlen=_DAY_MINUTES)

    def note_price(self, price: float, now_ns: int) -> None:
        """Take note of a price that was seen."""
        self.last = price
        self.sequence += 1
        minute = self._minute(now_ns, price)
        minute.high = max(minute.high, price)
        minute.low = min(minute.low, price)

    def note_trade(self, quantity: Decimal, now_ns: int) -> None:
        """Take note of a fill."""
        self._minute(now_ns, self.last or 0.0).volume += quantity

    def _minute(self, now_ns: int, price: float) -> _Minute:
        number = now_ns // _MINUTE_NS
        if not self._minutes or self._minutes[-1].number != number:
            self._minutes.append(_Minute(number, price))
        return self._minutes[-1]

    def day(self, now_ns: int) -> tuple[float, float, Decimal]:
        """Return highest and lowest price and volume of the last 24 h."""
        since = now_ns // _MINUTE_NS - _DAY_MINUTES
        kept = [minute for minute in self._minutes if minute.number > since] or [_Minute(0, self.last or 0.0)]
        volume = sum((minute.volume for minute in kept), Decimal(0))
        return max(minute.high for minute in kept), min(minute.low for minute in kept), volume


class Markets:
    """All markets of a venue."""

    def __init__(
        self, rules: tuple[MarketRules, ...], exchange: Exchange, switches: Switches, *, started_at_ns: int
    ) -> None:
        self._exchange = exchange
        self._switches = switches
        self.listed = {market.symbol: Market(market, started_at_ns // 1_000_000) for market in rules}
        self.by_id = {market.instrument.id: market for market in self.listed.values()}

    def find(self, symbol: str) -> Market:
        """Return a market that is not retired.

        Raises:
            Problem: there is none.
        """
        market = self.listed.get(symbol)
        if market is None or market.word == "retired":
            raise Problem("NOT_FOUND", f"Unknown symbol {symbol[:32]}")
        return market

    def set_status(self, symbol: str, word: MarketWord, now_ns: int) -> None:
        """Open, halt or retire a market; only an open one matches.

        Raises:
            ValueError: when it is not listed.
        """
        market = self.listed.get(symbol)
        if market is None:
            raise ValueError(f"no market {symbol!r}; there are {', '.join(self.listed)}")
        market.word = word
        status = MarketStatus.OPEN if word == "online" else MarketStatus.HALTED
        self._exchange.handle(StatusChanged(market.instrument.id, status, now_ns))

    def take(self, event: Quote | Book) -> None:
        """Note what the market looks like after an event."""
        market = self.by_id[event.instrument]
        if isinstance(event, Quote):
            price = event.mid
        elif event.bids and event.asks:
            price = (event.bids[0][0] + event.asks[0][0]) * 0.5
        else:
            return
        market.note_price(float(market.instrument.price(price, Rounding.NEAREST)), event.received_at_ns)

    # --- routes -----------------------------------------------------------------------------------------------------

    def list_markets(self, query: Mapping[str, str]) -> Json:
        """Answer route 1."""
        quote = query.get("quote")
        return {
            "items": [
                {
                    "symbol": market.rules.symbol, "status": market.word,
                    "baseAsset": market.rules.base, "quoteAsset": market.rules.quote,
                }
                for market in self.listed.values()
                if market.word != "retired" and quote in (None, market.rules.quote)
            ]
        }  # fmt: skip

    def details(self, symbol: str) -> Json:
        """Answer route 2."""
        rules = self.find(symbol).rules
        return {
            "symbol": symbol,
            "status": self.listed[symbol].word,
            "tickSize": f"{rules.tick_size:f}",
            "stepSize": f"{rules.step_size:f}",
            "minNotional": f"{rules.min_notional:f}",
        }

    def ticker(self, symbol: str, now_ns: int) -> Json:
        """Answer route 3."""
        market = self.find(symbol)
        quote = self._exchange.quote(market.instrument.id)
        if market.word != "online" or quote is None or market.last is None:
            raise Problem("MARKET_CLOSED", f"{symbol} is not trading")
        tick = market.rules.tick_size
        high, low, volume = market.day(now_ns)
        return self._shown(market, "ticker", {
            "symbol": symbol,
            "lastPrice": in_steps(market.last, tick),
            "bid": in_steps(quote.bid, tick),
            "ask": in_steps(quote.ask, tick),
            "volume24h": plain(volume),
            "high24h": in_steps(high, tick),
            "low24h": in_steps(low, tick),
        })  # fmt: skip

    def order_book(self, symbol: str, query: Mapping[str, str]) -> Json:
        """Answer route 4."""
        market = self.find(symbol)
        text = query.get("depth", str(DEPTH_DEFAULT))
        depth = int(text) if text.isascii() and text.isdigit() else 0
        if depth > DEPTH_MAX and self._switches.clamp_depth:
            depth = DEPTH_MAX
        if not 1 <= depth <= DEPTH_MAX:
            raise Problem("VALIDATION_ERROR", f"depth must be 1 to {DEPTH_MAX}, found {text[:16]}")
        book = self._exchange.book(market.instrument.id, depth)
        rules = market.rules

        def side(levels: tuple[tuple[float, float], ...]) -> list[list[str]]:
            return [
                [in_steps(price, rules.tick_size), plain(Decimal(in_steps(size, rules.step_size)))]
                for price, size in levels
            ]  # fmt: skip

        shown = {"symbol": symbol, "bids": side(book.bids), "asks": side(book.asks), "sequence": market.sequence}
        return self._shown(market, f"book:{depth}", shown)

    def _shown(self, market: Market, what: str, fresh: Json) -> Json:
        if not self._switches.stale_market:
            market.frozen.clear()
            return fresh
        return market.frozen.setdefault(what, fresh)

    def status(self) -> Json:
        """Answer route 13."""
        switches = self._switches
        if switches.status_fails:
            raise Problem("INTERNAL_ERROR", "Status aggregation failed", status=503)
        parts = {
            "api": switches.api, "matchingEngine": switches.matching_engine, "withdrawals": switches.withdrawals,
        }  # fmt: skip
        return {**parts, "incidents": []}
