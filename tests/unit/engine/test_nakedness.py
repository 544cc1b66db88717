"""Positions without their stop: what counts, how long, and what follows.

Method: a rig on a margin account with lots, and time in tenths of a second; the venue refuses what the test says.
"""

from decimal import Decimal
from typing import Any

import pytest

from quantd.domain.capabilities import Support
from quantd.domain.commands import CloseLot, SetProtection
from quantd.domain.events import OutcomeReceived, Resumed, TradingState, VenueChanged
from quantd.domain.instruments import MarketStatus
from quantd.domain.lots import LotProtection
from quantd.domain.market import StatusChanged
from quantd.domain.orders import ClientOrderId, Limit, Protect
from quantd.domain.outcomes import Accepted, Outcome, Rejected, Unknown
from quantd.domain.protection_facts import ProtectionOverdue
from quantd.engine.context import EngineSettings
from quantd.engine.nakedness import STALE_AFTER_S
from quantd.testing.builders import BTC, SECOND_NS, Rig, make_lot_capabilities
from tests.unit.engine.lots import STOP, enter, exits, fill, held, make_rig, show

D = Decimal
TENTH_S = 0.1


def make(policy: str = "exit", after_s: float = 5.0, **more: Any) -> Rig:
    """Return a rig that lets a position stand for `after_s` without its stop."""
    settings = EngineSettings(journal_id="0test", epoch=1, naked_after_s=after_s, when_naked=policy)
    return make_rig(settings=settings, **more)


def pass_time(rig: Rig, seconds: float, outcome: Outcome | None = None) -> None:
    """Let time pass with a quote at each tick; `outcome` answers every write of exits."""
    for _ in range(round(seconds / TENTH_S)):
        rig.wait(TENTH_S)
        if rig.state.rates.marks[BTC].last:
            rig.quote(rig.state.rates.marks[BTC].last)
        if outcome is None:
            continue
        for write in list(rig.state.guarding.writes):
            rig.handle(OutcomeReceived(ClientOrderId(write), 1, outcome, rig.now_ns))


def seconds(rig: Rig, reason: str) -> float:
    """Return the seconds that were counted."""
    return round(rig.engine.protection.nakedness.totals.get(("paper", "s1", reason), 0.0), 3)


def standing(rig: Rig) -> TradingState:
    """Return the strategy's latched state."""
    return rig.state.trading_state(["strategy:s1"])


def overdue(rig: Rig) -> list[tuple[str, str]]:
    """Return what was told: (reason, action)."""
    return [(one.reason, one.action) for one in rig.of(ProtectionOverdue)]


def test_a_stop_that_the_venue_refuses_leads_out_of_the_position_in_time() -> None:
    rig = make("exit", 5)
    enter(rig, STOP)
    show(rig, ("7", 2, LotProtection()), later_s=0.1)
    pass_time(rig, 4.8, Rejected("no"))
    assert exits(rig) == []
    assert 2 <= len(rig.sent(SetProtection)) <= 5, "tried again meanwhile"
    pass_time(rig, 0.4, Rejected("no"))
    (out,) = exits(rig)
    assert [one.lot for one in rig.sent(CloseLot)] == ["7"]
    assert overdue(rig) == [("unconfirmed", "exit")]
    fill(rig, out, "7")
    assert held(rig) == 0
    assert 5.0 <= seconds(rig, "unconfirmed") <= 5.3
    counted = seconds(rig, "unconfirmed")
    pass_time(rig, 10)
    assert seconds(rig, "unconfirmed") == counted, "it is flat"
    assert rig.engine.protection.nakedness.episodes == {}


def test_after_the_exit_the_strategy_opens_nothing_until_a_person_lets_it() -> None:
    rig = make("exit", 5)
    enter(rig, STOP)
    pass_time(rig, 12, Rejected("no"))
    fill(rig, exits(rig)[0], "7")
    assert standing(rig) is TradingState.REDUCING
    assert not rig.do(lambda s: s.buy(BTC, 1, Limit(100), protect=STOP))
    rig.handle(Resumed("strategy:s1", "ann", "the venue takes stops again", rig.now_ns))
    assert rig.do(lambda s: s.buy(BTC, 1, Limit(100), protect=STOP))


def test_the_rest_of_an_entry_that_cannot_be_protected_is_cancelled() -> None:
    rig = make("exit", 5)
    order = rig.do(lambda s: s.buy(BTC, 3, Limit(100), protect=STOP))
    rig.accept(order)
    fill(rig, order, "7", 1)
    pass_time(rig, 9, Rejected("no"))
    live = rig.live(order)
    assert live.operation is not None, "its cancel is on its way"
    rig.accept(live)
    pass_time(rig, 2, Rejected("no"))
    assert [one.lot for one in rig.sent(CloseLot)] == ["7"]


@pytest.mark.parametrize(("policy", "state"), [("halt", TradingState.REDUCING), ("alert", TradingState.ACTIVE)])
def test_milder_policies_tell_and_go_on_trying(policy: str, state: TradingState) -> None:
    rig = make(policy, 5)
    enter(rig, STOP)
    pass_time(rig, 60, Rejected("no"))
    assert exits(rig) == []
    assert standing(rig) is state
    assert overdue(rig) == [("unconfirmed", policy)], "told once"
    before = len(rig.sent(SetProtection))
    pass_time(rig, 60, Accepted())
    assert len(rig.sent(SetProtection)) == before + 1
    assert overdue(rig) == [("unconfirmed", policy)], "a yes is no proof yet"
    show(rig, ("7", 2, LotProtection(stop=D(95))))
    assert overdue(rig) == [("unconfirmed", policy), ("unconfirmed", "over")]
    assert rig.state.guarding.overdue == {}


def test_an_exit_that_is_refused_is_sent_again_until_it_is_out() -> None:
    rig = make("exit", 5)
    enter(rig, STOP)
    pass_time(rig, 6, Rejected("no"))
    rig.answer(exits(rig)[0], Rejected("busy"))
    pass_time(rig, 2, Rejected("no"))
    assert len(exits(rig)) == 2


def test_only_what_the_venue_does_not_hold_counts() -> None:
    rig = make("exit", 5)
    enter(rig, STOP)
    show(rig, ("7", 2, LotProtection(stop=D(95))), later_s=1)
    counted = seconds(rig, "unconfirmed")
    assert counted == 1.0, "until it was shown"
    pass_time(rig, 30)
    assert seconds(rig, "unconfirmed") == counted
    show(rig, ("7", 2, LotProtection()), later_s=1)
    pass_time(rig, 1, Accepted())
    assert counted < seconds(rig, "unconfirmed") <= counted + 1.2, "somebody took it away, and it was set anew"


def test_a_venue_that_says_yes_and_holds_nothing_is_not_believed() -> None:
    """The time between its answer and the snapshot that denies it counts, so that it ends like a refusal."""
    rig = make("exit", 5)
    enter(rig, STOP)
    for _ in range(4):
        show(rig, ("7", 2, LotProtection()), later_s=0.1)
        pass_time(rig, 1.9, Accepted())
    assert overdue(rig) == [("unconfirmed", "exit")]
    assert [one.lot for one in rig.sent(CloseLot)] == ["7"]


def test_a_yes_that_the_next_snapshot_confirms_ends_the_count_at_the_answer() -> None:
    rig = make("exit", 5)
    enter(rig, STOP)
    show(rig, ("7", 2, LotProtection()), later_s=0.5)
    pass_time(rig, 2.0, Accepted())
    show(rig, ("7", 2, LotProtection(stop=D(95))), later_s=0.1)
    assert seconds(rig, "unconfirmed") <= 0.6
    assert rig.engine.protection.nakedness.episodes == {}


def test_a_missing_target_is_no_nakedness() -> None:
    rig = make("exit", 5)
    enter(rig, Protect(take=120))
    pass_time(rig, 60, Rejected("no"))
    assert rig.engine.protection.nakedness.totals == {}
    assert overdue(rig) == []
    assert len(rig.sent(SetProtection)) > 2, "it is still tried"


def test_a_stop_at_another_price_is_a_stop() -> None:
    rig = make("exit", 5)
    enter(rig, STOP)
    show(rig, ("7", 2, LotProtection(stop=D(94))), later_s=0.1)
    pass_time(rig, 30, Rejected("no"))
    assert seconds(rig, "unconfirmed") == 0.1, "until it was shown"
    assert len(rig.sent(SetProtection)) > 2


def test_seconds_count_while_the_market_is_open() -> None:
    rig = make("alert", 5)
    enter(rig, STOP)
    pass_time(rig, 2)
    counted = seconds(rig, "unconfirmed")
    rig.handle(StatusChanged(BTC, MarketStatus.CLOSED, rig.now_ns))
    for _ in range(600):
        rig.wait(TENTH_S)
    assert seconds(rig, "unconfirmed") == counted
    assert overdue(rig) == []
    rig.now_ns += 60 * SECOND_NS  # no tick comes between, as after a pause of the process
    rig.handle(StatusChanged(BTC, MarketStatus.OPEN, rig.now_ns))
    rig.wait(1)
    assert seconds(rig, "unconfirmed") == pytest.approx(counted + 1)


def test_an_engine_held_stop_that_was_reached_and_cannot_leave_counts() -> None:
    capabilities = make_lot_capabilities(bracket=Support.EMULATED, repeat_safe_lot_writes=frozenset())
    rig = make("exit", 5, capabilities=capabilities)
    enter(rig, STOP)
    pass_time(rig, 30)
    assert rig.engine.protection.nakedness.totals == {}
    rig.quote(94)
    (out,) = exits(rig)
    rig.answer(out, Unknown("timeout"))
    pass_time(rig, 6)
    assert len(exits(rig)) == 1, "a second one might close twice"
    assert overdue(rig) == [("triggered", "exit")]
    assert standing(rig) is TradingState.REDUCING
    fill(rig, out, "7", price=94)
    assert 5.9 <= seconds(rig, "triggered") <= 6.1
    assert held(rig) == 0


def test_a_stop_that_was_reached_stays_reached() -> None:
    rig = Rig()
    order = rig.do(lambda s: s.buy(BTC, 2, Limit(100), protect=STOP))
    rig.accept(order)
    rig.fill(order)
    rig.quote(94)
    rig.answer(exits(rig)[0], Rejected("busy"))
    rig.quote(99)
    rig.wait(2)
    assert len(exits(rig)) == 2, "as at a venue: the price has come back, the stop has not"


def test_a_stop_that_nobody_can_watch_is_told_and_nothing_is_sold_blindly() -> None:
    rig = make("exit", 5, capabilities=make_lot_capabilities(bracket=Support.EMULATED))
    enter(rig, STOP)
    for _ in range(round(STALE_AFTER_S) + 10):
        rig.wait(1)
    assert overdue(rig) == [("unwatched", "alert")]
    assert exits(rig) == []
    assert standing(rig) is TradingState.ACTIVE
    rig.quote(100)
    rig.wait(1)
    assert overdue(rig)[-1] == ("unwatched", "over")


def test_a_stop_that_the_first_price_after_a_silence_reaches_is_not_late_and_latches_nothing() -> None:
    rig = make("exit", 5, capabilities=make_lot_capabilities(bracket=Support.EMULATED))
    enter(rig, STOP)
    for _ in range(round(STALE_AFTER_S) + 10):
        rig.wait(1)
    rig.quote(90)
    assert len(exits(rig)) == 1
    assert standing(rig) is TradingState.ACTIVE
    pass_time(rig, 8, Rejected("no"))
    assert overdue(rig)[-1] == ("triggered", "exit"), "what the exit takes from then on counts"
    assert standing(rig) is TradingState.REDUCING


def test_a_venue_that_cannot_be_reached_leaves_an_engine_held_stop_unwatched() -> None:
    rig = make("exit", 5, capabilities=make_lot_capabilities(bracket=Support.EMULATED))
    enter(rig, STOP)
    rig.handle(VenueChanged("paper", TradingState.REDUCING, "down", rig.now_ns))
    pass_time(rig, 3)
    assert seconds(rig, "unwatched") == pytest.approx(3, abs=0.2)


def test_what_was_told_before_a_restart_is_not_told_again() -> None:
    rig = make("halt", 5)
    enter(rig, STOP)
    pass_time(rig, 8, Rejected("no"))
    again = make("halt", 5, facts=rig.facts, price=None)
    again.engine.lose_in_flight("restart", again.now_ns)
    again.quote(100)
    pass_time(again, 20, Rejected("no"))
    assert len(overdue(again)) == len(overdue(rig)) == 1, "the rig goes on with the facts of the first"
