"""Controls 15 to 18 beyond their boundaries: worst cases, scopes, one headroom for many, what always stays possible."""

from decimal import Decimal

import pytest

from quantd.domain.facts import RequestDenied
from quantd.domain.instruments import FeeSchedule, InstrumentId
from quantd.domain.orders import Limit, Market, Side
from quantd.domain.outcomes import NotExecuted, Rejected, Unknown
from quantd.engine.orders import Order
from quantd.engine.risk.limits import Limits, RiskSettings
from quantd.engine.risk.wish import Denial, Denied
from quantd.runtime.limit_use import LimitUse
from quantd.testing.builders import BTC, Rig, make_instrument, make_snapshot
from quantd.testing.observer import RecordingObserver
from tests.unit.risk.cases import place, resting, rig_with

D = Decimal
BUY, SELL = Side.BUY, Side.SELL
ETH = InstrumentId("paper:ETH-USD")


def code(answer: Order | Denied) -> Denial | None:
    return answer.code if isinstance(answer, Denied) else None


ONE_HEADROOM = [
    Limits(max_gross_notional=D(500)),
    Limits(max_net_notional=D(500)),
    Limits(max_open_notional=D(500)),
    Limits(max_open_orders=5),
]


def named(limits: Limits) -> str:
    return next(name for name in limits.__struct_fields__ if getattr(limits, name) is not None)


@pytest.mark.parametrize("limits", ONE_HEADROOM, ids=named)
@pytest.mark.parametrize("scope", [f"instrument:{BTC}", "venue:paper", "account"])
def test_many_orders_each_legal_alone_share_one_headroom(limits: Limits, scope: str) -> None:
    """Sent in one callback, none of them answered: the last ones are denied, whoever sends them."""
    rig = rig_with(scope, limits)
    answers = rig.do(lambda s: [s.buy(BTC, 1, Limit(D(100) - n / D(100))) for n in range(3)])
    answers += rig.do(lambda s: [s.buy(BTC, 1, Limit(D(100) - n / D(100))) for n in range(3, 6)], "s2")
    assert [code(one) is None for one in answers] == [True] * 5 + [False]
    assert len(rig.commands) == 5


def test_one_headroom_of_the_balance() -> None:
    rig = Rig(balances={"USD": 500})
    answers = rig.do(lambda s: [s.buy(BTC, 1, Limit(100)) for _ in range(3)])
    answers += rig.do(lambda s: [s.buy(BTC, 1, Limit(100)) for _ in range(3)], "s2")
    assert [code(one) for one in answers] == [None] * 5 + [Denial.BALANCE]


@pytest.mark.parametrize("side", [BUY, SELL])
def test_the_venues_own_limit_of_a_position_counts_all_strategies_and_what_works(side: Side) -> None:
    rig = Rig(margin=True, instruments=[make_instrument(margin_rate=D("0.1"), max_position=D(5))])
    wish = (lambda s: s.buy(BTC, 2, Limit(100))) if side is BUY else (lambda s: s.sell(BTC, 2, Limit(100)))
    assert code(rig.do(wish)) is None
    assert code(rig.do(wish, "s2")) is None
    assert code(rig.do(wish)) is Denial.POSITION
    rig = Rig(margin=True, instruments=[make_instrument(margin_rate=D("0.1"), max_position=D(5))])
    rig.hold(-5 if side is BUY else 5)
    assert code(rig.do(lambda s: s.buy(BTC, 10, Limit(100)) if side is BUY else s.sell(BTC, 10, Limit(100)))) is None


@pytest.mark.parametrize("scope", ["strategy:s1", f"instrument:{BTC}"])
def test_one_headroom_of_the_position(scope: str) -> None:
    rig = rig_with(scope, Limits(max_position=D(5)))
    answers = rig.do(lambda s: [s.buy(BTC, 1, Limit(D(100) - n)) for n in range(6)])
    assert [code(one) for one in answers] == [None] * 5 + [Denial.POSITION]
    assert code(place(rig, BUY, "1", "90", "s2")) is (None if scope == "strategy:s1" else Denial.POSITION)


@pytest.mark.parametrize("end", [Rejected("no"), NotExecuted("deadline")])
def test_headroom_comes_back_when_an_order_is_turned_away(end: Rejected | NotExecuted) -> None:
    rig = rig_with("account", Limits(max_gross_notional=D(500)), balances={"USD": 500})
    order = place(rig, BUY, "5", "100")
    assert isinstance(order, Order)
    assert code(place(rig, BUY, "1", "99")) is Denial.GROSS
    rig.answer(order, end)
    assert code(place(rig, BUY, "5", "100")) is None


def test_headroom_stays_reserved_while_the_outcome_is_unknown() -> None:
    rig = rig_with("account", Limits(max_gross_notional=D(500)), instruments=[make_instrument(), make_instrument(ETH)])
    order = place(rig, BUY, "5", "100")
    assert isinstance(order, Order)
    rig.answer(order, Unknown("timeout"))
    assert code(rig.do(lambda s: s.buy(ETH, 1, Limit(100)))) is Denial.GROSS


def test_a_cancelled_order_gives_back_only_what_was_not_filled() -> None:
    rig = rig_with("account", Limits(max_gross_notional=D(500)))
    order = resting(rig, BUY, "5", "100")
    rig.fill(order, 2)
    rig.do(lambda s: s.cancel(order))
    rig.accept(order)
    assert code(place(rig, BUY, "3.001", "100")) is Denial.GROSS
    assert code(place(rig, BUY, "3", "100")) is None


def test_correlated_legs_add_up_gross_and_cancel_out_net() -> None:
    rig = Rig(
        instruments=[make_instrument(margin_rate=D("0.1")), make_instrument(ETH, margin_rate=D("0.1"))],
        margin=True,
        risk=RiskSettings(base_currency="USD", account=Limits(max_gross_notional=D(1_250), max_net_notional=D(400))),
    )
    rig.hold(4)
    rig.hold(-4, instrument=ETH)
    assert code(rig.do(lambda s: s.sell(ETH, D("4.501"), Limit(100)))) is Denial.GROSS
    assert code(rig.do(lambda s: s.sell(ETH, D("4.001"), Limit(100)))) is Denial.NET
    assert code(rig.do(lambda s: s.sell(ETH, 4, Limit(100)))) is None


def test_a_price_move_alone_that_breaches_denies_new_risk_and_lets_reductions_go() -> None:
    rig = rig_with("account", Limits(max_gross_notional=D(500)))
    rig.hold(4)
    order = resting(rig, BUY, "1", "99")
    rig.quote(150.0)
    assert code(rig.do(lambda s: s.amend(order, quantity=D("1.001")))) is Denial.GROSS
    assert code(place(rig, BUY, "0.001", "150")) is Denial.GROSS
    assert code(rig.do(lambda s: s.amend(order, quantity=D("0.5")))) is None, "an amendment that only shrinks"
    assert code(place(rig, SELL, "4", "151")) is None


def test_a_low_limit_does_not_make_what_is_held_count_less() -> None:
    rig = rig_with("account", Limits(max_gross_notional=D(1_000)), defaults=Limits())
    rig.hold(10)
    assert code(place(rig, BUY, "1", "50")) is Denial.GROSS


def test_an_amendment_in_flight_counts_with_the_larger_of_old_and_new() -> None:
    rig = rig_with("strategy:s1", Limits(max_position=D(5)))
    order = resting(rig, BUY, "2", "100")
    assert rig.do(lambda s: s.amend(order, quantity=4))
    assert code(place(rig, BUY, "1.001", "99")) is Denial.POSITION
    rig.answer(order, Rejected("too_late"))
    assert code(place(rig, BUY, "3", "99")) is None
    other = rig_with("strategy:s1", Limits(max_position=D(5)))
    shrinking = resting(other, BUY, "4", "100")
    assert other.do(lambda s: s.amend(shrinking, quantity=1))
    assert code(place(other, BUY, "1.001", "99")) is Denial.POSITION, "the smaller one is not there yet"


def test_external_holdings_count_at_the_account_and_not_in_the_strategy_s_book() -> None:
    rig = Rig(
        risk=RiskSettings(base_currency="USD", instruments={BTC: Limits(max_position=D(5))}),
        limits={"s1": Limits(max_position=D(2))},
    )
    rig.hold(4, "s2")
    assert code(place(rig, BUY, "1.001", "100")) is Denial.POSITION
    assert code(place(rig, BUY, "1", "100")) is None


def test_fees_are_part_of_what_an_order_costs() -> None:
    rules = make_instrument(fees=FeeSchedule(taker=D("0.01")))
    rig = Rig(instruments=[rules], balances={"USD": 101})
    assert code(place(rig, BUY, "1.001", "100")) is Denial.BALANCE
    assert code(place(rig, BUY, "1", "100")) is None


def test_nothing_can_be_sold_on_spot_that_is_not_there() -> None:
    rig = Rig(balances={"USD": 1_000, "BTC": 1})
    assert code(place(rig, SELL, "1.001", "100")) is Denial.BALANCE
    assert code(place(rig, SELL, "1", "100")) is None
    assert code(place(rig, SELL, "0.001", "100", "s2")) is Denial.BALANCE


def test_margin_accounts_are_asked_too_unrealised_losses_included() -> None:
    rules = make_instrument(margin_rate=D("0.1"))
    rig = Rig(instruments=[rules], margin=True, balances={"USD": 100})
    rig.hold(5)
    assert code(place(rig, BUY, "5", "100")) is None
    poorer = Rig(instruments=[rules], margin=True, balances={"USD": 100})
    poorer.hold(5)
    poorer.quote(95.0)
    assert code(place(poorer, BUY, "5", "95")) is Denial.BALANCE


@pytest.mark.parametrize(
    ("scope", "limits"),
    [
        (f"instrument:{BTC}", Limits(max_gross_notional=D(1_000))),
        ("venue:paper", Limits(max_leverage=D(1))),
        ("account", Limits(max_share=D(1))),
        ("account", Limits(max_gross_notional=D(1_000))),
    ],
)
def test_positions_that_stand_against_each_other_count_both_on_a_hedging_account(scope: str, limits: Limits) -> None:
    """Each is a position at the venue, and when one is closed the other is left; the net is nothing meanwhile."""
    rig = rig_with(scope, limits, margin=True, hedging=True, balances={"USD": 1_000})
    rig.hold(6, "s1")
    assert code(place(rig, SELL, "4.001", "100", "s2")) in {Denial.GROSS, Denial.LEVERAGE, Denial.CONCENTRATION}
    assert code(place(rig, SELL, "2", "100", "s2")) is None
    assert code(place(rig, SELL, "2", "99", "s2")) is None
    assert code(place(rig, BUY, "0.001", "98")) in {Denial.GROSS, Denial.LEVERAGE, Denial.CONCENTRATION}
    seen = RecordingObserver()
    LimitUse(rig.engine).sample(seen)
    assert seen.gauged("quantd_limit_use_ratio", scope=scope, limit=named(limits)) == pytest.approx(1.0)
    netting = rig_with(scope, limits, margin=True, balances={"USD": 1_000})
    netting.hold(6, "s1")
    assert code(place(netting, SELL, "6", "100", "s2")) is None, "the venue knows one position, and closes it"


@pytest.mark.parametrize("of_venue", [False, True])
def test_each_side_of_a_hedging_account_is_held_to_the_largest_position_by_itself(of_venue: bool) -> None:
    """What stands on the other side is a position of its own, and takes nothing off."""
    limits = Limits() if of_venue else Limits(max_position=D(8))
    rules = make_instrument(max_position=D(8) if of_venue else None)
    rig = rig_with(f"instrument:{BTC}", limits, instruments=[rules], margin=True, hedging=True)
    rig.hold(6, "s1")
    rig.hold(-6, "s2")
    assert code(place(rig, BUY, "2.001", "100", "s1")) is Denial.POSITION
    assert code(place(rig, SELL, "2.001", "100", "s2")) is Denial.POSITION
    assert code(place(rig, BUY, "2", "99", "s1")) is None
    seen = RecordingObserver()
    LimitUse(rig.engine).sample(seen)
    used = seen.gauged("quantd_limit_use_ratio", scope=f"instrument:{BTC}", limit="max_position")
    assert used == (None if of_venue else pytest.approx(1.0))


def test_an_account_of_which_no_equity_is_known_takes_no_leverage() -> None:
    rig = rig_with("account", Limits(max_leverage=D(2)), balances={"USD": 0})
    assert code(place(rig, BUY, "1", "100")) is Denial.RATE_MISSING


@pytest.mark.parametrize("margin", [False, True])
def test_an_asset_that_nothing_here_trades_or_prices_is_no_equity_and_keeps_none_from_being_known(margin: bool) -> None:
    """A few coins of an airdrop: as no worth they let less be opened. What is owed, or is to have a price, stays unknown."""
    rig = rig_with("account", Limits(max_leverage=D(2)), margin=margin, balances={"USD": 100, "DOGE": 5})
    assert rig.state.equity("paper") == 100
    assert rig.do(lambda s: s.equity) == 100.0
    assert code(place(rig, BUY, "1", "100")) is None
    assert code(place(rig, BUY, "1.001", "100")) in {Denial.BALANCE, Denial.LEVERAGE}
    owing = rig_with("account", Limits(max_leverage=D(2)), margin=margin, balances={"USD": 100, "DOGE": -5})
    assert owing.state.equity("paper") is None
    assert code(place(owing, BUY, "0.1", "100")) is Denial.RATE_MISSING
    rules = [make_instrument(), make_instrument("paper:DOGE-EUR")]
    listed = Rig(instruments=rules, margin=margin, balances={"USD": 100, "DOGE": 5})
    assert listed.state.equity("paper") is None, "it may find a rate yet"


def test_what_a_snapshot_shows_counts_for_the_next_order() -> None:
    rig = Rig(balances={"USD": 1_000})
    rig.wait()
    rig.handle(make_snapshot({"USD": 50}, at_ns=rig.now_ns))
    assert code(place(rig, BUY, "1", "100")) is Denial.BALANCE


EVERYTHING = Limits(
    max_order_quantity=D("0.001"),
    max_order_notional=D("0.01"),
    price_collar_bps=D("0.01"),
    passive_collar_bps=D("0.01"),
    max_quote_age_s=0.001,
    max_jump_pct=D("0.001"),
    sides=(Side.BUY,),
    long_only=True,
    duplicate_window_s=1_000.0,
    max_open_orders=0,
    max_open_notional=D("0.01"),
    max_position=D(0),
    max_long=D(0),
    max_short=D(0),
    max_gross_notional=D("0.01"),
    max_net_notional=D(0),
    max_leverage=D("0.01"),
    max_share=D("0.01"),
    reserve=D(1_000_000_000),
)


@pytest.mark.parametrize("scope", ["order", "strategy:s1", f"instrument:{BTC}", "venue:paper", "account"])
def test_an_exit_passes_whatever_limit_is_set_anywhere(scope: str) -> None:
    free = Rig()
    free.hold(2)
    tight = rig_with(scope, EVERYTHING, facts=free.facts, price=None)
    assert code(place(tight, BUY, "1", "100")) is not None
    assert code(place(tight, SELL, "1", "100")) is None
    assert code(place(tight, SELL, "1", None)) is None, "the same wish twice, at market, without a price"
    assert code(place(tight, SELL, "0.001", "100")) is not None, "nothing is left to exit from"


def test_an_exit_may_be_amended_and_cancelled_whatever_limit_is_set() -> None:
    free = Rig()
    free.hold(2)
    tight = rig_with("account", EVERYTHING, facts=free.facts)
    order = place(tight, SELL, "1", "105")
    assert isinstance(order, Order)
    tight.accept(order)
    assert code(tight.do(lambda s: s.amend(order, quantity=2, price=90))) is None
    tight.accept(order)
    assert tight.do(lambda s: s.cancel(order)) is True


def test_every_denial_is_data() -> None:
    rig = rig_with("account", Limits(max_gross_notional=D(500)))
    rig.do(lambda s: s.buy(BTC, 6, Market(), why="cross"))
    (denied,) = rig.of(RequestDenied)
    assert (denied.strategy, denied.instrument, denied.side, denied.quantity) == ("s1", BTC, Side.BUY, D(6))
    assert (denied.code, denied.control, denied.scope, denied.why) == ("gross", 17, "account", "cross")
    assert (Decimal(denied.limit), Decimal(denied.observed)) == (D(500), D(600))
