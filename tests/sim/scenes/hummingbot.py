"""The Hummingbot API as a simulation's venue: nothing names an order of ours, and its lists are all that tells of them."""

import json
import random
from collections import Counter
from decimal import Decimal
from typing import Any, ClassVar

from quantd.clock import LoopClock
from quantd.domain.instruments import Instrument
from quantd.domain.orders import OrderKind
from quantd.engine.orders import LiveOrder
from quantd.ports import HttpRequest
from quantd.simulators.hummingbot.options import PairRules, Setup, Switches
from quantd.simulators.hummingbot.orders import ACCOUNT, ServerOrder
from quantd.simulators.hummingbot.routes import match
from quantd.simulators.hummingbot.venue import HummingbotVenue
from tests.sim.scenes.scene import Scene, Truth, count_lags, depth_of, flows_of
from tests.sim.scenes.writes import CancelOne, Nameless, Terms, Writes

_LAGS = ("clock_skew_s", "blank_active", "database_down", "cached_portfolio", "muted_stream", "keyset_cursor")


class HummingbotScene(Scene):
    """A spot exchange behind the server. What the server loses for ever (`lost_fills`, `fail_but_live`) is a person's matter."""

    name = "hummingbot"
    symbol = "BTC-USDT"
    money = "USDT"
    repeats = False
    environ: ClassVar = {"PASSWORD": "admin"}

    def __init__(self, settings: Any, seed: int, rng: random.Random, clock: LoopClock) -> None:
        self.switches = Switches()
        setup = Setup(
            pairs=(PairRules(self.symbol),),
            balances={"USDT": Decimal(100_000), "BTC": Decimal(2)},
            depth=depth_of(rng),
            seed=seed,
        )
        self.venue = HummingbotVenue(setup, clock=clock, switches=self.switches)

    def rules(self) -> Instrument:
        """Return the instrument."""
        pair: PairRules = self.venue.setup.pairs[0]
        return pair.instrument()

    def write_of(self, request: HttpRequest) -> Writes | None:
        """Tell a placement by its terms: it carries nothing else."""
        asked = match(request)
        if asked is None or asked.operation not in ("place_order", "cancel_order"):
            return None
        if asked.operation == "cancel_order":
            return CancelOne(asked.parts["order"])
        body = json.loads(request.body)
        price = None if body["order_type"] == "MARKET" else Decimal(body["price"])
        return Nameless(Terms(body["trade_type"], Decimal(body["amount"]), price))

    @staticmethod
    def words(state: Truth) -> Truth:
        """Return the exchange's state; each order has a key of its own, for the server makes the ids."""
        orders = [{**order, "idempotencyKey": f"{order['id']}-1"} for order in state["orders"]]
        return {"transactions": [], **state, "orders": orders}

    def truth(self) -> Truth:
        """Return what exchange and server hold: orders that the exchange never had are the server's alone."""
        told = self.words(self.venue.state())
        refused = [_refused(order) for order in self.venue.desk.orders.values() if not order.at_exchange]
        return {**told, "transactions": flows_of(self.venue.exchange, ACCOUNT), "orders": told["orders"] + refused}

    def find(self, order: LiveOrder, number: int, known: frozenset[str]) -> Truth | None:
        """Return an order with the terms of ours that nobody has claimed; of several it does not matter which."""
        spec = order.spec
        wanted = (spec.side, spec.quantity, None if spec.kind is OrderKind.MARKET else spec.price)
        theirs: dict[str, Truth] = {one["id"]: one for one in self.truth()["orders"]}
        for one in self.venue.desk.orders.values():
            price = None if one.kind == "MARKET" else one.price
            if one.id not in known and (one.side, one.amount, price) == wanted:
                return theirs[one.id]
        return None

    def draw(self, rng: random.Random, struck: Counter[str]) -> None:
        """Draw each switch, always in the same order."""
        switches = self.switches
        switches.ack_delay_s = rng.choice((0.02, 0.02, 0.5, 3.0))
        switches.queue_per_10s = rng.choice((100, 100, 20))
        switches.muted_stream = rng.random() < 0.1
        switches.blank_active = rng.random() < 0.1
        switches.keyset_cursor = rng.random() < 0.3
        switches.cached_portfolio = rng.random() < 0.1
        switches.clock_skew_s = rng.choice((0.0, 0.0, 1.5, -1.5))
        count_lags(switches, struck, _LAGS)

    def heal(self, now_ns: int) -> None:
        """Turn everything back."""
        switches = self.switches
        switches.ack_delay_s, switches.queue_per_10s = 0.02, 100
        switches.muted_stream = switches.blank_active = switches.cached_portfolio = switches.database_down = False
        switches.reject_with = ""
        self.is_frozen = False
        self.halt(False, now_ns)

    def halt(self, on: bool, now_ns: int) -> None:
        """Halt the pair at the exchange; the server does not tell."""
        self.venue.command("market", {"symbol": self.symbol, "status": "halted" if on else "online"})

    def stop(self, on: bool) -> None:
        """Take the database down: searches answer with nothing."""
        self.switches.database_down = on

    def close(self, now_ns: int) -> None:
        """Halt the pair."""
        self.halt(True, now_ns)


def _refused(order: ServerOrder) -> Truth:
    status = "refused" if order.ended else "open"
    return {"id": order.id, "idempotencyKey": f"{order.id}-1", "status": status, "filledQuantity": "0", "fills": []}
