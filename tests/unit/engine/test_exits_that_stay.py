"""What was reached or changed stays so: over a restart, over what an entry still gets, and where a venue held it."""

from decimal import Decimal
from typing import Any

from quantd.domain.commands import Cancel, CloseLot, SetProtection
from quantd.domain.events import OperationResolved, OutcomeReceived, ShutDown, Stopping, StrategyStarted
from quantd.domain.lots import LotProtection
from quantd.domain.orders import Limit, Origin, Protect
from quantd.domain.outcomes import NotFound, Rejected
from quantd.domain.protection_facts import ProtectionHeld
from quantd.engine.orders import LiveOrder
from quantd.testing.builders import BTC, Puppet, Rig, make_instrument
from tests.unit.engine.lots import enter as enter_lot
from tests.unit.engine.lots import make_rig, show

D = Decimal
MARGIN: dict[str, Any] = {"margin": True, "instruments": [make_instrument(margin_rate=D("0.1"))]}


def enter(rig: Rig, protect: Protect, quantity: Any = 2, got: Any = None) -> LiveOrder:
    """Buy, and get all or a part of it."""
    order = rig.do(lambda s: s.buy(BTC, quantity, Limit(100), protect=protect))
    rig.accept(order)
    rig.fill(order, got)
    return rig.live(order)


def stops(rig: Rig) -> list[Decimal | None]:
    return [guard.stop for guard in rig.state.protections.values()]


def exits(rig: Rig) -> list[LiveOrder]:
    return [one for one in rig.state.orders.open_orders(BTC) if one.origin is Origin.PROTECTION]


def test_a_stop_that_was_reached_before_a_restart_leaves_again_at_a_better_price() -> None:
    rig = Rig(**MARGIN)
    enter(rig, Protect(stop=95))
    rig.quote(94)
    again = Rig(facts=rig.facts, price=None, **MARGIN)
    again.engine.lose_in_flight("restart", again.now_ns)
    (lost,) = exits(again)
    assert lost.operation is not None
    again.handle(OperationResolved(lost.client_order_id, lost.operation.number, NotFound(), again.now_ns))
    again.quote(99)
    again.wait(2)
    assert [one.client_order_id for one in exits(again)] != [lost.client_order_id]
    assert len(exits(again)) == 1


def test_the_trail_of_a_venue_is_followed_from_where_it_stood_once_it_is_gone() -> None:
    rig = make_rig()
    trail = LotProtection(None, None, D(5))
    enter_lot(rig, Protect(trail=5), lot="7", quantity=1)
    show(rig, ("7", 1, trail))
    rig.quote(120)
    rig.quote(118)
    show(rig, ("7", 1, LotProtection()))
    write = rig.sent(SetProtection)[-1]
    rig.handle(OutcomeReceived(write.client_order_id, write.operation, Rejected("no"), rig.now_ns))
    rig.quote(115.01)
    assert rig.sent(CloseLot) == []
    rig.quote(115)
    assert [one.lot for one in rig.sent(CloseLot)] == ["7"]


def test_exits_that_were_taken_away_do_not_come_back_with_the_rest_of_the_entry() -> None:
    rig = Rig(**MARGIN)
    entry = enter(rig, Protect(stop=90), got=1)
    rig.do(lambda s: s.protect(BTC, Protect()))
    rig.fill(entry)
    assert stops(rig) == []
    assert entry.protect is None


def test_changed_exits_hold_for_the_rest_of_an_entry_whose_first_part_was_stopped_out() -> None:
    rig = Rig(**MARGIN)
    entry = enter(rig, Protect(stop=90), got=1)
    rig.do(lambda s: s.protect(BTC, Protect(stop=96)))
    other = rig.do(lambda s: s.sell(BTC, 1, Limit(100.5)))
    rig.accept(other)
    rig.fill(other)
    assert stops(rig) == []
    rig.fill(entry)
    assert stops(rig) == [96]


def test_a_target_that_is_met_already_brings_what_is_held_under_its_exits_once() -> None:
    rig = Rig(**MARGIN)
    enter(rig, Protect(stop=90), quantity=1)
    for _ in range(3):
        rig.do(lambda s: s.target(BTC, 1, Limit(100), protect=Protect(stop=98)))
    assert stops(rig) == [98]
    assert len(rig.of(ProtectionHeld)) == 2, "repeating it changes nothing"
    assert rig.state.targets == {}


def test_the_same_exits_again_move_no_trail_and_forget_no_stop_that_was_reached() -> None:
    rig = Rig(**MARGIN)
    enter(rig, Protect(stop=95, trail=10), quantity=1)
    rig.quote(104)
    rig.do(lambda s: s.protect(BTC, Protect(stop=95, trail=10)))
    (guard,) = rig.state.protections.values()
    assert guard.mark == 104
    rig.quote(94)
    rig.do(lambda s: s.protect(BTC, Protect(stop=95, trail=10)))
    (guard,) = rig.state.protections.values()
    assert guard.due is not None


class Warming(Rig):
    """A rig whose strategies have not got through their warm-up."""

    def handle(self, event: Any) -> Any:
        return [] if isinstance(event, StrategyStarted) else super().handle(event)


def test_a_shutdown_cancels_the_entries_of_a_strategy_that_is_warming_up() -> None:
    before = Rig(**MARGIN)
    entry = before.do(lambda s: s.buy(BTC, 1, Limit(90)))
    before.accept(entry)
    rig = Warming(strategies={"s1": Puppet()}, facts=before.facts, **MARGIN)
    rig.handle(Stopping("signal", rig.now_ns))
    rig.handle(ShutDown(rig.now_ns))
    assert [one.client_order_id for one in rig.sent(Cancel)] == [entry.id]
    assert rig.strategies["s1"].seen == []
