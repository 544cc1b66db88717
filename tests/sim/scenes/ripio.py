"""Ripio Trade as a simulation's venue: signed requests, ids of ours that it keeps and does not hold apart, late lists."""

import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, ClassVar

from quantd.clock import LoopClock
from quantd.domain.instruments import Instrument
from quantd.engine.orders import LiveOrder
from quantd.ports import HttpRequest
from quantd.simulators.faults import Action, FaultRule, FaultScript
from quantd.simulators.ripio.options import PairRules, Setup, Switches
from quantd.simulators.ripio.venue import RipioVenue
from quantd.simulators.sockets import MemorySocket
from quantd.venues.ripio import assembly
from quantd.venues.ripio.socket import SocketLost
from tests.sim.scenes.scene import Scene, Truth, count_lags, depth_of, flows_of
from tests.sim.scenes.writes import CancelOne, Create, Writes

_MISHAPS = (
    Action.DROP_BEFORE, Action.DUPLICATE, Action.GARBAGE, Action.TRUNCATE, Action.ERROR, Action.DELAY,
)  # fmt: skip
_ALIVE = ("open", "executed_partially", "pending_creation")


class RipioScene(Scene):
    """With its stream in three of four seeds, and by polls alone in the others."""

    name = "ripio"
    symbol = "BTC_BRL"
    money = "BRL"
    repeats = True
    """A signature that comes twice is refused."""
    environ: ClassVar = {"API_TOKEN": "sim-token", "API_SECRET": "sim-secret"}

    def __init__(self, settings: Any, seed: int, rng: random.Random, clock: LoopClock) -> None:
        self.switches = Switches()
        setup = Setup(
            pairs=(PairRules(self.symbol),),
            balances={"main": {"BRL": Decimal(100_000), "BTC": Decimal(2)}},
            depth=depth_of(rng),
            seed=seed,
        )
        self.venue = RipioVenue(setup, clock=clock, switches=self.switches)
        self.frames = FaultScript(clock=clock, rng=random.Random(f"{seed}/frames"))
        self.has_stream = rng.random() < 0.75
        for action in rng.sample(_MISHAPS, 3):
            self.frames.add([FaultRule(action, "frame", probability=rng.choice((0.01, 0.1)), delay_s=1.5)])
        self.frames.add([FaultRule(Action.ERROR, "stream", probability=0.2)])

    @contextmanager
    def streamed(self, is_dead: Callable[[], bool]) -> Iterator[None]:
        """Put a socket in memory in the place of the real one."""

        def connections(url: str) -> Callable[[], Awaitable[_Line]]:
            async def connect() -> _Line:
                return _Line(self, is_dead)

            return connect

        real = vars(assembly)["over_aiohttp"]
        vars(assembly)["over_aiohttp"] = connections
        try:
            yield
        finally:
            vars(assembly)["over_aiohttp"] = real

    def rules(self) -> Instrument:
        """Return the instrument."""
        found: Instrument = self.venue.pairs.listed[self.symbol].instrument
        return found

    def write_of(self, request: HttpRequest) -> Writes | None:
        """Tell creates by their external id and cancels by theirs; an amendment changes an order that is on disk."""
        path = request.path.removeprefix("/trade")
        if (request.method, path) == ("POST", "/orders"):
            return Create(json.loads(request.body).get("external_id", ""), None, request.body)
        if (request.method, path) == ("POST", "/orders/cancel"):
            return CancelOne(json.loads(request.body)["id"])
        return None

    @staticmethod
    def words(state: Truth) -> Truth:
        """Return the venue's state in common words; it is told our order's id and not which write it was."""
        orders = [
            {
                **order, "idempotencyKey": f"{order['external_id']}-1", "filledQuantity": order["executed"],
                "status": _status(order),
            }
            for order in state["orders"]
        ]  # fmt: skip
        return {"transactions": [], **state, "orders": orders}

    def truth(self) -> Truth:
        """Return what the venue holds, in common words."""
        return {**super().truth(), "transactions": flows_of(self.venue.exchange, "main")}

    def find(self, order: LiveOrder, number: int, known: frozenset[str]) -> Truth | None:
        """Return the order with our id."""
        return super().find(order, 1, known)

    def draw(self, rng: random.Random, struck: Counter[str]) -> None:
        """Draw each switch, always in the same order."""
        switches = self.switches
        switches.match_at_once = rng.random() < 0.6
        switches.look_up_lag_s = rng.choice((0.0, 0.0, 0.3, 3.0, 8.0))
        switches.clock_skew_s = rng.choice((0.0, 0.0, 1.5, -1.5, 45.0, -45.0))
        switches.pending_creation_s = rng.choice((0.0, 0.0, 2.0))
        switches.short_create = rng.random() < 0.2
        switches.bare_envelope = rng.random() < 0.2
        switches.nested_balances = rng.random() < 0.2
        switches.numbered_429 = rng.random() < 0.5
        switches.cancel_all_leaves = rng.choice((0, 0, 1))
        count_lags(switches, struck)

    def heal(self, now_ns: int) -> None:
        """Turn everything back; the clock stays wrong."""
        switches = self.switches
        switches.look_up_lag_s = switches.pending_creation_s = 0.0
        switches.maintenance = switches.market_paused = False
        switches.cancel_all_leaves = 0
        self.frames.clear()
        self.halt(False, now_ns)

    def halt(self, on: bool, now_ns: int) -> None:
        """Disable the pair."""
        self.venue.pairs.enable(self.symbol, not on, now_ns)

    def stop(self, on: bool) -> None:
        """Begin maintenance."""
        self.switches.maintenance = on

    def freeze(self, on: bool) -> None:
        """Let prices stand still."""
        self.switches.market_paused = on


class _Line:
    """One connection of one daemon; nothing arrives after its death, or during maintenance."""

    def __init__(self, scene: RipioScene, is_dead: Callable[[], bool]) -> None:
        self._scene = scene
        self._is_dead = is_dead
        self._check()
        try:
            self._line = MemorySocket(scene.venue, scene.frames)
        except ConnectionError as error:
            raise SocketLost(str(error)) from error

    def _check(self) -> None:
        if self._is_dead() or not self._scene.has_stream or self._scene.switches.maintenance:
            raise SocketLost("nobody is there")

    async def send(self, text: bytes) -> None:
        """Send a frame."""
        self._check()
        try:
            await self._line.send(text)
        except ConnectionError as error:
            raise SocketLost(str(error)) from error

    async def receive(self, timeout_s: float) -> bytes:
        """Return the next frame."""
        try:
            frame = await self._line.receive(timeout_s)
        except (ConnectionError, TimeoutError) as error:
            raise SocketLost(str(error)) from error
        self._check()
        return frame

    async def close(self) -> None:
        """Close the connection."""
        await self._line.close()


def _status(order: dict[str, Any]) -> str:
    if order["status"] in _ALIVE:
        return "open"
    return "filled" if order["status"] == "executed_completely" else "cancelled"
