"""TradeLocker as a simulation's venue: a hedging margin account, entries that carry our tag, exits that hang on positions."""

import json
import random
from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, ClassVar

import msgspec

from quantd.clock import LoopClock
from quantd.domain.facts import Fact
from quantd.domain.instruments import Instrument
from quantd.engine.orders import LiveOrder
from quantd.engine.state import State
from quantd.exchange.rules import DepthRules
from quantd.ports import HttpRequest
from quantd.simulators.tradelocker.options import AccountRules, InstrumentRules, Setup, Switches
from quantd.simulators.tradelocker.routes import match
from quantd.simulators.tradelocker.venue import TradeLockerVenue
from tests.process.tradelocker_truth import differences
from tests.sim.invariants import Model, require
from tests.sim.scenes.scene import Mishap, Scene, Truth, count_lags
from tests.sim.scenes.writes import CancelOne, Create, Writes

_RULES = InstrumentRules()
_ACCOUNT = AccountRules()
_COMMISSION = Decimal("3.5")


class TradeLockerScene(Scene):
    """Sessions end, lists lag behind writes, and the server closes positions by their stops and targets."""

    name = "tradelocker"
    symbol = _RULES.name
    money = "USD"
    quantity = Decimal("0.05")
    holds_exits = True
    repeats = False
    environ: ClassVar = {"PASSWORD": "simulated"}

    def __init__(self, settings: Any, seed: int, rng: random.Random, clock: LoopClock) -> None:
        self.switches = Switches(
            no_content=rng.random() < 0.5,
            access_s=rng.choice((3600.0, 40.0)),
            more_columns=rng.random() < 0.3,
            fill_at_once=rng.random() < 0.8,
            list_refused=rng.random() < 0.3,
            close_in_two=seed % 4 == 1,
        )
        depth = DepthRules(levels=8, size=rng.choice((0.05, 0.5, 50.0)), growth=1.2, step_ticks=100)
        rules = msgspec.structs.replace(_RULES, commission=_COMMISSION if seed % 3 == 0 else Decimal(0))
        setup = Setup(instruments=(rules,), accounts=(_ACCOUNT,), depth=depth, seed=seed)
        self.venue = TradeLockerVenue(setup, clock=clock, switches=self.switches)

    @classmethod
    def configured(cls, settings: Any, seed: int, strategies: int) -> Any:
        """Return its section, which knows of a commission in every other seed that has one."""
        return settings.model_copy(update={"commission_per_lot": _COMMISSION if seed % 6 == 0 else Decimal(0)})

    def rules(self) -> Instrument:
        """Return the instrument."""
        return _RULES.instrument()

    def write_of(self, request: HttpRequest) -> Writes | None:
        """Tell entries by their tag; what closes a position names the position and carries no id of ours."""
        asked = match(request)
        operation = None if asked is None else asked.operation
        if operation == "place_order":
            return Create(json.loads(request.body).get("strategyId", ""), None, request.body)
        return CancelOne(asked.parts["order"]) if asked is not None and operation == "cancel_order" else None

    @staticmethod
    def words(state: Truth) -> Truth:
        """Return the server's orders in common words; those that close have a key of their own."""
        alive = ("working", "partially_filled")
        orders = [
            {
                **order,
                "idempotencyKey": f"{order['strategyId'] if order['role'] == 'entry' else order['id']}-1",
                "status": "open" if order["state"] in alive else order["state"],
            }
            for order in state["orders"]
        ]
        return {**state, "orders": orders}

    def find(self, order: LiveOrder, number: int, known: frozenset[str]) -> Truth | None:
        """Return the order with our tag."""
        return super().find(order, 1, known)

    def compare(self, model: Model, state: State, facts: Iterable[Fact]) -> None:
        """Hold orders, lots and money against the server's."""
        if self.name in state.lots or self.venue.state()["lots"]:
            found = differences(state, self.venue.state())
            require(not found, "differs:", *found)

    def move_money(self, command: str) -> None:
        """Bring money in, or take it out."""
        self.venue.command(command, {"account": _ACCOUNT.id, "amount": "250"})

    def mishaps(self, rng: random.Random) -> Mapping[str, Mishap]:
        """Let sessions end before their time."""
        return {
            "session_ended": lambda: self.venue.command("revoke", {}),
            "log_in_needed": lambda: self.venue.command("revoke", {"refresh": True}),
        }

    def draw(self, rng: random.Random, struck: Counter[str]) -> None:
        """Set how far the lists lag."""
        self.switches.look_up_lag_s = rng.choice((0.0, 0.0, 0.3, 1.5, 3.0))
        count_lags(self.switches, struck)

    def heal(self, now_ns: int) -> None:
        """Turn everything back; how it words its answers stays."""
        self.switches.look_up_lag_s = 0.0
        self.is_frozen = False
        self.halt(False, now_ns)

    def halt(self, on: bool, now_ns: int) -> None:
        """Halt the market."""
        self.venue.command("market", {"symbol": self.symbol, "status": "halted" if on else "open"})

    def stop(self, on: bool) -> None:
        """Let lists lag far behind."""
        self.switches.look_up_lag_s = 5.0 if on else 0.0

    def close(self, now_ns: int) -> None:
        """Halt the market."""
        self.halt(True, now_ns)
