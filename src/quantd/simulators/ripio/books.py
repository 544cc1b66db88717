"""Order books and the price that an amount would get.

Used by the routes, the streams and the order desk. Icebergs show their step only.
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from zlib import crc32

from quantd.domain.numbers import ZERO, decimal_from_text
from quantd.exchange import Exchange
from quantd.simulators.ripio.answers import INVALID, NOT_FOUND, Problem, market_number, number
from quantd.simulators.ripio.ids import uuid_of
from quantd.simulators.ripio.lists import read_number
from quantd.simulators.ripio.pairs import Pair, Pairs
from quantd.simulators.venue import Json

DEPTH = 100
"""Levels a side where none are asked for, and at most on the streams."""
_DEPTH_MAX = 10_000
_LEVEL_3_MAX = 250

Level = tuple[Decimal, Decimal]
Hidden = Callable[[Pair], Iterable[Level]]
"""Of a pair's icebergs: (price, amount that nobody sees)."""


class Books:
    """Reads the exchange's books."""

    def __init__(self, exchange: Exchange, pairs: Pairs, hidden: Hidden) -> None:
        self._exchange = exchange
        self._pairs = pairs
        self._hidden = hidden

    def levels(self, pair: Pair, depth: int) -> tuple[list[Level], list[Level]]:
        """Return (bids, asks), best first, as exact numbers."""
        book = self._exchange.book(pair.instrument.id, depth)
        rules = pair.rules
        unseen: dict[Decimal, Decimal] = {}
        for price, amount in self._hidden(pair):
            unseen[price] = unseen.get(price, ZERO) + amount
        sides: list[list[Level]] = []
        for levels in (book.bids, book.asks):
            side: list[Level] = []
            for level, size in levels:
                exact = market_number(level, rules.price_tick)
                amount = number(Decimal(repr(size)).quantize(rules.amount_tick) - unseen.get(exact, ZERO))
                # An iceberg that has not reached the market yet hides more than is there.
                side.append((exact, max(amount, ZERO)))
            sides.append(side)
        return sides[0], sides[1]

    def level_2(self, query: Mapping[str, str], now_ns: int, *, with_hash: bool) -> Json:
        """Answer a book of levels; the hash is wider than 32 bits, as the venue's is, and no checksum.

        Raises:
            Problem: pair or limit is none.
        """
        pair = self._pairs.find(query.get("pair"))
        everything = query.get("limit") == "max"
        depth = _DEPTH_MAX if everything else read_number(query, "limit", DEPTH, _DEPTH_MAX)
        bids, asks = self.levels(pair, depth)
        now_ms = now_ns // 1_000_000
        shown: Json = {"timestamp": now_ms, "bids": rows(bids), "asks": rows(asks)}
        if with_hash:
            shown["hash"] = f"{now_ms}{crc32(repr((bids, asks)).encode())}"
        return shown

    def level_3(self, query: Mapping[str, str], now_ns: int, *, with_hash: bool) -> Json:
        """Answer a book of orders; a level of the market counts as one order.

        Raises:
            Problem: pair or limit is none.
        """
        pair = self._pairs.find(query.get("pair"))
        bids, asks = self.levels(pair, read_number(query, "limit", DEPTH, _LEVEL_3_MAX))
        shown: Json = {"timestamp": now_ns // 1_000_000, "bids": orders(pair, bids), "asks": orders(pair, asks)}
        if with_hash:
            shown["hash"] = f"{now_ns // 1_000_000}{crc32(repr((bids, asks)).encode())}"
        return shown

    def estimate(self, symbol: str, query: Mapping[str, str]) -> Json:
        """Answer the average price that an amount would get now.

        Raises:
            Problem: a parameter is missing or none, or the book does not hold so much.
        """
        if symbol not in self._pairs.listed:
            raise Problem(NOT_FOUND, f"Unknown pair {symbol[:32]}")
        side = query.get("side")
        if side not in ("buy", "sell"):
            raise Problem(INVALID, "side must be buy or sell")
        try:
            amount = decimal_from_text(query.get("amount", ""))
        except ValueError:
            amount = ZERO
        if amount <= 0:
            raise Problem(INVALID, "amount must be a number above 0")
        pair = self._pairs.listed[symbol]
        left, cost = amount, ZERO
        for price, size in self.levels(pair, _DEPTH_MAX)[side == "buy"]:
            part = min(left, size) if size else left
            left -= part
            cost += part * price
            if not left:
                return {"price": number((cost / amount).quantize(pair.rules.price_tick))}
        raise Problem(INVALID, "Not enough liquidity")

    def amount_for(self, pair: Pair, is_buy: bool, value: Decimal) -> Decimal:
        """Return the amount that a value in quote buys or must be sold for, on a tick, rounded down.

        What the book does not hold counts at its last price.

        Raises:
            Problem: that side of the book is empty.
        """
        left, amount, last = value, ZERO, ZERO
        for price, size in self.levels(pair, DEPTH)[is_buy]:
            last = price
            part = min(left, size * price) if size else left
            amount += part / price
            left -= part
            if not left:
                break
        if not last:
            raise Problem(INVALID, "Not enough liquidity")
        amount += left / last
        return amount // pair.rules.amount_tick * pair.rules.amount_tick


def rows(levels: Iterable[Level]) -> list[Json]:
    """Return levels as the venue writes them."""
    return [{"price": price, "amount": amount} for price, amount in levels]


def orders(pair: Pair, levels: Iterable[Level]) -> list[Json]:
    """Return levels as orders; an id stays while its level is there."""
    return [
        {"id": uuid_of(pair.rules.symbol, str(price)), "price": price, "amount": amount} for price, amount in levels
    ]
