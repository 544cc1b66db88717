"""Control 19: daily loss and drawdown trip exactly once, unrealised included, and survive a fold and a new day."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantd.domain.cash import CashFlow, CashFlowKind
from quantd.domain.events import (
    CashMoved,
    DayRolled,
    HaltOrdered,
    InstrumentListed,
    OrderOrdered,
    Resumed,
    TradingState,
)
from quantd.domain.facts import StateSet
from quantd.domain.orders import Market, Side
from quantd.engine.orders import Order
from quantd.engine.risk.limits import Limits, RiskSettings
from quantd.engine.risk.losses import Losses
from quantd.engine.risk.profits import Valued
from quantd.engine.risk.wish import Denial, Denied
from quantd.testing.builders import BTC, Puppet, Rig, make_instrument
from tests.unit.risk.cases import place, resting

D = Decimal
SCOPES = {"strategy:s1": "strategy:s1", "account": "all"}


def rig_with(scope: str, limits: Limits, **rig: Any) -> Rig:
    if scope == "account":
        return Rig(risk=RiskSettings(base_currency="USD", account=limits), **rig)
    return Rig(limits={"s1": limits}, **rig)


def trips(rig: Rig) -> list[StateSet]:
    return [fact for fact in rig.of(StateSet) if fact.by == "loss_limit"]


@pytest.fixture(params=SCOPES)
def scope(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def test_a_daily_loss_trips_once_above_its_limit_unrealised_included(scope: str) -> None:
    rig = rig_with(scope, Limits(max_daily_loss=D(10)))
    rig.hold(1)
    for price in (99, 91, 90.01, 90):
        rig.quote(price)
        assert trips(rig) == []
    for price in (89.99, 80, 95, 70):
        rig.quote(price)
    assert [(one.scope, one.state) for one in trips(rig)] == [(SCOPES[scope], TradingState.REDUCING)]
    denied = place(rig, Side.BUY, "1", None)
    assert isinstance(denied, Denied)
    assert (denied.code, denied.scope) == (Denial.TRADING_STATE, SCOPES[scope])
    assert isinstance(place(rig, Side.SELL, "1", None), Order)


def test_a_realised_loss_counts_with_its_fees(scope: str) -> None:
    rig = rig_with(scope, Limits(max_daily_loss=D(10)))
    rig.hold(1)
    order = place(rig, Side.SELL, "1", None)
    assert isinstance(order, Order)
    rig.accept(order)
    rig.report(
        order,
        filled_quantity=D(1),
        average_price=D("90.5"),
        fees=(("USD", D("0.5")),),
    )
    assert trips(rig) == [], "a loss of 10 is at the limit"
    rig.hold(1, price="100")
    rig.quote(99.99)
    assert len(trips(rig)) == 1


def test_a_trip_survives_a_fold_and_does_not_repeat(scope: str) -> None:
    limits = Limits(max_daily_loss=D(10))
    rig = rig_with(scope, limits)
    rig.hold(1)
    rig.quote(89)
    again = rig_with(scope, limits, facts=rig.facts, price=None)
    again.quote(80)
    assert len(trips(again)) == 1
    assert isinstance(place(again, Side.BUY, "1", None), Denied)


def test_a_loss_before_a_restart_counts_after_it(scope: str) -> None:
    limits = Limits(max_daily_loss=D(10))
    rig = rig_with(scope, limits)
    rig.hold(1)
    rig.quote(92)
    again = rig_with(scope, limits, facts=rig.facts, price=None)
    again.quote(91)
    assert trips(again) == []
    again.quote(89)
    assert len(trips(again)) == 1


def test_a_new_day_counts_from_where_it_began_and_a_restart_keeps_that(scope: str) -> None:
    limits = Limits(max_daily_loss=D(10))
    rig = rig_with(scope, limits)
    rig.hold(1)
    rig.quote(91)
    rig.handle(DayRolled("2026-01-02", rig.now_ns))
    rig.handle(DayRolled("2026-01-02", rig.now_ns))
    rig.quote(82)
    assert trips(rig) == []
    again = rig_with(scope, limits, facts=rig.facts, price=None)
    again.quote(81)
    assert trips(again) == [], "9 since yesterday and 10 since the day began"
    again.quote(80.99)
    assert len(trips(again)) == 1


def test_a_trip_outlives_the_day_until_a_person_clears_it(scope: str) -> None:
    rig = rig_with(scope, Limits(max_daily_loss=D(10)))
    rig.hold(1)
    rig.quote(85)
    rig.handle(DayRolled("2026-01-02", rig.now_ns))
    assert isinstance(place(rig, Side.BUY, "1", None), Denied)
    rig.handle(Resumed(SCOPES[scope], "ann", "looked at it", rig.now_ns))
    assert isinstance(place(rig, Side.BUY, "1", None), Order)
    rig.quote(84)
    assert len(trips(rig)) == 1


def test_a_trailing_drawdown_is_measured_from_the_peak_and_a_restart_knows_it(scope: str) -> None:
    limits = Limits(max_drawdown=D(10))
    rig = rig_with(scope, limits)
    rig.hold(1)
    rig.quote(120)
    rig.wait()
    rig.quote(110)
    assert trips(rig) == []
    again = rig_with(scope, limits, facts=rig.facts, price=None)
    again.quote(109.99)
    assert len(trips(again)) == 1


def test_a_drawdown_that_does_not_trail_is_measured_from_the_start(scope: str) -> None:
    rig = rig_with(scope, Limits(max_drawdown=D(10), drawdown_trailing=False))
    rig.hold(1)
    rig.quote(120)
    rig.quote(90)
    assert trips(rig) == []
    rig.quote(89.99)
    assert len(trips(rig)) == 1


@pytest.mark.parametrize(
    ("action", "state"),
    [("reduce", TradingState.REDUCING), ("halt", TradingState.HALTED), ("flatten", TradingState.REDUCING)],
)
def test_the_action_is_carried_out(scope: str, action: Any, state: TradingState) -> None:
    rig = rig_with(scope, Limits(max_daily_loss=D(10), loss_action=action))
    rig.hold(1)
    entry, target = resting(rig, Side.BUY, "1", "70"), resting(rig, Side.SELL, "1", "120")
    rig.quote(89)
    assert trips(rig)[0].state is state
    assert rig.live(entry).operation is not None, "entries are cancelled"
    assert (rig.live(target).operation is not None) == (action != "reduce")
    rig.accept(entry)
    if action == "flatten":
        rig.accept(target)
        (close,) = rig.state.orders.open_orders(BTC)
        assert (close.spec.side, close.remaining, close.exit) == (Side.SELL, D(1), True)
        rig.accept(close)
        rig.fill(close)
        assert rig.state.portfolio.book("s1", BTC).quantity == 0


def with_orphans(**more: Any) -> Rig:
    """Return a rig that held for s1, for s2, which is configured no more, and for nobody (EXTERNAL)."""
    rig = Rig()
    rig.hold(1, "s1")
    rig.hold(3, "s2")
    rig.handle(OrderOrdered(BTC, Side.BUY, D(2), Market(), "ann", rig.now_ns))
    (by_hand,) = rig.state.orders.open_orders()
    rig.accept(by_hand)
    rig.fill(by_hand)
    limits = Limits(max_daily_loss=D(10), loss_action="flatten")
    return rig_with("account", limits, facts=rig.facts, strategies={"s1": Puppet()}, **more)


def test_flatten_closes_the_books_that_no_strategy_looks_after_too() -> None:
    rig = with_orphans()
    rig.quote(90)
    closing = {order.strategy: order.remaining for order in rig.state.orders.open_orders(BTC)}
    assert closing == {"s1": 1, "s2": 3, "": 2}
    for order in list(rig.state.orders.open_orders(BTC)):
        rig.accept(order)
        rig.fill(order)
    assert rig.state.portfolio.nets[BTC].quantity == 0


def test_a_close_that_is_denied_for_a_strategy_that_is_gone_tells_nobody() -> None:
    rig = with_orphans()
    rig.handle(HaltOrdered(f"instrument:{BTC}", TradingState.HALTED, "ann", "drill", 1, rig.now_ns))
    rig.quote(90)
    assert len(trips(rig)) == 1
    assert list(rig.state.orders.open_orders(BTC)) == []


def test_flatten_waits_for_a_working_exit_whose_cancel_comes_late(scope: str) -> None:
    rig = rig_with(scope, Limits(max_daily_loss=D(10), loss_action="flatten"))
    rig.hold(1)
    target = resting(rig, Side.SELL, "1", "120")
    rig.quote(89)
    for _ in range(300):
        rig.wait()
    rig.accept(target)
    (close,) = rig.state.orders.open_orders(BTC)
    assert close.remaining == 1


def test_deposits_and_withdrawals_are_neither_profit_nor_loss() -> None:
    rig = rig_with("account", Limits(max_daily_loss=D(10), max_drawdown=D(10)))
    rig.hold(1)
    for number, amount in enumerate((D(-5_000), D(9_000), D(-2_000))):
        kind = CashFlowKind.WITHDRAWAL if amount < 0 else CashFlowKind.DEPOSIT
        rig.handle(CashMoved(CashFlow("paper", str(number), kind, "USD", amount, rig.now_ns), rig.now_ns))
        rig.quote(99)
    assert trips(rig) == []


def test_funding_is_a_loss_of_the_account() -> None:
    rig = rig_with("account", Limits(max_daily_loss=D(10)))
    rig.hold(1)
    flow = CashFlow("paper", "1", CashFlowKind.FUNDING, "USD", D(-11), rig.now_ns, BTC)
    rig.handle(CashMoved(flow, rig.now_ns))
    rig.quote(100)
    assert len(trips(rig)) == 1


def test_without_a_price_nothing_is_guessed() -> None:
    rig = rig_with("account", Limits(max_daily_loss=D(10)))
    rig.hold(1)
    rig.quote(0, 50)
    assert trips(rig) == []


def test_one_strategy_s_loss_is_its_own_and_the_account_s() -> None:
    rig = Rig(
        risk=RiskSettings(base_currency="USD", account=Limits(max_daily_loss=D(25))),
        limits={"s1": Limits(max_daily_loss=D(10)), "s2": Limits(max_daily_loss=D(100))},
    )
    rig.hold(1, "s1")
    rig.hold(1, "s2")
    rig.quote(89)
    assert [one.scope for one in trips(rig)] == ["strategy:s1"]
    rig.quote(87)
    assert [one.scope for one in trips(rig)] == ["strategy:s1", "all"]


def test_a_trip_never_loosens_a_halt_and_takes_over_what_a_schedule_set() -> None:
    rig = rig_with("account", Limits(max_daily_loss=D(10)))
    rig.hold(1)
    rig.handle(HaltOrdered("all", TradingState.HALTED, "ann", "drill", 1, rig.now_ns))
    rig.quote(80)
    assert rig.state.latches["all"].state is TradingState.HALTED


@pytest.mark.parametrize("limit", ["max_daily_loss", "max_drawdown"])
def test_a_disabled_loss_limit_would_be_noticed(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(self: Losses, scope: str, limits: Limits, valued: Valued) -> None:
        return None

    monkeypatch.setattr(Losses, "_look", never)
    rig = rig_with("account", msgspec.convert({limit: D(10)}, Limits))
    rig.hold(1)
    rig.quote(50)
    assert trips(rig) == []


def test_a_strategy_may_go_on_reducing_at_market_after_a_trip() -> None:
    rig = rig_with("strategy:s1", Limits(max_daily_loss=D(10)))
    rig.hold(2)
    rig.quote(80)
    assert isinstance(rig.do(lambda s: s.sell(BTC, 1, Market())), Order)


@given(
    st.lists(st.tuples(st.sampled_from(["buy", "sell", "price", "rules"]), st.integers(1, 40)), min_size=1, max_size=8)
)
def test_the_profit_is_that_of_now_whatever_was_asked_before(steps: list[tuple[str, int]]) -> None:
    rig = rig_with("account", Limits(max_daily_loss=D(10**9)))
    losses, portfolio, marks = rig.engine.guards.losses, rig.state.portfolio, rig.state.rates.marks
    rig.hold(100)
    for version, (what, amount) in enumerate(steps, 2):
        if what == "price":
            rig.quote(100 + amount)
        elif what == "rules":
            rules = make_instrument(units_per_quantity=D(amount), version=version)
            rig.handle(InstrumentListed(rules, rig.now_ns))
        else:
            rig.hold(amount if what == "buy" else -1)
        expected = D(0)
        for book in portfolio.books():
            price = marks[book.instrument.id].exact()
            assert price is not None
            expected += book.realised + (book.unrealised(price) if book.quantity else 0)
        assert [losses.profit("account"), losses.profit("account")] == [expected, expected]
