"""What a boundary case is, and the acts that cases are made of: placing, amending, holding."""

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from quantd.domain.orders import Limit, Market, Protect, Side
from quantd.engine.orders import Order
from quantd.engine.risk.limits import Limits, RiskSettings
from quantd.engine.risk.wish import Denial, Denied
from quantd.testing.builders import BTC, Rig

D = Decimal
AROUND_5 = ("4.999", "5", "5.001")
BUY, SELL = Side.BUY, Side.SELL
Answer = Order | Denied
SCOPES = ("order", "strategy:s1", f"instrument:{BTC}", "venue:paper", "account")


def rig_with(scope: str, limits: Limits, **rig: Any) -> Rig:
    """Return a rig in which these limits stand in one scope."""
    kind = scope.partition(":")[0]
    plain: dict[str, Any] = {"base_currency": "USD"}
    if kind == "order":
        return Rig(risk=RiskSettings(**plain, order=limits), **rig)
    if kind == "strategy":
        return Rig(risk=RiskSettings(**plain), limits={"s1": limits}, **rig)
    if kind == "instrument":
        return Rig(risk=RiskSettings(**plain, instruments={BTC: limits}), **rig)
    if kind == "venue":
        return Rig(risk=RiskSettings(**plain, venues={"paper": limits}), **rig)
    return Rig(risk=RiskSettings(**plain, account=limits), **rig)


def place(
    rig: Rig,
    side: Side,
    quantity: str,
    price: str | None,
    strategy: str = "s1",
    protect: Protect | None = None,
    **how: Any,
) -> Answer:
    """Send an order at a limit, or at market without a price."""
    wanted = Market(**how) if price is None else Limit(D(price), **how)

    def script(strategy: Any) -> Any:
        return (strategy.buy if side is Side.BUY else strategy.sell)(BTC, D(quantity), wanted, protect=protect)

    answer: Answer = rig.do(script, strategy)
    return answer


def resting(rig: Rig, side: Side, quantity: str, price: str, **how: Any) -> Order:
    """Place an order that the venue accepts."""
    order = place(rig, side, quantity, price, **how)
    assert isinstance(order, Order), f"the order before the amendment was denied: {order}"
    rig.accept(order)
    return order


@dataclass(frozen=True)
class Case:
    """One limit in one scope."""

    name: str
    control: type
    code: Denial
    rig: Callable[[], Rig]
    levels: tuple[str, str, str]
    """Below, at and above the limit: quantities, prices or seconds, as `new` and `amend` read them."""
    new: Callable[[Rig, str], Answer]
    amend: Callable[[Rig, str], Answer] | None = None
    """None where the control has no say in amendments."""
    scope: str | None = None
    """What the denial names, None where it is not checked."""

    def __str__(self) -> str:
        """Name the case in the test's id."""
        return self.name


@dataclass
class Cases:
    """Collects cases."""

    found: list[Case] = field(default_factory=list)

    def add(self, name: str, control: type, code: Denial, **rest: Any) -> None:
        self.found.append(Case(name, control, code, **rest))


def by_quantity(side: Side = Side.BUY, price: str | None = "100") -> Callable[[Rig, str], Answer]:
    """Return a new order whose quantity is the level."""
    return lambda rig, level: place(rig, side, level, price)


def by_price(side: Side, quantity: str = "1") -> Callable[[Rig, str], Answer]:
    """Return a new order whose price is the level."""
    return lambda rig, level: place(rig, side, quantity, level)


def grown(side: Side = Side.BUY, *, start: str = "0.5", price: str = "100") -> Callable[[Rig, str], Answer]:
    """Return an amendment to the level, from a smaller quantity."""

    def amend(rig: Rig, level: str) -> Answer:
        order = resting(rig, side, start, price)
        answer: Answer = rig.do(lambda s: s.amend(order, quantity=D(level)))
        return answer

    return amend


def moved(side: Side, start: str) -> Callable[[Rig, str], Answer]:
    """Return an amendment of the price to the level."""

    def amend(rig: Rig, level: str) -> Answer:
        order = resting(rig, side, "1", start)
        answer: Answer = rig.do(lambda s: s.amend(order, price=D(level)))
        return answer

    return amend


def with_limits(scope: str, rig: Any = None, /, **limits: Any) -> Callable[[], Rig]:
    """Return how to make a rig with these limits in one scope."""
    return lambda: rig_with(scope, Limits(**limits), **(rig or {}))
