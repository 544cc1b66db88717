"""A whole Hummingbot API server: requests in, answers out, market events in, at the time of an injected clock.

Served by `quantd simulate hummingbot`, and used behind the `Transport` port by tests in virtual time. It opens no socket,
starts no task and never waits. One account with one spot exchange's keys; perpetuals are not simulated.
"""

import base64
from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Literal

import msgspec

from quantd.domain.cash import AccountKind, CashFlow, CashFlowKind
from quantd.domain.instruments import MarketStatus, symbol_of
from quantd.domain.market import Bar, Book, Quote, StatusChanged
from quantd.domain.numbers import ZERO, decimal_from_text
from quantd.domain.orders import Side
from quantd.exchange import AccountSetup, Exchange, ExchangeRules, Refused
from quantd.ports import Clock, HttpRequest, HttpResponse
from quantd.simulators.hummingbot.answers import (
    NS_PER_S,
    Crash,
    Problem,
    answered,
    crashed,
    gateway,
    number,
    refused,
    text,
)
from quantd.simulators.hummingbot.lists import Lists
from quantd.simulators.hummingbot.market import INTERVALS_S, MarketData
from quantd.simulators.hummingbot.options import VENUE, Setup, Switches
from quantd.simulators.hummingbot.orders import ACCOUNT, OrderDesk, quantised, spec_of
from quantd.simulators.hummingbot.requests import ORDER_TYPES, read_listing, read_object, read_placement
from quantd.simulators.hummingbot.routes import Asked, is_known_path, match
from quantd.simulators.prices import quotes_of
from quantd.simulators.venue import Json, Notice, Switched

_NO_LIMIT, _NO_STEP = 1e56, 1e-56


class MarketCommand(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Arguments of the command ``market``."""

    symbol: str
    status: Literal["online", "halted"]


class HummingbotVenue(Switched[Switches]):
    """A `SimulatedVenue`.

    Args:
        setup: Account, connector, pairs.
        clock: The only source of time.
        switches: How it behaves; changed in place by `adjust`.
    """

    name = VENUE

    def __init__(self, setup: Setup, *, clock: Clock, switches: Switches | None = None) -> None:
        super().__init__(switches or Switches())
        self.setup = setup
        self._clock = clock
        now_ns = clock.now_ns()
        tag = f"{now_ns // NS_PER_S % 0xFFFFFF:06X}"  # ids differ from those of an earlier run
        rules = ExchangeRules(
            latency_ns=round(setup.latency_s * NS_PER_S), depth=setup.depth, order_prefix=f"{tag}", seed=setup.seed
        )  # fmt: skip
        account = AccountSetup(AccountKind.SPOT, balances=setup.balances)
        self._pairs = {one.pair: one for one in setup.pairs}
        self.exchange = Exchange(
            [one.instrument() for one in setup.pairs], {ACCOUNT: account}, rules=rules, opened_at_ns=now_ns
        )
        self.desk = OrderDesk(self.exchange, setup, self._switches, started_at_ns=now_ns, tag=tag)
        self.market = MarketData(self._pairs, self.exchange)
        self._lists = Lists(self.desk, setup, self._switches)
        self._cached: list[Json] = []
        self._requests: Counter[str] = Counter()
        self._statuses: Counter[str] = Counter()
        self._crowded = 0
        token = base64.b64encode(f"{setup.username}:{setup.password}".encode()).decode()
        self._authorization = f"Basic {token}"

    # --- market -----------------------------------------------------------------------------------------------------

    def on_market(self, event: Quote | Book | Bar) -> None:
        """Take in a market event, stamped with the server's own time; a bar counts as the four quotes of its path."""
        if isinstance(event, Bar):
            rules = self._pairs[symbol_of(event.instrument)].instrument()
            for quote in quotes_of(event, rules):
                self.on_market(quote)
            return
        now_ns = self._clock.now_ns()
        event = msgspec.structs.replace(event, received_at_ns=now_ns, occurred_at_ns=now_ns)
        self.desk.advance(now_ns)
        self.market.note(event)
        self.desk.follow(list(self.exchange.handle(event)), now_ns)

    # --- requests ---------------------------------------------------------------------------------------------------

    def operation(self, request: HttpRequest) -> str:
        """Return the name of a request's route, ``unknown`` for none."""
        asked = match(request)
        return "unknown" if asked is None else asked.operation

    def handle(self, request: HttpRequest) -> HttpResponse:
        """Process a request."""
        self.desk.advance(self._clock.now_ns())
        asked = match(request)
        self._requests["unknown" if asked is None else asked.operation] += 1
        try:
            response = self._answer(asked, request)
        except Problem as problem:
            response = refused(problem)
        except Crash:
            response = crashed()
        self._statuses[str(response.status)] += 1
        return response

    def _answer(self, asked: Asked | None, request: HttpRequest) -> HttpResponse:
        if asked is None:
            if is_known_path(request):
                raise Problem(405, "Method Not Allowed")
            raise Problem(404, "Not Found")
        if asked.operation == "root":
            return answered({"name": "Hummingbot API", "version": "1.0.1", "status": "running"})
        self._authenticate(request)
        if asked.operation == "place_order":
            return answered(self._place(read_object(request)), 201)
        if request.method == "GET" or asked.operation in ("cancel_order", "set_leverage", "set_position_mode"):
            return answered(self._named(asked))
        return answered(self._posted(asked.operation, read_object(request)))

    def _authenticate(self, request: HttpRequest) -> None:
        header = next((value for name, value in request.headers.items() if name.lower() == "authorization"), "")
        if header == self._authorization:
            return
        detail = "Incorrect username or password" if header.startswith("Basic ") else "Not authenticated"
        raise Problem(401, detail, {"www-authenticate": "Basic"})

    # --- placing and cancelling -------------------------------------------------------------------------------------

    def _place(self, body: Json) -> Json:
        wanted = read_placement(body)
        if wanted.account != self.setup.account:
            raise Problem(404, f"Account '{wanted.account}' not found")
        if wanted.connector != self.setup.connector:
            raise Problem(500, f"Unexpected error placing trade: Invalid network format '{wanted.connector}'")
        if wanted.order_type != "MARKET" and wanted.price is None:
            raise Problem(400, "Price is required for LIMIT and LIMIT_MAKER orders")
        rules = self._pairs.get(wanted.pair)
        if rules is None:
            detail = f"Trading pair '{wanted.pair}' not supported on {wanted.connector}. Available pairs: "
            raise Problem(400, detail + str(list(self._pairs)))
        amount, price = quantised(rules, wanted.amount, wanted.price)
        if amount < rules.min_order_size:
            raise Problem(
                400, f"Order amount {amount} is below minimum order size {rules.min_order_size} for {rules.pair}"
            )
        counted = self.market.last(rules.pair) if wanted.order_type == "MARKET" else price
        if amount * (counted or ZERO) < rules.min_notional:
            raise Problem(
                400,
                f"Order notional value {amount * (counted or ZERO)} is below minimum notional size "
                f"{rules.min_notional} for {rules.pair}. Increase the amount or price to meet the minimum requirement.",
            )
        spec = spec_of(rules, Side[wanted.side], wanted.order_type, amount, price)
        order_id = self.desk.schedule(rules, spec, wanted.order_type, self._clock.now_ns())
        if wanted.order_type == "MARKET":
            self.desk.orders[order_id].price = counted
        return {
            "order_id": order_id,
            "account_name": wanted.account,
            "connector_name": wanted.connector,
            "trading_pair": wanted.pair,
            "trade_type": wanted.side,
            "amount": text(Decimal(wanted.raw_amount)),
            "order_type": wanted.order_type,
            "price": None if wanted.raw_price is None else text(Decimal(wanted.raw_price)),
            "status": "submitted",
        }

    def _named(self, asked: Asked) -> Any:
        """Answer the routes that are told all by their path."""
        parts, setup = asked.parts, self.setup
        account, connector = parts.get("account", setup.account), parts.get("connector", setup.connector)
        match asked.operation:
            case "cancel_order":
                return self._cancel(account, connector, parts["order"])
            case "set_leverage" | "set_position_mode" | "position_mode":
                raise Problem(400, f"Connector '{connector}' is not a perpetual connector")
            case "connectors":
                return [setup.connector]
            case "accounts":
                return [setup.account]
            case "credentials":
                if account != setup.account:
                    raise Problem(404, f"Directory 'credentials/{account}/connectors' not found")
                return [setup.connector]
        if connector != setup.connector:
            raise Problem(404, f"Connector '{connector}' not found or error: {connector}")
        if self._switches.exchange_down:
            raise Problem(404, f"Connector '{connector}' not found or error: Cannot connect to host")
        if asked.operation == "order_types":
            return {"connector": connector, "supported_order_types": list(ORDER_TYPES)}
        return self._rules(asked.query.get("trading_pairs"))

    def _cancel(self, account: str, connector: str, order_id: str) -> Json:
        if account != self.setup.account:
            raise Problem(404, f"Account '{account}' not found")
        is_here = connector == self.setup.connector
        if not is_here or not self.desk.request_cancel(order_id, self._clock.now_ns()):
            raise Problem(404, f"Order '{order_id}' not found in active orders")
        return {"message": f"Order cancellation initiated for {order_id}"}

    def _rules(self, pairs: list[str] | None) -> Json:
        told: Json = {}
        for pair in pairs or self._pairs:
            rules = self._pairs.get(pair)
            if rules is None:
                return {"error": f"Trading pair {pair} not found"}
            told[pair] = {
                "min_order_size": number(rules.min_order_size), "max_order_size": _NO_LIMIT,
                "min_price_increment": number(rules.tick), "min_base_amount_increment": number(rules.lot),
                "min_quote_amount_increment": _NO_STEP, "min_notional_size": number(rules.min_notional),
                "min_order_value": 0.0, "max_price_significant_digits": _NO_LIMIT,
                "supports_limit_orders": True, "supports_market_orders": True,
                "buy_order_collateral_token": rules.quote, "sell_order_collateral_token": rules.quote,
            }  # fmt: skip
        return told

    # --- lists, portfolio, market -----------------------------------------------------------------------------------

    def _posted(self, operation: str, body: Json) -> Any:
        skew_ns = round(self._switches.clock_skew_s * NS_PER_S)
        now_s = (self._clock.now_ns() + skew_ns) / NS_PER_S
        pair, connector = str(body.get("trading_pair")), str(body.get("connector_name"))
        if operation in ("active_orders", "search_orders", "trades", "positions", "funding_payments"):
            return self._lists.page(operation, read_listing(body), skew_ns)
        if operation == "portfolio":
            return self._portfolio(bool(body.get("refresh")))
        if connector != self.setup.connector:
            raise Problem(500, f"Connector {connector} not found")
        handlers: dict[str, Callable[[], Any]] = {
            "prices": lambda: self.market.prices(connector, body.get("trading_pairs") or [], now_s),
            "order_book": lambda: self.market.book(pair, int(body.get("depth", 10)), now_s),
            "candles": lambda: self._recent(pair, body, now_s),
            "historical_candles": lambda: self._historical(pair, body),
            "add_pair": lambda: {
                "success": pair in self._pairs, "connector_name": connector, "trading_pair": pair, "message": "",
            },
        }  # fmt: skip
        return handlers[operation]()

    def _recent(self, pair: str, body: Json, now_s: float) -> Any:
        interval = str(body.get("interval", "1m"))
        count = int(body.get("max_records", 500))
        span_s = count * INTERVALS_S.get(interval, 60)
        return self.market.candles(pair, interval, int(now_s) - span_s, int(now_s))[-count:]

    def _historical(self, pair: str, body: Json) -> Any:
        interval = str(body.get("interval"))
        found = self.market.candles(pair, interval, int(body["start_time"]), int(body["end_time"]))
        if not found:
            raise Problem(404, f"No historical data found for {pair} {interval}")
        return found

    def _portfolio(self, refresh: bool) -> Json:
        if refresh and not self._switches.cached_portfolio:
            self._cached = [
                {
                    "token": balance.asset, "units": number(balance.total), "price": 0.0, "value": 0.0,
                    "available_units": number(balance.free),
                }
                for balance in self.exchange.snapshot(ACCOUNT, VENUE, self._clock.now_ns()).balances
                if balance.total
            ]  # fmt: skip
        return {self.setup.account: {self.setup.connector: [] if self._switches.blank_portfolio else self._cached}}

    def failure(self, status: int, retry_after_s: float | None = None) -> HttpResponse:
        """Return a failure in front of the server: a proxy's page."""
        self._crowded += status == 429
        headers = {} if retry_after_s is None else {"retry-after": str(max(1, round(retry_after_s)))}
        self._statuses[str(status)] += 1
        return gateway(status, headers)

    # --- administration ---------------------------------------------------------------------------------------------

    def due(self, now_ns: int) -> Sequence[Notice]:
        """Let time pass; the server tells nobody anything by itself."""
        self.desk.advance(now_ns)
        return ()

    def settle(self, notice: Notice, status: int | None) -> None:
        """There are no webhooks to settle."""

    def counters(self) -> Json:
        """Return what was seen: requests by route and status, orders."""
        counts = self.desk.counts
        return {
            "requests": {"total": sum(self._requests.values()), **dict(sorted(self._requests.items()))},
            "statuses": dict(sorted(self._statuses.items())),
            "rate_limited": {"total": self._crowded},
            "orders": {
                **{name: counts[name] for name in ("scheduled", "placed", "failed", "cancels", "fills")},
                "created": counts["placed"],
                "open": self.desk.working,
            },
            "violations": {},
            "prices": {
                pair: (f"{quote.bid:.2f}", f"{quote.ask:.2f}")
                for pair, rules in self._pairs.items()
                if (quote := self.exchange.quote(rules.instrument().id)) is not None
            },
        }  # fmt: skip

    def state(self) -> Json:
        """Return the exact truth, the exchange's and not the server's beliefs; decimals are text."""
        now_ns = self._clock.now_ns()
        balances = self.exchange.snapshot(ACCOUNT, VENUE, now_ns).balances
        return {
            "now_ns": now_ns,
            "balances": {
                ACCOUNT: {one.asset: {"total": f"{one.total:f}", "free": f"{one.free:f}"} for one in balances}
            },
            "opening_balances": {ACCOUNT: {asset: f"{amount:f}" for asset, amount in self.setup.balances.items()}},
            "orders": [self.desk.truth(order) for order in self.desk.orders.values() if order.at_exchange],
        }

    def command(self, name: str, arguments: Json) -> Json:
        """Do ``deposit`` or ``withdraw`` (asset, amount) at the exchange, or set a ``market`` (symbol, status).

        Raises:
            ValueError: when there is no such command, or it cannot be done.
        """
        now_ns = self._clock.now_ns()
        if name == "market":
            wanted = msgspec.convert(arguments, MarketCommand)
            if wanted.symbol not in self._pairs:
                raise ValueError(f"no pair {wanted.symbol!r}; there are {', '.join(self._pairs)}")
            status = MarketStatus.OPEN if wanted.status == "online" else MarketStatus.HALTED
            self.exchange.handle(StatusChanged(self._pairs[wanted.symbol].instrument().id, status, now_ns))
            return arguments
        if name not in ("deposit", "withdraw"):
            raise ValueError(f"no command {name!r}; there are deposit, withdraw, market")
        amount = decimal_from_text(str(arguments["amount"]))
        kind = CashFlowKind.DEPOSIT if name == "deposit" else CashFlowKind.WITHDRAWAL
        signed = amount if name == "deposit" else ZERO - amount
        flow = CashFlow(VENUE, f"{name}-{now_ns}", kind, str(arguments["asset"]), signed, now_ns)
        moved = self.exchange.move_cash(ACCOUNT, flow)
        match moved:
            case Refused(code, detail):
                raise ValueError(f"{code}: {detail}")
        return arguments
