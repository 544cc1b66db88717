"""OANDA under the conformance suite, on a netting and on a hedging account: the real connector on the simulated venue."""

import asyncio
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar

import msgspec

from quantd.clock import LoopClock
from quantd.domain.market import Quote
from quantd.domain.numbers import plain
from quantd.exchange import DepthRules
from quantd.ports import Connector, HttpRequest
from quantd.simulators.faults import Action, FaultRule, FaultScript
from quantd.simulators.memory import MemoryTransport
from quantd.simulators.oanda.options import AccountRules, InstrumentRules, Setup
from quantd.simulators.oanda.venue import OandaVenue
from quantd.testing.observer import RecordingObserver
from quantd.venues.budget import RateBudget
from quantd.venues.http import VenueHttp
from quantd.venues.oanda.api import headers_of
from quantd.venues.oanda.connector import OandaConnector
from quantd.venues.oanda.limits import LIMITS
from quantd.venues.oanda.options import OandaOptions
from tests.contract.conformance.rig import SECOND_NS, Rig, Truth

_RULES = InstrumentRules()
_ACCOUNT = "101-004-1234567-001"
_TOKEN = "simulated-token"


class _VenueClock:
    """The venue's own clock, which may be wrong."""

    def __init__(self, clock: LoopClock) -> None:
        self._clock = clock
        self.skew_ns = 0

    def now_ns(self) -> int:
        """Return the venue's wall time."""
        return self._clock.now_ns() + self.skew_ns

    def monotonic_ns(self) -> int:
        """Return the loop's time."""
        return self._clock.monotonic_ns()


class OandaRig(Rig):
    """A netting account."""

    name = "oanda"
    symbol = "EUR_USD"
    unknown_symbol = "NOP_NOP"
    bid = Decimal("1.10000")
    ask = Decimal("1.10010")
    quantity = Decimal(1_000)
    huge = Decimal(100_000_000)
    hedging: ClassVar[bool] = False
    routes: ClassVar[Mapping[str, str]] = {
        "submit": "create_order", "cancel": "cancel_order", "amend": "replace_order", "quotes": "pricing",
        "snapshot": "account",
    }  # fmt: skip
    not_applicable: ClassVar[Mapping[str, str]] = {
        "51": "a bearer token has no session that could end; a wrong one is case 50",
    }

    def __init__(self, clock: LoopClock) -> None:
        super().__init__(clock)
        setup = Setup(
            token=_TOKEN,
            accounts=(AccountRules(id=_ACCOUNT, hedging=self.hedging),),
            instruments=(_RULES,),
            depth=DepthRules(levels=3, size=10_000.0),
        )
        self.venue_clock = _VenueClock(clock)
        self.venue = OandaVenue(setup, clock=self.venue_clock)
        self.faults = FaultScript(clock=clock)
        self.known: set[str] = set()

    def connect(self, *, wrong_credentials: bool = False) -> Connector:
        """Return another connector, with the account's token or a wrong one."""
        observer = RecordingObserver()
        budget = RateBudget("oanda", LIMITS, clock=self.clock, observer=observer)
        http = VenueHttp("oanda", MemoryTransport(self.venue, self.faults), budget, self.clock, observer)
        options = OandaOptions("wrong" if wrong_credentials else _TOKEN, _ACCOUNT)
        return OandaConnector(http, options, observer=observer, known_venue_ids=lambda _: self.known)

    def move(self, bid: Decimal, ask: Decimal) -> None:
        """Move the market."""
        self.venue.on_market(Quote(_RULES.id, float(bid), float(ask), 0))

    def truth(self) -> Truth:
        """Return what the venue's own pages show."""
        self.venue.due(self.clock.now_ns())
        account = self._ask("GET", "")["account"]
        held: dict[str, Decimal] = {}
        for trade in account["trades"]:
            id = f"oanda:{trade['instrument']}"
            held[id] = held.get(id, Decimal(0)) + Decimal(trade["currentUnits"])
        return Truth(
            {account["currency"]: Decimal(account["balance"])},
            held,
            frozenset(order["id"] for order in account["orders"] if "tradeID" not in order),
        )

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        content = b"" if body is None else msgspec.json.encode(body)
        answer = self.venue.handle(HttpRequest(method, f"/v3/accounts/{_ACCOUNT}{path}", headers_of(_TOKEN), content))
        assert answer.status in (200, 201), answer
        return json.loads(answer.body)

    def fault(self, action: Action, request: str, **terms: Any) -> None:
        """Let the next request of a kind meet a fault."""
        self.faults.add([FaultRule(action, self.routes[request], times=1, **terms)])

    def refusals(self) -> int:
        """Return the 429s."""
        refused: int = self.venue.counters()["rate_limited"]["total"]
        return refused

    def skew(self, seconds: float) -> None:
        """Let the venue's clock go wrong."""
        self.venue_clock.skew_ns = round(seconds * SECOND_NS)

    def deposit(self, amount: Decimal) -> str:
        """Bring money in."""
        self.venue.command("deposit", {"account": _ACCOUNT, "amount": str(amount)})
        return "USD"

    async def foreign_order(self, price: Decimal, quantity: Decimal) -> None:
        """Place an order as another program with the same token."""
        order = {"type": "LIMIT", "instrument": self.symbol, "units": plain(quantity), "price": plain(price)}
        self._ask("POST", "/orders", {"order": order})
        await asyncio.sleep(0.01)  # the venue takes 120 requests a second


class OandaHedgingRig(OandaRig):
    """A hedging account."""

    name = "oanda, hedging"
    hedging = True
