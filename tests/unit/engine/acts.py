"""What the engine's tests say often: a limit order that must pass, its amendment, a resolution."""

from typing import Any

from quantd.domain.events import OperationResolved
from quantd.domain.orders import Limit
from quantd.engine.orders import Order
from quantd.engine.risk.wish import Denied
from quantd.testing.builders import BTC, Rig


def buy(rig: Rig, quantity: Any = 1, price: Any = 100, **how: Any) -> Order:
    """Place a bid of s1 that the gate must let pass."""
    order = rig.do(lambda s: s.buy(BTC, quantity, Limit(price, **how)))
    assert isinstance(order, Order), f"denied: {order}"
    return order


def amend(rig: Rig, order: Order, **terms: Any) -> Order | Denied:
    """Amend an order of s1."""
    answer: Order | Denied = rig.do(lambda s: s.amend(order, **terms))
    return answer


def resolve(rig: Rig, order: Order, resolution: Any, *, by: str = "venue") -> None:
    """Say what was found out about an order's operation in flight."""
    live = rig.live(order)
    assert live.operation is not None
    rig.handle(OperationResolved(live.client_order_id, live.operation.number, resolution, rig.now_ns, by=by))
