"""Boundaries of the exits that stand with an entry: control 1."""

from collections.abc import Callable

from quantd.domain.orders import Protect, Side
from quantd.engine.orders import Order
from quantd.engine.risk import exit_sides
from quantd.engine.risk.wish import Denial
from quantd.testing.builders import Rig
from tests.unit.risk.cases import BUY, SELL, Answer, Cases, D, place

cases = Cases()


def protected(side: Side, exit: str, price: str | None = None) -> Callable[[Rig, str], Answer]:
    """Return a new order whose exit of this kind is the level."""

    def new(rig: Rig, level: str) -> Answer:
        return place(rig, side, "1", price, protect=Protect(**{exit: D(level)}))

    return new


def moved_toward(side: Side, exit: str, level_of_exit: str, start: str) -> Callable[[Rig, str], Answer]:
    """Return an amendment of an entry's price to the level, whose exit stands where it is told."""

    def amend(rig: Rig, level: str) -> Answer:
        order = place(rig, side, "1", start, protect=Protect(**{exit: D(level_of_exit)}))
        assert isinstance(order, Order), f"the order before the amendment was denied: {order}"
        rig.accept(order)
        answer: Answer = rig.do(lambda s: s.amend(order, price=D(level)))
        return answer

    return amend


def spread() -> Rig:
    """Return a rig whose market is 99.9 to 100.1."""
    rig = Rig()
    rig.quote(99.9, 100.1)
    return rig


for name, make, side, exit, price, levels in (
    # a limit that waits: its own price counts
    ("stop-limit-buy", spread, BUY, "stop", "95", ("94.98", "94.99", "95")),
    ("stop-limit-sell", spread, SELL, "stop", "105", ("105.02", "105.01", "105")),
    ("take-limit-buy", spread, BUY, "take", "95", ("95.02", "95.01", "95")),
    ("take-limit-sell", spread, SELL, "take", "105", ("104.98", "104.99", "105")),
    # at the market: the entry takes one side of the quote, its stop would take the other
    ("stop-market-buy", spread, BUY, "stop", None, ("99.88", "99.89", "99.9")),
    ("stop-market-sell", spread, SELL, "stop", None, ("100.12", "100.11", "100.1")),
    ("take-market-buy", spread, BUY, "take", None, ("100.12", "100.11", "100.1")),
    ("take-market-sell", spread, SELL, "take", None, ("99.88", "99.89", "99.9")),
    # a limit through the market trades at the market
    ("stop-taking-limit-buy", spread, BUY, "stop", "103", ("99.88", "99.89", "99.9")),
    ("take-taking-limit-sell", spread, SELL, "take", "97", ("99.88", "99.89", "99.9")),
    # a trail begins where the entry trades
    ("trail-market-buy", spread, BUY, "trail", None, ("0.22", "0.21", "0.2")),
    ("trail-market-sell", spread, SELL, "trail", None, ("0.22", "0.21", "0.2")),
):
    cases.add(
        f"exit-side-{name}",
        exit_sides.ExitSides,
        Denial.WRONG_SIDE,
        rig=make,
        levels=levels,
        new=protected(side, exit, price),
        scope="order",
    )
for name, side, exit, at, start, levels in (
    ("stop-buy", BUY, "stop", "95", "97", ("95.02", "95.01", "95")),
    ("stop-sell", SELL, "stop", "105", "103", ("104.98", "104.99", "105")),
    ("take-buy", BUY, "take", "97", "95", ("96.98", "96.99", "97")),
    ("take-sell", SELL, "take", "103", "105", ("103.02", "103.01", "103")),
):
    cases.add(
        f"exit-side-amended-{name}",
        exit_sides.ExitSides,
        Denial.WRONG_SIDE,
        rig=spread,
        levels=levels,
        new=moved_toward(side, exit, at, start),
        amend=moved_toward(side, exit, at, start),
        scope="order",
    )
