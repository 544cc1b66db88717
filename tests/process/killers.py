"""What makes a simulated venue kill the daemon from within its own request handler, and what is needed of each venue.

Used by `stages`, which has one `Stage` for each venue, and by `killing`.
"""

import contextlib
import os
import random
import signal
from collections import Counter
from typing import Any, ClassVar, NamedTuple

from quantd.clock import SystemClock
from quantd.domain.instruments import Instrument
from quantd.engine.state import State
from quantd.exchange.rules import DepthRules
from quantd.ports import HttpRequest, HttpResponse
from tests.process.truth import Venue, differences
from tests.sim.invariants import Violation
from tests.sim.scenes.scene import Scene
from tests.sim.venue_truth import orders_at_venue

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
        fits = aim is not None and venue.operation(request) == aim.operation
        self.seen += fits
        if aim is None or not fits or self.seen < aim.nth:
            passed: HttpResponse = venue.handle(request)
            return passed
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

    def differences(self, state: State, told: Venue) -> list[str]:
        """Return in what we and the venue do not agree."""
        return differences(state, self.scene.words(told.read("state")), venue=self.name)

    def twins(self, told: Venue) -> list[str]:
        """Name intents of ours that became two orders."""
        try:
            orders_at_venue(self.scene.words(told.read("state")))
        except Violation as twins:
            return [str(twins)]
        return []


def plan(stage: Stage, rng: random.Random, kills: int) -> list[tuple[str, bool]]:
    """Return the points of a folder's kills: first what happens once, then orders by chance."""
    points = [(operation, before) for operation in stage.once for before in (True, False)][: max(0, kills - 4)]
    orders = [(operation, before) for operation in stage.writes for before in (True, False)]
    while len(points) < kills:
        rng.shuffle(orders)
        points += orders[: kills - len(points)]
    return points
