"""ionloop as a simulation's venue, with or without idempotency keys."""

import random
from collections import Counter
from decimal import Decimal
from typing import Any, ClassVar

from quantd.app.webhooks import receiver_of
from quantd.clock import LoopClock
from quantd.domain.instruments import Instrument
from quantd.ports import HttpRequest
from quantd.simulators.ionloop.options import MarketRules, Setup, Switches, Webhook
from quantd.simulators.ionloop.venue import IonloopVenue
from quantd.simulators.ionloop.webhooks import EVENTS
from quantd.venues.ionloop.settings import IonloopSettings
from tests.sim.scenes.scene import Receive, Scene, count_lags, depth_of
from tests.sim.scenes.writes import CancelOne, Create, Writes

SECRET = "whsec"


class IonloopScene(Scene):
    """The venue that posts webhooks."""

    name = "ionloop"
    symbol = "BTC-USDT"
    money = "USDT"
    environ: ClassVar = {"API_KEY": "sim-key", "WEBHOOK_SECRET": SECRET}

    def __init__(self, settings: Any, seed: int, rng: random.Random, clock: LoopClock) -> None:
        assert isinstance(settings, IonloopSettings)
        self.repeats = settings.idempotency
        self.switches = Switches(honour_keys=settings.idempotency)
        hook = Webhook("wh_1", "https://daemon", EVENTS, SECRET)
        setup = Setup(
            markets=(MarketRules(self.symbol),),
            balances={"main": {"USDT": Decimal(100_000), "BTC": Decimal(2)}},
            depth=depth_of(rng),
            seed=seed,
            webhooks=(hook,) if rng.random() < 0.8 else (),
        )
        self.venue = IonloopVenue(setup, clock=clock, switches=self.switches)

    def rules(self) -> Instrument:
        """Return the instrument."""
        found: Instrument = self.venue.markets.listed[self.symbol].instrument
        return found

    def write_of(self, request: HttpRequest) -> Writes | None:
        """Every create has a key of ours, and every other POST is a fault."""
        if request.method == "POST":
            order_id, _, operation = request.headers.get("Idempotency-Key", "").rpartition("-")
            return Create(order_id, int(operation) if operation.isdecimal() else -1, request.body)
        return CancelOne(request.path.rpartition("/")[2]) if request.method == "DELETE" else None

    def draw(self, rng: random.Random, struck: Counter[str]) -> None:
        """Draw each switch, always in the same order."""
        switches = self.switches
        switches.post_status = rng.choice((200, 201))
        switches.transaction_per_fill = rng.random() < 0.3
        switches.fill_at_once = rng.random() < 0.4
        switches.look_up_lag_s = rng.choice((0.0, 0.0, 0.3, 3.0, 8.0))
        switches.cancel_lag_s = rng.choice((0.0, 0.0, 0.2, 1.0))
        switches.clock_skew_s = rng.choice((0.0, 0.0, 1.5, -1.5))
        switches.webhook_delay_s = rng.choice((0.0, 0.0, 1.0))
        switches.webhook_twice = rng.random() < 0.2
        count_lags(switches, struck)

    def heal(self, now_ns: int) -> None:
        """Turn everything back."""
        switches = self.switches
        switches.look_up_lag_s = switches.cancel_lag_s = switches.webhook_delay_s = 0.0
        switches.webhook_twice = switches.stale_market = switches.status_fails = False
        switches.matching_engine = "operational"
        self.halt(False, now_ns)

    def halt(self, on: bool, now_ns: int) -> None:
        """Set the market's status."""
        self.venue.markets.set_status(self.symbol, "halted" if on else "online", now_ns)

    def stop(self, on: bool) -> None:
        """Take the matching engine down."""
        self.switches.matching_engine = "down" if on else "operational"

    def freeze(self, on: bool) -> None:
        """Show old prices."""
        self.switches.stale_market = on

    def receiver(self, shared: Any, parts: Any) -> Receive | None:
        """Return the webhooks' receiver."""
        assert parts.webhook is not None
        return receiver_of(shared, self.name, parts.webhook).receive
