"""One real daemon on a simulated OANDA in virtual time: a hostile network, crashes at any step, exits that hang on trades.

Used by `oanda_storm`. Beside the world of the other simulations, and smaller: it shares their disk, network and daemon. The
venue's truth is read as raw JSON from its own pages, never through the connector.
"""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

import msgspec

from quantd.clock import LoopClock
from quantd.config import Settings
from quantd.domain.facts import CashFlowRecorded, CursorMoved, Fact, FillRecorded
from quantd.domain.market import Quote
from quantd.engine.rates import Rates
from quantd.engine.state import State
from quantd.exchange.rules import DepthRules
from quantd.feeds.synthetic import SyntheticMarket, SyntheticSpec
from quantd.ports import HttpRequest
from quantd.simulators.oanda.options import AccountRules, InstrumentRules, Setup, Switches
from quantd.simulators.oanda.venue import OandaVenue
from quantd.testing.portrait import portrait
from tests.invariants import check_state
from tests.sim.disk import Disk, DiskWeather
from tests.sim.invariants import Violation, require
from tests.sim.network import Network
from tests.sim.sim_daemon import SimDaemon

if TYPE_CHECKING:
    from tests.sim.world import World

SECOND_NS = 1_000_000_000
STEP_S = 0.25
SYMBOL = "EUR_USD"
ACCOUNT = "101-004-1234567-001"
TOKEN = "simulated-token"


class OandaDaemon(SimDaemon):
    """One life of the daemon; the venue posts nothing to it."""

    def __init__(self, world: "OandaWorld") -> None:
        super().__init__(cast("World", world))

    async def _start_services(self) -> None:
        """Nothing listens."""


class _NoStream:
    """What the daemon of the simulations asks its scene for: here nothing beside the requests."""

    def streamed(self, _is_dead: Callable[[], bool]) -> AbstractContextManager[None]:
        """Return a context without a stream."""
        return nullcontext()


class OandaWorld:
    """One seed's world."""

    def __init__(self, seed: int, settings: Settings, clock: LoopClock, *, hedging: bool) -> None:
        self.seed, self.settings = seed, settings
        self.clock = clock
        self.struck: Counter[str] = Counter()
        self.violation: Violation | None = None
        self.ended = asyncio.Event()
        rng = self.rng("setup")
        self.switches = Switches(
            read_lag_s=rng.choice((0.0, 0.0, 0.4)),
            list_lag_s=rng.choice((0.0, 0.0, 0.3, 3.0)),
            since_id_max=rng.choice((5, 1_000)),
        )
        rules = InstrumentRules()
        setup = Setup(
            token=TOKEN,
            accounts=(AccountRules(id=ACCOUNT, hedging=hedging),),
            instruments=(rules,),
            depth=DepthRules(levels=5, size=rng.choice((600.0, 3_000.0, 1_000_000.0)), growth=1.5, step_ticks=2),
            seed=seed,
        )
        self.rules = rules
        self.venue = OandaVenue(setup, clock=clock, switches=self.switches)
        self.network = Network(cast("Any", self.venue), self.rng("network"), self.struck)
        self.network.may_duplicate = False  # what the network doubles, the venue does twice: a person's matter
        self.disk = Disk("s1m", 1 + seed % 1000)
        self.daemon: OandaDaemon | None = None
        self.life: asyncio.Task[int] | None = None
        self.crash_in: int | None = None
        self.is_calm = False
        self.is_paused = False
        self.scene = _NoStream()

    def rng(self, name: str) -> random.Random:
        """Return the stream of a part."""
        return random.Random(f"{self.seed}/oanda/{name}")

    # -- what the daemon's parts call ------------------------------------------------------------------------------

    def point(self, name: str) -> None:
        """Die here, if this is where the seed says so."""
        if self.crash_in is None or self.daemon is None or self.daemon.is_dead or self.is_calm:
            return
        self.crash_in -= 1
        if self.crash_in <= 0:
            self.crash_in = None
            self.struck[f"crash_at_{name}"] += 1
            self.daemon.crash()
            assert self.life is not None
            self.life.cancel()

    def disk_weather(self) -> DiskWeather:
        """Return a disk that is slow now and then."""
        return DiskWeather(slow=0.0 if self.is_calm else 0.01)

    def check(self, look: Callable[[], None]) -> None:
        """Make a check; the first violation ends the simulation."""
        try:
            look()
        except AssertionError as error:
            if self.violation is None:
                self.violation = error if isinstance(error, Violation) else Violation(str(error))
            self.ended.set()

    def durable(self, facts: Sequence[Fact]) -> None:
        """Facts are on the disk."""

    def leaving(self, request: HttpRequest) -> None:
        """A request leaves."""

    def heard(self, facts: Sequence[Fact], daemon: SimDaemon) -> None:
        """Facts were acknowledged."""
        self.check(lambda: check_state(daemon.engine.state))

    # -- the venue's own life ----------------------------------------------------------------------------------------

    async def run_market(self) -> None:
        """Move prices, for ever."""
        rng = self.rng("prices")
        spec = SyntheticSpec(
            self.rules.instrument(),
            1.1,
            level_quantity=1_000.0,
            volatility_bps=rng.choice((0.5, 1.0, 3.0)),
            spread_ticks=10,
            regime_s=20.0,
            depth=0,
        )
        market = SyntheticMarket([spec], rng, step_s=STEP_S)
        while True:
            for event in market.step(self.clock.now_ns()):
                if isinstance(event, Quote) and not self.is_paused:
                    self.venue.on_market(event)
            self.venue.due(self.clock.now_ns())
            await asyncio.sleep(STEP_S)

    def read(self, path: str) -> Any:
        """Return one of the venue's pages as it stands."""
        return self._ask("GET", path)

    def close_by_hand(self, drawn: float) -> None:
        """Let a person close one of the open trades, whole or half of it, in the venue's own program."""
        trades = self.read("/openTrades")["trades"]
        if trades:
            trade = trades[int(drawn * len(trades))]
            half = abs(int(trade["currentUnits"])) // 2
            units = str(half) if drawn < 0.5 and half else "ALL"
            self._ask("PUT", f"/trades/{trade['id']}/close", {"units": units})

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        content = b"" if body is None else json.dumps(body).encode()
        request = HttpRequest(method, f"/v3/accounts/{ACCOUNT}{path}", {"Authorization": f"Bearer {TOKEN}"}, content)
        answer = self.venue.handle(request)
        assert answer.status == 200, answer
        return json.loads(answer.body, parse_float=Decimal)

    # -- what must hold in the end -------------------------------------------------------------------------------------

    def compare(self) -> None:
        """Hold books, lots, orders and money against the venue's own pages and log, to the last digit.

        Raises:
            Violation: naming the first difference.
        """
        assert self.daemon is not None
        state = self.daemon.engine.state
        self._same_fold(state)
        account = self.read("")["account"]
        log = self.read(f"/transactions/idrange?from=1&to={account['lastTransactionID']}")["transactions"]
        self._same_orders(state, log)
        theirs = {one["id"]: Decimal(one["currentUnits"]) for one in account["trades"]}
        ours = {one.lot.venue_id: one.lot.signed for one in state.lots["oanda"].all()} if "oanda" in state.lots else {}
        require(ours == theirs, "lots:", ours, theirs)
        held = sum((book.quantity for book in state.portfolio.books()), Decimal(0))
        require(held == sum(theirs.values(), Decimal(0)), "position:", held, theirs)
        total = state.portfolio.accounts["oanda"].totals["USD"]
        require(total == Decimal(account["balance"]), "balance:", total, account["balance"])
        self._same_money(log)

    def _same_money(self, log: Sequence[Any]) -> None:
        """What fills, fees and flows tell is all that moved the balance since the first look; nothing was inferred."""
        facts = list(self.disk.facts())
        places = [int(one.value) for one in facts if isinstance(one, CursorMoved) and one.name == "transactions_until"]
        balances = {int(one["id"]): Decimal(one["accountBalance"]) for one in log if "accountBalance" in one}
        opening = next(balance for id, balance in reversed(balances.items()) if id <= places[0])
        told = Decimal(0)
        for fact in facts:
            if isinstance(fact, FillRecorded) and int(fact.fill.id.partition("/")[0]) > places[0]:
                require(fact.fill.settled is not None, "a fill does not say what it settled:", fact)
                told += (fact.fill.settled or ("", Decimal(0)))[1] - sum(amount for _, amount in fact.fill.fees)
            if isinstance(fact, CashFlowRecorded):
                require(not fact.flow.inferred, "money moved that nobody told of:", fact.flow)
                told += fact.flow.amount if int(fact.flow.id.partition("/")[0]) > places[0] else 0
        moved = list(balances.values())[-1] - opening
        require(told == moved, "money: fills, fees and flows tell of", told, "the balance moved by", moved)

    def _same_orders(self, state: State, log: Sequence[Any]) -> None:
        filled: Counter[str] = Counter()
        names: dict[str, str] = {}
        intents: Counter[str] = Counter()
        for entry in log:
            ours = entry.get("clientExtensions", {}).get("id", "")
            if entry["type"].endswith("_ORDER") and "tradeID" not in entry:
                names[entry["id"]] = names.get(entry.get("replacesOrderID", ""), "") or ours or entry["id"]
                if "replacesOrderID" not in entry and ours:
                    intents[ours] += 1
            if entry["type"] == "ORDER_FILL":
                filled[names.get(entry["orderID"], entry["orderID"])] += abs(int(entry["units"]))
        require(not [one for one, count in intents.items() if count > 1], "one intent, two orders:", intents)
        for order in state.orders.all_orders():
            numbers = order.venue_order_ids
            theirs = filled[order.client_order_id] + sum(filled[one] for one in set(numbers))
            if not order.client_order_id.startswith("x-"):
                require(order.filled == theirs, "filled:", order.client_order_id, numbers, order.filled, theirs)
            require(order.operation is None, "a write was never settled:", order.client_order_id, order.operation)
            require(not order.is_open, "an order is open:", order.client_order_id)

    def _same_fold(self, state: State) -> None:
        folded = State(Rates(self.settings.risk.base_currency))
        for fact in self.disk.facts():
            folded.apply(fact)
        live, told = portrait(state), portrait(folded)
        for name, part in live.items():
            require(told[name] == part, "the fold differs in", name, ":", told[name], "live:", part)

    def shown(self) -> bytes:
        """Return the venue's truth as bytes."""
        return msgspec.json.encode(self.read("/transactions/idrange?from=1&to=100000"))
