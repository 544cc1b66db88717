"""A whole TradeLocker server: requests in, answers out, market events in, at the time of an injected clock.

Served by `quantd simulate tradelocker`, and used behind the `Transport` port by tests in virtual time. It opens no
socket, starts no task and never waits. One user with some margin accounts, hedging or netting.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from quantd.domain.cash import AccountKind, CashFlow, CashFlowKind
from quantd.domain.instruments import MarketStatus, symbol_of
from quantd.domain.market import Bar, Book, Quote, StatusChanged
from quantd.domain.numbers import ZERO, decimal_from_text, plain
from quantd.exchange import AccountSetup, Exchange, ExchangeRules, Refused
from quantd.ports import Clock, HttpRequest, HttpResponse
from quantd.simulators.prices import quotes_of
from quantd.simulators.tradelocker.access import Access
from quantd.simulators.tradelocker.answers import (
    NS_PER_S,
    Failed,
    RefusedByVenue,
    edge,
    failed,
    no_content,
    ok,
    read_body,
    refused,
    told,
)
from quantd.simulators.tradelocker.columns import config
from quantd.simulators.tradelocker.ids import Ids
from quantd.simulators.tradelocker.market import MarketDesk
from quantd.simulators.tradelocker.options import VENUE, AccountRules, Setup, Switches
from quantd.simulators.tradelocker.orders import OrderDesk
from quantd.simulators.tradelocker.positions import PositionDesk
from quantd.simulators.tradelocker.routes import Asked, match
from quantd.simulators.tradelocker.terms import read_create
from quantd.simulators.venue import Json, Notice, Switched

_STATUSES = {"open": MarketStatus.OPEN, "closed": MarketStatus.CLOSED, "halted": MarketStatus.HALTED,
             "reduce_only": MarketStatus.REDUCE_ONLY}  # fmt: skip


class MarketCommand(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Arguments of the command ``market``."""

    symbol: str
    status: Literal["open", "closed", "halted", "reduce_only"]


class TradeLockerVenue(Switched[Switches]):
    """A `SimulatedVenue`.

    Args:
        setup: User, accounts, instruments, limits.
        clock: The only source of time.
        switches: How it behaves; changed in place by `adjust`.
    """

    name = VENUE

    def __init__(self, setup: Setup, *, clock: Clock, switches: Switches | None = None) -> None:
        super().__init__(switches or Switches())
        self.setup = setup
        self._clock = clock
        now_ns = clock.now_ns()
        rules = {str(one.tradable_id): one for one in setup.instruments}
        accounts = {
            one.id: AccountSetup(
                AccountKind.MARGIN, one.mode, one.currency, {one.currency: one.balance}, lot_per_trade=True
            )
            for one in setup.accounts
        }
        exchange_rules = ExchangeRules(
            latency_ns=round(setup.latency_s * NS_PER_S), depth=setup.depth, seed=setup.seed
        )  # fmt: skip
        self.exchange = Exchange(
            [one.instrument(setup.accounts[0].currency) for one in setup.instruments],
            accounts,
            rules=exchange_rules,
            opened_at_ns=now_ns,
        )
        self._by_name = {one.name: one for one in setup.instruments}
        self.ids = Ids(now_ns)
        self.access = Access(setup, self._switches)
        self.orders = OrderDesk(self.exchange, rules, self.ids, switches=self._switches)
        self.positions = PositionDesk(self.exchange, rules, self.ids, switches=self._switches)
        self.market = MarketDesk(self.exchange, rules, setup, switches=self._switches)
        self._requests: Counter[str] = Counter()
        self._statuses: Counter[str] = Counter()
        self._injected = 0

    # --- market -----------------------------------------------------------------------------------------------------

    def on_market(self, event: Quote | Book | Bar) -> None:
        """Take in a market event, stamped with the server's own time; a bar counts as the four quotes of its path."""
        if isinstance(event, Bar):
            for quote in quotes_of(event, self._by_name[symbol_of(event.instrument)].instrument()):
                self.on_market(quote)
            return
        now_ns = self._clock.now_ns()
        event = msgspec.structs.replace(event, received_at_ns=now_ns, occurred_at_ns=now_ns)
        if isinstance(event, Quote):
            self.market.note(event)
        self.exchange.handle(event)

    # --- requests ---------------------------------------------------------------------------------------------------

    def operation(self, request: HttpRequest) -> str:
        """Return the name of a request's route, ``unknown`` for none."""
        asked = match(request)
        return "unknown" if asked is None else asked.operation

    def handle(self, request: HttpRequest) -> HttpResponse:
        """Process a request."""
        asked = match(request)
        self._requests["unknown" if asked is None else asked.operation] += 1
        try:
            if asked is None:
                raise Failed(404, "Not Found")
            response = self._answer(asked, request, self._clock.now_ns())
        except RefusedByVenue as refusal:
            response = refused(str(refusal))
        except Failed as failure:
            is_edge = failure.status == 429 and self._switches.edge_limits
            response = edge(429) if is_edge else failed(failure.status, failure.words)
        self._statuses[str(response.status)] += 1
        return response

    def _answer(self, asked: Asked, request: HttpRequest, now_ns: int) -> HttpResponse:
        if asked.operation == "log_in":
            return told(self.access.log_in(read_body(request.body), now_ns), 201)
        if asked.operation == "refresh":
            return told(self.access.refresh(read_body(request.body), now_ns), 201)
        self.access.authenticate(asked, now_ns)
        if asked.operation == "all_accounts":
            return told({"accounts": [self._account(one) for one in self.setup.accounts]})
        account = self.access.account(asked)
        self.access.admit(asked, account.id, self._clock.monotonic_ns())  # a wall clock that is set counts nothing anew
        if request.method == "GET":
            return self._read(asked, account, now_ns)
        return self._write(asked, account, request.body, now_ns)

    def _account(self, account: AccountRules) -> Json:
        sums = self.exchange.margin(account.id)
        balance = account.balance if sums is None else sums.balance
        return {
            "id": account.id, "name": f"{self.setup.server}#{account.id}", "currency": account.currency,
            "accNum": str(account.acc_num), "accountBalance": f"{balance:.2f}", "status": "ACTIVE",
        }  # fmt: skip

    def _read(self, asked: Asked, account: AccountRules, now_ns: int) -> HttpResponse:
        if asked.operation == "history":
            return told(self.market.history(asked))
        rows_max = self.setup.limits.get("MAX_ORDERS_COUNT_IN_HISTORY", 10_000)
        reads: dict[str, Callable[[], object]] = {
            "config": lambda: config(self.setup, more=self._switches.more_columns),
            "accounts": lambda: [self._rules_of(account)],
            "instruments": self.market.instruments,
            "instrument": lambda: self.market.details(asked),
            "session": lambda: self.market.session(asked),
            "session_status": lambda: self.market.session_status(asked),
            "quotes": lambda: self.market.quotes(asked),
            "depth": lambda: self.market.depth(asked),
            "daily_bar": lambda: self.market.daily_bar(asked, now_ns),
            "state": lambda: self.positions.state(account),
            "orders": lambda: self.orders.listed(asked, account, now_ns),
            "orders_history": lambda: self.orders.history(asked, account, now_ns, rows_max=rows_max),
            "executions": lambda: self.orders.executions(account),
            "positions": lambda: self.positions.listed(account, now_ns),
        }
        return ok(reads[asked.operation]())

    def _rules_of(self, account: AccountRules) -> Json:
        return {
            "id": account.id, "name": f"{self.setup.server}#{account.id}", "type": "DEMO", "status": "ACTIVE",
            "currency": account.currency,
            "tradingRules": {
                "supportBrackets": True, "supportTrailingStop": True, "supportPartialClosePosition": True,
                "supportSelfTrading": True, "supportTradingOutOfTradingHours": False,
            },
            "riskRules": {"maxPositionsNumber": None, "maxPendingOrdersNumber": None, "maxOrdersCount": None},
        }  # fmt: skip

    def _write(self, asked: Asked, account: AccountRules, raw: bytes, now_ns: int) -> HttpResponse:
        body = read_body(raw)
        match asked.operation:
            case "place_order":
                wanted = read_create(body, self.orders.rules, self.market.mids())
                return ok(self.orders.create(wanted, account, now_ns))
            case "modify_order":
                changed = self.orders.modify(asked.parts["order"], body, account, now_ns)
                return no_content() if self._switches.no_content else ok(changed)
            case "cancel_order":
                self.orders.cancel(asked.parts["order"], account, now_ns)
            case "cancel_orders":
                self.orders.cancel_all(asked, account, now_ns)
            case "modify_position":
                self.positions.modify(asked.parts["position"], body, account, now_ns)
            case "close_position":
                self.positions.close(asked.parts["position"], body, account, now_ns)
            case _:
                self.positions.close_all(asked, account, now_ns)
        return no_content() if self._switches.no_content else ok()

    def failure(self, status: int, retry_after_s: float | None = None) -> HttpResponse:
        """Return a failure in front of the server: the edge's text."""
        self._injected += status == 429
        self._statuses[str(status)] += 1
        response = edge(status)
        if retry_after_s is None:
            return response
        headers = {**response.headers, "retry-after": str(max(1, round(retry_after_s)))}
        return msgspec.structs.replace(response, headers=headers)

    # --- administration ---------------------------------------------------------------------------------------------

    def due(self, now_ns: int) -> Sequence[Notice]:
        """There is nothing that time alone brings, and nobody is told anything."""
        return ()

    def settle(self, notice: Notice, status: int | None) -> None:
        """There are no webhooks to settle."""

    def counters(self) -> Json:
        """Return what was seen: requests by route and status, sessions, orders, and what a client should not do."""
        counts = self.orders.counts
        accounts = [one.id for one in self.setup.accounts]
        crowded = self.access.crowded
        return {
            "requests": {"total": sum(self._requests.values()), **dict(sorted(self._requests.items()))},
            "statuses": dict(sorted(self._statuses.items())),
            "rate_limited": {"total": sum(crowded.values()), "injected": self._injected, **crowded},
            "sessions": {name: self.access.counts[name] for name in ("log_ins", "refreshes", "unauthorized")},
            "orders": {
                **{name: counts[name] for name in ("created", "modified", "cancels", "cancelled_too_late")},
                "open": sum(len(self.exchange.orders(one, working=True)) for one in accounts),
                "fills": sum(len(self.exchange.trades(one)) for one in accounts),
                "closes": self.positions.counts["closes"],
            },
            "violations": {
                "strategy_id_twice": sum(count - 1 for count in self.orders.strategy_ids.values() if count > 1)
            },
            "prices": self.market.shown(),
        }  # fmt: skip

    def state(self) -> Json:
        """Return the exact truth; decimals are text, ids the venue's."""
        now_ns = self._clock.now_ns()
        told: Json = {"now_ns": now_ns, "balances": {}, "opening_balances": {}, "orders": [], "lots": []}
        for account in self.setup.accounts:
            balances = self.exchange.snapshot(account.id, VENUE, now_ns).balances
            told["balances"][account.id] = {
                one.asset: {"total": f"{one.total:f}", "free": f"{one.free:f}"} for one in balances
            }
            told["opening_balances"][account.id] = {account.currency: f"{account.balance:f}"}
            for order in self.exchange.orders(account.id):
                told["orders"].append(
                    {
                        "id": self.ids.shown(order.venue_order_id), "account": account.id,
                        "symbol": symbol_of(order.spec.instrument), "side": order.spec.side.value,
                        "strategyId": order.tag, "role": order.role.value, "state": order.state.value,
                        "quantity": plain(order.spec.quantity), "filledQuantity": plain(order.filled_quantity),
                        "fees": {asset: plain(amount) for asset, amount in order.fees},
                    }
                )  # fmt: skip
            for view in self.exchange.lots(account.id):
                lot = view.lot
                told["lots"].append(
                    {
                        "id": self.ids.shown(lot.venue_id), "account": account.id, "side": lot.side.value,
                        "symbol": symbol_of(lot.instrument), "quantity": plain(lot.quantity),
                        "openPrice": plain(lot.open_price), "stop": _text(lot.protection.stop),
                        "take": _text(lot.protection.take),
                    }
                )  # fmt: skip
        return told

    def command(self, name: str, arguments: Json) -> Json:
        """Do ``deposit`` or ``withdraw`` (account, amount), set a ``market`` (symbol, status), or ``revoke`` tokens.

        Raises:
            ValueError: when there is no such command, or it cannot be done.
        """
        now_ns = self._clock.now_ns()
        if name == "revoke":
            self.access.revoke(refresh=bool(arguments.get("refresh")))
            return arguments
        if name == "market":
            wanted = msgspec.convert(arguments, MarketCommand)
            if wanted.symbol not in self._by_name:
                raise ValueError(f"no instrument {wanted.symbol!r}; there are {', '.join(self._by_name)}")
            instrument = self._by_name[wanted.symbol].instrument().id
            self.exchange.handle(StatusChanged(instrument, _STATUSES[wanted.status], now_ns))
            return arguments
        if name not in ("deposit", "withdraw"):
            raise ValueError(f"no command {name!r}; there are deposit, withdraw, market, revoke")
        account = next((one for one in self.setup.accounts if one.id == arguments.get("account")), None)
        if account is None:
            raise ValueError(f"no account {arguments.get('account')!r}")
        amount = decimal_from_text(str(arguments.get("amount")))
        kind = CashFlowKind.DEPOSIT if name == "deposit" else CashFlowKind.WITHDRAWAL
        signed = amount if name == "deposit" else ZERO - amount
        flow = CashFlow(VENUE, f"{name}-{now_ns}", kind, account.currency, signed, now_ns)
        moved = self.exchange.move_cash(account.id, flow)
        match moved:
            case Refused(code, detail):
                raise ValueError(f"{code}: {detail}")
        return arguments


def _text(value: object) -> str | None:
    return None if value is None else str(value)
