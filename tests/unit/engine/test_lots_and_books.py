"""Guards where lots and books tell different things: nets that others trade too, fills that name no lot, adoption."""

from decimal import Decimal

from quantd.domain.commands import CloseLot, Submit
from quantd.domain.events import OperationResolved, OrderOrdered, ReconcileAction
from quantd.domain.lots import Lot
from quantd.domain.orders import Limit, OrderState, Origin, Protect, Side
from quantd.domain.outcomes import NotFound, Unknown
from quantd.engine.differences import Policies
from quantd.testing.builders import BTC, SECOND_NS, Puppet, Rig, make_snapshot
from tests.unit.engine.lots import STOP, enter, fill, make_rig

D = Decimal


def by_hand(rig: Rig, side: Side, lot: str, quantity: int | str = 1) -> None:
    """Let an operator trade: at a netting venue that closes a trade of whoever's, or opens one."""
    rig.handle(OrderOrdered(BTC, side, D(quantity), Limit(D(100)), "ann", rig.now_ns))
    order = list(rig.state.orders.open_orders(BTC))[-1]
    rig.accept(order)
    fill(rig, order, lot)
    rig.wait()


def exits(rig: Rig) -> list[tuple[str, Decimal]]:
    """Return what protection has at work: lot and quantity."""
    orders = rig.state.orders.open_orders(BTC)
    return [(one.lot, one.remaining) for one in orders if one.origin is Origin.PROTECTION]


def guarded(rig: Rig) -> list[Decimal]:
    return [guard.quantity for guard in rig.state.protections.values()]


def test_a_stop_on_a_net_whose_lots_another_has_closed_and_opened_anew_leaves_all_the_same() -> None:
    rig = make_rig(hedging=False)
    enter(rig, STOP, lot="7", quantity=1)
    by_hand(rig, Side.SELL, "7")
    by_hand(rig, Side.BUY, "8")
    assert rig.state.portfolio.book("s1", BTC).quantity == 1
    rig.quote(94)
    assert exits(rig) == [("", D(1))]


def test_a_stop_on_a_net_closes_its_own_lots_by_name_and_the_rest_without_one() -> None:
    rig = make_rig(hedging=False, strategies={"s1": Puppet(), "s2": Puppet()})
    enter(rig, STOP, lot="7", quantity=1)
    sold = rig.do(lambda s: s.sell(BTC, D("0.5"), Limit(100)), "s2")
    rig.accept(sold)
    fill(rig, sold, "7")
    bought = rig.do(lambda s: s.buy(BTC, D("0.5"), Limit(100)), "s2")
    rig.accept(bought)
    fill(rig, bought, "8")
    rig.quote(94)
    assert exits(rig) == [("7", D("0.5")), ("", D("0.5"))]
    closing = rig.sent(CloseLot)[-1].client_order_id
    fill(rig, closing, "7")
    assert guarded(rig) == [D("0.5")], "half of it stands yet"
    rig.quote(93)
    assert exits(rig) == [("", D("0.5"))]


def test_what_lots_do_not_explain_is_closed_by_no_opposite_order_where_that_would_open_a_lot() -> None:
    rig = make_rig(hedging=True)
    order = rig.do(lambda s: s.buy(BTC, 1, Limit(100), protect=Protect(stop=95)))
    rig.accept(order)
    rig.report(order, filled_quantity=D(1), average_price=D(100), state=OrderState.FILLED)
    rig.quote(94)
    assert exits(rig) == []
    assert len(rig.sent(Submit)) == 1


def test_a_fill_that_names_no_lot_yet_is_guarded_and_closed_once_the_lot_is_shown() -> None:
    rig = make_rig()
    order = rig.do(lambda s: s.buy(BTC, 1, Limit(100), protect=STOP))
    rig.accept(order)
    rig.now_ns += SECOND_NS
    rig.report(order, filled_quantity=D(1), average_price=D(100), state=OrderState.FILLED)
    assert guarded(rig) == [1]
    rig.now_ns += SECOND_NS
    shown = (Lot("7", BTC, Side.BUY, D(1), D(100), tag=order.id),)
    rig.handle(make_snapshot({"USD": 1_000_000}, at_ns=rig.now_ns, lots=shown))
    rig.quote(94)
    assert exits(rig) == [("7", D(1))]


def test_an_adopted_position_of_an_entry_with_exits_is_guarded() -> None:
    """Its submit was taken for not found; what it bought turns up later, by the lot's tag."""
    rig = make_rig()
    rig.engine.context.policies["paper"] = Policies(ReconcileAction.ADOPT)
    order = rig.do(lambda s: s.buy(BTC, 1, Limit(100), protect=STOP))
    rig.answer(order, Unknown("timeout"))
    operation = rig.live(order).operation
    assert operation is not None
    rig.handle(OperationResolved(order.id, operation.number, NotFound(), rig.now_ns))
    shown = (Lot("7", BTC, Side.BUY, D(1), D(100), tag=order.id),)
    for _ in range(2):
        rig.wait(40)
        rig.quote(100)
        rig.handle(make_snapshot({"USD": 1_000_000}, at_ns=rig.now_ns, lots=shown))
    assert rig.state.portfolio.book("s1", BTC).quantity == 1
    assert guarded(rig) == [1]
    rig.quote(94)
    assert exits(rig) == [("7", D(1))]
