"""The table of reconciliation: what we know against what a venue shows, the plan, and that a second pass is empty.

`docs/reconciliation.md` holds the same table; a test compares them.
"""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from quantd.domain.cash import Balance
from quantd.domain.commands import Cancel, CloseLot
from quantd.domain.events import AccountOpened, OrderOrdered, ReconcileAction, ReconcileOrdered
from quantd.domain.facts import BalancesRecorded, CashFlowRecorded, Reconciled
from quantd.domain.fills import Fill
from quantd.domain.instruments import InstrumentId
from quantd.domain.lots import Lot
from quantd.domain.orders import Limit, OrderKind, OrderState, Side
from quantd.domain.outcomes import NotFound, Unknown
from quantd.domain.reports import AccountSnapshot, OrderReport
from quantd.engine.differences import Policies, plan
from quantd.testing.builders import BTC, Rig, make_account, make_balance, make_instrument, make_snapshot
from tests.unit.engine.acts import buy, resolve

D = Decimal
DOCUMENT = Path(__file__).parents[3] / "docs" / "reconciliation.md"
STRANGER = InstrumentId("paper:XRP-USD")
Ours = Callable[[Rig], None]
Theirs = Callable[[Rig], dict[str, Any]]


# -- ours --------------------------------------------------------------------------------------------------------------


def nothing(rig: Rig) -> None:
    """Nothing."""


def works(rig: Rig) -> None:
    """A bid for 1 works."""
    rig.accept(buy(rig, 1, 90))


def in_flight(rig: Rig) -> None:
    """A bid for 1 is on its way."""
    buy(rig, 1, 90)


def unknown(rig: Rig) -> None:
    """The outcome of a bid for 1 is unknown."""
    rig.answer(buy(rig, 1, 90), Unknown("timeout"))


def denied(rig: Rig) -> None:
    """A bid for 1 was called not executed a minute ago."""
    order = buy(rig, 1, 90)
    rig.answer(order, Unknown("timeout"))
    resolve(rig, order, NotFound())
    rig.report(order)  # the first list that shows it tells its number, and may be an old one
    rig.wait(60)


def long_2(rig: Rig) -> None:
    """Long 2."""
    rig.hold(2)


def long_2_and_bid(rig: Rig) -> None:
    """Long 2, a bid for 1 works."""
    rig.hold(2)
    works(rig)


def lot_2(rig: Rig) -> None:
    """Lot 1, long 2."""
    order = buy(rig, 2)
    rig.accept(order)
    told = Fill("t1", D(2), D(100), lot="1")
    rig.report(order, filled_quantity=D(2), fills=(told,), state=OrderState.FILLED)


# -- theirs ------------------------------------------------------------------------------------------------------------


def agrees(rig: Rig) -> dict[str, Any]:
    """The same."""
    orders = tuple(rig.report_of(one) for one in rig.state.orders.open_orders() if one.venue_order_ids)
    lots = tuple(held.lot for known in rig.state.lots.values() for held in known.all())
    net = rig.state.portfolio.nets[BTC].quantity
    return {"orders": orders, "lots": lots or ((lot(net),) if net else ())}


def lot(quantity: Any, venue_id: str = "1", instrument: str = BTC) -> Lot:
    side = Side.BUY if D(quantity) > 0 else Side.SELL
    return Lot(venue_id, InstrumentId(instrument), side, abs(D(quantity)), D(100))


def lots(*quantities: int, **fields: Any) -> Theirs:
    """Return what shows these lots, numbered from 1; zero is none."""
    held = tuple(lot(quantity, str(number)) for number, quantity in enumerate(quantities, 1) if quantity)
    return lambda rig: agrees(rig) | {"lots": held} | fields


def order(**fields: Any) -> Theirs:
    """Return what shows a foreign bid beside ours."""

    def shown(rig: Rig) -> dict[str, Any]:
        told: dict[str, Any] = {"side": Side.BUY, "quantity": D(1), "price": D(95)}
        named: dict[str, Any] = {"instrument": BTC, "venue_order_id": "f1", "state": OrderState.WORKING}
        foreign = OrderReport(**(named | {"filled_quantity": D(0), "received_at_ns": rig.now_ns} | told | fields))
        common = agrees(rig)
        return common | {"orders": (*common["orders"], foreign)}

    return shown


def hides(**fields: Any) -> Theirs:
    """Return what shows neither orders nor lots."""
    return lambda rig: {"orders": (), "lots": ()} | fields


def by_our_id(rig: Rig) -> dict[str, Any]:
    """Show the order that we know nothing of under our own id."""
    (mine,) = rig.state.orders.open_orders()
    report = rig.report_of(mine, side=Side.BUY, quantity=D(1), price=D(90))
    return {"orders": (report,)}


def late(rig: Rig) -> dict[str, Any]:
    """Show an order under our id that has ended for us."""
    (mine,) = rig.state.orders.all_orders()
    report = rig.report_of(mine, state=OrderState.WORKING, side=Side.BUY, quantity=D(1), price=D(90))
    return {"orders": (report,)}


def balances(**totals: int) -> Theirs:
    """Return what shows other totals."""
    told = tuple(make_balance(asset, total) for asset, total in totals.items())
    return lambda rig: agrees(rig) | {"balances": told}


class Situation(NamedTuple):
    """One row."""

    mode: str
    ours: Ours
    shown: str
    theirs: Theirs
    policy: str
    plan: tuple[tuple[str, str], ...]
    """(kind, action) of each difference."""


POSITION, LOT, FOREIGN = "position", "lot", "foreign_order"
TABLE = [
    Situation("spot", nothing, "nothing", agrees, "adopt", ()),
    Situation("spot", works, "the bid", agrees, "adopt", ()),
    Situation("spot", works, "no order", hides(), "adopt", (("missing_order", "ask"),)),
    Situation("spot", works, "no order, not all pages", hides(orders_complete=False), "adopt", ()),
    Situation("spot", in_flight, "no order", hides(), "adopt", ()),
    Situation("spot", nothing, "a foreign bid", order(), "adopt", ((FOREIGN, "adopt"),)),
    Situation("spot", nothing, "a foreign bid, filled in part", order(filled_quantity=D("0.5")), "adopt", ((FOREIGN, "adopt"),)),
    Situation("spot", nothing, "a foreign stop", order(kind=OrderKind.STOP, price=None, trigger=D(120)), "adopt", ((FOREIGN, "adopt"),)),
    Situation("spot", nothing, "a foreign bid", order(), "close", ((FOREIGN, "close"),)),
    Situation("spot", nothing, "a foreign bid", order(), "ignore", ((FOREIGN, "ignore"),)),
    Situation("spot", nothing, "a foreign bid", order(), "refuse", ((FOREIGN, "refuse"),)),
    Situation("spot", nothing, "a bid in an unlisted instrument", order(instrument=STRANGER), "adopt", ((FOREIGN, "refuse"),)),
    Situation("spot", unknown, "a bid with its terms (lost ack)", order(price=D(90)), "adopt", ()),
    Situation("spot", unknown, "its order under our id (lost ack)", by_our_id, "adopt", ()),
    Situation("spot", denied, "the bid, which came late", late, "refuse", (("ended_order", "close"),)),
    Situation("spot", works, "a foreign bid beside it", order(), "adopt", ((FOREIGN, "adopt"),)),
    Situation("spot", nothing, "less USD (withdrawal, fee)", balances(USD=900, BTC=1000), "refuse", (("balance", "take"),)),
    Situation("spot", nothing, "more of both (deposits)", balances(USD=2_000_000, BTC=1001), "refuse", (("balance", "take"),) * 2),
    Situation("netting", long_2, "long 2", agrees, "adopt", ()),
    Situation("netting", long_2, "long 3 (manual buy)", lots(3), "adopt", ((POSITION, "adopt"),)),
    Situation("netting", long_2, "nothing (manual sale, close-out)", hides(), "adopt", ((POSITION, "adopt"),)),
    Situation("netting", long_2, "short 1 (manual flip)", lots(-1), "adopt", ((POSITION, "adopt"),)),
    Situation("netting", nothing, "long 3", lots(3), "close", ((POSITION, "close"),)),
    Situation("netting", nothing, "long 3", lots(3), "ignore", ((POSITION, "ignore"),)),
    Situation("netting", nothing, "long 3", lots(3), "refuse", ((POSITION, "refuse"),)),
    Situation("netting", long_2, "nothing, not all lots", hides(lots_complete=False), "adopt", ()),
    Situation("netting", long_2, "long 3, not all lots", lots(3, lots_complete=False), "adopt", ((POSITION, "adopt"),)),
    Situation("netting", long_2_and_bid, "long 3 (lost fill)", lots(3), "adopt", ((POSITION, "ask"),)),
    Situation("netting", long_2_and_bid, "long 4 (more than the bid)", lots(4), "adopt", ((POSITION, "adopt"),)),
    Situation("netting", in_flight, "long 1", lots(1), "adopt", ()),
    Situation("netting", unknown, "long 1", lots(1), "adopt", ()),
    Situation("netting", nothing, "an unlisted instrument", lambda rig: {"lots": (lot(1, instrument=STRANGER),)}, "close", ((POSITION, "refuse"),)),
    Situation("netting", long_2, "long 2 and an exit that hangs on it", order(lot="1", side=Side.SELL), "refuse", ()),
    Situation("hedging", lot_2, "the lot", agrees, "adopt", ()),
    Situation("hedging", lot_2, "a second lot, long 1", lots(2, 1), "adopt", ((POSITION, "adopt"), (LOT, "adopt"))),
    Situation("hedging", lot_2, "a second lot, short 2 (manual hedge)", lots(2, -2), "adopt", ((POSITION, "adopt"), (LOT, "adopt"))),
    Situation("hedging", lot_2, "no lot (close-out)", hides(), "adopt", ((POSITION, "adopt"), (LOT, "adopt"))),
    Situation("hedging", lot_2, "the lot with 1", lots(1), "adopt", ((POSITION, "adopt"), (LOT, "adopt"))),
    Situation("hedging", lot_2, "another lot of the same size", lots(0, 2), "adopt", ((LOT, "adopt"),) * 2),
    Situation("hedging", nothing, "long 2 and short 2", lots(2, -2), "adopt", ((LOT, "adopt"),) * 2),
    Situation("hedging", nothing, "a lot, long 2", lots(2), "close", ((POSITION, "close"), (LOT, "close"))),
    Situation("hedging", lot_2, "a second lot, long 1", lots(2, 1), "refuse", ((POSITION, "refuse"), (LOT, "refuse"))),
    Situation("hedging", lot_2, "no lot, not all lots", hides(lots_complete=False), "adopt", ()),
]  # fmt: skip


def rig_for(mode: str) -> Rig:
    margin = mode != "spot"
    rig = Rig(margin=margin, instruments=[make_instrument(margin_rate=D("0.1"))] if margin else ())
    if mode == "hedging":
        rig.handle(AccountOpened(make_account(margin=True, hedging=True), rig.now_ns))
        rig.handle(make_snapshot({"USD": 1_000_000}, at_ns=rig.now_ns))
    return rig


def snapshot_of(rig: Rig, told: dict[str, Any]) -> AccountSnapshot:
    """Return a snapshot that was asked for a second after all that happened."""
    rig.wait()
    account = rig.state.portfolio.account("paper")
    same: tuple[Balance, ...] = tuple(make_balance(asset, total) for asset, total in account.totals.items())
    return make_snapshot({}, at_ns=rig.now_ns, **({"balances": same} | told))


def applied(rig: Rig, told: dict[str, Any], policy: ReconcileAction) -> None:
    rig.handle(ReconcileOrdered(snapshot_of(rig, told), policy, rig.now_ns))


def name_of(situation: Situation) -> str:
    return f"{situation.mode}: {situation.ours.__doc__} {situation.shown}; {situation.policy}"


@pytest.mark.parametrize("situation", TABLE, ids=name_of)
def test_the_plan_of_a_situation_is_applied_once_two_looks_agree_and_a_second_pass_is_empty(
    situation: Situation,
) -> None:
    rig, policy = rig_for(situation.mode), ReconcileAction(situation.policy)
    situation.ours(rig)
    told = situation.theirs(rig)
    found = plan(rig.state, snapshot_of(rig, told), Policies(policy))
    assert tuple((one.kind, one.action) for one in found) == situation.plan

    books = len(changes(rig))
    applied(rig, told, policy)
    if situation.plan:
        assert len(changes(rig)) == books, "one look changes nothing"
    applied(rig, told, policy)
    after, commands = len(changes(rig)), len(rig.commands)
    changing = {action for _, action in situation.plan} & {"adopt", "close"}
    if changing and not all(kind == LOT for kind, _ in situation.plan):
        assert after > books, "two looks that agree are applied"

    applied(rig, told, policy)
    applied(rig, told, policy)
    assert (len(changes(rig)), len(rig.commands)) == (after, commands), "a second pass changes nothing"
    rest = plan(rig.state, snapshot_of(rig, told), Policies(policy))
    stays = {"ask", "ignore", "refuse"}
    assert all(one.action in stays for one in rest), rest
    assert bool(rig.state.latches) is ("refuse" in {action for _, action in situation.plan})
    assert rig.shadow.portfolio.nets[BTC].quantity == rig.state.portfolio.nets[BTC].quantity


def changes(rig: Rig) -> list[Any]:
    """Return the facts that change more than balances."""
    return [one for one in rig.facts if not isinstance(one, BalancesRecorded | Reconciled | CashFlowRecorded)]


def test_the_document_holds_this_table() -> None:
    rows = [
        f"| {number} | {one.mode} | {(one.ours.__doc__ or '').rstrip('.')} | {one.shown} | {one.policy} "
        f"| {', '.join(f'`{kind}`: {action}' for kind, action in one.plan) or 'none'} |"
        for number, one in enumerate(TABLE, 1)
    ]
    shown = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| ") and line[2].isdigit()]
    assert shown == rows


def test_an_order_that_lives_though_it_had_ended_for_us_is_counted_again_and_cancelled() -> None:
    rig = rig_for("spot")
    denied(rig)
    told = late(rig)
    (order,) = rig.state.orders.all_orders()
    for _ in range(2):
        applied(rig, told, ReconcileAction.REFUSE)
    assert order.is_open
    assert rig.state.portfolio.book("s1", BTC).buys == 1, "what it may cost is reserved"
    assert [one.client_order_id for one in rig.sent(Cancel)] == [order.client_order_id]
    rig.accept(order)
    assert not order.is_open


# -- until a second look -----------------------------------------------------------------------------------------------


def look(rig: Rig, told: dict[str, Any]) -> None:
    """Show a periodic snapshot."""
    rig.handle(snapshot_of(rig, told))


def suspicious(policy: ReconcileAction = ReconcileAction.ADOPT) -> Rig:
    rig = rig_for("netting")
    rig.engine.context.policies["paper"] = Policies(policy)
    rig.hold(2)
    look(rig, lots(3)(rig))
    return rig


def test_after_one_look_only_new_exposure_in_that_instrument_waits() -> None:
    rig = suspicious()
    denied = rig.do(lambda s: s.buy(BTC, 1))
    assert denied.code.value == "reconciling"
    assert rig.do(lambda s: s.sell(BTC, 1)), "exits go on"
    assert rig.state.portfolio.nets[BTC].quantity == 2


def test_a_second_look_that_agrees_applies_it_and_lets_trading_go_on() -> None:
    rig = suspicious()
    look(rig, lots(3)(rig))
    assert rig.state.portfolio.nets[BTC].quantity == 3
    buy(rig)


def test_a_second_look_without_it_lets_trading_go_on_and_changes_nothing() -> None:
    rig = suspicious()
    look(rig, lots(2)(rig))
    assert rig.state.portfolio.nets[BTC].quantity == 2
    buy(rig)


def test_a_fill_between_two_looks_makes_the_count_begin_anew() -> None:
    rig = suspicious()
    rig.hold(-1)
    look(rig, lots(2)(rig))
    assert rig.state.portfolio.nets[BTC].quantity == 1, "the first of two again"
    assert rig.do(lambda s: s.buy(BTC, 1)).code.value == "reconciling"
    look(rig, lots(2)(rig))
    assert rig.state.portfolio.nets[BTC].quantity == 2


def test_an_order_that_came_and_went_between_two_looks_makes_the_count_begin_anew() -> None:
    rig = suspicious()
    order = rig.do(lambda s: s.sell(BTC, 1, Limit(150)))
    rig.accept(order)
    look(rig, lots(3)(rig) | {"orders": (rig.report_of(order),)})
    assert rig.state.portfolio.nets[BTC].quantity == 2, "the first of two again"
    look(rig, lots(3)(rig) | {"orders": (rig.report_of(order),)})
    assert rig.state.portfolio.nets[BTC].quantity == 3


def test_one_snapshot_told_twice_is_one_look() -> None:
    rig = rig_for("netting")
    snapshot = snapshot_of(rig, lots(3)(rig))
    for _ in range(3):
        rig.handle(ReconcileOrdered(snapshot, ReconcileAction.ADOPT, rig.now_ns))
    assert rig.state.portfolio.nets[BTC].quantity == 0


def test_a_lot_that_a_snapshot_showed_before_its_fill_belongs_to_who_opened_it() -> None:
    rig = rig_for("hedging")
    order = buy(rig, 2)
    rig.accept(order)
    look(rig, lots(2)(rig))
    rig.report(order, filled_quantity=D(2), fills=(Fill("t1", D(2), D(100), lot="1"),), state=OrderState.FILLED)
    (held,) = rig.state.lots["paper"].all()
    assert (held.strategy, held.lot.quantity) == ("s1", D(2))


def test_closing_a_foreign_lot_on_a_hedging_account_closes_that_lot_and_no_other() -> None:
    rig = rig_for("hedging")
    lot_2(rig)
    told = lots(2, 3)(rig)
    applied(rig, told, ReconcileAction.CLOSE)
    applied(rig, told, ReconcileAction.CLOSE)
    assert [(one.lot, one.quantity) for one in rig.sent(CloseLot)] == [("2", None)], "the whole of it"


def test_closing_leaves_what_an_operator_holds_by_hand() -> None:
    rig = rig_for("netting")
    rig.handle(OrderOrdered(BTC, Side.BUY, D(5), Limit(D(100)), "ann", rig.now_ns))
    (mine,) = rig.state.orders.open_orders()
    rig.accept(mine)
    rig.fill(mine)
    told = lots(7)(rig)
    applied(rig, told, ReconcileAction.CLOSE)
    applied(rig, told, ReconcileAction.CLOSE)
    assert [(one.spec.side, one.remaining) for one in rig.state.orders.open_orders()] == [(Side.SELL, D(2))]


def test_an_instrument_may_be_answered_otherwise_than_its_venue() -> None:
    rig = rig_for("netting")
    policies = Policies(ReconcileAction.REFUSE, {BTC: ReconcileAction.ADOPT})
    (found,) = plan(rig.state, snapshot_of(rig, lots(3)(rig)), policies)
    assert found.action == "adopt"
    assert msgspec.json.encode(found)
