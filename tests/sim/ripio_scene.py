"""Ripio Trade as a simulation's venue: signed requests, ids of ours that it keeps and does not hold apart, late lists."""

import json
import random
from collections import Counter
from decimal import Decimal
from typing import Any

from quantd.clock import LoopClock
from quantd.domain.numbers import plain
from quantd.exchange import LedgerReason
from quantd.ports import HttpRequest
from quantd.simulators.ripio.options import PairRules, Setup, Switches
from quantd.simulators.ripio.venue import RipioVenue
from tests.sim.scenes import CancelOne, Create, Scene, count_lags, depth_of

_ALIVE = ("open", "executed_partially", "pending_creation")


class RipioScene(Scene):
    """By polls alone: frames have tests of their own."""

    name = "ripio"
    symbol = "BTC_BRL"
    money = "BRL"
    repeats = True
    """A signature that comes twice is refused."""

    def __init__(self, settings: Any, seed: int, rng: random.Random, clock: LoopClock) -> None:
        self.switches = Switches()
        setup = Setup(
            pairs=(PairRules(self.symbol),),
            balances={"main": {"BRL": Decimal(100_000), "BTC": Decimal(2)}},
            depth=depth_of(rng),
            seed=seed,
        )
        self.venue = RipioVenue(setup, clock=clock, switches=self.switches)

    def rules(self) -> Any:
        """Return the instrument."""
        return self.venue.pairs.listed[self.symbol].instrument

    def write_of(self, request: HttpRequest) -> Create | CancelOne | None:
        """Tell creates by their external id and cancels by theirs; an amendment changes an order that is on disk."""
        path = request.path.removeprefix("/trade")
        if (request.method, path) == ("POST", "/orders"):
            return Create(json.loads(request.body).get("external_id", ""), None, request.body)
        if (request.method, path) == ("POST", "/orders/cancel"):
            return CancelOne(json.loads(request.body)["id"])
        return None

    def truth(self) -> dict[str, Any]:
        """Return the venue's state in common words."""
        told = self.venue.state()
        orders = [
            {
                **order, "idempotencyKey": f"{order['external_id']}-1", "filledQuantity": order["executed"],
                "status": _status(order),
            }
            for order in told["orders"]
        ]  # fmt: skip
        flows = [
            {
                "account": entry.account, "asset": entry.asset, "amount": plain(abs(entry.amount)),
                "type": "deposit" if entry.amount > 0 else "withdrawal",
            }
            for entry in self.venue.exchange.ledger("main")
            if entry.reason not in (LedgerReason.OPENING, LedgerReason.TRADE, LedgerReason.FEE)
        ]  # fmt: skip
        return {**told, "orders": orders, "transactions": flows}

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


def _status(order: dict[str, Any]) -> str:
    if order["status"] in _ALIVE:
        return "open"
    return "filled" if order["status"] == "executed_completely" else "cancelled"
