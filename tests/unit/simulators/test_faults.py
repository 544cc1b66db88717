"""Which request meets which fault: conditions, seeds, scripts in YAML."""

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantd.clock import ManualClock
from quantd.errors import ConfigError
from quantd.simulators.faults import Action, FaultRule, FaultScript, load_plan

SECOND_NS = 1_000_000_000


def hits(rule: FaultRule, operations: list[str], *, seed: int = 0) -> list[int]:
    """Return the numbers, from 1, of the requests that met `rule`."""
    script = FaultScript([rule], clock=ManualClock(), rng=random.Random(seed))
    return [number for number, operation in enumerate(operations, 1) if script.decide(operation)]


def test_a_rule_without_conditions_meets_every_request_of_its_route() -> None:
    assert hits(FaultRule(Action.ERROR, "ticker"), ["ticker", "status", "ticker"]) == [1, 3]
    assert hits(FaultRule(Action.ERROR, "*_order"), ["create_order", "portfolio", "cancel_order"]) == [1, 3]


def test_requests_are_counted_for_each_rule_by_itself() -> None:
    assert hits(FaultRule(Action.ERROR, "ticker", nth=2), ["ticker", "status", "ticker", "ticker"]) == [3]
    assert hits(FaultRule(Action.ERROR, nth=(1, 4)), ["a"] * 5) == [1, 4]
    assert hits(FaultRule(Action.ERROR, every=3), ["a"] * 7) == [3, 6]
    assert hits(FaultRule(Action.ERROR, every=2, times=2), ["a"] * 9) == [2, 4]


def test_a_window_counts_from_when_the_rule_was_added_and_leaves_out_its_end() -> None:
    clock = ManualClock(5 * SECOND_NS)
    script = FaultScript([FaultRule(Action.ERROR, between=(1, 2))], clock=clock)
    seen = {}
    for tenths in (0, 9, 10, 19, 20):
        clock.set(5 * SECOND_NS + tenths * SECOND_NS // 10)
        seen[tenths] = script.decide("a") is not None
    assert seen == {0: False, 9: False, 10: True, 19: True, 20: False}


def test_the_first_rule_wins_and_is_counted() -> None:
    script = FaultScript([FaultRule(Action.DROP_AFTER, times=1), FaultRule(Action.ERROR)], clock=ManualClock())
    assert [rule.action for rule in map(script.decide, "aaa") if rule is not None] == [
        Action.DROP_AFTER, Action.ERROR, Action.ERROR,
    ]  # fmt: skip
    assert script.done == {"drop_after": 1, "error": 2}
    script.clear()
    assert script.decide("a") is None


@given(seed=st.integers(0, 1000), share=st.floats(0.1, 0.9))
def test_chance_is_repeatable_and_keeps_to_its_share(seed: int, share: float) -> None:
    rule = FaultRule(Action.ERROR, probability=share)
    met = hits(rule, ["a"] * 1000, seed=seed)
    assert met == hits(rule, ["a"] * 1000, seed=seed)
    assert abs(len(met) - 1000 * share) < 100


@given(seed=st.integers(0, 1000))
def test_a_condition_that_fails_does_not_change_what_chance_says_later(seed: int) -> None:
    free = hits(FaultRule(Action.ERROR, probability=0.5), ["a"] * 100, seed=seed)
    tied = hits(FaultRule(Action.ERROR, probability=0.5, every=2), ["a"] * 100, seed=seed)
    assert tied == [number for number in free if number % 2 == 0]


def test_a_script_is_read_from_yaml(tmp_path: Path) -> None:
    path = tmp_path / "faults.yaml"
    path.write_text(
        "seed: 7\nrules:\n- {route: create_order, nth: 3, action: drop_after}\n"
        "- {action: delay, probability: 0.1, delay_s: 0.5, between: [10, 20]}\n"
    )
    plan = load_plan(path)
    assert plan.seed == 7
    assert plan.rules == (
        FaultRule(Action.DROP_AFTER, "create_order", nth=3),
        FaultRule(Action.DELAY, probability=0.1, delay_s=0.5, between=(10, 20)),
    )
    path.write_text("- {action: truncate}\n")
    assert load_plan(path).rules == (FaultRule(Action.TRUNCATE),)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rules: [{action: explode}]", "explode"),
        ("rules: [{action: error, rout: x}]", "rout"),
        ("rules: [{action: error, probability: 2}]", "probability of 0 to 1"),
        ("rules: [{action: error, status: 99}]", "HTTP status"),
        ("rules: {", "no YAML"),
        ("7", "Expected `object`"),
    ],
)
def test_a_script_that_cannot_be_is_refused_with_file_and_reason(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "faults.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words) as caught:
        load_plan(path)
    assert str(path) in str(caught.value)


def test_a_missing_script_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read"):
        load_plan(tmp_path / "none.yaml")
