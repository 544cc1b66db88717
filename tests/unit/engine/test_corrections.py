"""A fill whose price is known better later: what it opened has cost another price, what it closed has earned another profit."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantd.domain.facts import CashFlowRecorded
from quantd.domain.fills import Fill, Quality
from quantd.domain.lots import Lot
from quantd.domain.orders import OrderState, Side
from quantd.engine.portfolio import Portfolio
from quantd.testing.builders import (
    BTC,
    Rig,
    make_account,
    make_balance,
    make_instrument,
    make_lot_capabilities,
    make_snapshot,
)
from tests.invariants import check_image, check_rig
from tests.unit.engine.acts import buy

D = Decimal
NOW = 1_000


def estimated(rig: Rig, *, lot: str = "") -> Any:
    """Return an order for one, filled at a price that is estimated to be 100."""
    order = buy(rig, 1)
    rig.accept(order)
    fill = Fill("t1", D(1), D(100), Quality.ESTIMATED, lot=lot)
    rig.report(order, filled_quantity=D(1), state=OrderState.FILLED, fills=(fill,))
    return order


def confirm(rig: Rig, order: Any, *, lot: str = "") -> None:
    told = Fill("t1", D(1), D(101), lot=lot)
    rig.report(order, filled_quantity=D(1), average_price=D(101), state=OrderState.FILLED, fills=(told,))


@pytest.mark.parametrize("kind", [{}, {"margin": True}, {"margin": True, "hedging": True}])
def test_what_is_open_has_cost_the_price_that_is_known_now(kind: dict[str, Any]) -> None:
    rig = Rig(**kind)
    confirm(rig, estimated(rig))
    position = rig.do(lambda s: s.position(BTC))
    assert (position.quantity, position.average_price, position.realised) == (1, 101.0, 0.0)
    assert rig.state.portfolio.nets[BTC].cost == 101
    check_rig(rig)
    check_image(rig)


@pytest.mark.parametrize("hedging", [False, True])
def test_a_margin_account_is_worth_the_same_before_and_after_the_next_look_and_no_money_has_moved(
    hedging: bool,
) -> None:
    """The venue's balance never held what the better price changed: it shows in the open position alone."""
    rig = Rig(margin=True, hedging=hedging, balances={"USD": 1_000}, capabilities=make_lot_capabilities())
    name = "l1" if hedging else ""
    confirm(rig, estimated(rig, lot=name), lot=name)
    rig.quote(110)
    shown: dict[str, Any] = {"lots": (Lot("l1", BTC, Side.BUY, D(1), D(101)),)} if hedging else {}
    for _ in range(4):
        assert rig.state.equity("paper") == 1_009
        rig.wait()
        rig.handle(make_snapshot({"USD": 1_000}, at_ns=rig.now_ns, **shown))
    assert rig.state.equity("paper") == 1_009
    assert rig.of(CashFlowRecorded) == []
    check_rig(rig)


def test_a_lot_that_a_look_has_shown_keeps_the_open_price_that_it_showed() -> None:
    rig = Rig(margin=True, hedging=True, balances={"USD": 1_000}, capabilities=make_lot_capabilities())
    order = estimated(rig, lot="l1")
    rig.wait()
    rig.handle(make_snapshot({"USD": 1_000}, at_ns=rig.now_ns, lots=(Lot("l1", BTC, Side.BUY, D(1), D(101)),)))
    confirm(rig, order, lot="l1")
    rig.quote(110)
    assert rig.state.equity("paper") == 1_009


def test_what_has_been_closed_meanwhile_has_earned_the_difference() -> None:
    rig = Rig(margin=True, balances={"USD": 1_000})
    order = estimated(rig)
    rig.hold(-1, price=110)
    confirm(rig, order)
    book = rig.state.portfolio.book("s1", BTC)
    assert (book.quantity, book.cost, book.realised) == (D(0), D(0), D(9))
    assert rig.state.portfolio.account("paper").totals == {"USD": D(1_009)}


@given(
    st.lists(
        st.tuples(st.integers(-9, 9).filter(bool), st.integers(1, 99), st.integers(1, 99)), min_size=1, max_size=9
    ),
    st.sampled_from(["spot", "netting", "hedging"]),
    st.integers(1, 99),
)
def test_corrections_leave_the_worth_that_the_true_prices_make(
    trades: list[tuple[int, int, int]], kind: str, mark: int
) -> None:
    portfolio = Portfolio()
    portfolio.listed(make_instrument())
    account = portfolio.account("paper")
    account.account = make_account(margin=kind != "spot", hedging=kind == "hedging")
    account.replace([make_balance("USD", 0)], 0, {})
    fills, gained = [], D(0)
    for number, (quantity, guess, true) in enumerate(trades):
        side = Side.BUY if quantity > 0 else Side.SELL
        before, after = (Fill(str(number), D(abs(quantity)), D(price)) for price in (guess, true))
        portfolio.fill("s", BTC, side, before, NOW)
        fills.append((side, before, after))
        gained += quantity * (mark - true)
    for side, before, after in fills:
        portfolio.correct("s", BTC, side, (before, after), NOW)
    book, net = portfolio.book("s", BTC), portfolio.nets[BTC]
    for holding in (book, net):
        assert abs(holding.realised + holding.unrealised(D(mark)) - gained) < D("1e-30")
        assert holding.quantity or not holding.cost
    worth = account.totals["USD"]
    worth += account.totals.get("BTC", D(0)) * mark if kind == "spot" else net.unrealised(D(mark))
    assert abs(worth - gained) < D("1e-30")
