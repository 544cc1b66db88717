"""Why a daemon is not ready, in words."""

from decimal import Decimal
from typing import cast

import pytest

from quantd.app.readiness import RUNNING, VenueGauges, reasons_of
from quantd.domain.events import ACCOUNT_CAUSE, ClockJumped, TradingState, VenueChanged
from quantd.domain.instruments import InstrumentId
from quantd.engine.orders import Order
from quantd.engine.risk.limits import Limits, RiskSettings
from quantd.engine.risk.wish import Denial, Denied
from quantd.runtime.accounts import AccountFollower
from quantd.testing.builders import BTC, Rig, make_instrument, make_snapshot
from quantd.testing.observer import RecordingObserver

ETH = InstrumentId("gone:ETH-USD")


class Ready:
    """A follower of a venue that answers."""

    venue, is_ready, reason = "paper", True, ""
    left_out: tuple[str, ...] = ()


def test_a_clock_that_was_set_back_is_a_reason_until_it_is_right_again() -> None:
    rig = Rig()
    assert reasons_of(RUNNING, (), (), rig.engine) == []
    rig.handle(ClockJumped(-60_000_000_000, rig.now_ns))
    assert reasons_of(RUNNING, (), (), rig.engine) == ["clock: it was set, nothing is opened for 65 s of its time"]
    rig.wait(65)
    assert reasons_of(RUNNING, (), (), rig.engine) == []


def test_a_venue_that_takes_exits_only_is_a_reason_though_its_account_answers() -> None:
    """One of its pollers has failed by a fault of its own: new orders are denied there."""
    rig, followers = Rig(), [cast(AccountFollower, Ready())]
    assert reasons_of(RUNNING, followers, (), rig.engine) == []
    rig.handle(VenueChanged("paper", TradingState.REDUCING, "quotes paper: KeyError: 'x'", rig.now_ns))
    assert reasons_of(RUNNING, followers, (), rig.engine) == [
        "venue paper: takes exits only: quotes paper: KeyError: 'x'"
    ]


def test_what_a_venue_tells_in_several_ways_is_a_reason() -> None:
    rig, follower = Rig(), Ready()
    followers = [cast(AccountFollower, follower)]
    rig.handle(make_snapshot({"USD": 1}, at_ns=rig.now_ns, doubtful=("BTC",)))
    assert reasons_of(RUNNING, followers, (), rig.engine) == [
        "venue paper: tells several balances of BTC: exits only with it"
    ]
    rig.handle(make_snapshot({"USD": 1, "BTC": 1}, at_ns=rig.now_ns))
    follower.left_out = ("ODD-USD is not traded",)
    assert reasons_of(RUNNING, followers, (), rig.engine) == ["venue paper: ODD-USD is not traded"]


def test_each_cause_that_keeps_a_venue_from_entries_is_named_and_has_its_gauge() -> None:
    rig, follower, observer = Rig(), Ready(), RecordingObserver()
    followers = [cast(AccountFollower, follower)]
    gauges = VenueGauges(rig.engine, observer)

    def told() -> tuple[list[str], float | None, dict[str, float | None]]:
        gauges.sample(followers)
        causes = {
            cause: observer.gauged("quantd_venue_exits_only", venue="paper", cause=cause)
            for cause in (ACCOUNT_CAUSE, "feed quotes")
        }
        return (
            list(reasons_of(RUNNING, followers, (), rig.engine)),
            observer.gauged("quantd_venue_ready", venue="paper"),
            causes,
        )

    def tell(state: TradingState, reason: str, cause: str) -> None:
        rig.handle(VenueChanged("paper", state, reason, rig.now_ns, cause))

    assert told()[:2] == ([], 1)
    follower.is_ready, follower.reason = False, "503"
    tell(TradingState.REDUCING, "503", ACCOUNT_CAUSE)
    tell(TradingState.REDUCING, "quotes stopped", "feed quotes")
    both = ["venue paper: 503", "venue paper: takes exits only: quotes stopped"]
    assert told() == (both, 0, {ACCOUNT_CAUSE: 1, "feed quotes": 1})
    follower.is_ready, follower.reason = True, ""
    tell(TradingState.ACTIVE, "", ACCOUNT_CAUSE)
    assert told() == (both[1:], 0, {ACCOUNT_CAUSE: 0, "feed quotes": 1})
    tell(TradingState.ACTIVE, "", "feed quotes")
    assert told() == ([], 1, {ACCOUNT_CAUSE: 0, "feed quotes": 0})


@pytest.mark.parametrize("configured", [False, True])
def test_a_holding_without_a_price_by_which_nothing_is_opened_is_a_reason(configured: bool) -> None:
    """Its venue was renamed or taken out of the configuration, or its instrument is listed no more.

    Method: what a rig with two venues recorded is folded by one that sees prices of the first alone.
    """
    limits = RiskSettings(base_currency="USD", account=Limits(max_gross_notional=Decimal(100_000)))
    listed = (make_instrument(), make_instrument(ETH))
    before = Rig(risk=limits, instruments=listed)
    before.hold(5, instrument=ETH)
    rig = Rig(risk=limits, instruments=listed if configured else listed[:1], facts=before.facts, price=None)
    rig.quote(100)
    what = ETH if configured else f"{ETH}, whose venue is not configured"
    assert reasons_of(RUNNING, (), (), rig.engine) == [
        f"account: no price or rate for 1 that it holds or has orders in: {what}"
    ]
    denied = rig.do(lambda s: s.buy(BTC, 1))
    assert isinstance(denied, Denied)
    assert denied.code is Denial.RATE_MISSING
    assert reasons_of("starting", (), (), rig.engine) == ["starting"], "nobody asked for prices yet"
    if configured:
        rig.quote(100, instrument=ETH)
        assert reasons_of(RUNNING, (), (), rig.engine) == []
        assert isinstance(rig.do(lambda s: s.buy(BTC, 1)), Order)
        rig.quote(101, 99, instrument=ETH)
        assert reasons_of(RUNNING, (), (), rig.engine) == [], "a crossed quote passes"
