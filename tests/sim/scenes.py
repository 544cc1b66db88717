"""Which venue a simulation plays at: what it is made of, how its faults are switched, and what its requests mean.

The world, the checker and the mishaps speak to a venue through its scene only. ionloop's is here, with the words that all
scenes' truths are told in: those of its state.
"""

import random
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from decimal import Decimal
from typing import Any, ClassVar, NamedTuple

from quantd.app.webhooks import receiver_of
from quantd.clock import LoopClock
from quantd.exchange.rules import DepthRules
from quantd.ports import HttpRequest
from quantd.simulators.ionloop.options import MarketRules, Setup, Switches, Webhook
from quantd.simulators.ionloop.venue import IonloopVenue
from quantd.simulators.ionloop.webhooks import EVENTS
from quantd.venues.ionloop.connector import IonloopConnector
from quantd.venues.ionloop.settings import IonloopSettings

SECRET = "whsec"
Receive = Callable[[Mapping[str, str], bytes], tuple[int, str]]
LAGS = ("look_up_lag_s", "cancel_lag_s", "clock_skew_s", "webhook_twice")


class Create(NamedTuple):
    """A request that places an order."""

    client_order_id: str
    operation: int | None
    """Which write of the order, where the venue is told."""
    body: bytes


class CancelOne(NamedTuple):
    """A request that cancels one order."""

    venue_order_id: str


class Scene(ABC):
    """One venue."""

    name: ClassVar[str]
    symbol: ClassVar[str]
    money: ClassVar[str]
    """What orders are paid with."""
    venue: Any
    """The simulated venue."""
    switches: Any
    repeats: bool
    """Whether the network may deliver a write twice: the venue tells the second one from the first."""

    @property
    def instrument(self) -> str:
        """The instrument of all strategies."""
        return f"{self.name}:{self.symbol}"

    @abstractmethod
    def rules(self) -> Any:
        """Return the instrument as the exchange has it."""

    @abstractmethod
    def write_of(self, request: HttpRequest) -> Create | CancelOne | None:
        """Return what a request writes."""

    @abstractmethod
    def truth(self) -> dict[str, Any]:
        """Return the venue's state in common words."""

    @abstractmethod
    def draw(self, rng: random.Random, struck: Counter[str]) -> None:
        """Set how the venue behaves."""

    @abstractmethod
    def heal(self, now_ns: int) -> None:
        """End all faults; what the venue is by nature stays."""

    @abstractmethod
    def halt(self, on: bool, now_ns: int) -> None:
        """Halt the market."""

    @abstractmethod
    def stop(self, on: bool) -> None:
        """Take the venue down."""

    @abstractmethod
    def freeze(self, on: bool) -> None:
        """Let the venue show old prices, or prices that stand still."""

    def streamed(self, is_dead: Callable[[], bool]) -> AbstractContextManager[Any]:
        """Have a daemon that is built meanwhile follow the venue's stream, where it has one, until it is dead."""
        return nullcontext()

    def receiver(self, shared: Any, parts: Any) -> Receive | None:
        """Return what takes the venue's webhooks."""
        return None


class IonloopScene(Scene):
    """ionloop, with or without idempotency keys."""

    name = "ionloop"
    symbol = "BTC-USDT"
    money = "USDT"

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

    def rules(self) -> Any:
        """Return the instrument."""
        return self.venue.markets.listed[self.symbol].instrument

    def write_of(self, request: HttpRequest) -> Create | CancelOne | None:
        """Every create has a key of ours, and every other POST is a fault."""
        if request.method == "POST":
            order_id, _, operation = request.headers.get("Idempotency-Key", "").rpartition("-")
            return Create(order_id, int(operation) if operation.isdecimal() else -1, request.body)
        return CancelOne(request.path.rpartition("/")[2]) if request.method == "DELETE" else None

    def truth(self) -> dict[str, Any]:
        """Return the state as it is."""
        told: dict[str, Any] = self.venue.state()
        return told

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
        settings, connector = parts.settings, parts.connector
        assert isinstance(settings, IonloopSettings)
        assert isinstance(connector, IonloopConnector)
        assert settings.webhook_secret is not None
        return receiver_of(shared, self.name, connector, settings.webhook_secret.get_secret_value()).receive


def depth_of(rng: random.Random) -> DepthRules:
    """Draw how deep the book is."""
    return DepthRules(
        levels=8,
        size=rng.choice((0.002, 0.004, 0.01, 0.5)),
        growth=1.2,
        step_ticks=rng.choice((100, 3_000, 10_000)),
    )


def count_lags(switches: Any, struck: Counter[str]) -> None:
    """Note which switches will be felt."""
    for name in LAGS:
        if getattr(switches, name, None):
            struck[name.removesuffix("_s")] += 1
