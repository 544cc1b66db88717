"""Controls 1 to 10 (but 6) beyond their boundaries: what is malformed, missing, not allowed, repeated, or against ourselves."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantd.domain.capabilities import Identity, Key, NoIdentity
from quantd.domain.events import InstrumentListed
from quantd.domain.facts import RequestDenied
from quantd.domain.instruments import InstrumentId, TickTier
from quantd.domain.orders import Limit, Side, Stop, StopLimit
from quantd.domain.outcomes import Unknown
from quantd.engine.orders import Order
from quantd.engine.risk.controls import DEFAULTS
from quantd.engine.risk.limits import Limits, RiskSettings
from quantd.engine.risk.wish import Denial, Denied
from quantd.testing.builders import BTC, Rig, make_capabilities, make_instrument
from tests.unit.risk.cases import SCOPES, place, resting, rig_with

D = Decimal
BUY, SELL = Side.BUY, Side.SELL


def code(answer: Order | Denied) -> Denial | None:
    """Return why it was denied, None when it passed."""
    return answer.code if isinstance(answer, Denied) else None


# -- 1: well formed --------------------------------------------------------------------------------------------------

broken = st.sampled_from([float("nan"), float("inf"), float("-inf"), 0.0, -1.0, D("NaN"), D("-Infinity"), D(0), D(-1)])


@given(broken, st.sampled_from(["quantity", "price", "trigger"]))
def test_a_number_that_is_not_finite_and_positive_is_denied_and_nothing_is_sent(value: Any, where: str) -> None:
    rig = Rig()
    quantity = value if where == "quantity" else 1
    how: Any = Limit(value if where == "price" else 100)
    if where == "trigger":
        how = Stop(value)
    answer = rig.do(lambda s: s.buy(BTC, quantity, how))
    assert code(answer) is Denial.MALFORMED
    assert rig.commands == []
    assert len(rig.of(RequestDenied)) == 1


@given(st.decimals("0.001", "20", places=7), st.decimals("99", "101", places=7), st.sampled_from(Side))
def test_digits_too_many_are_snapped_so_that_the_order_is_never_worse_than_meant(
    quantity: Decimal, price: Decimal, side: Side
) -> None:
    rig = Rig()
    answer = rig.do(lambda s: (s.buy if side is BUY else s.sell)(BTC, quantity, Limit(price)))
    assert isinstance(answer, Order)
    assert answer.quantity <= quantity
    assert answer.quantity % D("0.001") == 0
    assert answer.price is not None
    assert answer.price % D("0.01") == 0
    assert answer.price <= price if side is BUY else answer.price >= price


def test_an_amendment_to_nothing_or_below_what_was_filled_is_denied() -> None:
    rig = Rig()
    order = resting(rig, BUY, "3", "100")
    rig.fill(order, 1)
    assert code(rig.do(lambda s: s.amend(order, quantity=0))) is Denial.MALFORMED
    assert code(rig.do(lambda s: s.amend(order, quantity=D("0.5")))) is Denial.MALFORMED
    assert code(rig.do(lambda s: s.amend(order, price=float("nan")))) is Denial.MALFORMED
    assert isinstance(rig.do(lambda s: s.amend(order, quantity=2)), Order)


def test_new_rules_of_an_instrument_hold_for_the_next_order() -> None:
    rig = Rig()
    assert code(place(rig, BUY, "0.001", "100")) is None
    rig.handle(InstrumentListed(make_instrument(lot=D("0.01"), min_quantity=D("0.01"), version=2), rig.now_ns))
    assert code(place(rig, BUY, "0.001", "100")) is Denial.MALFORMED


def test_ticks_by_tier_are_kept() -> None:
    tiers = (TickTier(D(0), D("0.01")), TickTier(D(100), D("0.5")))
    rig = Rig(instruments=[make_instrument(ticks=tiers)])
    bought, sold = place(rig, BUY, "1", "101.37"), place(rig, SELL, "1", "101.63", "s2")
    assert isinstance(bought, Order)
    assert isinstance(sold, Order)
    assert (bought.price, sold.price) == (D("101.0"), D("102.0"))


# -- 3: value --------------------------------------------------------------------------------------------------------

EUR = InstrumentId("paper:BTC-EUR")


def test_a_move_of_the_rate_takes_an_order_over_its_value_limit() -> None:
    rig = Rig(
        instruments=[make_instrument(EUR), make_instrument("paper:EUR_USD")],
        balances={"EUR": 10_000, "USD": 10_000},
        risk=RiskSettings(base_currency="USD", account=Limits(max_order_notional=D(120))),
    )
    rig.quote(1.20, instrument="paper:EUR_USD")
    assert isinstance(rig.do(lambda s: s.buy(EUR, 1, Limit(D(100)))), Order)
    rig.quote(1.21, instrument="paper:EUR_USD")
    answer = rig.do(lambda s: s.buy(EUR, 1, Limit(D(99))))
    assert isinstance(answer, Order)
    assert code(rig.do(lambda s: s.buy(EUR, 1, Limit(D(100))))) is Denial.ORDER_NOTIONAL


def test_multiplier_and_inverse_contracts_count_in_the_base_currency() -> None:
    risk = RiskSettings(base_currency="USD", account=Limits(max_order_notional=D(500)))
    rules: dict[str, Any] = {"margin_rate": D("0.01"), "units_per_quantity": D(10)}
    linear = Rig(instruments=[make_instrument(**rules)], margin=True, risk=risk)
    assert code(place(linear, BUY, "0.5", "100")) is None
    assert code(place(linear, BUY, "0.501", "100")) is Denial.ORDER_NOTIONAL
    spot = make_instrument("paper:BTC-USDX", quote="USD")
    inverse = Rig(
        instruments=[make_instrument(inverse=True, **rules), spot], margin=True, risk=risk, balances={"BTC": 100}
    )
    assert code(place(inverse, BUY, "50", "100")) is None, "50 contracts of 10 USD"
    assert code(place(inverse, BUY, "50.001", "100")) is Denial.ORDER_NOTIONAL


def test_a_market_order_counts_at_the_side_that_it_takes() -> None:
    rig = rig_with("account", Limits(max_order_notional=D(101)))
    rig.quote(99, 101)
    assert code(place(rig, BUY, "1", None)) is None
    rig.quote(99, 101.01)
    assert code(place(rig, BUY, "1", None)) is Denial.ORDER_NOTIONAL
    seller = rig_with("account", Limits(max_order_notional=D(101)))
    seller.quote(99, 101.01)
    assert code(place(seller, SELL, "1", None)) is None, "the middle is more than the bid, and below the limit"


# -- 4, 5: price and reference ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", list(Side))
def test_a_market_order_into_a_wide_spread_is_outside_the_collar(side: Side) -> None:
    rig = rig_with("account", Limits(price_collar_bps=D(100)))
    rig.quote(99, 101)
    assert code(place(rig, side, "1", None)) is None
    rig.quote(98.9, 101.1)
    assert code(place(rig, side, "1", None)) is Denial.PRICE_COLLAR


def test_a_stop_is_collared_by_the_wider_side_as_it_waits() -> None:
    rig = rig_with("account", Limits(price_collar_bps=D(100), passive_collar_bps=D(1_000)))
    assert isinstance(rig.do(lambda s: s.buy(BTC, 1, Stop(110))), Order)
    assert code(rig.do(lambda s: s.buy(BTC, 1, Stop(D("110.01"))))) is Denial.PRICE_COLLAR
    assert code(rig.do(lambda s: s.buy(BTC, 1, StopLimit(105, D("110.01"))))) is Denial.PRICE_COLLAR


def test_a_stop_limit_gives_away_no_more_past_its_trigger_than_the_collar() -> None:
    rig = rig_with("account", Limits(price_collar_bps=D(100), passive_collar_bps=D(5_000)))
    assert isinstance(rig.do(lambda s: s.buy(BTC, 1, StopLimit(110, D("111.1")))), Order)
    assert code(rig.do(lambda s: s.buy(BTC, 1, StopLimit(110, D("111.11"))))) is Denial.PRICE_COLLAR
    assert isinstance(rig.do(lambda s: s.sell(BTC, 1, StopLimit(90, D("89.1")))), Order)
    assert code(rig.do(lambda s: s.sell(BTC, 1, StopLimit(90, D("89.09"))))) is Denial.PRICE_COLLAR


def test_a_stop_limit_whose_trigger_is_reached_is_collared_as_the_limit_that_it_is() -> None:
    rig = rig_with("account", Limits(price_collar_bps=D(100), passive_collar_bps=D(5_000)))
    assert isinstance(rig.do(lambda s: s.buy(BTC, 1, StopLimit(99, 101))), Order)
    assert code(rig.do(lambda s: s.buy(BTC, 1, StopLimit(99, D("101.01"))))) is Denial.PRICE_COLLAR


@pytest.mark.parametrize(
    ("bid", "ask"), [(0.0, 0.0), (0.0, 100.0), (100.0, 0.0), (101.0, 100.0), (float("nan"), float("nan"))]
)
@pytest.mark.parametrize("price", ["100", None])
def test_a_missing_one_sided_or_crossed_price_denies_new_exposure(bid: float, ask: float, price: str | None) -> None:
    rig = Rig(defaults=DEFAULTS)
    rig.quote(bid, ask)
    assert code(place(rig, BUY, "1", price)) is Denial.REFERENCE
    order_before = Rig(defaults=DEFAULTS)
    order = resting(order_before, BUY, "1", "100")
    order_before.quote(bid, ask)
    assert code(order_before.do(lambda s: s.amend(order, quantity=2))) is Denial.REFERENCE


def test_without_any_quote_new_exposure_is_denied_even_with_no_limit_set() -> None:
    rig = Rig(price=None, defaults=Limits())
    assert code(place(rig, BUY, "1", None)) is not None
    assert code(Rig(price=None, defaults=DEFAULTS).do(lambda s: s.buy(BTC, 1, Limit(1)))) is Denial.REFERENCE


@pytest.mark.parametrize(
    "limits",
    [
        Limits(max_order_notional=D(10_000)),
        Limits(max_open_notional=D(10_000)),
        Limits(max_gross_notional=D(10_000)),
        Limits(max_net_notional=D(10_000)),
        Limits(max_leverage=D(10)),
        Limits(max_share=D(1)),
        Limits(reserve=D(1)),
    ],
    ids=lambda limits: next(name for name in limits.__struct_fields__ if getattr(limits, name) is not None),
)
def test_a_missing_rate_denies_new_exposure_under_every_limit_of_value(limits: Limits) -> None:
    rig = rig_with("account", limits, instruments=[make_instrument(EUR)], balances={"EUR": 10_000, "BTC": 10})
    assert code(rig.do(lambda s: s.buy(EUR, 1, Limit(100)))) is Denial.RATE_MISSING


def test_what_is_missing_elsewhere_denies_too() -> None:
    """Exposure in an instrument whose price is gone cannot be summed, so nothing may be added anywhere."""
    other = InstrumentId("paper:ETH-USD")
    rig = rig_with(
        "account", Limits(max_gross_notional=D(10_000)), instruments=[make_instrument(), make_instrument(other)]
    )
    rig.hold(1, instrument=other)
    assert code(place(rig, BUY, "1", "100")) is None
    rig.quote(0, 100, instrument=other)
    assert code(place(rig, BUY, "2", "100")) is Denial.RATE_MISSING


# -- 7: permission ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", ["strategy:s1", "venue:paper", "account"])
def test_a_restricted_instrument_takes_no_new_exposure_and_lets_exits_go(scope: str) -> None:
    other = InstrumentId("paper:ETH-USD")
    rig = rig_with(scope, Limits(restricted=(BTC,)), instruments=[make_instrument(), make_instrument(other)])
    assert code(place(rig, BUY, "1", "100")) is Denial.PERMISSION
    assert isinstance(rig.do(lambda s: s.buy(other, 1, Limit(100))), Order)
    free = Rig()
    free.hold(2)
    restricted = rig_with(scope, Limits(restricted=(BTC,)), facts=free.facts)
    assert code(place(restricted, BUY, "1", "100")) is Denial.PERMISSION
    assert code(place(restricted, SELL, "2", "100")) is None, "the exit"


@pytest.mark.parametrize("scope", SCOPES)
def test_only_allowed_sides_may_open(scope: str) -> None:
    rig = rig_with(scope, Limits(sides=(Side.BUY,)))
    assert code(place(rig, SELL, "1", "100")) is Denial.PERMISSION
    rig.hold(2)
    assert code(place(rig, SELL, "2", "100")) is None
    short = rig_with(scope, Limits(sides=(Side.SELL,)))
    assert code(place(short, BUY, "1", "100")) is Denial.PERMISSION


def test_a_strategy_s_limit_binds_no_other_strategy() -> None:
    rig = rig_with("strategy:s1", Limits(max_order_quantity=D(1), sides=(Side.SELL,)))
    assert code(place(rig, BUY, "1", "100")) is Denial.PERMISSION
    assert code(place(rig, BUY, "9", "100", "s2")) is None


# -- 8: reduce only --------------------------------------------------------------------------------------------------


def test_two_exits_racing_for_one_position_do_not_exceed_it() -> None:
    rig = Rig()
    rig.hold(2)
    assert code(place(rig, SELL, "2", None, reduce_only=True)) is None
    assert code(place(rig, SELL, "0.001", None, reduce_only=True)) is Denial.REDUCE_ONLY


def test_a_reducing_order_may_neither_open_nor_flip_nor_use_another_s_position() -> None:
    rig = Rig()
    assert code(place(rig, SELL, "1", "100", reduce_only=True)) is Denial.REDUCE_ONLY
    rig.hold(2)
    assert code(place(rig, SELL, "3", "100", reduce_only=True)) is Denial.REDUCE_ONLY
    assert code(place(rig, BUY, "1", "100", reduce_only=True)) is Denial.REDUCE_ONLY
    assert code(place(rig, SELL, "1", "100", "s2", reduce_only=True)) is Denial.REDUCE_ONLY


# -- 9: duplicates ---------------------------------------------------------------------------------------------------


def test_what_differs_in_any_term_or_comes_from_another_strategy_is_no_duplicate() -> None:
    rig = rig_with("account", Limits(duplicate_window_s=5.0))
    assert code(place(rig, BUY, "1", "99")) is None
    assert code(place(rig, BUY, "1", "99")) is Denial.DUPLICATE
    assert code(place(rig, BUY, "1.001", "99")) is None
    assert code(place(rig, BUY, "1", "98.99")) is None
    assert code(place(rig, SELL, "1", "99.5")) is None
    assert code(place(rig, BUY, "1", "99", "s2")) is None


def test_a_restart_does_not_forget_what_was_sent_within_the_window() -> None:
    rig = rig_with("account", Limits(duplicate_window_s=5.0))
    place(rig, BUY, "1", "99")
    again = rig_with("account", Limits(duplicate_window_s=5.0), facts=rig.facts)
    assert code(place(again, BUY, "1", "99")) is Denial.DUPLICATE
    again.wait(5)
    assert code(place(again, BUY, "1", "99")) is None


def test_an_unknown_outcome_denies_new_exposure_of_every_strategy() -> None:
    rig = Rig()
    rig.hold(2)
    order = place(rig, BUY, "1", "99")
    assert isinstance(order, Order)
    rig.answer(order, Unknown("timeout"))
    for strategy in ("s1", "s2"):
        assert code(place(rig, BUY, "1", "98", strategy)) is Denial.UNKNOWN_OUTCOME
    assert code(place(rig, SELL, "2", "101")) is None


@pytest.mark.parametrize("identity", [NoIdentity(), Key(60.0)])
def test_where_no_list_shows_anything_of_ours_no_twin_may_be_in_flight_not_even_as_an_exit(identity: Identity) -> None:
    rig = Rig(capabilities=make_capabilities(identity=identity))
    rig.hold(4)
    first = place(rig, SELL, "1", "100")
    assert isinstance(first, Order)
    assert code(place(rig, SELL, "1", "100")) is Denial.BUSY
    assert code(place(rig, SELL, "1", "100", "s2")) is Denial.BUSY, "the venue cannot tell strategies apart"
    assert code(place(rig, SELL, "1", "100.01")) is None
    rig.accept(first)
    assert code(place(rig, SELL, "1", "100")) is None


# -- 10: self match --------------------------------------------------------------------------------------------------


def test_two_strategies_that_cross_do_not_trade_with_each_other() -> None:
    rig = Rig()
    rig.accept(rig.live(_order(place(rig, SELL, "1", "101"))))
    assert code(place(rig, BUY, "1", None, "s2")) is Denial.SELF_MATCH
    assert code(place(rig, BUY, "1", "101", "s2")) is Denial.SELF_MATCH
    assert code(place(rig, BUY, "1", "100.99", "s2")) is None


def test_in_the_other_mode_the_resting_order_gives_way() -> None:
    rig = rig_with("account", Limits(self_match="cancel_oldest"))
    resting_one = _order(place(rig, SELL, "1", "101"))
    rig.accept(resting_one)
    assert code(place(rig, BUY, "1", "101", "s2")) is Denial.BUSY
    rig.accept(resting_one)
    assert not resting_one.is_open
    assert code(place(rig, BUY, "1", "101", "s2")) is None


def test_an_exit_never_waits_for_a_resting_order_to_be_cancelled_by_hand() -> None:
    rig = Rig()
    rig.hold(1)
    bid = _order(place(rig, BUY, "1", "99", "s2"))
    rig.accept(bid)
    assert code(place(rig, SELL, "1", "98")) is Denial.BUSY
    rig.accept(bid)
    assert code(place(rig, SELL, "1", "98")) is None


def test_the_innermost_scope_decides_how_a_self_match_is_met() -> None:
    rig = Rig(
        risk=RiskSettings(base_currency="USD", account=Limits(self_match="deny")),
        limits={"s1": Limits(self_match="cancel_oldest")},
    )
    rig.accept(_order(place(rig, SELL, "1", "101", "s2")))
    assert code(place(rig, BUY, "1", "101", "s1")) is Denial.BUSY


def _order(answer: Order | Denied) -> Order:
    assert isinstance(answer, Order), f"denied: {answer}"
    return answer
