"""What a simulation must know of a venue: what it is made of, how its faults are switched, and what its requests mean.

World, checker, mishaps and kills speak to a venue through its scene only, and its truth is told in the same words by all
scenes: those of ionloop's state (`Truth`).
"""

import random
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

from quantd.domain.facts import Fact
from quantd.domain.instruments import Instrument
from quantd.domain.numbers import plain
from quantd.engine.orders import LiveOrder
from quantd.engine.state import State
from quantd.exchange import Exchange, LedgerReason
from quantd.exchange.rules import DepthRules
from quantd.ports import HttpRequest
from tests.sim.invariants import Model
from tests.sim.scenes.writes import Writes
from tests.sim.venue_truth import same_as_venue

Mishap = Callable[[], object]
Receive = Callable[[Mapping[str, str], bytes], tuple[int, str]]
Truth = dict[str, Any]
"""``orders``: id, idempotencyKey (client order id, a dash, the write's number), status (``open``, ``refused``, another end),
filledQuantity and fills (quantity, price); ``balances`` and ``opening_balances`` by account; ``transactions``: flows."""
LAGS = ("look_up_lag_s", "cancel_lag_s", "clock_skew_s", "webhook_twice")
FOLDER = Path(__file__).parent


class Scene(ABC):
    """One venue. Made with its settings, the seed, the stream that draws what it is made of, and a clock."""

    name: ClassVar[str]
    symbol: ClassVar[str]
    money: ClassVar[str]
    """What orders are paid with."""
    price: ClassVar[float] = 65_000.0
    """Where the market begins."""
    quantity: ClassVar[Decimal] = Decimal("0.003")
    """Of an operator's order."""
    holds_exits: ClassVar[bool] = False
    """Whether stops and targets hang on what an order opens."""
    environ: ClassVar[Mapping[str, str]]
    """Secrets of its section of the configuration."""
    venue: Any
    """The simulated venue."""
    switches: Any
    repeats: bool
    """Whether the network may deliver a write twice: the venue tells the second one from the first."""
    is_frozen = False
    """Whether prices stand still outside of the venue."""

    @property
    def instrument(self) -> str:
        """The instrument of all strategies."""
        return f"{self.name}:{self.symbol}"

    @classmethod
    def file(cls) -> Path:
        """Return its section of the configuration, to be laid over that of all."""
        return FOLDER / f"{cls.name}.yaml"

    @classmethod
    def configured(cls, settings: Any, seed: int, strategies: int) -> Any:
        """Return its section of the configuration as a seed with so many strategies has it."""
        return settings

    @abstractmethod
    def rules(self) -> Instrument:
        """Return the instrument as the exchange has it."""

    @abstractmethod
    def write_of(self, request: HttpRequest) -> Writes | None:
        """Return what a request writes; None for reads, and for changes of orders that are there."""

    @staticmethod
    def words(state: Truth) -> Truth:
        """Return the venue's state in common words."""
        return state

    def truth(self) -> Truth:
        """Return what the venue holds, in common words, with all that came in and went out."""
        return self.words(self.venue.state())

    def find(self, order: LiveOrder, number: int, known: frozenset[str]) -> Truth | None:
        """Return the venue's order that a write of ours has made, as a person would find it; None when there is none.

        Args:
            order: Ours.
            number: Of the write.
            known: The venue's ids of all orders that we know.
        """
        key = f"{order.client_order_id}-{number}"
        return next((theirs for theirs in self.truth()["orders"] if theirs["idempotencyKey"] == key), None)

    def compare(self, model: Model, state: State, facts: Iterable[Fact]) -> None:
        """Hold what we know against what the venue holds, once all has come to rest.

        Raises:
            Violation: naming the first difference.
        """
        same_as_venue(model, state, self.truth(), venue=self.name)

    def move_money(self, command: str) -> None:
        """``deposit`` or ``withdraw``."""
        self.venue.command(command, {"asset": self.money, "amount": "250"})

    def mishaps(self, rng: random.Random) -> Mapping[str, Mishap]:
        """Return what goes wrong at this venue only, by name."""
        return {}

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
        """Take the venue down, or what it knows its orders by."""

    def freeze(self, on: bool) -> None:
        """Let the venue show old prices, or prices that stand still."""
        self.is_frozen = on

    def close(self, now_ns: int) -> None:
        """Let nothing trade any more: the books are compared."""
        self.switches.market_paused = True

    def streamed(self, is_dead: Callable[[], bool]) -> AbstractContextManager[Any]:
        """Have a daemon that is built meanwhile follow the venue's stream, where it has one, until it is dead."""
        return nullcontext()

    def receiver(self, shared: Any, parts: Any) -> Receive | None:
        """Return what takes the venue's webhooks."""
        return None


def depth_of(rng: random.Random) -> DepthRules:
    """Draw how deep the book is."""
    return DepthRules(
        levels=8,
        size=rng.choice((0.002, 0.004, 0.01, 0.5)),
        growth=1.2,
        step_ticks=rng.choice((100, 3_000, 10_000)),
    )


def flows_of(exchange: Exchange, account: str) -> list[Truth]:
    """Return what came in and went out by the exchange's ledger."""
    return [
        {
            "account": entry.account, "asset": entry.asset, "amount": plain(abs(entry.amount)),
            "type": "deposit" if entry.amount > 0 else "withdrawal",
        }
        for entry in exchange.ledger(account)
        if entry.reason is LedgerReason.CASH
    ]  # fmt: skip


def count_lags(switches: Any, struck: Counter[str], names: tuple[str, ...] = LAGS) -> None:
    """Note which switches will be felt."""
    for name in names:
        if getattr(switches, name, None):
            struck[name.removesuffix("_s")] += 1
