"""A whole ionloop: requests in, answers out, market events in, webhooks out, at the time of an injected clock.

Served by `quantd simulate ionloop`, and used behind the `Transport` port by tests in virtual time. Keys, limits and
validation are as strict as the documents; where they are silent the assumptions in `options` hold. It opens no socket,
starts no task and never waits.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal

import msgspec

from quantd.domain.cash import AccountKind
from quantd.domain.market import Bar, Book, Quote
from quantd.exchange import AccountSetup, Exchange, ExchangeRules, SelfTrade
from quantd.ports import Clock, HttpRequest, HttpResponse
from quantd.simulators.ionloop.access import Access
from quantd.simulators.ionloop.envelope import (
    NS_PER_S,
    Answer,
    Problem,
    bare,
    enveloped,
    instant,
    retry_after,
)
from quantd.simulators.ionloop.idempotency import IdempotencyKeys
from quantd.simulators.ionloop.ledger import Ledger, transfer_from
from quantd.simulators.ionloop.markets import Markets
from quantd.simulators.ionloop.options import ApiKey, MarketWord, Setup, Switches
from quantd.simulators.ionloop.orders import OrderDesk
from quantd.simulators.ionloop.routes import Asked, match
from quantd.simulators.ionloop.terms import read_object
from quantd.simulators.ionloop.webhooks import Webhooks
from quantd.simulators.prices import quotes_of
from quantd.simulators.venue import Json, Notice, Switched

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


class MarketCommand(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Arguments of the command ``market``."""

    symbol: str
    status: MarketWord


class IonloopVenue(Switched[Switches]):
    """A `SimulatedVenue`.

    Args:
        setup: Markets, keys, accounts, limits.
        clock: The only source of time.
        switches: How it behaves; changed in place by `adjust`.
    """

    name = "ionloop"

    def __init__(self, setup: Setup, *, clock: Clock, switches: Switches | None = None) -> None:
        super().__init__(switches or Switches())
        self.setup = setup
        self._clock = clock
        now_ns = clock.now_ns()
        # Ids differ from those of an earlier run: a client's journal may outlive the simulator.
        tag = _base36(now_ns // NS_PER_S) + "x"
        rules = ExchangeRules(
            latency_ns=round(setup.latency_s * NS_PER_S), depth=setup.depth, self_trade=SelfTrade.REFUSE,
            order_prefix=f"ord_{tag}", trade_prefix=f"trd_{tag}", seed=setup.seed,
        )  # fmt: skip
        names = {*setup.balances, *(key.account for key in setup.keys)}
        accounts = {
            name: AccountSetup(AccountKind.SPOT, balances=setup.balances.get(name, {})) for name in sorted(names)
        }  # fmt: skip
        self.exchange = Exchange(
            [market.instrument() for market in setup.markets], accounts, rules=rules, opened_at_ns=now_ns
        )
        self.markets = Markets(setup.markets, self.exchange, self._switches, started_at_ns=now_ns)
        self.webhooks = Webhooks(setup, self._switches, tag=tag)
        self.ledger = Ledger(self.exchange, self.webhooks, setup, self._switches, tag=tag)
        self.desk = OrderDesk(self.exchange, self.markets, self.webhooks, self.ledger, switches=self._switches)
        self._access = Access(setup.keys, setup.rates)
        self._keys = IdempotencyKeys()
        self._tag = tag
        self._requests: Counter[str] = Counter()
        self._statuses: Counter[str] = Counter()
        self._served = 0
        self.quotes = 0
        """Market events taken in."""

    # --- market -----------------------------------------------------------------------------------------------------

    def on_market(self, event: Quote | Book | Bar) -> None:
        """Take in a market event, stamped with the venue's own time; a bar counts as the four quotes of its path."""
        if isinstance(event, Bar):
            for quote in quotes_of(event, self.markets.by_id[event.instrument].instrument):
                self.on_market(quote)
            return
        if self._switches.market_paused:
            return
        now_ns = self._clock.now_ns()
        event = msgspec.structs.replace(event, received_at_ns=now_ns, occurred_at_ns=now_ns)
        self.desk.advance(now_ns)
        self.quotes += 1
        self.markets.take(event)
        if self._switches.matching_engine != "down":
            self.desk.follow(self.exchange.handle(event), now_ns)

    # --- requests ---------------------------------------------------------------------------------------------------

    def operation(self, request: HttpRequest) -> str:
        """Return the name of a request's route, ``unknown`` for none."""
        asked = match(request)
        return "unknown" if asked is None else asked.route.operation

    def handle(self, request: HttpRequest) -> HttpResponse:
        """Process a request."""
        now_ns = self._clock.now_ns()
        self.desk.advance(now_ns)
        asked = match(request)
        operation = "unknown" if asked is None else asked.route.operation
        self._requests[operation] += 1
        banned_s = self._access.check_ban(request.peer, now_ns)
        if banned_s is not None:
            response = bare(418, retry_after(banned_s))
        else:
            answer = self._answered(asked, request, now_ns)
            response = self._enveloped(answer)
        self._statuses[str(response.status)] += 1
        return response

    def _answered(self, asked: Asked | None, request: HttpRequest, now_ns: int) -> Answer:
        header = next((value for name, value in request.headers.items() if name.lower() == "authorization"), None)
        try:
            key = self._access.admit(asked, header, request.peer, now_ns)
            assert asked is not None
            for name in asked.query:
                if name not in asked.route.query:
                    self.desk.violations["unknown_parameter"] += 1
            if asked.route.operation == "create_order":
                assert key is not None
                return self._create(asked, key, now_ns)
            return Answer(200, self._data(asked, key, now_ns))
        except Problem as problem:
            return Answer.of(problem)

    def _data(self, asked: Asked, key: ApiKey | None, now_ns: int) -> Json:
        public: dict[str, Callable[[], Json]] = {
            "list_markets": lambda: self.markets.list_markets(asked.query),
            "status": self.markets.status,
        }
        answer = public.get(asked.route.operation)
        if answer is not None:
            return answer()
        assert key is not None
        owner = key
        private: dict[str, Callable[[], Json]] = {
            "market": lambda: self.markets.details(asked.part),
            "ticker": lambda: self.markets.ticker(asked.part, now_ns),
            "order_book": lambda: self.markets.order_book(asked.part, asked.query),
            "list_orders": lambda: self.desk.listed(asked, owner, now_ns),
            "get_order": lambda: self.desk.shown(self.desk.find(asked.part, owner, now_ns)),
            "cancel_order": lambda: self.desk.cancel(asked.part, owner, now_ns),
            "portfolio": lambda: self.ledger.portfolio(owner),
            "wallets": lambda: self.ledger.wallets(owner, asked.query),
            "transactions": lambda: self.ledger.transactions(asked, owner),
            "create_webhook": lambda: self.webhooks.register(owner.account, read_object(asked)),
        }
        return private[asked.route.operation]()

    def _create(self, asked: Asked, key: ApiKey, now_ns: int) -> Answer:
        """Create an order, or give the answer that its Idempotency-Key has had before."""
        name = asked.headers.get("idempotency-key")
        if not name or not self._switches.honour_keys:
            return self._created(asked, key, now_ns)
        owner = (key.key, asked.route.operation, name)
        kept = self._keys.find(owner, asked.body, now_ns)
        if kept is not None:
            return kept
        answer = self._created(asked, key, now_ns)
        if answer.status < 500 or self._switches.store_failures:
            self._keys.keep(owner, asked.body, answer, now_ns)
        return answer

    def _created(self, asked: Asked, key: ApiKey, now_ns: int) -> Answer:
        try:
            return Answer(self._switches.post_status, self.desk.create(asked, key, now_ns))
        except Problem as problem:
            return Answer.of(problem)

    def _enveloped(self, answer: Answer) -> HttpResponse:
        self._served += 1
        shown_ns = self._clock.now_ns() + round(self._switches.clock_skew_s * NS_PER_S)
        return enveloped(answer, f"req_{self._tag}{self._served}", instant(shown_ns))

    def failure(self, status: int, retry_after_s: float | None = None) -> HttpResponse:
        """Return a failure in front of the venue: 429 and 500 in the envelope, all others as a gateway's page."""
        headers = {} if retry_after_s is None else retry_after(retry_after_s)
        code = {429: "RATE_LIMITED", 500: "INTERNAL_ERROR"}.get(status)
        self._statuses[str(status)] += 1
        if code is None:
            return bare(status, headers)
        return self._enveloped(Answer(status, None, code, "Fault on demand", headers))

    # --- time and webhooks ------------------------------------------------------------------------------------------

    def due(self, now_ns: int) -> Sequence[Notice]:
        """Let pending cancels take effect, and return the webhooks to be posted now."""
        self.desk.advance(now_ns)
        return self.webhooks.due(now_ns)

    def settle(self, notice: Notice, status: int | None) -> None:
        """Take note of how a webhook was answered; anything but 2xx is sent again later."""
        self.webhooks.settle(notice, status, self._clock.now_ns())

    # --- administration ---------------------------------------------------------------------------------------------

    def counters(self) -> Json:
        """Return what was seen: requests by route and status, refusals, keys, orders, violations, webhooks."""
        return {
            "requests": {"total": sum(self._requests.values()), **dict(sorted(self._requests.items()))},
            "statuses": dict(sorted(self._statuses.items())),
            "rate_limited": {"total": self._access.refused.total(), **dict(sorted(self._access.refused.items()))},
            "bans": self._access.bans,
            "idempotency": {"replays": self._keys.replays, "conflicts": self._keys.conflicts},
            "orders": {
                **{name: self.desk.counts[name] for name in ("created", "cancels", "filled", "cancelled", "fills")},
                **dict(sorted(self.desk.counts.items())),
                "open": self.desk.working,
            },
            "violations": dict(sorted(self.desk.violations.items())),
            "webhooks": self.webhooks.counters(),
            "market_events": self.quotes,
            "prices": {
                symbol: (f"{quote.bid:.2f}", f"{quote.ask:.2f}")
                for symbol, market in self.markets.listed.items()
                if (quote := self.exchange.quote(market.instrument.id)) is not None
            },
        }  # fmt: skip

    def state(self) -> Json:
        """Return the exact truth; decimals are text."""
        return {
            "now_ns": self._clock.now_ns(),
            "markets": {symbol: market.word for symbol, market in self.markets.listed.items()},
            "orders": self.desk.state(),
            "opening_balances": {
                account: {asset: f"{amount:f}" for asset, amount in balances.items()}
                for account, balances in self.setup.balances.items()
            },
            **self.ledger.state(),
        }

    def command(self, name: str, arguments: Json) -> Json:
        """Do ``deposit`` or ``withdraw`` (asset, amount, account), or set a ``market`` (symbol, status).

        Raises:
            ValueError: when there is no such command, or it cannot be done.
        """
        now_ns = self._clock.now_ns()
        if name in ("deposit", "withdraw"):
            account, asset, amount = transfer_from(arguments)
            if account not in self.exchange.accounts():
                raise ValueError(f"no account {account!r}")
            return self.ledger.transfer(account, asset, amount if name == "deposit" else Decimal(0) - amount, now_ns)
        if name == "market":
            wanted = msgspec.convert(arguments, MarketCommand)
            self.markets.set_status(wanted.symbol, wanted.status, now_ns)
            return arguments
        raise ValueError(f"no command {name!r}; there are deposit, withdraw, market")


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits or "0"
