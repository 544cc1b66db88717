"""Why a daemon is not ready, in words."""

from typing import cast

from quantd.app.readiness import RUNNING, reasons_of
from quantd.domain.events import ClockJumped, TradingState, VenueChanged
from quantd.runtime.accounts import AccountFollower
from quantd.testing.builders import Rig


class Ready:
    """A follower of a venue that answers."""

    venue, is_ready, reason = "paper", True, ""


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
