"""Ripio under the conformance suite: the real connector on the simulated venue, in memory."""

import asyncio
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
from quantd.simulators.ripio.options import PairRules, Setup, Switches
from quantd.simulators.ripio.venue import RipioVenue
from quantd.testing.observer import RecordingObserver
from quantd.venues.budget import RateBudget
from quantd.venues.http import VenueHttp
from quantd.venues.ripio.connector import RipioConnector
from quantd.venues.ripio.limits import LIMITS
from quantd.venues.ripio.options import RipioOptions
from quantd.venues.ripio.signing import Signer
from tests.contract.conformance.rig import Rig, Truth

_RULES = PairRules()
_SETUP = Setup(
    pairs=(_RULES,),
    balances={"main": {"BRL": Decimal(1_000_000), "BTC": Decimal(1)}},
    depth=DepthRules(levels=3, size=0.004),
)


class RipioRig(Rig):
    """By polls alone: the stream hastens what they see and has tests of its own."""

    name = "ripio"
    symbol = "BTC_BRL"
    unknown_symbol = "NOPE_NOPE"
    bid = Decimal("350000.00")
    ask = Decimal("350060.00")
    quantity = Decimal("0.001")
    huge = Decimal(100)
    settles_s = 6.0
    routes: ClassVar[Mapping[str, str]] = {
        "submit": "create_order", "cancel": "cancel_order", "amend": "amend_order", "quotes": "ticker",
        "snapshot": "balances",
    }  # fmt: skip
    not_applicable: ClassVar[Mapping[str, str]] = {
        "51": "every request is signed by itself, there is no session that could end; a token that is refused is case 50",
    }

    def __init__(self, clock: LoopClock) -> None:
        super().__init__(clock)
        self.switches = Switches()
        self.venue = RipioVenue(_SETUP, clock=clock, switches=self.switches)
        self.faults = FaultScript(clock=clock)
        self.known: set[str] = set()
        self._signer = self._sign("sim-secret")

    def _sign(self, secret: str) -> Signer:
        return Signer("sim-token", secret, clock=self.clock)

    def connect(self, *, wrong_credentials: bool = False) -> Connector:
        """Return another connector with the same token, signing with its secret or with a wrong one."""
        observer = RecordingObserver()
        budget = RateBudget("ripio", LIMITS, clock=self.clock, observer=observer)
        http = VenueHttp("ripio", MemoryTransport(self.venue, self.faults), budget, self.clock, observer)
        signer = self._sign("wrong" if wrong_credentials else "sim-secret")
        options = RipioOptions(fees=_RULES.instrument().fees)
        return RipioConnector(http, options, signer, observer=observer, known_venue_ids=self._known)

    def _known(self, _: object) -> set[str]:
        """What an engine would know: the orders under ids of ours."""
        orders = self.venue.desk.orders.values()
        return {one.id for one in orders if (one.terms.external_id or "").startswith("qcf-")}

    def move(self, bid: Decimal, ask: Decimal) -> None:
        """Move the market."""
        self.venue.on_market(Quote(_RULES.instrument().id, float(bid), float(ask), 0))

    def truth(self) -> Truth:
        """Return what the simulated venue holds."""
        self.venue.due(self.clock.now_ns())
        balances = self.venue.exchange.balances("main")
        totals = {balance.asset: balance.total for balance in balances if balance.total}
        return Truth(totals, {}, frozenset(self.venue.desk.open))

    def fault(self, action: Action, request: str, **terms: Any) -> None:
        """Let the next request of a kind meet a fault."""
        self.faults.add([FaultRule(action, self.routes[request], times=1, **terms)])

    def refusals(self) -> int:
        """Return the 429s that the venue has given."""
        refused: int = self.venue.counters()["rate_limited"]["total"]
        return refused

    def skew(self, seconds: float) -> None:
        """Let the venue's clock go wrong."""
        self.switches.clock_skew_s = seconds

    def deposit(self, amount: Decimal) -> str:
        """Bring money in."""
        self.venue.command("deposit", {"asset": "BRL", "amount": str(amount)})
        return "BRL"

    async def foreign_order(self, price: Decimal, quantity: Decimal) -> None:
        """Place an order past the connector, at the pace that the venue allows."""
        await asyncio.sleep(0.3)
        self._numbers += 1
        body = msgspec.json.encode(
            {
                "pair": self.symbol, "side": "buy", "type": "limit", "amount": plain(quantity), "price": plain(price),
                "external_id": f"Foreign-{self._numbers}",
            }
        )  # fmt: skip
        headers = self._signer.headers("POST", "/trade/orders", body)
        answer = self.venue.handle(HttpRequest("POST", "/trade/orders", headers, body))
        assert answer.status == 200, answer
