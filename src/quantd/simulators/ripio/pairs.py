"""Pairs as the venue shows them: rules, currencies, tickers and the last day's extremes.

Used by the venue, its books and its order desk. Prices come from the exchange's present event; nothing here trades.
"""

from collections import deque
from collections.abc import Mapping
from decimal import Decimal

from quantd.domain.instruments import MarketStatus
from quantd.domain.market import Book, Quote, StatusChanged
from quantd.domain.numbers import ZERO, Rounding
from quantd.exchange import Exchange
from quantd.simulators.ripio.answers import INVALID, NOT_FOUND, NS_PER_S, Problem, instant, market_number, number
from quantd.simulators.ripio.options import PairRules, Setup
from quantd.simulators.venue import Json

PRECISION = 8
"""Decimals of a currency that the setup does not name."""
_MINUTE_NS = 60 * NS_PER_S
_DAY_MINUTES = 1440
_FIAT = {"BRL": "Brazilian real", "ARS": "Argentine peso", "MXN": "Mexican peso", "USD": "US dollar"}
_NAMES = {**_FIAT, "BTC": "Bitcoin", "ETH": "Ethereum", "USDC": "USD Coin", "USDT": "Tether"}


class _Minute:
    """What one minute saw."""

    __slots__ = ("first", "high", "low", "number", "trades", "volume", "worth")

    def __init__(self, number: int, price: float) -> None:
        self.number = number
        self.first = self.high = self.low = price
        self.volume = self.worth = ZERO
        self.trades = 0


class Pair:
    """One pair: its rules and what it looked like."""

    def __init__(self, rules: PairRules, number: int) -> None:
        self.rules = rules
        self.number = number
        self.instrument = rules.instrument()
        self.enabled = True
        self.last: float | None = None
        self.version = 0
        """Grows with every change of the book."""
        self._minutes: deque[_Minute] = deque(maxlen=_DAY_MINUTES)

    def note_price(self, price: float, now_ns: int) -> None:
        """Take note of a price that was seen."""
        self.last = price
        minute = self._minute(now_ns, price)
        minute.high = max(minute.high, price)
        minute.low = min(minute.low, price)

    def note_trade(self, amount: Decimal, price: Decimal, now_ns: int) -> None:
        """Take note of a trade."""
        minute = self._minute(now_ns, float(price))
        minute.volume += amount
        minute.worth += amount * price
        minute.trades += 1

    def _minute(self, now_ns: int, price: float) -> _Minute:
        number = now_ns // _MINUTE_NS
        if not self._minutes or self._minutes[-1].number != number:
            self._minutes.append(_Minute(number, price))
        return self._minutes[-1]

    def day(self, now_ns: int) -> list[_Minute]:
        """Return the minutes of the last 24 h that saw anything."""
        since = now_ns // _MINUTE_NS - _DAY_MINUTES
        return [minute for minute in self._minutes if minute.number > since]


class Pairs:
    """All pairs of a venue."""

    def __init__(self, setup: Setup, exchange: Exchange) -> None:
        self._exchange = exchange
        self._precision = setup.precision
        self.listed = {rules.symbol: Pair(rules, at) for at, rules in enumerate(setup.pairs, 1)}
        self.by_id = {pair.instrument.id: pair for pair in self.listed.values()}
        assets = {asset for rules in setup.pairs for asset in (rules.base, rules.quote)}
        self._assets = sorted(assets | {asset for held in setup.balances.values() for asset in held})

    def find(self, symbol: str | None) -> Pair:
        """Return a pair by its code.

        Raises:
            Problem: none is named, or there is none.
        """
        pair = self.listed.get(symbol or "")
        if pair is None:
            raise Problem(INVALID, f"Invalid pair {(symbol or '')[:32]}" if symbol else "pair is required")
        return pair

    def enable(self, symbol: str, enabled: bool, now_ns: int) -> None:
        """Open or close a market; only an open one matches.

        Raises:
            ValueError: when it is not listed.
        """
        pair = self.listed.get(symbol)
        if pair is None:
            raise ValueError(f"no pair {symbol!r}; there are {', '.join(self.listed)}")
        pair.enabled = enabled
        status = MarketStatus.OPEN if enabled else MarketStatus.HALTED
        self._exchange.handle(StatusChanged(pair.instrument.id, status, now_ns))

    def take(self, event: Quote | Book) -> None:
        """Note what the market looks like after an event."""
        pair = self.by_id[event.instrument]
        pair.version += 1
        if isinstance(event, Quote):
            price = event.mid
        elif event.bids and event.asks:
            price = (event.bids[0][0] + event.asks[0][0]) * 0.5
        else:
            return
        pair.note_price(float(pair.instrument.price(price, Rounding.NEAREST)), event.received_at_ns)

    # --- routes -----------------------------------------------------------------------------------------------------

    def pairs(self, query: Mapping[str, str]) -> list[Json]:
        """Answer the list of pairs; `countries` chooses by where they are offered."""
        wanted, countries = query.get("pair"), query.get("countries")
        if countries is not None and "BR" not in countries.split(","):
            return []
        return [self.rules(pair) for pair in self.listed.values() if wanted in (None, pair.rules.symbol)]

    def rules(self, pair: Pair) -> Json:
        """Return a pair's rules."""
        rules = pair.rules
        shown: Json = {
            "symbol": rules.symbol, "base": rules.base, "quote": rules.quote, "base_name": name_of(rules.base),
            "quote_name": name_of(rules.quote), "enabled": pair.enabled, "amount_tick": number(rules.amount_tick),
            "price_tick": number(rules.price_tick), "min_amount": number(rules.min_amount),
            "min_value": number(rules.min_value), "countries": ["BR"],
        }  # fmt: skip
        if rules.max_price_variation is not None:
            shown["max_price_variation"] = number(rules.max_price_variation)
        return shown

    def currencies(self, query: Mapping[str, str]) -> list[Json]:
        """Answer the list of currencies."""
        wanted = query.get("currency_code")
        return [
            {
                "code": asset, "name": name_of(asset), "precision": self._precision.get(asset, PRECISION),
                "active": True, "can_deposit": True, "can_withdraw": asset not in _FIAT, "min_withdraw_amount": 0,
                "networks": [],
            }
            for asset in self._assets
            if wanted is None or asset in wanted.split(",")
        ]  # fmt: skip

    def tickers(self, now_ns: int) -> list[Json]:
        """Answer the list of tickers."""
        return [self.ticker(symbol, now_ns) for symbol in self.listed]

    def ticker(self, symbol: str, now_ns: int) -> Json:
        """Answer one ticker; prices are null before the first.

        Raises:
            Problem: there is no such pair.
        """
        pair = self.listed.get(symbol)
        if pair is None:
            raise Problem(NOT_FOUND, f"Unknown pair {symbol[:32]}")
        tick, rules = pair.rules.price_tick, pair.rules
        quote = self._exchange.quote(pair.instrument.id)
        minutes = pair.day(now_ns)

        def shown(value: float | None) -> Decimal | None:
            return None if value is None else market_number(value, tick)

        first = minutes[0].first if minutes else pair.last
        change = (pair.last / first - 1) * 100 if first and pair.last else 0.0
        return {
            "pair": symbol,
            "bid": shown(quote.bid if quote else None),
            "ask": shown(quote.ask if quote else None),
            "last": shown(pair.last),
            "first": shown(first),
            "high": shown(max((minute.high for minute in minutes), default=pair.last)),
            "low": shown(min((minute.low for minute in minutes), default=pair.last)),
            "volume": number(sum((minute.volume for minute in minutes), ZERO)),
            "quote_volume": number(sum((minute.worth for minute in minutes), ZERO)),
            "trades_quantity": sum(minute.trades for minute in minutes),
            "price_change_percent_24h": f"{change:.2f}",
            "is_frozen": not pair.enabled,
            "date": instant(now_ns),
            "base_code": rules.base, "base_id": f"{rules.base}-{pair.number}",
            "quote_code": rules.quote, "quote_id": f"{rules.quote}-{pair.number}",
        }  # fmt: skip


def name_of(asset: str) -> str:
    """Return what a currency is called in words."""
    return _NAMES.get(asset, asset)
