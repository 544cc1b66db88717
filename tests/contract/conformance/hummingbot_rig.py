"""The Hummingbot API under the conformance suite: the real connector on the simulated server, in memory."""

import asyncio
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar

import msgspec

from quantd.clock import LoopClock
from quantd.domain.instruments import FeeSchedule
from quantd.domain.market import Quote
from quantd.domain.numbers import plain
from quantd.exchange import DepthRules
from quantd.ports import Connector, HttpRequest, Transport
from quantd.simulators.faults import Action, FaultRule, FaultScript
from quantd.simulators.hummingbot.options import PairRules, Setup, Switches
from quantd.simulators.hummingbot.orders import ACCOUNT
from quantd.simulators.hummingbot.venue import HummingbotVenue
from quantd.simulators.memory import MemoryTransport
from quantd.testing.observer import RecordingObserver
from quantd.venues.budget import RateBudget
from quantd.venues.http import VenueHttp
from quantd.venues.hummingbot.api import headers_of
from quantd.venues.hummingbot.connector import HummingbotConnector
from quantd.venues.hummingbot.limits import LIMITS
from quantd.venues.hummingbot.options import HummingbotOptions
from tests.contract.conformance.rig import Rig, Truth

_RULES = PairRules()
_SETUP = Setup(
    pairs=(_RULES,),
    balances={"USDT": Decimal(100_000), "BTC": Decimal(1)},
    depth=DepthRules(levels=3, size=0.004),
)


class HummingbotRig(Rig):
    """One spot connector behind the server."""

    name = "hummingbot"
    symbol = "BTC-USDT"
    bid = Decimal("65000.00")
    ask = Decimal("65010.00")
    quantity = Decimal("0.001")
    huge = Decimal(100)
    routes: ClassVar[Mapping[str, str]] = {
        "submit": "place_order", "cancel": "cancel_order", "quotes": "order_book", "snapshot": "portfolio",
    }  # fmt: skip
    not_applicable: ClassVar[Mapping[str, str]] = {
        "51": "basic authentication has no session that could end; wrong credentials are case 50",
    }

    def __init__(self, clock: LoopClock) -> None:
        super().__init__(clock)
        self.switches = Switches()
        self.venue = HummingbotVenue(_SETUP, clock=clock, switches=self.switches)
        self.faults = FaultScript(clock=clock)
        self.known: set[str] = set()
        self.doubts: list[tuple[str, str]] = []
        """What was left to a person: instrument and why."""

    def transport(self) -> Transport:
        """Return how requests travel."""
        return MemoryTransport(self.venue, self.faults)

    def connect(self, *, wrong_credentials: bool = False) -> Connector:
        """Return another connector, with the server's password or a wrong one."""
        observer = RecordingObserver()
        budget = RateBudget("hummingbot", LIMITS, clock=self.clock, observer=observer)
        http = VenueHttp("hummingbot", self.transport(), budget, self.clock, observer)
        password = "wrong" if wrong_credentials else _SETUP.password
        fees = FeeSchedule(_RULES.fee, _RULES.fee)
        options = HummingbotOptions(_SETUP.username, password, _SETUP.account, _SETUP.connector, fees)
        return HummingbotConnector(
            http,
            options,
            observer=observer,
            known_venue_ids=lambda _: self.known,
            doubtful=lambda instrument, why: self.doubts.append((instrument, why)),
        )

    def move(self, bid: Decimal, ask: Decimal) -> None:
        """Move the market."""
        self.venue.on_market(Quote(_RULES.instrument().id, float(bid), float(ask), 0))

    def truth(self) -> Truth:
        """Return what the exchange behind the server holds, by the server's ids."""
        self.venue.due(self.clock.now_ns())
        snapshot = self.venue.exchange.snapshot(ACCOUNT, "hummingbot", self.clock.now_ns())
        totals = {balance.asset: balance.total for balance in snapshot.balances if balance.total}
        return Truth(totals, {}, frozenset(str(report.client_order_id) for report in snapshot.orders))

    def fault(self, action: Action, request: str, **terms: Any) -> None:
        """Let the next request of a kind meet a fault."""
        self.faults.add([FaultRule(action, self.routes[request], times=1, **terms)])

    def refusals(self) -> int:
        """Return the 429s; the server itself gives none."""
        refused: int = self.venue.counters()["rate_limited"]["total"]
        return refused

    def skew(self, seconds: float) -> None:
        """Let the server's clock go wrong."""
        self.switches.clock_skew_s = seconds

    def deposit(self, amount: Decimal) -> str:
        """Bring money in at the exchange."""
        self.venue.command("deposit", {"asset": "USDT", "amount": str(amount)})
        return "USDT"

    async def foreign_order(self, price: Decimal, quantity: Decimal) -> None:
        """Place an order as another client of the server."""
        body = {
            "account_name": _SETUP.account, "connector_name": _SETUP.connector, "trading_pair": self.symbol,
            "trade_type": "BUY", "amount": plain(quantity), "order_type": "LIMIT", "price": plain(price),
        }  # fmt: skip
        headers = headers_of(_SETUP.username, _SETUP.password)
        answer = self.venue.handle(HttpRequest("POST", "/trading/orders", headers, msgspec.json.encode(body)))
        assert answer.status == 201, answer
        await asyncio.sleep(0.15)  # the server's queue lets 100 pass in 10 s
