"""What a strategy sees and gives through its desk: its instruments, positions, chance, log, timers and jobs."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Protocol, Self

import msgspec

from quantd.domain.instruments import InstrumentId
from quantd.engine.context import StrategySetup


class Random(Protocol):
    """Seeded chance, as strategies see it; `random.Random` satisfies it."""

    def random(self) -> float:
        """Return a float in [0, 1)."""

    def uniform(self, a: float, b: float) -> float:
        """Return a float between `a` and `b`."""

    def gauss(self, mu: float = 0.0, sigma: float = 1.0) -> float:
        """Return a normal deviate."""

    def randrange(self, start: int, stop: int | None = None, step: int = 1) -> int:
        """Return a whole number of the range."""


StrategyLog = Callable[..., None]
"""``log("event", key=value)``: one line under the strategy's name."""


class Instruments(tuple[InstrumentId, ...]):
    """A strategy's instruments in the order of the configuration; by role where it gives roles."""

    roles: dict[str, InstrumentId]

    def __new__(cls, setup: StrategySetup) -> Self:
        """Take them from the configuration."""
        made = super().__new__(cls, setup.instruments)
        made.roles = dict(setup.roles)
        return made

    def __getitem__(self, key: Any) -> Any:
        """Return one by position, or by role."""
        if isinstance(key, str):
            return self.roles[key]
        return super().__getitem__(key)


class Position(msgspec.Struct, frozen=True):
    """A strategy's own book of one instrument. Quantity is signed, in the instrument's unit; money in its settlement
    currency, as floats for reading; fees in another currency are not taken off."""

    instrument: InstrumentId
    quantity: Decimal
    average_price: float
    """0 when flat."""
    unrealised: float
    realised: float

    def __bool__(self) -> bool:
        """Whether anything is held."""
        return bool(self.quantity)


class Timer(msgspec.Struct, frozen=True):
    """A schedule that a strategy asked for; the runtime turns it into `TimerFired`."""

    strategy: str
    name: str
    cron: str | None
    every_s: float | None


class Job(msgspec.Struct, frozen=True):
    """Slow work that a strategy gave away."""

    strategy: str
    name: str
    function: Callable[..., Any]
    args: tuple[Any, ...]
