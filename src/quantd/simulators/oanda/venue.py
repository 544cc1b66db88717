"""A whole OANDA environment: requests in, answers out, market events in, at the time of an injected clock.

Served by `quantd simulate oanda`, and used behind the `Transport` port by tests in virtual time. It opens no socket,
starts no task and never waits. One token with some margin accounts, netting or hedging.
"""

from collections import Counter
from collections.abc import Callable, Sequence

import msgspec

from quantd.domain.cash import AccountKind, PositionMode
from quantd.domain.instruments import symbol_of
from quantd.domain.market import Bar, Book, Quote
from quantd.exchange import AccountSetup, Exchange, ExchangeRules
from quantd.ports import Clock, HttpRequest, HttpResponse
from quantd.simulators.lines import LineSource
from quantd.simulators.oanda.access import Access
from quantd.simulators.oanda.accounts import AccountDesk
from quantd.simulators.oanda.admin import Office
from quantd.simulators.oanda.answers import (
    NS_PER_S,
    Answer,
    At,
    Failed,
    error,
    malformed,
    missing,
    moment_of,
    read_body,
    written,
)
from quantd.simulators.oanda.booking import Booking
from quantd.simulators.oanda.candles import CandleDesk
from quantd.simulators.oanda.floor import Act, Floor
from quantd.simulators.oanda.history import HistoryDesk
from quantd.simulators.oanda.lists import page
from quantd.simulators.oanda.options import ACCOUNT_STEP, VENUE, InstrumentRules, Setup, Switches
from quantd.simulators.oanda.orders import OrderDesk
from quantd.simulators.oanda.positions import PositionDesk
from quantd.simulators.oanda.prices import PriceDesk
from quantd.simulators.oanda.records import Account, OrderRecord
from quantd.simulators.oanda.routes import WRONG_METHOD, Asked, match
from quantd.simulators.oanda.streams import PriceStream, Streams, TransactionStream
from quantd.simulators.oanda.trades import TradeDesk
from quantd.simulators.oanda.words import not_found
from quantd.simulators.prices import quotes_of
from quantd.simulators.venue import Json, Notice, Switched

_UNLISTED = frozenset({"candles", "account_candles", "latest_candles", "pricing"})
"""Answers without the newest transaction's id."""
_ORDER_STATES = ("PENDING", "FILLED", "TRIGGERED", "CANCELLED", "ALL")
_FIRST_REQUEST = 42_000_000_000_000_000


class OandaVenue(Switched[Switches]):
    """A `SimulatedVenue`.

    Args:
        setup: Token, accounts, instruments.
        clock: The only source of time.
        switches: How it behaves; changed in place by `adjust`.
    """

    name = VENUE
    streams = frozenset({"pricing_stream", "transactions_stream"})

    def __init__(self, setup: Setup, *, clock: Clock, switches: Switches | None = None) -> None:
        super().__init__(switches or Switches())
        self.setup = setup
        self._clock = clock
        now_ns = clock.now_ns()
        self.instruments = {one.name: one for one in setup.instruments}
        rules = ExchangeRules(
            latency_ns=round(setup.latency_s * NS_PER_S), depth=setup.depth, seed=setup.seed, accept_when_closed=True,
            unique_client_order_ids=False, asset_steps={one.currency: ACCOUNT_STEP for one in setup.accounts},
        )  # fmt: skip
        opened = {
            one.id: AccountSetup(
                AccountKind.MARGIN, PositionMode.HEDGING if one.hedging else PositionMode.NETTING, one.currency,
                {one.currency: one.balance}, first_in_first_out=one.first_in_first_out, lot_per_trade=True,
                margin_rate=one.margin_rate,
            )
            for one in setup.accounts
        }  # fmt: skip
        self.exchange = Exchange(
            [one.instrument(setup.accounts[0].currency) for one in setup.instruments],
            opened,
            rules=rules,
            opened_at_ns=now_ns,
        )
        self.accounts = {one.id: Account(one, setup, now_ns) for one in setup.accounts}
        self.prices = PriceDesk(self.exchange)
        self.access = Access(setup, self._switches)
        floor = Floor(self.exchange, self.instruments, self.prices, self._switches)
        self.streaming = Streams(floor, clock)
        self.booking = Booking(floor, self.accounts)
        self.orders = OrderDesk(floor, self.booking)
        self.trades = TradeDesk(floor, self.orders)
        self.positions = PositionDesk(floor, self.orders)
        self.desk = AccountDesk(floor, setup, self.trades, positions=self.positions)
        self.candles = CandleDesk(self.instruments)
        self.history = HistoryDesk(self._switches)
        self.office = Office(self)
        self.office.open_accounts(now_ns)
        self._requests: Counter[str] = Counter()
        self._statuses: Counter[str] = Counter()
        self._injected = 0
        self._asked = 0

    # --- market -----------------------------------------------------------------------------------------------------

    def on_market(self, event: Quote | Book | Bar) -> None:
        """Take in a market event, stamped with the server's own time; a bar counts as the four quotes of its path."""
        name = symbol_of(event.instrument)
        if isinstance(event, Bar):
            for quote in quotes_of(event, self.instruments[name].instrument()):
                self.on_market(quote)
            return
        now_ns = self._clock.now_ns()
        event = msgspec.structs.replace(event, received_at_ns=now_ns, occurred_at_ns=now_ns)
        if isinstance(event, Quote):
            # A source's sizes are in units of its own; the depth of the setup counts.
            event = msgspec.structs.replace(event, bid_size=0.0, ask_size=0.0)
            self.candles.note(name, event)
        self._let_pass(now_ns)
        self.booking.take(self.exchange.handle(event), now_ns)
        self.streaming.wake()

    def _let_pass(self, now_ns: int) -> None:
        """End what time has ended."""
        reports = self.exchange.advance(now_ns)
        if reports:
            self.booking.take(reports, now_ns)
        self.booking.expire_guards(now_ns)

    # --- requests ---------------------------------------------------------------------------------------------------

    def operation(self, request: HttpRequest) -> str:
        """Return the name of a request's route, ``unknown`` for none."""
        asked = match(request)
        return "unknown" if asked is None else asked.operation

    def handle(self, request: HttpRequest) -> HttpResponse:
        """Process a request."""
        asked = match(request)
        self._requests["unknown" if asked is None else asked.operation] += 1
        self._asked += 1
        request_id = str(_FIRST_REQUEST + self._asked)
        is_unix = asked is not None and asked.is_unix
        now_ns = self._clock.now_ns()
        try:
            if asked is None:
                raise Failed(404, "Not found")
            if asked.operation == WRONG_METHOD:
                raise Failed(405, "Method Not Allowed")
            self._let_pass(now_ns)
            self.access.admit(asked, now_ns)
            response = written(self._answer(asked, request, now_ns, request_id), request_id, is_unix=is_unix)
            if request.method != "GET":
                self.streaming.wake()
        except Failed as failure:
            response = error(failure, request_id, is_unix=is_unix)
        self._statuses[str(response.status)] += 1
        return response

    def _answer(self, asked: Asked, request: HttpRequest, now_ns: int, request_id: str) -> Answer:
        if asked.operation in ("accounts", "user_accounts"):
            if asked.operation == "accounts" and self._switches.redirect_accounts:
                return Answer({}, 307, {"location": "/v3/users/@/accounts"})
            return self.desk.listed()
        if asked.operation == "candles":
            return self.candles.listed(asked, asked.parts["instrument"], now_ns)
        account = self.accounts[self.access.account(asked).id]
        if request.method != "GET":
            return self._write(asked, Act(account, now_ns, request_id), request.body)
        answer = self._read(asked, account, now_ns)
        if asked.operation in _UNLISTED or "lastTransactionID" in answer.payload:
            return answer
        last = {"lastTransactionID": str(self.history.last(account, now_ns))}
        return msgspec.structs.replace(answer, payload={**answer.payload, **last})

    def _read(self, asked: Asked, account: Account, now_ns: int) -> Answer:
        parts = asked.parts
        reads: dict[str, Callable[[], Answer]] = {
            "account": lambda: Answer({"account": self.desk.full(account)}),
            "summary": lambda: Answer({"account": self.desk.summary(account)}),
            "instruments": lambda: Answer({"instruments": self.desk.instruments(asked, self.instruments)}),
            "changes": lambda: Answer(
                {"changes": self.desk.changes(asked, account, self.history.last(account, now_ns)),
                 "state": self.desk.changing(account)}
            ),
            "account_candles": lambda: self.candles.listed(asked, parts["instrument"], now_ns),
            "latest_candles": lambda: self.candles.latest(asked, now_ns),
            "pricing": lambda: self._pricing(asked, account, now_ns),
            "orders": lambda: self._orders(asked, account),
            "pending_orders": lambda: Answer(
                {"orders": [self.orders.shown(account, one) for one in reversed(account.pending.values())]}
            ),
            "order": lambda: self._order(account, parts["order"], now_ns),
            "trades": lambda: self.trades.listed(asked, account),
            "open_trades": lambda: self.trades.open(account),
            "trade": lambda: self.trades.one(account, parts["trade"]),
            "positions": lambda: Answer({"positions": self.positions.listed(account)}),
            "open_positions": lambda: Answer({"positions": self.positions.listed(account, only_open=True)}),
            "position": lambda: self.positions.one(account, parts["instrument"]),
            "transactions": lambda: self.history.pages(asked, account, now_ns),
            "transaction": lambda: self.history.one(account, parts["transaction"], now_ns),
            "transactions_range": lambda: self.history.between(asked, account, now_ns),
            "transactions_since": lambda: self.history.since(asked, account, now_ns),
        }  # fmt: skip
        if asked.operation not in reads:
            raise Failed(400, "a stream cannot be answered whole: it is followed line by line")
        return reads[asked.operation]()

    def _write(self, asked: Asked, act: Act, raw: bytes) -> Answer:
        parts = asked.parts
        if asked.operation == "cancel_order":
            return self.orders.cancel(act, parts["order"])
        body = read_body(raw, required=asked.operation not in ("close_trade", "close_position"))
        match asked.operation:
            case "create_order":
                return self.orders.create(act, body)
            case "replace_order":
                return self.orders.replace(act, parts["order"], body)
            case "order_extensions":
                return self.orders.annotate(act, parts["order"], body)
            case "close_trade":
                return self.trades.close(act, parts["trade"], body)
            case "trade_extensions":
                return self.trades.annotate(act, parts["trade"], body)
            case "trade_orders":
                return self.trades.guard(act, parts["trade"], body)
            case "configure":
                return self.desk.configure(act, body)
            case _:
                return self.positions.close(act, parts["instrument"], body)

    def follow(self, request: HttpRequest, wake: Callable[[], None]) -> LineSource | HttpResponse:
        """Open a stream, or return why not."""
        asked = match(request)
        assert asked is not None, "only what is a stream is followed"
        self._requests[asked.operation] += 1
        try:
            self.access.admit(asked, self._clock.now_ns())
            account = self.accounts[self.access.account(asked).id]
            if self.streaming.is_full:
                raise Failed(429, "Rate limit violation: too many streams")
            if asked.operation == "transactions_stream":
                return self.streaming.join(
                    TransactionStream(self.streaming, wake, account, is_unix=asked.is_unix)
                )  # fmt: skip
            prices = PriceStream(
                self.streaming, wake, self._named(asked), currency=account.rules.currency, is_unix=asked.is_unix
            )
            if asked.query.get("snapshot", "true").lower() != "true":
                prices.skip_present()
            return self.streaming.join(prices)
        except Failed as failure:
            self._statuses[str(failure.status)] += 1
            return error(failure, "0", is_unix=asked.is_unix)

    def _named(self, asked: Asked) -> list[InstrumentRules]:
        """Return the instruments that are asked for."""
        if not asked.query.get("instruments"):
            raise missing("instruments")
        names = asked.query["instruments"].split(",")
        if any(name not in self.instruments for name in names):
            raise malformed("instruments")
        return [self.instruments[name] for name in names]

    def _pricing(self, asked: Asked, account: Account, now_ns: int) -> Answer:
        """Return the present prices, only those newer than ``since`` where it is given."""
        named = self._named(asked)
        since = moment_of(asked.query["since"], "since") if "since" in asked.query else None
        currency = account.rules.currency
        shown = [self.prices.price(one, currency) for one in named]
        told: Json = {
            "time": At(now_ns),
            "prices": [one for one in shown if one is not None and (since is None or one["time"].ns > since)],
        }
        if asked.query.get("includeHomeConversions", "false").lower() == "true":
            told["homeConversions"] = [
                {"currency": one, "accountGain": rate, "accountLoss": rate, "positionValue": rate}
                for one in sorted({part for rules in named for part in (rules.base, rules.quote)})
                for rate in (self.prices.factor(one, currency),)
            ]
        return Answer(told)

    def _orders(self, asked: Asked, account: Account) -> Answer:
        state = asked.query.get("state", "PENDING")
        if state not in _ORDER_STATES:
            raise malformed("state")
        source = account.pending if state == "PENDING" else account.orders
        chosen = (one for one in reversed(source.values()) if state in ("ALL", one.state))

        def show(record: OrderRecord) -> Json:
            return self.orders.shown(account, record)

        return page(asked, chosen, self.instruments, show, "orders")

    def _order(self, account: Account, specifier: str, now_ns: int) -> Answer:
        """Return one order; a new one cannot be read at once where reads lag."""
        found = account.find_order(specifier)
        lag_ns = round(self._switches.read_lag_s * NS_PER_S)
        if found is None or now_ns < found.created_ns + lag_ns:
            raise not_found(account, "NO_SUCH_ORDER")
        return Answer({"order": self.orders.shown(account, found)})

    def failure(self, status: int, retry_after_s: float | None = None) -> HttpResponse:
        """Return a failure in front of the server; the words of a 504 were seen, those of others are assumed."""
        self._injected += status == 429
        self._statuses[str(status)] += 1
        words = "Timeout waiting for response." if status == 504 else f"Simulated failure {status}"
        response = error(Failed(status, words), "0", is_unix=False)
        if retry_after_s is None:
            return response
        headers = {**response.headers, "retry-after": str(max(1, round(retry_after_s)))}
        return msgspec.structs.replace(response, headers=headers)

    # --- administration ---------------------------------------------------------------------------------------------

    def due(self, now_ns: int) -> Sequence[Notice]:
        """End what time has ended; nobody is told."""
        self._let_pass(now_ns)
        return ()

    def settle(self, notice: Notice, status: int | None) -> None:
        """There are no webhooks to settle."""

    def counters(self) -> Json:
        """Return what was seen: requests by route and status, orders, and what a client should not do."""
        return {
            "requests": {"total": sum(self._requests.values()), **dict(sorted(self._requests.items()))},
            "statuses": dict(sorted(self._statuses.items())),
            "rate_limited": {"total": self.access.counts["rate_limited"], "injected": self._injected},
            "sessions": {"unauthorized": self.access.counts["unauthorized"]},
            "streams": {"open": self.streaming.count, "opened": self.streaming.opened},
            **self.office.counters(),
        }

    def state(self) -> Json:
        """Return the exact truth; decimals are text, ids the venue's."""
        return self.office.state(self._clock.now_ns())

    def command(self, name: str, arguments: Json) -> Json:
        """Do something that no client can; see `Office`.

        Raises:
            ValueError: when there is no such command, or it cannot be done.
        """
        return self.office.command(name, arguments, self._clock.now_ns())
