"""Orders above a rate limit with `policy: queue`: they wait for room, in their order, and not for ever."""

from quantd.domain.commands import Submit
from quantd.domain.orders import OrderState
from quantd.engine.orders import Order
from quantd.engine.risk.limits import Limits, RateLimit, RiskSettings
from quantd.testing.builders import BTC, Rig


def rig_with(max_wait_s: float) -> Rig:
    rate = RateLimit(count=2, per_s=2.0, policy="queue", max_wait_s=max_wait_s)
    return Rig(risk=RiskSettings(base_currency="USDT", account=Limits(submit_rate=rate)))


def place(rig: Rig, count: int) -> list[Order]:
    orders = rig.do(lambda s: [s.buy(BTC, n + 1) for n in range(count)])
    assert all(isinstance(order, Order) for order in orders)
    return orders


def test_what_is_above_the_limit_waits_for_room_and_leaves_in_its_order() -> None:
    rig = rig_with(5.0)
    orders = place(rig, 5)
    assert [int(one.spec.quantity) for one in rig.sent(Submit)] == [1, 2]
    rig.wait(1.0)
    assert len(rig.sent(Submit)) == 2
    rig.wait(1.0)
    assert [int(one.spec.quantity) for one in rig.sent(Submit)] == [1, 2, 3, 4]
    rig.wait(2.0)
    assert [int(one.spec.quantity) for one in rig.sent(Submit)] == [1, 2, 3, 4, 5]
    assert all(order.is_open for order in orders)


def test_what_has_waited_too_long_is_denied_and_its_reservation_freed() -> None:
    rig = rig_with(1.0)
    orders = place(rig, 3)
    assert rig.state.portfolio.open_orders["account"] == 3
    rig.wait(0.5)
    assert orders[2].is_open
    rig.wait(0.5)
    assert (orders[2].state, orders[2].reason) == (OrderState.DENIED, "message_rate")
    assert rig.state.portfolio.open_orders["account"] == 2
    assert len(rig.sent(Submit)) == 2


def test_a_waiting_order_can_be_cancelled_and_never_leaves() -> None:
    rig = rig_with(5.0)
    orders = place(rig, 3)
    assert rig.do(lambda s: s.cancel(orders[2]))
    rig.wait(3.0)
    assert orders[2].state is OrderState.CANCELLED
    assert len(rig.sent(Submit)) == 2
