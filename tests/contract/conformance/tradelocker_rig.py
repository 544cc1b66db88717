"""TradeLocker under the conformance suite: the real connector on the simulated server, in memory; hedging and netting."""

import asyncio
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar

import msgspec

from quantd.clock import LoopClock
from quantd.domain.cash import PositionMode
from quantd.domain.commands import Submit
from quantd.domain.market import Quote
from quantd.domain.numbers import plain
from quantd.domain.outcomes import Outcome
from quantd.exchange import DepthRules
from quantd.ports import Connector, HttpRequest
from quantd.simulators.faults import Action, FaultRule, FaultScript
from quantd.simulators.memory import MemoryTransport
from quantd.simulators.tradelocker.options import AccountRules, InstrumentRules, Setup, Switches
from quantd.simulators.tradelocker.venue import TradeLockerVenue
from quantd.testing.observer import RecordingObserver
from quantd.venues.budget import RateBudget
from quantd.venues.http import VenueHttp
from quantd.venues.tradelocker.api import Credentials
from quantd.venues.tradelocker.connector import TradeLockerConnector
from quantd.venues.tradelocker.limits import BEFORE_CONFIG
from quantd.venues.tradelocker.options import TradeLockerOptions
from tests.contract.conformance.rig import SECOND_NS, Rig, Truth

_RULES = InstrumentRules()
_ACCOUNT = AccountRules(balance=Decimal(1_000_000))
_INSTRUMENT = _RULES.instrument().id


class SkewedClock:
    """The server's clock: ours, and off by so many seconds."""

    def __init__(self, clock: LoopClock) -> None:
        self._clock = clock
        self.ahead_s = 0.0

    def now_ns(self) -> int:
        """Return the server's wall time."""
        return self._clock.now_ns() + round(self.ahead_s * SECOND_NS)

    def monotonic_ns(self) -> int:
        """Return what cannot be off."""
        return self._clock.monotonic_ns()


class TradeLockerRig(Rig):
    """A hedging account."""

    name = "tradelocker"
    symbol = "BTCUSD"
    unknown_symbol = "NOPEUSD"
    bid = Decimal("65000.00")
    ask = Decimal("65010.00")
    quantity = Decimal("0.1")
    huge = Decimal(100_000)
    settles_s = 6.0
    """The lists of orders, positions and history may be asked for once a second each."""
    mode: ClassVar[PositionMode] = PositionMode.HEDGING
    commission_per_lot = Decimal(0)
    routes: ClassVar[Mapping[str, str]] = {
        "submit": "place_order", "cancel": "cancel_order", "amend": "modify_order", "quotes": "quotes",
        "snapshot": "positions",
    }  # fmt: skip

    def __init__(self, clock: LoopClock) -> None:
        super().__init__(clock)
        account = msgspec.structs.replace(_ACCOUNT, mode=self.mode)
        self.setup = Setup(instruments=(_RULES,), accounts=(account,), depth=DepthRules(levels=3, size=0.4))
        self.switches = Switches()
        self.server_clock = SkewedClock(clock)
        self.venue = TradeLockerVenue(self.setup, clock=self.server_clock, switches=self.switches)
        self.faults = FaultScript(clock=clock)
        self.known: set[str] = set()
        self._restarts = 0

    def connect(self, *, wrong_credentials: bool = False) -> Connector:
        """Return another connector, with the user's password or a wrong one; a later one's budget begins as used."""
        observer = RecordingObserver()
        budget = RateBudget("tradelocker", BEFORE_CONFIG, clock=self.clock, observer=observer)
        if self._restarts:
            budget.begin_used()
        self._restarts += 1
        transport = MemoryTransport(self.venue, self.faults)
        http = VenueHttp("tradelocker", transport, budget, self.clock, observer)
        password = "wrong" if wrong_credentials else self.setup.password
        credentials = Credentials(self.setup.email, password, self.setup.server, _ACCOUNT.id)
        options = TradeLockerOptions(credentials, self.mode, commission_per_lot=self.commission_per_lot)
        return TradeLockerConnector(http, options, observer=observer, known_venue_ids=lambda _: self.known)

    async def place(self, command: Submit) -> tuple[str, Outcome]:
        """Send an order, whose id the engine knows from then on."""
        venue_order_id, outcome = await super().place(command)
        self.known.add(venue_order_id)
        return venue_order_id, outcome

    def move(self, bid: Decimal, ask: Decimal) -> None:
        """Move the market."""
        self.venue.on_market(Quote(_INSTRUMENT, float(bid), float(ask), 0))

    def truth(self) -> Truth:
        """Return what the server's exchange holds, by the server's ids."""
        snapshot = self.venue.exchange.snapshot(_ACCOUNT.id, "tradelocker", self.clock.now_ns())
        held: dict[str, Decimal] = {}
        for lot in snapshot.lots:
            held[lot.instrument] = held.get(lot.instrument, Decimal(0)) + lot.signed
        totals = {balance.asset: balance.total for balance in snapshot.balances if balance.total}
        return Truth(totals, held, frozenset(self.venue.ids.shown(one.venue_order_id) for one in snapshot.orders))

    def fault(self, action: Action, request: str, **terms: Any) -> None:
        """Let the next request of a kind meet a fault."""
        self.faults.add([FaultRule(action, self.routes[request], times=1, **terms)])

    def refusals(self) -> int:
        """Return the 429s that the server has given."""
        refused: int = self.venue.counters()["rate_limited"]["total"]
        return refused

    def expire_credentials(self) -> None:
        """End all access tokens."""
        self.venue.command("revoke", {})

    def skew(self, seconds: float) -> None:
        """Let the server's clock go wrong."""
        self.server_clock.ahead_s = seconds

    def deposit(self, amount: Decimal) -> str:
        """Bring money in."""
        self.venue.command("deposit", {"account": _ACCOUNT.id, "amount": str(amount)})
        return _ACCOUNT.currency

    async def foreign_order(self, price: Decimal, quantity: Decimal) -> None:
        """Place an order past the connector, at the pace that the server allows."""
        await asyncio.sleep(0.3)
        log_in = {"email": self.setup.email, "password": self.setup.password, "server": self.setup.server}
        token = msgspec.json.decode(self._asked("/auth/jwt/token", log_in, {}))["accessToken"]
        body = {
            "tradableInstrumentId": _RULES.tradable_id, "routeId": _RULES.trade_route, "side": "buy", "type": "limit",
            "validity": "GTC", "qty": plain(quantity), "price": plain(price),
        }  # fmt: skip
        headers = {"Authorization": f"Bearer {token}", "accNum": str(_ACCOUNT.acc_num)}
        answer = self._asked(f"/trade/accounts/{_ACCOUNT.id}/orders", body, headers)
        assert b'"s":"ok"' in answer, answer

    def _asked(self, path: str, body: object, headers: Mapping[str, str]) -> bytes:
        return self.venue.handle(HttpRequest("POST", f"/backend-api{path}", headers, msgspec.json.encode(body))).body


class TradeLockerNettingRig(TradeLockerRig):
    """A netting account, as some brokers are said to have them."""

    name = "tradelocker, netting"
    mode = PositionMode.NETTING
