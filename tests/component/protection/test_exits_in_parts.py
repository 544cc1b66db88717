"""Whatever fills in parts, is cancelled or amended: exits reduce no more than is held, and a stop that is passed is carried out.

Method: seeded strategies that send all that they can, over quotes whose sizes fill a part of an order at a time; exits held
by the engine and by the venue, on netting and hedging accounts. In the end the market passes every stop.
"""

import random
from decimal import Decimal
from typing import Any

import pytest

from quantd.domain.market import Quote
from quantd.domain.orders import Limit, Market, Protect, Stop
from quantd.engine.orders import Order
from quantd.testing.builders import BTC
from quantd.venues.paper.rules import ACCOUNT
from tests.component.protection.test_native_and_held import VARIANTS, Bench
from tests.invariants import check_image, check_rig

D = Decimal
ACTS = ("none", "none", "limit", "market", "stop", "cancel", "amend", "protect", "reduce", "close", "target")
STEPS = 60


class Parts(Bench):
    """A bench whose market shows little at a time, and a strategy that trades on one side of it."""

    def __init__(self, holder: Any, mode: Any, seed: int) -> None:
        self.random = random.Random(seed)
        super().__init__(holder, mode)
        self.sign = self.random.choice([1, -1])
        self.mine: list[Order] = []

    def shows(self, price: float) -> Quote:
        """Quote a spread of 0.1, with sizes that are small or not told."""
        bid_size, ask_size = self.random.choice([0.3, 0.5, 1.0, 0.0]), self.random.choice([0.3, 0.5, 1.0, 0.0])
        return Quote(BTC, price - 0.05, price + 0.05, self.rig.now_ns, None, bid_size, ask_size)

    def away(self, price: float, least: float, most: float) -> float:
        """Return a price on the losing side of another, that far from it."""
        return round(price - self.sign * self.random.uniform(least, most), 2)

    def exits(self, price: float) -> Protect:
        """Return some exits, or none."""
        draw = self.random.random
        return Protect(
            stop=self.away(price, 2, 6) if draw() < 0.7 else None,
            take=self.away(price, -6, -2) if draw() < 0.5 else None,
            trail=round(self.random.uniform(1, 4), 2) if draw() < 0.3 else None,
        )

    def act(self, price: float) -> None:
        """Do one thing at random."""
        act, protect = self.random.choice(ACTS), self.exits(price)
        quantity = D(str(round(self.random.uniform(0.2, 2.5), 3)))
        enter, leave = ("buy", "sell") if self.sign > 0 else ("sell", "buy")
        hows = {
            "limit": Limit(self.away(price, -0.5, 2)),
            "market": Market(),
            "stop": Stop(self.away(price, -1, -0.2)),
        }
        if act in hows:
            placed = self.do(lambda s: getattr(s, enter)(BTC, quantity, hows[act], protect=protect))
            self.mine += [placed] if isinstance(placed, Order) else []
        elif act == "reduce":
            how = self.random.choice([Market(reduce_only=True), Limit(self.away(price, -0.5, 0), reduce_only=True)])
            self.do(lambda s: getattr(s, leave)(BTC, quantity, how))
        elif act == "target":
            self.do(lambda s: s.target(BTC, self.sign * quantity, protect=protect))
        elif act in ("close", "protect"):
            self.do(lambda s: s.close(BTC) if act == "close" else s.protect(BTC, protect))
        elif act in ("cancel", "amend") and self.mine:
            order = self.random.choice(self.mine)
            price_too = self.away(price, 0, 2) if order.price is not None else None
            if act == "cancel":
                self.do(lambda s: s.cancel(order))
            elif self.rig.live(order).is_open:
                self.do(lambda s: s.amend(order, quantity=quantity, price=price_too))

    def holds(self) -> None:
        """Books, lots and guards agree, and nothing was turned round."""
        held = self.rig.state.portfolio.nets[BTC].quantity
        lots = self.exchange.snapshot(ACCOUNT, "paper", self.rig.now_ns).lots
        guarded = sum((guard.quantity for guard in self.rig.state.guarding.held.values()), D(0))
        assert sum((lot.signed for lot in lots), D(0)) == held
        assert held * self.sign >= 0
        assert abs(guarded) <= abs(held)
        assert not self.rig.state.portfolio.book("", BTC).quantity
        check_rig(self.rig)
        check_image(self.rig)


@pytest.mark.parametrize(("holder", "mode"), VARIANTS)
@pytest.mark.parametrize("seed", range(6))
def test_exits_follow_what_is_held_and_are_carried_out(seed: int, holder: str, mode: str) -> None:
    bench = Parts(holder, mode, seed)
    price = 100.0
    for _ in range(STEPS):
        price = round(min(max(price + bench.random.choice([0, 1, 3]) * bench.random.uniform(-1, 1), 60), 140), 2)
        bench.act(price)
        bench.quote(price)
        bench.holds()
    last = price - bench.sign * 20
    for step in range(50):
        bench.quote(round(price - bench.sign * min(20, 2 * step), 2))
    bench.holds()
    standing = [one.stop for one in bench.rig.state.guarding.held.values() if one.stop is not None]
    assert [stop for stop in standing if (float(stop) - last) * bench.sign >= 0] == []
