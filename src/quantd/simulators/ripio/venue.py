"""A whole Ripio Trade: requests in, answers out, market events in, frames out, at the time of an injected clock.

Served by `quantd simulate ripio`, and used behind the `Transport` port by tests in virtual time. Signatures, limits and
validation are as strict as the documents; where they are silent the assumptions in `options` hold. It opens no socket,
starts no task and never waits.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from quantd.domain.cash import AccountKind
from quantd.domain.market import Bar, Book, Quote
from quantd.domain.numbers import ZERO, plain
from quantd.exchange import AccountSetup, Exchange, ExchangeRules
from quantd.ports import Clock, HttpRequest, HttpResponse
from quantd.simulators.prices import quotes_of
from quantd.simulators.ripio.access import PER_SECOND, Access
from quantd.simulators.ripio.account import Accounts, Transfer
from quantd.simulators.ripio.answers import (
    MAINTENANCE,
    NOT_FOUND,
    NS_PER_MS,
    NS_PER_S,
    TOO_MANY,
    Problem,
    answered,
    bad,
    gateway,
    good,
)
from quantd.simulators.ripio.desk import OrderDesk
from quantd.simulators.ripio.listing import Listing
from quantd.simulators.ripio.options import Credential, Setup, Switches
from quantd.simulators.ripio.order import VenueOrder
from quantd.simulators.ripio.pairs import PRECISION, Pairs
from quantd.simulators.ripio.routes import Asked, match
from quantd.simulators.ripio.streams import Streams
from quantd.simulators.ripio.tape import Tape
from quantd.simulators.ripio.terms import breach, read_object, read_text
from quantd.simulators.ripio.tickets import Tickets
from quantd.simulators.ripio.ws_api import ApiConnection
from quantd.simulators.sockets import VenueSocket
from quantd.simulators.venue import Json, Notice, Switched

WS_API = "/ws-api"
"""Path of the WebSocket API, which has a host of its own at the venue."""
_CACHED_MAX = 256
_MESSAGES = {
    50000: "Internal error", 50001: "Error getting data", 50002: "External communication error",
    50003: "Internal communication error",
}  # fmt: skip


class PairCommand(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Arguments of the command ``market``."""

    pair: str
    enabled: bool


class TokenCommand(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Arguments of the command ``block``."""

    token: str
    blocked: bool = True


class RipioVenue(Switched[Switches]):
    """A `SimulatedVenue`.

    Args:
        setup: Pairs, credentials, accounts, limits.
        clock: The only source of time.
        switches: How it behaves; changed in place by `adjust`.
    """

    name = "ripio"

    def __init__(self, setup: Setup, *, clock: Clock, switches: Switches | None = None) -> None:
        super().__init__(switches or Switches())
        self.setup = setup
        self._clock = clock
        now_ns = clock.now_ns()
        tag = str(now_ns)  # ids differ from those of an earlier run: a client's journal may outlive the simulator
        assets = {asset for rules in setup.pairs for asset in (rules.base, rules.quote)}
        rules = ExchangeRules(
            latency_ns=round(setup.latency_s * NS_PER_S), depth=setup.depth, market_reserve=ZERO, seed=setup.seed,
            asset_steps={asset: Decimal(1).scaleb(-setup.precision.get(asset, PRECISION)) for asset in assets},
        )  # fmt: skip
        names = {*setup.balances, *(one.account for one in setup.credentials)}
        accounts = {
            name: AccountSetup(AccountKind.SPOT, balances=setup.balances.get(name, {})) for name in sorted(names)
        }  # fmt: skip
        self.exchange = Exchange(
            [pair.instrument() for pair in setup.pairs], accounts, rules=rules, opened_at_ns=now_ns
        )
        self.pairs = Pairs(setup, self.exchange)
        self.tape = Tape(self.pairs, self._switches, tag)
        self.desk = OrderDesk(self.exchange, self.pairs, self.tape, switches=self._switches, tag=tag)
        self.accounts = Accounts(self.exchange, self.pairs)
        self.listing = Listing(self.desk, self.pairs, self._switches)
        self.access = Access(setup.credentials, setup.rates, self._switches)
        self.tickets = Tickets(tag)
        self.streams = Streams(self.exchange, self.desk, self.tickets, clock=clock, switches=self._switches)
        self.desk.ear = self.streams
        self._cached: dict[str, tuple[int, Any]] = {}
        self._requests: Counter[str] = Counter()
        self._statuses: Counter[str] = Counter()
        self.quotes = 0
        """Market events taken in."""

    # --- market -----------------------------------------------------------------------------------------------------

    def on_market(self, event: Quote | Book | Bar) -> None:
        """Take in a market event, stamped with the venue's own time; a bar counts as the four quotes of its path."""
        if isinstance(event, Bar):
            for quote in quotes_of(event, self.pairs.by_id[event.instrument].instrument):
                self.on_market(quote)
            return
        if self._switches.market_paused:
            return
        now_ns = self._clock.now_ns()
        event = msgspec.structs.replace(event, received_at_ns=now_ns, occurred_at_ns=now_ns)
        self.quotes += 1
        self.desk.conditional.draw(event, now_ns)
        self.pairs.take(event)
        self.desk.follow(self.exchange.handle(event), now_ns)
        self.streams.flush()

    # --- requests ---------------------------------------------------------------------------------------------------

    def operation(self, request: HttpRequest) -> str:
        """Return the name of a request's route, ``unknown`` for none."""
        asked = match(request, self.setup.prefix)
        return "unknown" if asked is None else asked.route.operation

    def handle(self, request: HttpRequest) -> HttpResponse:
        """Process a request."""
        now_ns = self._clock.now_ns()
        self.desk.follow(self.exchange.advance(now_ns), now_ns)
        asked = match(request, self.setup.prefix)
        self._requests["unknown" if asked is None else asked.route.operation] += 1
        try:
            if self._switches.maintenance:
                raise Problem(MAINTENANCE, "Service in maintenance")
            if asked is None:
                raise Problem(NOT_FOUND, "Resource not found")
            data = self._data(asked, self.access.admit(asked, now_ns), now_ns)
        except Problem as problem:
            return self._refused(problem)
        finally:
            self.streams.flush()
        return self._sent(200, good(data, self._now_ms))

    @property
    def _now_ms(self) -> int:
        return self._shown_ns // NS_PER_MS

    @property
    def _shown_ns(self) -> int:
        """The venue's own time."""
        return self._clock.now_ns() + self.desk.skew

    def _data(self, asked: Asked, credential: Credential | None, now_ns: int) -> Any:
        for name in asked.query:
            if name not in asked.route.query:
                self.desk.violations["unknown_parameter"] += 1
        if credential is not None:
            return self._private(asked, credential.account, now_ns)
        if asked.route.operation == "server_time":
            return {"timestamp": self._now_ms}
        key = f"{asked.path}?{sorted(asked.query.items())}"
        kept = self._cached.get(key)
        if kept is None or now_ns >= kept[0] + round(self._switches.public_cache_s * NS_PER_S):
            if len(self._cached) >= _CACHED_MAX:
                self._cached.clear()
            kept = self._cached[key] = (now_ns, self._market(asked, asked.route.operation.removeprefix("public_")))
        return kept[1]

    def _market(self, asked: Asked, operation: str) -> Any:
        """Answer what the public routes and their private twins have in common."""
        now_ns, query = self._shown_ns, asked.query
        hashed = not asked.route.permission
        answers: dict[str, Callable[[], Any]] = {
            "pairs": lambda: self.pairs.pairs(query),
            "currencies": lambda: self.pairs.currencies(query),
            "tickers": lambda: self.pairs.tickers(now_ns),
            "ticker": lambda: self.pairs.ticker(asked.part, now_ns),
            "level_2": lambda: self.desk.books.level_2(query, now_ns, with_hash=hashed),
            "level_3": lambda: self.desk.books.level_3(query, now_ns, with_hash=hashed),
            "trades": lambda: self.tape.public_trades(query, now_ns),
            "estimate_price": lambda: self.desk.books.estimate(asked.part, query),
        }
        return answers[operation]()

    def _private(self, asked: Asked, account: str, now_ns: int) -> Any:
        query, shown_ns = asked.query, self._shown_ns
        reads: dict[str, Callable[[], Any]] = {
            "balances": lambda: self._balances(account, asked),
            "trading_fees": lambda: self.accounts.trading_fees(query),
            "fees_and_limits": self.accounts.fees_and_limits,
            "user_trades": lambda: self.tape.user_trades(account, query, shown_ns),
            "order_trades": lambda: self._order_trades(asked, account, now_ns),
            "statement": lambda: self.accounts.statement(account, query, now_ns, skew_ns=self.desk.skew),
            "user_orders": lambda: self.listing.user_orders(account, query, now_ns),
            "open_orders": lambda: self.listing.open_orders(account, query, now_ns),
            "order": lambda: self._whole(self.desk.find(asked.part, account), now_ns),
            "order_by_external_id": lambda: self._whole(self.desk.find_external(asked.part, account), now_ns),
        }
        writes: dict[str, Callable[[], Any]] = {
            "ticket": lambda: {"ticket": self.tickets.issue(account, now_ns)},
            "create_order": lambda: self.desk.create(read_object(asked), account, now_ns),
            "amend_order": lambda: self._amend(asked, account, now_ns),
            "cancel_all": lambda: self.desk.cancel_all(self._pair_named(asked), account, now_ns),
            **dict.fromkeys(("cancel_order", "delete_order"), lambda: self._cancel(asked, account, now_ns)),
            **dict.fromkeys(
                ("cancel_by_external_id", "delete_by_external_id"),
                lambda: self._cancel_external(asked, account, now_ns),
            ),
        }
        operation = asked.route.operation
        answer = reads.get(operation) or writes.get(operation)
        return self._market(asked, operation) if answer is None else answer()

    def _balances(self, account: str, asked: Asked) -> Any:
        rows = self.accounts.balances(account, asked.query, self._shown_ns)
        return [rows] if self._switches.nested_balances else rows

    def _whole(self, order: VenueOrder, now_ns: int) -> Json:
        self.desk.seen(order, now_ns)
        shown = order.whole(self.desk.status(order, now_ns), self.desk.skew)
        if self._switches.old_dates:
            for row in shown["transactions"]:
                row["create_date"] = row["create_date"].replace("T", " ").removesuffix("Z")
        return shown

    def _order_trades(self, asked: Asked, account: str, now_ns: int) -> Json:
        order = self.desk.seen(self.desk.find(asked.query.get("order_id", ""), account), now_ns)
        return self.tape.order_trades(order, asked.query, self._shown_ns)

    def _cancel(self, asked: Asked, account: str, now_ns: int) -> Json:
        (order_id,) = read_text(read_object(asked), ("id",), self.desk.violations)
        return self.desk.cancel(self.desk.find(order_id, account), now_ns)

    def _cancel_external(self, asked: Asked, account: str, now_ns: int) -> Json:
        (external_id,) = read_text(read_object(asked), ("external_id",), self.desk.violations)
        return self.desk.cancel(self.desk.find_external(external_id, account), now_ns)

    def _pair_named(self, asked: Asked) -> str | None:
        if not asked.body:
            return None
        body = read_object(asked)
        return read_text(body, ("pair",), self.desk.violations)[0] if body else None

    def _amend(self, asked: Asked, account: str, now_ns: int) -> None:
        body = read_object(asked)
        fields = tuple(name for name in ("order_id", "unit_price", "amount") if name == "order_id" or name in body)
        texts = read_text(body, fields, self.desk.violations)
        if len(fields) == 1:
            raise breach(self.desk.violations, "missing_field", "unit_price or amount is required")
        self.desk.amend(self.desk.find(texts[0], account), body, now_ns)

    # --- failures ---------------------------------------------------------------------------------------------------

    def _refused(self, problem: Problem) -> HttpResponse:
        if problem.code == TOO_MANY:
            return self._too_many(problem.message)
        return self._sent(problem.status, bad(problem.code, problem.message, self._now_ms))

    def _too_many(self, message: str) -> HttpResponse:
        frame = bad(TOO_MANY, message, self._now_ms) if self._switches.numbered_429 else {"message": message}
        return self._sent(429, frame)

    def _sent(self, status: int, frame: Json) -> HttpResponse:
        if self._switches.bare_envelope:
            frame = {name: value for name, value in frame.items() if name not in ("timestamp", "error_code") or value}
            frame.pop("timestamp", None)
        if self._switches.text_codes and frame.get("error_code"):
            frame = {**frame, "error_code": str(frame["error_code"])}
        if self._switches.code_key != "error_code" and "error_code" in frame:
            frame = {self._switches.code_key: frame["error_code"], **frame}
            del frame["error_code"]
        self._statuses[str(status)] += 1
        return answered(status, frame)

    def failure(self, status: int, retry_after_s: float | None = None) -> HttpResponse:
        """Return a failure in front of the venue: 429, 500 and 503 in its words, all others as a gateway's page.

        It names no time to wait, for the venue documents none.
        """
        if status == 429:
            return self._too_many(PER_SECOND)
        if status == 500:
            code = self._switches.internal_error
            return self._sent(500, bad(code, _MESSAGES[code], self._now_ms))
        if status == 503:
            return self._sent(503, bad(MAINTENANCE, "Service in maintenance", self._now_ms))
        self._statuses[str(status)] += 1
        return gateway(status)

    # --- connections ------------------------------------------------------------------------------------------------

    def connect(self, path: str, wake: Callable[[], None]) -> VenueSocket | None:
        """Return a connection to the streams (at the root) or to the WebSocket API."""
        if self._switches.maintenance:
            return None
        if path == WS_API:
            return ApiConnection(self.desk, self.access, wake, clock=self._clock, switches=self._switches)
        return self.streams.connect(wake) if path == "/" else None

    def due(self, now_ns: int) -> Sequence[Notice]:
        """Let what is due expire; there are no webhooks."""
        self.desk.follow(self.exchange.advance(now_ns), now_ns)
        self.streams.flush()
        return ()

    def settle(self, notice: Notice, status: int | None) -> None:
        """Never asked for: there are no webhooks."""
        raise AssertionError(f"no notice was handed out, and {notice.id} was not ours")

    # --- administration ---------------------------------------------------------------------------------------------

    def counters(self) -> Json:
        """Return what was seen: requests by route and status, refusals, orders, violations."""
        counts = self.desk.counts
        return {
            "requests": {"total": sum(self._requests.values()), **dict(sorted(self._requests.items()))},
            "statuses": dict(sorted(self._statuses.items())),
            "rate_limited": {"total": self.access.refused.total(), **dict(sorted(self.access.refused.items()))},
            "unauthorized": dict(sorted(self.access.unauthorized.items())),
            "orders": {
                **{name: counts[name] for name in ("created", "cancels", "amended", "filled", "cancelled", "fills")},
                **dict(sorted(counts.items())),
                "open": len(self.desk.open),
            },
            "violations": dict(sorted(self.desk.violations.items())),
            "streams": {"connected": self.streams.connected, **dict(sorted(self.streams.frames.items()))},
            "market_events": self.quotes,
            "prices": {
                symbol: (f"{quote.bid:.2f}", f"{quote.ask:.2f}")
                for symbol, pair in self.pairs.listed.items()
                if (quote := self.exchange.quote(pair.instrument.id)) is not None
            },
        }  # fmt: skip

    def state(self) -> Json:
        """Return the exact truth; decimals are text."""
        return {
            "now_ns": self._clock.now_ns(),
            "markets": {symbol: pair.enabled for symbol, pair in self.pairs.listed.items()},
            "orders": [order.truth() for order in self.desk.orders.values()],
            "opening_balances": {
                account: {asset: plain(amount) for asset, amount in balances.items()}
                for account, balances in self.setup.balances.items()
            },
            "balances": self.accounts.state(),
        }

    def command(self, name: str, arguments: Json) -> Json:
        """Do ``deposit`` or ``withdraw`` (asset, amount, account), ``market`` (pair, enabled), ``block`` (token).

        Raises:
            ValueError: when there is no such command, or it cannot be done.
        """
        now_ns = self._clock.now_ns()
        if name in ("deposit", "withdraw"):
            return self.accounts.transfer(msgspec.convert(arguments, Transfer), 1 if name == "deposit" else -1, now_ns)
        if name == "market":
            wanted = msgspec.convert(arguments, PairCommand)
            self.pairs.enable(wanted.pair, wanted.enabled, now_ns)
            return arguments
        if name == "block":
            asked = msgspec.convert(arguments, TokenCommand)
            (self.access.blocked.add if asked.blocked else self.access.blocked.discard)(asked.token)
            return {"blocked": asked.blocked}
        raise ValueError(f"no command {name!r}; there are deposit, withdraw, market, block")
