"""The Ripio connector on the simulated venue in virtual time, with a hand on what the venue answers."""

import asyncio
import json
import re
from collections.abc import Callable, Coroutine
from decimal import Decimal
from typing import Any

import msgspec

from quantd.clock import LoopClock
from quantd.domain.commands import Amend, Cancel, Submit
from quantd.domain.instruments import Instrument, InstrumentId
from quantd.domain.market import Quote
from quantd.domain.orders import ClientOrderId, OrderKind, OrderRef, OrderSpec, Side
from quantd.domain.outcomes import Accepted, Resolution, StillUnknown
from quantd.domain.reports import OrderReport
from quantd.exchange import DepthRules
from quantd.ports import HttpRequest, HttpResponse
from quantd.simulators.faults import Action, FaultRule, FaultScript
from quantd.simulators.memory import MemoryTransport
from quantd.simulators.ripio.options import PairRules, RateRules, Setup, Switches
from quantd.simulators.ripio.venue import RipioVenue
from quantd.testing.loop import run_virtual
from quantd.testing.observer import RecordingObserver
from quantd.venues.budget import RateBudget
from quantd.venues.http import VenueHttp
from quantd.venues.ripio.connector import RipioConnector
from quantd.venues.ripio.limits import LIMITS
from quantd.venues.ripio.options import RipioOptions
from quantd.venues.ripio.signing import Signer
from quantd.venues.ripio.socket import Connect

Json = Any
Tamper = Callable[[Json], Json]
BTC, ETH = InstrumentId("ripio:BTC_BRL"), InstrumentId("ripio:ETH_BRL")
BID, ASK = Decimal(350_000), Decimal(350_060)
SECOND_NS = 1_000_000_000
BACK = "back"
"""A cursor that a test may put into an answer: it leads back to the first page."""
TOKEN, SECRET = "sim-token", "sim-secret"


class Bench:
    """Venue, connector and what the engine would know."""

    def __init__(self, clock: LoopClock, *, rates: RateRules | None = None, connect: Connect | None = None) -> None:
        self.clock = clock
        self.switches = Switches()
        rules = PairRules()
        setup = Setup(
            pairs=(rules, PairRules("ETH_BRL")),
            balances={"main": {"BRL": Decimal(1_000_000), "BTC": Decimal(1)}},
            depth=DepthRules(levels=3, size=0.004),
            rates=rates or RateRules(),
        )
        self.venue = RipioVenue(setup, clock=clock, switches=self.switches)
        self.faults = FaultScript(clock=clock)
        self.observer = RecordingObserver()
        self.known: set[str] = set()
        self.auth_failures: list[str] = []
        self.sent: list[HttpRequest] = []
        self.sent_at_ns: list[int] = []
        self.tampers: list[tuple[str, str, Tamper]] = []
        """(method, pattern of the path without prefix and query, what is made of the data)."""
        self.canned: dict[str, HttpResponse] = {}
        """Answers by path, without prefix and query, that come instead of the venue's."""
        self._fees = rules.instrument().fees
        self._numbers = 0
        self._raw = Signer(TOKEN, SECRET, clock=clock)
        self.connector = self.connect(connect)
        self.instrument: Instrument

    def connect(self, connect: Connect | None = None, *, token: str = TOKEN) -> RipioConnector:
        """Return another connector of the same account, as after a restart."""
        budget = RateBudget("ripio", LIMITS, clock=self.clock, observer=self.observer)
        http = VenueHttp("ripio", self, budget, self.clock, self.observer)
        self.signer = Signer(token, SECRET, clock=self.clock)
        return RipioConnector(
            http,
            RipioOptions(fees=self._fees),
            self.signer,
            observer=self.observer,
            known_venue_ids=lambda _: self.known,
            auth_failed=self.auth_failures.append,
            connect=connect,
        )

    async def start(self) -> "Bench":
        """Open the session and read the rules."""
        self.move()
        await self.connector.start()
        (self.instrument,) = await self.connector.instruments(["BTC_BRL"])
        return self

    # -- the transport ---------------------------------------------------------------------------------------------

    async def send(self, request: HttpRequest, *, timeout_s: float) -> HttpResponse:
        """Carry a request to the venue, and change its answer where a test says so."""
        self.sent.append(request)
        self.sent_at_ns.append(self.clock.now_ns())
        # The query is not signed: with this cursor every list leads back to its beginning.
        carried = msgspec.structs.replace(request, path=request.path.replace(f"&c={BACK}", ""))
        response = await MemoryTransport(self.venue, self.faults).send(carried, timeout_s=timeout_s)
        path = request.path.removeprefix("/trade").partition("?")[0]
        response = self.canned.get(path, response)
        for method, pattern, tamper in self.tampers:
            if request.method == method and re.fullmatch(pattern, path) and response.status == 200:
                told = json.loads(response.body, parse_float=Decimal)
                told["data"] = tamper(told["data"])
                body = msgspec.json.Encoder(decimal_format="number").encode(told)
                response = msgspec.structs.replace(response, body=body)
        return response

    async def close(self) -> None:
        """Do nothing."""

    def paths(self, method: str = "") -> list[str]:
        """Return the paths that were asked for, without prefix and query."""
        return [one.path.removeprefix("/trade").partition("?")[0] for one in self.sent if method in ("", one.method)]

    # -- the venue's side ------------------------------------------------------------------------------------------

    def move(self, bid: Decimal = BID, ask: Decimal = ASK) -> None:
        """Move the market."""
        self.venue.on_market(Quote(BTC, float(bid), float(ask), 0))
        self.venue.on_market(Quote(ETH, float(bid) / 20, float(ask) / 20, 0))

    def fault(self, action: Action, route: str, **terms: Any) -> None:
        """Let the next request of a route meet a fault."""
        self.faults.add([FaultRule(action, route, times=1, **terms)])

    def raw(self, method: str, path: str, body: Json = None) -> Json:
        """Ask the venue past the connector, as another program with the same key."""
        data = b"" if body is None else msgspec.json.encode(body)
        target = f"/trade{path}"
        answer = HttpResponse(0)
        for _ in range(2):  # two programs may sign the same within a millisecond, and the second is refused
            headers = self._raw.headers(method, target.partition("?")[0], data)
            answer = self.venue.handle(HttpRequest(method, target, headers, data))
            if answer.status == 200:
                return json.loads(answer.body)["data"]
        raise AssertionError(answer)

    def foreign(self, external_id: str, price: str = "340000", amount: str = "0.002") -> str:
        """Place a buy limit that is not ours; return its id."""
        body = {"pair": "BTC_BRL", "side": "buy", "type": "limit", "amount": amount, "price": price}
        return str(self.raw("POST", "/orders", {**body, "external_id": external_id})["id"])

    def anomalies(self, kind: str) -> float:
        """Return how often a kind was counted."""
        return self.observer.counted("quantd_venue_anomalies_total", kind=kind)

    # -- commands --------------------------------------------------------------------------------------------------

    def submit(self, price: str | None = "340000", *, kind: OrderKind = OrderKind.LIMIT, **terms: Any) -> Submit:
        """Return the command for a new order."""
        self._numbers += 1
        spec = OrderSpec(
            BTC,
            terms.pop("side", Side.BUY),
            Decimal(terms.pop("quantity", "0.002")),
            kind,
            Decimal(price) if price is not None else None,
            **terms,
        )
        return Submit(ClientOrderId(f"qtest-1-{self._numbers}"), 1, spec, self.clock.now_ns() + 2 * SECOND_NS, 0)

    async def place(self, command: Submit) -> OrderReport:
        """Place an order that the venue must take."""
        outcome = await self.connector.submit(command)
        assert isinstance(outcome, Accepted), outcome
        (report,) = outcome.reports
        self.known.add(report.venue_order_id)
        return report

    def ref(self, command: Submit, report: OrderReport) -> OrderRef:
        """Return how the engine asks for an order."""
        ids = (report.venue_order_id,)
        return OrderRef(command.client_order_id, ids, command.spec, report.filled_quantity, self.clock.now_ns())

    def cancel(self, command: Submit, report: OrderReport) -> Cancel:
        """Return the command that cancels an order."""
        return Cancel(command.client_order_id, 2, BTC, report.venue_order_id)

    def amend(
        self, command: Submit, report: OrderReport, *, quantity: str | None = None, price: str | None = None
    ) -> Amend:
        """Return the command that changes an order; what is not named stays, as the engine tells it."""
        spec = command.spec
        amount = Decimal(quantity) if quantity is not None else spec.quantity
        deadline_at_ns = self.clock.now_ns() + 2 * SECOND_NS
        limit = Decimal(price) if price is not None else None
        changed = msgspec.structs.replace(spec, quantity=amount, price=limit or spec.price)
        ids = (command.client_order_id, 2, BTC, report.venue_order_id)
        return Amend(*ids, changed, deadline_at_ns, 0, amount, limit)

    async def settle(self, command: Submit | Amend | Cancel, sent_at_ns: int) -> Resolution:
        """Ask what became of a write as the daemon does."""
        for _ in range(40):
            resolution = await self.connector.resolve(command, sent_at_ns)
            if not isinstance(resolution, StillUnknown):
                return resolution
            await asyncio.sleep(resolution.retry_after_s or 1.0)
        raise AssertionError("no evidence")


def on_bench(act: Callable[[Bench], Coroutine[Any, Any, None]], **options: Any) -> None:
    """Run `act` on a bench that has started."""

    async def main(clock: LoopClock) -> None:
        await act(await Bench(clock, **options).start())

    run_virtual(main)
