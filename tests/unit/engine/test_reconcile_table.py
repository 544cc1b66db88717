"""Ours against theirs, situation by situation: the plan of each, what adopting makes of it, and an empty second pass.

`docs/reconciliation.md` shows the same table; the last test holds the page to it.
"""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from quantd.domain.capabilities import LotWrite
from quantd.domain.events import AccountOpened, ReconcileAction, ReconcileOrdered
from quantd.domain.instruments import InstrumentId
from quantd.domain.lots import Lot
from quantd.domain.orders import OrderState, Side
from quantd.domain.outcomes import Unknown
from quantd.domain.reports import AccountSnapshot, OrderReport
from quantd.engine.differences import plan
from quantd.testing.builders import (
    BTC,
    Rig,
    make_account,
    make_balance,
    make_capabilities,
    make_instrument,
    make_snapshot,
)
from tests.unit.engine.acts import buy

D = Decimal
PAGE = Path(__file__).parents[3] / "docs" / "reconciliation.md"
_LOTS = make_capabilities(lot_writes=frozenset(LotWrite))


def rig_of(account: str) -> Rig:
    """Return an engine with one account: ``spot``, ``netting`` or ``hedging``."""
    if account == "spot":
        return Rig(balances={"USD": 100_000, "BTC": 10})
    rig = Rig(margin=True, instruments=[make_instrument(margin_rate=D("0.1"))], capabilities=_LOTS)
    if account == "hedging":
        rig.handle(AccountOpened(make_account(margin=True, hedging=True), rig.now_ns))
    return rig


class Theirs:
    """What the venue shows, beginning with what we hold for true."""

    def __init__(self, rig: Rig) -> None:
        rig.wait()
        self.rig = rig
        account = rig.state.portfolio.account("paper")
        self.totals = dict(account.totals)
        self.orders: list[OrderReport] = [
            rig.report_of(order) for order in rig.state.orders.open_orders() if order.is_acknowledged
        ]
        self.lots: list[Lot] = []
        net = rig.state.portfolio.nets[BTC].quantity
        if account.is_margin and net:
            self.lots.append(lot(net))
        self.orders_complete = self.lots_complete = True
        self.asked_at_ns = rig.now_ns

    def snapshot(self) -> AccountSnapshot:
        reserved = self.rig.state.portfolio.account("paper").reserved
        balances = tuple(
            make_balance(asset, total, locked=min(reserved.get(asset, D(0)), total))
            for asset, total in self.totals.items()
        )
        return make_snapshot(
            {}, at_ns=self.asked_at_ns, balances=balances, orders=tuple(self.orders), lots=tuple(self.lots),
            orders_complete=self.orders_complete, lots_complete=self.lots_complete,
        )  # fmt: skip


def lot(quantity: Any, id_: str = "1", instrument: str = BTC) -> Lot:
    signed = D(quantity)
    return Lot(id_, InstrumentId(instrument), Side.BUY if signed > 0 else Side.SELL, abs(signed), D(100))


def foreign(rig: Rig, id_: str = "f1", instrument: str = BTC, **fields: Any) -> OrderReport:
    told: dict[str, Any] = {
        "state": OrderState.WORKING, "filled_quantity": D(0), "side": Side.BUY, "quantity": D(2), "price": D(95),
    }  # fmt: skip
    return OrderReport(InstrumentId(instrument), id_, received_at_ns=rig.now_ns, **(told | fields))


class Situation(NamedTuple):
    """One row."""

    name: str
    account: str
    ours: Callable[[Rig], Any]
    theirs: Callable[[Theirs], Any]
    plan: tuple[tuple[str, str], ...]
    """(kind, subject) of each difference; ``OURS`` stands for the id of our order."""
    repairable: bool = True


def nothing(_: Any) -> None:
    """Leave it as it is."""


def working(rig: Rig) -> None:
    rig.accept(buy(rig, 2, 95))


def unknown(rig: Rig) -> None:
    rig.answer(buy(rig, 2, 95), Unknown("timeout"))


def held(quantity: Any) -> Callable[[Rig], None]:
    return lambda rig: rig.hold(D(quantity))


def total(asset: str, change: Any) -> Callable[[Theirs], None]:
    def act(theirs: Theirs) -> None:
        theirs.totals[asset] = theirs.totals.get(asset, D(0)) + D(change)

    return act


def lots(*found: Lot) -> Callable[[Theirs], None]:
    def act(theirs: Theirs) -> None:
        theirs.lots = list(found)

    return act


def orders(*ids: str, **fields: Any) -> Callable[[Theirs], None]:
    def act(theirs: Theirs) -> None:
        theirs.orders += [foreign(theirs.rig, one, **fields) for one in ids]

    return act


def gone(theirs: Theirs) -> None:
    theirs.orders = []


def unread_orders(theirs: Theirs) -> None:
    theirs.orders, theirs.orders_complete = [], False


def unread_lots(theirs: Theirs) -> None:
    theirs.lots, theirs.lots_complete = [], False


def early(theirs: Theirs) -> None:
    theirs.asked_at_ns = 1
    theirs.lots = [lot(9)]


def partly(theirs: Theirs) -> None:
    (report,) = theirs.orders
    order = next(iter(theirs.rig.state.orders.open_orders()))
    total("USD", -95)(theirs)
    total("BTC", 1)(theirs)
    theirs.orders = [
        theirs.rig.report_of(order, filled_quantity=D(1), average_price=report.price, state=OrderState.PARTIALLY_FILLED)
    ]


STRANGE = "paper:XRP-USD"
SITUATIONS = (
    # spot
    Situation("nothing anywhere", "spot", nothing, nothing, ()),
    Situation("our order works there", "spot", working, nothing, ()),
    Situation(
        "our order is partly filled there: its report explains the balances", "spot", working, partly,
        (("balance", "USD"), ("balance", "BTC")),
    ),
    Situation("an acknowledgement was lost, the order is there", "spot", unknown, orders("v9"), ()),
    Situation("a submit is unknown and nothing is there", "spot", unknown, nothing, ()),
    Situation("our order is gone from the whole list", "spot", working, gone, (("missing_order", "OURS"),)),
    Situation("our order is on a page that was not read", "spot", working, unread_orders, ()),
    Situation("somebody else's order works", "spot", nothing, orders("f1"), (("foreign_order", "f1"),)),
    Situation(
        "somebody else's order is partly filled", "spot", nothing,
        orders("f1", filled_quantity=D(1), state=OrderState.PARTIALLY_FILLED), (("foreign_order", "f1"),),
    ),
    Situation(
        "two orders of somebody else beside ours", "spot", working, orders("f1", "f2"),
        (("foreign_order", "f1"), ("foreign_order", "f2")),
    ),
    Situation(
        "an order in an instrument that we do not know", "spot", nothing, orders("f1", instrument=STRANGE),
        (("foreign_order", "f1"),), repairable=False,
    ),
    Situation("a deposit", "spot", nothing, total("USD", 500), (("balance", "USD"),)),
    Situation("a withdrawal", "spot", nothing, total("USD", -500), (("balance", "USD"),)),
    Situation("an asset that we never had", "spot", nothing, total("ETH", 3), (("balance", "ETH"),)),
    Situation(
        "a manual trade: one asset against another", "spot", nothing,
        lambda theirs: (total("BTC", 1)(theirs), total("USD", -100)(theirs)),
        (("balance", "USD"), ("balance", "BTC")),
    ),
    Situation("dust of a fee in the base asset", "spot", held(1), total("BTC", "-0.0001"), (("balance", "BTC"),)),
    # netting margin
    Situation("flat, and flat there", "netting", nothing, nothing, ()),
    Situation("long, and as long there", "netting", held(3), nothing, ()),
    Situation("long, and flat there", "netting", held(3), lots(), (("position", BTC),)),
    Situation("long, and longer there", "netting", held(3), lots(lot(5)), (("position", BTC),)),
    Situation("long, and short there", "netting", held(3), lots(lot(-2)), (("position", BTC),)),
    Situation("flat, and a manual trade there", "netting", nothing, lots(lot(4)), (("position", BTC),)),
    Situation("short, and as short there", "netting", held(-2), nothing, ()),
    Situation("long, and lots that could not all be read", "netting", held(3), unread_lots, ()),
    Situation("a position there from before our last order event", "netting", held(3), early, ()),
    Situation(
        "a position in an instrument that we do not know", "netting", nothing, lots(lot(1, "9", STRANGE)),
        (("position", STRANGE),), repairable=False,
    ),
    Situation("financing was charged", "netting", held(3), total("USD", "-1.25"), (("balance", "USD"),)),
    Situation(
        "a foreign order and a manual trade at once", "netting", nothing,
        lambda theirs: (orders("f1")(theirs), lots(lot(1))(theirs)), (("foreign_order", "f1"), ("position", BTC)),
    ),
    Situation(
        "an exit that hangs on a lot is no foreigner", "netting", held(3), orders("s1", side=Side.SELL, lot="1"), ()
    ),
    # hedging margin
    Situation("one lot, and the same there", "hedging", held(3), nothing, ()),
    Situation("one lot, and two there that add up", "hedging", held(3), lots(lot(1), lot(2, "2")), ()),
    Situation("one lot, and a second of somebody else", "hedging", held(3), lots(lot(3), lot(2, "2")),
              (("position", BTC),)),
    Situation("one lot, and it was closed by hand", "hedging", held(3), lots(), (("position", BTC),)),
    Situation("a long and a short of somebody else that cancel out: no exposure", "hedging", nothing,
              lots(lot(2), lot(-2, "2")), ()),
)  # fmt: skip


def found(rig: Rig, snapshot: AccountSnapshot) -> list[tuple[str, str]]:
    return [(one.kind, one.subject) for one in plan(rig.state, snapshot)]


def wanted(rig: Rig, row: Situation) -> list[tuple[str, str]]:
    own = next((order.client_order_id for order in rig.state.orders.open_orders()), "")
    return [(kind, own if subject == "OURS" else subject) for kind, subject in row.plan]


@pytest.mark.parametrize("row", SITUATIONS, ids=lambda row: row.name.replace(" ", "_"))
def test_a_situation_has_its_plan_and_a_second_pass_is_empty(row: Situation) -> None:
    rig = rig_of(row.account)
    row.ours(rig)
    theirs = Theirs(rig)
    row.theirs(theirs)
    snapshot = theirs.snapshot()
    assert found(rig, snapshot) == wanted(rig, row)
    rig.handle(ReconcileOrdered(snapshot, ReconcileAction.ADOPT, rig.now_ns))
    if not row.repairable:
        assert rig.state.latches["venue:paper"].by == "reconciliation"
        return
    rig.wait()
    if row.theirs is not early:
        theirs.asked_at_ns = rig.now_ns  # the same is shown when it is asked again
        snapshot = theirs.snapshot()
    facts = len(rig.facts)
    rig.handle(ReconcileOrdered(snapshot, ReconcileAction.ADOPT, rig.now_ns))
    kinds = {type(fact).__name__ for fact in rig.facts[facts:]}
    assert kinds <= {"BalancesRecorded", "Reconciled"}, "a second pass repairs nothing"
    left = [one for one in found(rig, snapshot) if one[0] != "missing_order"]
    assert left == [], "adopting has taken the venue's word"


@pytest.mark.parametrize("row", [one for one in SITUATIONS if one.plan], ids=lambda row: row.name.replace(" ", "_"))
def test_one_snapshot_blocks_a_second_one_repairs(row: Situation) -> None:
    serious = [kind for kind, _ in row.plan if kind in ("foreign_order", "position")]
    rig = rig_of(row.account)
    rig.handle(ReconcileOrdered(Theirs(rig).snapshot(), ReconcileAction.ADOPT, rig.now_ns))
    row.ours(rig)
    theirs = Theirs(rig)
    row.theirs(theirs)
    rig.handle(theirs.snapshot())
    blocked = rig.engine.context.suspicions.against(InstrumentId(BTC)) if serious and row.repairable else None
    if serious and row.repairable:
        assert blocked is not None, "new exposure waits until the second look"
    before = len(rig.facts)
    rig.wait()
    again = Theirs(rig)
    row.theirs(again)
    rig.handle(again.snapshot())
    repaired = {type(fact).__name__ for fact in rig.facts[before:]} & {"ExternalOrderSeen", "PositionAdjusted"}
    assert bool(repaired) is bool(serious and row.repairable)


def page_rows() -> list[str]:
    return [
        f"| {number} | {row.account} | {row.name} | "
        + ("; ".join(f"{kind} {subject}" for kind, subject in row.plan) or "none")
        + (" |" if row.repairable else ": named in a latch |")
        for number, row in enumerate(SITUATIONS, 1)
    ]


def test_the_page_shows_this_table() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert len(SITUATIONS) >= 25
    missing = [row for row in page_rows() if row not in text]
    assert not missing, "\n".join(["rows that docs/reconciliation.md lacks:", *missing])
