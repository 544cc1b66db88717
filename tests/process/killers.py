"""Simulated venues that kill the daemon from within their own request handler, and what a daemon needs to trade there.

One `Stage` for each venue: its simulator, its section of the configuration, its writes, and how it is brought to rest. The
venue's truth is told in the words of its scene. Used by `killing`.
"""

import contextlib
import os
import random
import signal
from collections import Counter
from decimal import Decimal
from typing import Any, ClassVar, NamedTuple

from quantd.clock import SystemClock
from quantd.domain.instruments import Instrument
from quantd.engine.state import State
from quantd.exchange.rules import DepthRules
from quantd.ports import HttpRequest, HttpResponse
from quantd.simulators.hummingbot import options as hummingbot
from quantd.simulators.hummingbot.venue import HummingbotVenue
from quantd.simulators.ionloop.options import MarketRules, RateRules, Setup, Switches
from quantd.simulators.ionloop.venue import IonloopVenue
from quantd.simulators.ripio import options as ripio
from quantd.simulators.ripio.venue import RipioVenue
from tests.process.harness import free_port
from tests.process.truth import Venue, differences
from tests.sim.scenes.hummingbot import HummingbotScene
from tests.sim.scenes.ionloop import IonloopScene
from tests.sim.scenes.ripio import RipioScene
from tests.sim.scenes.scene import Scene, Truth

DEPTH = DepthRules(levels=20, size=0.004, growth=1.2, step_ticks=100)


class Aim(NamedTuple):
    """Whom to kill, and when."""

    pid: int
    operation: str
    before: bool
    nth: int
    """Which request of that kind, from 1."""


class Killer:
    """Mixed into a simulated venue: kills its client in the middle of a request, once for each aim."""

    aim: Aim | None = None
    seen = 0
    kills: "Counter[tuple[str, str]]"

    def take_aim(self, aim: Aim) -> None:
        """Kill at the next request that fits."""
        self.seen, self.aim = 0, aim

    def handle(self, request: HttpRequest) -> HttpResponse:
        """Process a request, with the kill on one side of it."""
        venue: Any = super()
        aim = self.aim
        if aim is None or self.operation(request) != aim.operation:  # type: ignore[attr-defined] # of the venue
            return venue.handle(request)  # type: ignore[no-any-return]
        self.seen += 1
        if self.seen < aim.nth:
            return venue.handle(request)  # type: ignore[no-any-return]
        self.aim = None
        if aim.before:
            self._kill(aim)
        response: HttpResponse = venue.handle(request)
        if not aim.before:
            self._kill(aim)
        return response

    def _kill(self, aim: Aim) -> None:
        """Kill, and go on only when the victim is dead; whoever started it collects it."""
        os.kill(aim.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):  # it is dead, and was collected already
            os.waitid(os.P_PID, aim.pid, os.WEXITED | os.WNOWAIT)
        self.kills[aim.operation, "before" if aim.before else "after"] += 1


class KillingIonloop(Killer, IonloopVenue):
    """ionloop."""


class KillingHummingbot(Killer, HummingbotVenue):
    """The Hummingbot API."""


class KillingRipio(Killer, RipioVenue):
    """Ripio Trade."""


class Stage:
    """Where kills happen: one venue."""

    scene: ClassVar[type[Scene]]
    writes: ClassVar[tuple[str, ...]] = ("create_order", "cancel_order")
    """Routes of the venue that change something of orders."""
    once: ClassVar[tuple[str, ...]] = ()
    """Routes that change something once in a daemon's life."""
    currency: ClassVar[str] = "USDT"
    section: ClassVar[str]
    """Of the configuration: the venue, with ``{port}``, and what else only this venue needs."""
    secrets: ClassVar[dict[str, str]]
    """File -> content."""
    churner: ClassVar[str] = "{}"
    """Parameters of the strategy."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    @property
    def name(self) -> str:
        """The venue's name, in the configuration too."""
        return self.scene.name

    def venue(self, clock: SystemClock) -> Any:
        """Return the simulated venue."""
        raise NotImplementedError

    def rules(self, venue: Any) -> Instrument:
        """Return the instrument that is traded."""
        raise NotImplementedError

    def terms(self, port: int) -> dict[str, Any]:
        """Return what fills the section's braces."""
        return {"port": port}

    def freeze(self, told: Venue) -> None:
        """Let nothing trade any more."""
        told.freeze(self.scene.symbol)

    def differences(self, state: State, truth: Truth) -> list[str]:
        """Return in what we and the venue do not agree."""
        return differences(state, self.scene.words(truth), venue=self.name)


class IonloopStage(Stage):
    """With keys, and in each so many folders without."""

    scene = IonloopScene
    once = ("create_webhook",)
    secrets: ClassVar = {"key": "sim-key", "secret": "sim-webhook-secret"}
    section = """
venues:
  ionloop:
    type: ionloop
    environment: custom
    base_url: http://127.0.0.1:{port}
    api_key_file: key
    webhook_secret_file: secret
    register_webhook: true
    reconcile: adopt
    idempotency: {keys}
    rates: {{orders: {{rate: 40, burst: 10}}}}
webhooks: {{port: {hook}, public_url: 'http://127.0.0.1:{hook}'}}
"""
    search_every: ClassVar[int] = 10
    """Each so many folders one has no keys: its starts take ten times as long."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self._keys = seed % self.search_every != 0
        self._rules = MarketRules()

    def venue(self, clock: SystemClock) -> Any:
        """Return the venue."""
        setup = Setup(
            markets=(self._rules,),
            balances={"main": {"USDT": Decimal(200_000), "BTC": Decimal(2)}},
            rates=RateRules(key_per_minute=10**6, orders_per_second=100, public_per_minute=10**6, status_every_s=0.0),
            depth=DEPTH,
            seed=self.seed,
            webhook_http=True,
            webhook_secret="sim-webhook-secret",
        )
        return KillingIonloop(setup, clock=clock, switches=Switches(honour_keys=self._keys))

    def rules(self, venue: Any) -> Instrument:
        """Return the market."""
        return self._rules.instrument()

    def terms(self, port: int) -> dict[str, Any]:
        """Return the port of the webhooks too."""
        return {"port": port, "keys": str(self._keys).lower(), "hook": free_port()}


class HummingbotStage(Stage):
    """No ids of ours: what became of an order is found by its terms."""

    scene = HummingbotScene
    writes = ("place_order", "cancel_order")
    secrets: ClassVar = {"password": "admin"}
    churner = "{writes: 2, keeps: 5}"
    section = """
venues:
  hummingbot:
    type: hummingbot
    base_url: http://127.0.0.1:{port}
    connector: binance
    password_file: password
    real_money: false
    reconcile: adopt
"""

    def venue(self, clock: SystemClock) -> Any:
        """Return the server."""
        balances = {"USDT": Decimal(200_000), "BTC": Decimal(2)}
        return KillingHummingbot(hummingbot.Setup(balances=balances, depth=DEPTH, seed=self.seed), clock=clock)

    def rules(self, venue: Any) -> Instrument:
        """Return the pair."""
        return hummingbot.PairRules(self.scene.symbol).instrument()


class RipioStage(Stage):
    """An id of ours that the venue keeps and does not hold apart."""

    scene = RipioScene
    currency = "BRL"
    secrets: ClassVar = {"token": "sim-token", "secret": "sim-secret"}
    churner = "{writes: 1, keeps: 3}"
    section = """
venues:
  ripio:
    type: ripio
    base_url: http://127.0.0.1:{port}
    api_token_file: token
    api_secret_file: secret
    reconcile: adopt
    orders_every_s: 1
    account_every_s: 5
"""

    def venue(self, clock: SystemClock) -> Any:
        """Return the venue."""
        balances = {"main": {"BRL": Decimal(200_000), "BTC": Decimal(2)}}
        return KillingRipio(ripio.Setup(balances=balances, depth=DEPTH, seed=self.seed), clock=clock)

    def rules(self, venue: Any) -> Instrument:
        """Return the pair."""
        return ripio.PairRules(self.scene.symbol).instrument()

    def freeze(self, told: Venue) -> None:
        """Let prices stand still."""
        told.post("switches", {"market_paused": True})


STAGES: dict[str, type[Stage]] = {one.scene.name: one for one in (IonloopStage, HummingbotStage, RipioStage)}


def plan(stage: Stage, rng: random.Random, kills: int) -> list[tuple[str, bool]]:
    """Return the points of a folder's kills: first what happens once, then orders by chance."""
    points = [(operation, before) for operation in stage.once for before in (True, False)][: max(0, kills - 4)]
    orders = [(operation, before) for operation in stage.writes for before in (True, False)]
    while len(points) < kills:
        rng.shuffle(orders)
        points += orders[: kills - len(points)]
    return points
