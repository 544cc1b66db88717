"""A holding whose market shows no price switches neither loss limits nor the margin watch off for all the others."""

from decimal import Decimal
from typing import Any

from quantd.domain.events import TradingState
from quantd.domain.facts import StateSet
from quantd.domain.instruments import InstrumentId
from quantd.domain.limit_facts import MarksRecorded
from quantd.domain.orders import Side
from quantd.engine.orders import Order
from quantd.engine.risk.limits import Limits
from quantd.engine.risk.wish import Denial, Denied
from quantd.testing.builders import BTC, Rig, make_instrument
from tests.invariants import check_image
from tests.unit.risk.cases import place, rig_with

D = Decimal
ETH = InstrumentId("paper:ETH-USD")
LOSS = Limits(max_daily_loss=D(10))
MARGIN = Limits(min_margin_ratio=D(2))


def made(limits: Limits = LOSS, **more: Any) -> Rig:
    return rig_with("account", limits, instruments=[make_instrument(), make_instrument(ETH)], **more)


def on_margin(**more: Any) -> Rig:
    rules = [make_instrument(margin_rate=D("0.2")), make_instrument(ETH, margin_rate=D("0.2"))]
    return rig_with("account", MARGIN, instruments=rules, margin=True, balances={"USD": 600}, **more)


def holding_both(rig: Rig, quantity: int = 1, tiny: str = "0.001") -> Rig:
    rig.hold(quantity)
    rig.hold(D(tiny), instrument=ETH)
    return rig


def trips(rig: Rig) -> list[tuple[str, str, TradingState]]:
    return [(one.by, one.scope, one.state) for one in rig.of(StateSet)]


def test_a_one_sided_quote_elsewhere_does_not_hide_a_loss() -> None:
    rig = holding_both(made())
    rig.quote(0, 100, instrument=ETH)
    rig.quote(90)
    assert trips(rig) == []
    rig.quote(89.98)
    assert trips(rig) == [("loss_limit", "all", TradingState.REDUCING)]


def test_after_a_restart_a_silent_market_counts_at_the_price_that_the_journal_kept() -> None:
    rig = holding_both(made(), tiny="1")
    rig.wait()
    rig.quote(97, instrument=ETH)
    rig.wait(60)
    assert rig.of(MarksRecorded)[-1].prices == {BTC: D(100), ETH: D(97)}
    again = made(facts=rig.facts, price=None)
    again.quote(93)
    assert trips(again) == []
    assert again.engine.guards.losses.profit("account") == -10
    again.quote(92.99)
    assert trips(again) == [("loss_limit", "all", TradingState.REDUCING)]


def test_without_any_price_a_holding_counts_at_cost_and_new_exposure_waits_for_one() -> None:
    rig = holding_both(made())
    again = made(facts=rig.facts, price=None)
    again.quote(95)
    denied = place(again, Side.BUY, "1", "95")
    assert isinstance(denied, Denied)
    assert (denied.code, denied.control, denied.scope) == (Denial.RATE_MISSING, 19, "account")
    assert isinstance(place(again, Side.SELL, "0.5", "95"), Order), "exits pass"
    again.quote(100, instrument=ETH)
    assert isinstance(place(again, Side.BUY, "1", "94"), Order)
    blind = made(facts=rig.facts, price=None)
    blind.quote(100)
    blind.quote(80)
    assert trips(blind) == [("loss_limit", "all", TradingState.REDUCING)]


def test_prices_are_kept_once_a_minute_while_they_move_and_at_once_for_what_is_new() -> None:
    rig = made()
    rig.wait(100)
    assert rig.of(MarksRecorded) == [], "nothing is held"
    rig.hold(1)
    rig.wait()
    assert [one.prices for one in rig.of(MarksRecorded)] == [{BTC: D(100)}]
    for price in (101, 102, 103):
        rig.quote(price)
        rig.wait(10)
    assert len(rig.of(MarksRecorded)) == 1
    rig.hold(1, instrument=ETH)
    rig.wait()
    assert rig.of(MarksRecorded)[-1].prices == {BTC: D(103), ETH: D(100)}
    check_image(rig)
    for _ in range(300):
        rig.wait()
    assert len(rig.of(MarksRecorded)) == 2, "nothing moved"


def test_without_a_limit_that_watches_no_price_is_kept() -> None:
    rig = holding_both(made(Limits()))
    rig.wait(100)
    assert rig.of(MarksRecorded) == []


def test_the_margin_watch_sees_through_a_one_sided_quote_and_through_a_restart() -> None:
    rig = holding_both(on_margin(), 10)
    rig.wait()
    rig.quote(0, 100, instrument=ETH)
    rig.quote(67)
    assert trips(rig) == []
    for again in (rig, on_margin(facts=rig.facts, price=None)):
        again.quote(66)
        assert trips(again) == [("margin", "venue:paper", TradingState.REDUCING)]


def test_the_margin_watch_takes_what_was_paid_where_no_price_was_ever_kept() -> None:
    rig = holding_both(on_margin(), 10)
    again = on_margin(facts=rig.facts, price=None)
    again.quote(67)
    assert trips(again) == []
    again.quote(66)
    assert trips(again) == [("margin", "venue:paper", TradingState.REDUCING)]
