"""The real ionloop connector against the simulated venue, in memory and virtual time, with every answer on record."""

import json
from collections.abc import Callable, Coroutine
from decimal import Decimal
from typing import Any

from quantd.clock import LoopClock
from quantd.domain.commands import Cancel, Submit
from quantd.domain.instruments import FeeSchedule, InstrumentId
from quantd.domain.market import Quote
from quantd.domain.orders import ClientOrderId, OrderKind, OrderRef, OrderSpec, Side
from quantd.ports import HttpRequest, HttpResponse
from quantd.simulators.faults import Action, FaultRule, FaultScript
from quantd.simulators.ionloop.options import ApiKey, Setup, Switches
from quantd.simulators.ionloop.venue import IonloopVenue
from quantd.simulators.memory import MemoryTransport
from quantd.testing.loop import run_virtual
from quantd.testing.observer import RecordingObserver
from quantd.venues.budget import RateBudget
from quantd.venues.http import VenueHttp
from quantd.venues.ionloop.api import Api
from quantd.venues.ionloop.connector import IonloopConnector
from quantd.venues.ionloop.limits import LIMITS
from quantd.venues.ionloop.options import IonloopOptions

Json = dict[str, Any]
Path = tuple[str, ...]

BTC = InstrumentId("ionloop:BTC-USDT")
SECRET = "whsec_test_0123456789"
ALL = ApiKey("sim-key")
SETUP = Setup(
    keys=(
        ALL,
        ApiKey("reader", scopes=("orders:read",)),
        ApiKey("stranger", account="other"),
        ApiKey("trader", scopes=("orders:read", "orders:write", "markets:read")),
    ),
    balances={"main": {"USDT": Decimal(100_000), "BTC": Decimal(1)}, "other": {"USDT": Decimal(1000)}},
    funding={"main": {"USDT": Decimal("5.5")}},
    webhook_secret=SECRET,
)


def fields(tree: object, at: Path = ()) -> dict[Path, str]:
    """Return every field in a JSON value with the kind of what it holds; items of lists count as one."""
    found: dict[Path, str] = {}
    if isinstance(tree, dict):
        for name, value in tree.items():
            found[(*at, name)] = type(value).__name__
            found |= fields(value, (*at, name))
    elif isinstance(tree, list):
        for item in tree:
            found |= fields(item, (*at, "[]"))
    return found


def renamed(tree: object, path: Path) -> object:
    """Return a JSON value with the last field of `path` under another name."""
    if isinstance(tree, list):
        return [renamed(item, path[1:]) for item in tree] if path[0] == "[]" else tree
    if not isinstance(tree, dict) or path[0] not in tree:
        return tree
    if len(path) == 1:
        return {name + "Renamed" if name == path[0] else name: value for name, value in tree.items()}
    return {name: renamed(value, path[1:]) if name == path[0] else value for name, value in tree.items()}


class Watched:
    """The venue, its answers on record, one field of one operation's answers renamed if a test wants that."""

    def __init__(self, venue: IonloopVenue) -> None:
        self._venue = venue
        self.name = venue.name
        self.answers: list[tuple[str, int, Json]] = []
        self.rename: tuple[str, Path] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._venue, name)

    def handle(self, request: HttpRequest) -> HttpResponse:
        return self._watched(self._venue.operation(request), self._venue.handle(request))

    def failure(self, status: int, retry_after_s: float | None = None) -> HttpResponse:
        return self._watched("*", self._venue.failure(status, retry_after_s))

    def _watched(self, operation: str, response: HttpResponse) -> HttpResponse:
        try:
            tree = json.loads(response.body)
        except ValueError:
            return response
        if self.rename is not None and self.rename[0] in (operation, "*"):
            tree = renamed(tree, self.rename[1])
        self.answers.append((operation, response.status, tree))
        return HttpResponse(response.status, response.headers, json.dumps(tree).encode())


class Pair:
    """Venue and connector."""

    def __init__(
        self,
        clock: LoopClock,
        *,
        key: str = ALL.key,
        idempotency: bool = False,
        setup: Setup = SETUP,
        rename: tuple[str, Path] | None = None,
    ) -> None:
        self.clock = clock
        self.switches = Switches()
        self.venue = IonloopVenue(setup, clock=clock, switches=self.switches)
        self.watched = Watched(self.venue)
        self.watched.rename = rename
        self.faults = FaultScript(clock=clock)
        self.known: set[str] = set()
        self.auth_failures: list[str] = []
        self.observer = RecordingObserver()
        self.connector = self.connect(key, idempotency=idempotency)
        self._numbers = 0
        self.quote("65000.00", "65010.00")

    def connect(self, key: str = ALL.key, *, idempotency: bool = False) -> IonloopConnector:
        """Return a connector with a key."""
        return IonloopConnector(
            self._http(),
            IonloopOptions(api_key=key, fees=FeeSchedule(Decimal("0.001"), Decimal("0.001")), idempotency=idempotency),
            observer=self.observer,
            known_venue_ids=lambda _: self.known,
            auth_failed=self.auth_failures.append,
        )

    def _http(self) -> VenueHttp:
        budget = RateBudget("ionloop", LIMITS, clock=self.clock, observer=self.observer)
        return VenueHttp("ionloop", MemoryTransport(self.watched, self.faults), budget, self.clock, self.observer)

    def api(self, key: str = ALL.key) -> Api:
        """Return the connector's requests without its judgement."""
        return Api(self._http(), key, {})

    def quote(self, bid: str, ask: str) -> None:
        """Move the market."""
        self.venue.on_market(Quote(BTC, float(bid), float(ask), 0))

    def fault(self, action: Action, route: str, **terms: Any) -> None:
        """Let the next request of a route meet a fault, once."""
        self.faults.add([FaultRule(action, route, times=1, **terms)])

    def submit(self, *, price: str = "64000", quantity: str = "0.01", side: Side = Side.BUY) -> Submit:
        """Return the command for a new limit order."""
        self._numbers += 1
        spec = OrderSpec(BTC, side, Decimal(quantity), OrderKind.LIMIT, Decimal(price))
        deadline_at_ns = self.clock.now_ns() + 2_000_000_000
        return Submit(ClientOrderId(f"qj1-1-{self._numbers}"), 1, spec, deadline_at_ns, 0)

    def ref(self, command: Submit, venue_order_id: str, filled: str = "0") -> OrderRef:
        """Return how the engine asks for an order."""
        return OrderRef(
            command.client_order_id, (venue_order_id,), command.spec, Decimal(filled), self.clock.now_ns()
        )  # fmt: skip

    def raw(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Json]:
        """Ask the venue without a connector; header names with underscores."""
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        named.setdefault("Authorization", f"Bearer {ALL.key}")
        content = b"" if body is None else json.dumps(body).encode()
        if body is not None:
            named.setdefault("Content-Type", "application/json")
        response = self.watched.handle(HttpRequest(method, path, named, content))
        try:
            return response.status, json.loads(response.body)
        except ValueError:
            return response.status, {}


def cancel(venue_order_id: str) -> Cancel:
    """Return the command that cancels an order."""
    return Cancel(ClientOrderId("qj1-1-1"), 2, BTC, venue_order_id)


def run(act: Callable[[Pair], Coroutine[Any, Any, None]], **options: Any) -> Pair:
    """Run `act` in virtual time and return the pair."""

    async def main(clock: LoopClock) -> Pair:
        pair = Pair(clock, **options)
        await act(pair)
        return pair

    return run_virtual(main)
