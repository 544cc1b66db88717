"""Control 11: never over the limit in any sliding window; cancels wait for room, urgent ones do not."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantd.domain.commands import Cancel, Submit
from quantd.domain.events import HaltOrdered, TradingState
from quantd.domain.orders import Limit, Side
from quantd.engine.orders import Order
from quantd.engine.risk.flow import Window
from quantd.engine.risk.limits import Limits, RateLimit
from quantd.engine.risk.wish import Denial, Denied
from quantd.testing.builders import BTC, SECOND_NS
from tests.unit.risk.cases import place, resting, rig_with

D = Decimal


@given(
    st.integers(1, 5),
    st.floats(0.1, 5),
    st.lists(st.integers(0, SECOND_NS), min_size=1, max_size=200),
)
def test_no_sliding_window_ever_holds_more_than_the_limit(count: int, per_s: float, gaps: list[int]) -> None:
    window, now, sent = Window(RateLimit(count=count, per_s=per_s)), 0, []
    for gap in gaps:
        now += gap
        if window.has_room(now):
            window.add(now)
            sent.append(now)
    length = int(per_s * SECOND_NS)
    for start in sent:
        assert sum(start <= at < start + length for at in sent) <= count


@pytest.mark.parametrize("scope", ["strategy:s1", "venue:paper", "account"])
def test_a_burst_at_ten_times_the_limit_leaves_at_the_limit(scope: str) -> None:
    rig = rig_with(scope, Limits(submit_rate=RateLimit(count=5, per_s=1.0)))
    left: list[int] = []
    for number in range(500):
        rig.now_ns += SECOND_NS // 50
        answer = place(rig, Side.BUY, "0.01", f"{90 + number / 100:.2f}")
        if isinstance(answer, Order):
            left.append(rig.now_ns)
        else:
            assert answer.code is Denial.MESSAGE_RATE
    assert all(sum(start <= at < start + SECOND_NS for at in left) <= 5 for start in left)
    assert len(left) == 50, "and no less than is allowed"


def test_one_window_for_all_who_send_in_a_scope() -> None:
    rig = rig_with("account", Limits(submit_rate=RateLimit(count=2, per_s=1.0)))
    assert isinstance(place(rig, Side.BUY, "1", "99", "s1"), Order)
    assert isinstance(place(rig, Side.BUY, "1", "98", "s2"), Order)
    denied = place(rig, Side.BUY, "1", "97", "s1")
    assert isinstance(denied, Denied)
    assert denied.is_transient


def test_exits_count_and_are_never_stopped() -> None:
    rig = rig_with("account", Limits(submit_rate=RateLimit(count=2, per_s=1.0)))
    rig.hold(5)
    rig.wait(2)
    for number in range(3):
        assert isinstance(place(rig, Side.SELL, "1", f"10{number}"), Order)
    assert isinstance(place(rig, Side.BUY, "1", "99"), Denied)


def test_a_restart_does_not_open_the_window_again() -> None:
    limits = Limits(submit_rate=RateLimit(count=2, per_s=10.0))
    rig = rig_with("account", limits)
    place(rig, Side.BUY, "1", "99")
    place(rig, Side.BUY, "1", "98")
    again = rig_with("account", limits, facts=rig.facts)
    assert isinstance(place(again, Side.BUY, "1", "97"), Denied)
    again.wait(10)
    assert isinstance(place(again, Side.BUY, "1", "97"), Order)


def test_cancels_above_their_limit_wait_for_room_and_none_is_lost() -> None:
    rig = rig_with("account", Limits(cancel_rate=RateLimit(count=2, per_s=1.0)))
    orders = [resting(rig, Side.BUY, "1", f"9{number}") for number in range(5)]
    assert rig.do(lambda s: s.cancel_all()) == 5
    assert len(rig.sent(Cancel)) == 2
    for _ in range(2):
        for order in orders:
            if rig.live(order).operation is not None:
                rig.accept(order)
        rig.wait(1)
    assert [one.client_order_id for one in rig.sent(Cancel)] == [order.id for order in orders]


def test_a_halt_s_cancels_do_not_wait() -> None:
    rig = rig_with("account", Limits(cancel_rate=RateLimit(count=1, per_s=60.0)))
    for number in range(5):
        resting(rig, Side.BUY, "1", f"9{number}")
    rig.do(lambda s: s.cancel_all())
    assert len(rig.sent(Cancel)) == 1
    rig.handle(HaltOrdered("all", TradingState.HALTED, "ann", "drill", 1, rig.now_ns))
    assert len(rig.sent(Cancel)) == 5


def test_amendments_have_a_window_of_their_own() -> None:
    rig = rig_with("account", Limits(amend_rate=RateLimit(count=1, per_s=1.0)))
    first, second = resting(rig, Side.BUY, "1", "99"), resting(rig, Side.BUY, "1", "98")
    assert isinstance(rig.do(lambda s: s.amend(first, quantity=2)), Order)
    denied = rig.do(lambda s: s.amend(second, quantity=2))
    assert isinstance(denied, Denied)
    assert denied.code is Denial.MESSAGE_RATE
    assert isinstance(rig.do(lambda s: s.buy(BTC, 1, Limit(97))), Order)
    assert len(rig.sent(Submit)) == 3
