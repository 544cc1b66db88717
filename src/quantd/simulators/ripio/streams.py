"""The streams: books with checksums, tickers and trades for everybody; orders, trades and balances for their user.

An `Ear` of the order desk and the `Hall` of all connections. Each topic has its own sequence, a private one for each
user. Books are published when they have changed, and whole ones every half a minute beside.
"""

from collections import Counter
from collections.abc import Callable
from decimal import Decimal

from quantd.domain.numbers import ZERO
from quantd.exchange import Exchange
from quantd.ports import Clock
from quantd.simulators.ripio.answers import (
    INVALID,
    NS_PER_MS,
    NS_PER_S,
    UNAUTHORIZED,
    Problem,
    encoded,
    instant,
    number,
)
from quantd.simulators.ripio.books import DEPTH, Level, orders, rows
from quantd.simulators.ripio.connection import PRIVATE_TOPICS, PUBLIC_TOPICS, Connection, texts
from quantd.simulators.ripio.desk import OrderDesk
from quantd.simulators.ripio.ids import uuid_of
from quantd.simulators.ripio.options import Switches
from quantd.simulators.ripio.order import VenueOrder
from quantd.simulators.ripio.pairs import Pair
from quantd.simulators.ripio.signing import checksum
from quantd.simulators.ripio.tape import Traded
from quantd.simulators.ripio.tickets import Tickets
from quantd.simulators.venue import Json

EVERY_NS = 30 * NS_PER_S
_DELTA = "orderbook/level_2_delta"
_WRONG = "1"


class _Told:
    """What a topic has told last."""

    __slots__ = ("at_ns", "levels", "version")

    def __init__(self, version: int, at_ns: int, levels: tuple[list[Level], list[Level]]) -> None:
        self.version = version
        self.at_ns = at_ns
        self.levels = levels


class Streams:
    """All connections of a venue, and what is published to them."""

    def __init__(
        self, exchange: Exchange, desk: OrderDesk, tickets: Tickets, *, clock: Clock, switches: Switches
    ) -> None:
        self._exchange = exchange
        self._desk = desk
        self._pairs = desk.pairs
        self._tape = desk.tape
        self._books = desk.books
        self._tickets = tickets
        self._clock = clock
        self._switches = switches
        self._connections: list[Connection] = []
        self._sequences: Counter[str] = Counter()
        self._told: dict[str, _Told] = {}
        self._funds = {account: self._held(account) for account in exchange.accounts()}
        """What the balances were when they were told last."""
        self.frames: Counter[str] = Counter()
        """Frames published, by kind of topic."""

    def connect(self, wake: Callable[[], None]) -> Connection:
        """Return a new connection."""
        connection = Connection(self, wake, clock=self._clock, switches=self._switches)
        self._connections.append(connection)
        return connection

    @property
    def connected(self) -> int:
        """How many connections there are."""
        return len(self._connections)

    # --- what connections ask for -----------------------------------------------------------------------------------

    def admit(self, topic: str, ticket: object) -> str:
        """Return the account of a private topic's ticket, nothing for a public topic.

        Raises:
            Problem: there is no such topic, or the ticket is none.
        """
        if topic in PRIVATE_TOPICS:
            account = self._tickets.redeem(ticket, self._clock.now_ns()) if isinstance(ticket, str) else None
            if account is None:
                raise Problem(UNAUTHORIZED, "Invalid ticket")
            return account
        kind, _, symbol = topic.partition("@")
        if kind not in PUBLIC_TOPICS or symbol not in self._pairs.listed:
            raise Problem(INVALID, f"Unknown topic {topic[:64]}")
        return ""

    def welcome(self, connection: Connection, topic: str) -> None:
        """Give a new subscriber the whole book, or the ticker; other topics begin with their next event."""
        kind, _, symbol = topic.partition("@")
        if kind in ("trade", *PRIVATE_TOPICS):
            return
        self.flush()
        pair = self._pairs.listed[symbol]
        now_ns = self._clock.now_ns()
        told = self._told.get(topic)
        if told is None:
            told = self._told[topic] = _Told(pair.version, now_ns, self._books.levels(pair, DEPTH))
        body = self._pairs.ticker(symbol, self._shown_ns) if kind == "ticker" else self._book(kind, pair, told.levels)
        connection.push(self._frame(topic, self._sequences[topic], body))

    def leave(self, connection: Connection) -> None:
        """Forget a connection."""
        self._connections.remove(connection)

    # --- what the market does ---------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Publish the books and tickers that have changed or are due; those that nobody wants are forgotten."""
        now_ns = self._clock.now_ns()
        wanted = {topic for connection in self._connections for topic in connection.topics if "@" in topic}
        for topic in [topic for topic in self._told if topic not in wanted]:
            del self._told[topic]
        for topic in sorted(wanted & self._told.keys()):
            kind, _, symbol = topic.partition("@")
            pair, told = self._pairs.listed[symbol], self._told[topic]
            due = kind != _DELTA and now_ns - told.at_ns >= EVERY_NS
            if pair.version != told.version or due:
                self._publish_market(kind, pair, told, now_ns)

    def _publish_market(self, kind: str, pair: Pair, told: _Told, now_ns: int) -> None:
        topic = f"{kind}@{pair.rules.symbol}"
        levels = self._books.levels(pair, DEPTH)
        before, due = told.levels, now_ns - told.at_ns >= EVERY_NS
        told.version, told.levels = pair.version, levels
        if kind == "ticker":
            told.at_ns = now_ns
            self._publish(topic, self._pairs.ticker(pair.rules.symbol, self._shown_ns))
        elif levels != before or (due and kind != _DELTA):
            told.at_ns = now_ns
            self._publish(topic, self._book(kind, pair, levels, before if kind == _DELTA else None))

    def _book(
        self, kind: str, pair: Pair, levels: tuple[list[Level], list[Level]],
        before: tuple[list[Level], list[Level]] | None = None,
    ) -> Json:  # fmt: skip
        """Return a whole book, or what changed in it; the checksum is the whole one's."""
        hash_ = _WRONG if self._switches.wrong_hashes else checksum(*levels)
        if before is not None:
            bids, asks = (rows(_changes(old, new)) for old, new in zip(before, levels, strict=True))
        elif kind == "orderbook/level_3":
            bids, asks = (orders(pair, side) for side in levels)
        else:
            bids, asks = (rows(side) for side in levels)
        return {"pair": pair.rules.symbol, "bids": bids, "asks": asks, "hash": hash_}

    # --- what the desk does -----------------------------------------------------------------------------------------

    def order_changed(self, order: VenueOrder, now_ns: int) -> None:
        """Publish an order's new state, in the stream's own words."""
        terms, skew_ns = order.terms, self._shown_ns - self._clock.now_ns()
        body: Json = {
            "id": order.id, "external_id": terms.external_id, "pair": order.symbol, "side": terms.side.value,
            "type": terms.type, "status": self._desk.status(order, now_ns), "price": None if order.price is None else number(order.price),
            "amount": number(order.amount), "executed_amount": number(order.filled),
            "remaining_amount": number(order.remaining[0]),
            "average_execution_price": number(order.average or ZERO),
            "created_at": instant(order.created_at_ns + skew_ns), "updated_at": instant(order.updated_at_ns + skew_ns),
            "user_id": _user(order.account),
        }  # fmt: skip
        for name in ("stop_price", "distance"):
            value = getattr(terms, name)
            if value is not None:
                body[name] = number(value)
        self._publish("order_status", body, order.account)

    def traded(self, traded: Traded, now_ns: int) -> None:
        """Publish an execution: to its user, and to everybody unless the other side's told it."""
        account = traded.order.account
        self._publish("user_trades", {"user_id": _user(account), "trade": self._tape.own(traded)}, account)
        if traded.is_public:
            self._publish(f"trade@{traded.order.symbol}", self._tape.public(traded))

    def funds_moved(self, account: str, now_ns: int) -> None:
        """Publish the balances that have changed."""
        held, known = self._held(account), self._funds[account]
        self._funds[account] = held
        changed = [
            {"currency_code": asset, "available_amount": number(free), "locked_amount": number(locked)}
            for asset, (free, locked) in held.items()
            if known.get(asset) != (free, locked)
        ]
        if changed:
            self._publish("balance", {"user_id": _user(account), "balances": changed}, account)

    def _held(self, account: str) -> dict[str, tuple[Decimal, Decimal]]:
        return {one.asset: (one.free, one.locked) for one in self._exchange.balances(account)}

    # --- frames -----------------------------------------------------------------------------------------------------

    def _publish(self, topic: str, body: Json, account: str = "") -> None:
        key = f"{topic}/{account}"
        self._sequences[key if account else topic] += 1
        if self._switches.lose_frames:
            return
        self.frames[topic.partition("@")[0]] += 1
        frame = ""
        for connection in self._connections:
            if topic in connection.topics and (not account or connection.account == account):
                frame = frame or self._frame(topic, self._sequences[key if account else topic], body)
                connection.push(frame)

    def _frame(self, topic: str, sequence: int, body: Json) -> str:
        shown = texts(body) if self._switches.text_amounts else body
        frame = {"id": sequence, "topic": topic, "timestamp": self._shown_ns // NS_PER_MS, "body": shown}
        return encoded(frame).decode()

    @property
    def _shown_ns(self) -> int:
        return self._clock.now_ns() + round(self._switches.clock_skew_s * NS_PER_S)


def _user(account: str) -> str:
    return uuid_of("user", account)


def _changes(before: list[Level], after: list[Level]) -> list[Level]:
    """Return the levels that are new, different or (with an amount of 0) gone."""
    old, new = dict(before), dict(after)
    gone = [(price, ZERO) for price in old if price not in new]
    return gone + [(price, amount) for price, amount in after if old.get(price) != amount]
