"""Control 14: writes that fail in a row stop their source once; a success, a person or the cool-down lets it go on."""

from typing import Any

import pytest

from quantd.domain.events import OperationResolved, OutcomeReceived, Resumed, TradingState
from quantd.domain.facts import StateSet
from quantd.domain.orders import Side
from quantd.domain.outcomes import NotExecuted, NotFound, Rejected, Unknown
from quantd.engine.orders import Order
from quantd.engine.risk.limits import Limits
from quantd.engine.risk.storms import Storms
from quantd.engine.risk.wish import Denial, Denied
from quantd.testing.builders import SECOND_NS, Rig, make_instrument
from tests.unit.risk.cases import place, resting, rig_with

REJECTED = Rejected("no")
FAILURES = [REJECTED, NotExecuted("rate_limited"), Unknown("timeout")]
SCOPES = ["strategy:s1", "venue:paper"]
LIMITS = Limits(max_consecutive_rejects=3)
MANY = [make_instrument(f"paper:A{number}-USD") for number in range(9)]
"""An unknown outcome blocks its instrument alone."""


def bought(rig: Rig, name: str, strategy: str = "s1") -> Any:
    return rig.do(lambda s: s.buy(name, 1), strategy)


def failing(rig: Rig, times: int, outcome: Any = REJECTED, strategy: str = "s1") -> int:
    """Send orders whose outcome is always the same, and return how many left."""
    left = 0
    for number in range(times):
        name = rig.instruments[number % len(rig.instruments)].id
        order = bought(rig, name, strategy)
        if isinstance(order, Order):
            left += 1
            rig.answer(order, outcome)
    return left


def latched(rig: Rig) -> list[tuple[str, TradingState]]:
    return [(one.scope, one.state) for one in rig.of(StateSet) if one.by == "reject_storm"]


def made(scope: str, limits: Limits = LIMITS, **more: Any) -> Rig:
    return rig_with(scope, limits, instruments=MANY, **more)


@pytest.mark.parametrize("outcome", FAILURES, ids=lambda one: type(one).__name__)
@pytest.mark.parametrize("scope", SCOPES)
def test_a_source_stops_at_its_limit_and_the_alert_is_raised_once(scope: str, outcome: Any) -> None:
    rig = made(scope)
    assert failing(rig, 2, outcome) == 2
    assert latched(rig) == [], "below the limit"
    assert failing(rig, 7, outcome) == 1
    assert latched(rig) == [(scope, TradingState.REDUCING)]


@pytest.mark.parametrize("scope", SCOPES)
def test_a_success_in_between_starts_the_count_anew(scope: str) -> None:
    rig = made(scope)
    failing(rig, 2)
    rig.accept(rig.do(lambda s: s.buy(MANY[0].id, 1)))
    assert failing(rig, 2) == 2
    assert latched(rig) == []


def test_the_venue_counts_what_all_strategies_meet_and_a_strategy_its_own() -> None:
    rig = made("venue:paper")
    assert [failing(rig, 1, strategy=name) for name in ("s1", "s2", "s1", "s2")] == [1, 1, 1, 0]
    own = made("strategy:s1")
    failing(own, 2)
    failing(own, 5, strategy="s2")
    assert latched(own) == []


def test_what_is_found_out_later_of_an_unanswered_write_neither_counts_nor_forgives() -> None:
    rig = made("venue:paper")
    for number in range(3):
        assert latched(rig) == []
        order = bought(rig, MANY[number].id)
        rig.answer(order, Unknown("timeout"))
        operation = rig.live(order).operation
        assert operation is not None
        rig.handle(OperationResolved(order.id, operation.number, NotFound(), rig.now_ns))
    assert len(latched(rig)) == 1


def test_refused_amendments_and_cancels_count_too() -> None:
    rig = rig_with("venue:paper", LIMITS)
    order = resting(rig, Side.BUY, "1", "99")
    for _ in range(2):
        rig.do(lambda s: s.amend(order, quantity=2))
        rig.answer(order, REJECTED)
    rig.do(lambda s: s.cancel_all())
    rig.answer(order, REJECTED)
    assert len(latched(rig)) == 1


@pytest.mark.parametrize("scope", SCOPES)
def test_count_and_latch_survive_a_restart_which_itself_is_no_failure(scope: str) -> None:
    rig = made(scope)
    failing(rig, 2)
    place_in_flight = rig.do(lambda s: s.buy(MANY[5].id, 1))
    again = made(scope, facts=rig.facts)
    again.engine.lose_in_flight("restart", again.now_ns)
    assert latched(again) == []
    assert again.live(place_in_flight).is_unknown
    assert failing(again, 2) == 1
    assert len(latched(again)) == 1
    third = made(scope, facts=again.facts + again.engine.take_facts())
    denied = third.do(lambda s: s.buy(MANY[0].id, 1))
    assert isinstance(denied, Denied)
    assert denied.code is Denial.TRADING_STATE


def test_a_person_lets_it_go_on_and_the_count_starts_anew() -> None:
    rig = made("venue:paper")
    failing(rig, 5)
    rig.wait(3_600)
    assert failing(rig, 1) == 0, "no cool-down is set"
    rig.handle(Resumed("venue:paper", "ann", "they fixed it", rig.now_ns))
    assert failing(rig, 9) == 3
    assert len(latched(rig)) == 2


def test_after_its_cool_down_it_goes_on_once_and_then_a_person_must() -> None:
    limits = Limits(max_consecutive_rejects=3, reject_cooldown_s=60.0)
    rig = made("venue:paper", limits)
    failing(rig, 5)
    rig.wait(59.999)
    assert failing(rig, 1) == 0
    rig.wait(0.001)
    assert latched(rig)[-1] == ("venue:paper", TradingState.ACTIVE)
    assert failing(rig, 5) == 1, "one failure is enough now"
    again = made("venue:paper", limits, facts=rig.facts)
    again.wait(3_600)
    assert failing(again, 1) == 0
    again.handle(Resumed("venue:paper", "ann", "they fixed it", again.now_ns))
    assert failing(again, 5) == 3


def test_a_success_after_the_cool_down_makes_all_as_before() -> None:
    rig = made("venue:paper", Limits(max_consecutive_rejects=3, reject_cooldown_s=60.0))
    failing(rig, 5)
    rig.wait(60)
    rig.accept(rig.do(lambda s: s.buy(MANY[0].id, 1)))
    assert failing(rig, 5) == 3
    rig.wait(60)
    assert failing(rig, 1) == 1


def test_exits_pass_while_it_is_latched() -> None:
    rig = rig_with("venue:paper", LIMITS)
    rig.hold(2)
    failing(rig, 5)
    assert isinstance(place(rig, Side.SELL, "1", "100"), Order)


def test_a_late_answer_to_what_is_settled_counts_nothing() -> None:
    rig = made("venue:paper")
    order = rig.do(lambda s: s.buy(MANY[0].id, 1))
    rig.answer(order, REJECTED)
    for _ in range(5):
        rig.now_ns += SECOND_NS
        rig.handle(OutcomeReceived(order.id, 1, REJECTED, rig.now_ns))
    assert latched(rig) == []


def test_a_disabled_breaker_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(self: Storms, order: Any) -> None:
        return None

    monkeypatch.setattr(Storms, "failed", never)
    assert failing(made("venue:paper"), 9) == 9
