"""Every limit lets pass what lies below it and at it, and denies what lies above: new orders and amendments.

The same cases show that the tests bite: with the control disabled, what lies above passes or is denied by another.
"""

from typing import Any

import pytest

from quantd.engine.orders import Order
from quantd.engine.risk import budgets, exit_sides, exposure, flow, margins, markets, order_controls, rate_age, throttle
from quantd.engine.risk.wish import Denied, Wish
from tests.unit.risk.boundaries import CASES
from tests.unit.risk.cases import Case

AMENDABLE = [case for case in CASES if case.amend is not None]


def check_new(case: Case, level: int) -> None:
    """Fail unless the order of this level (0 below, 1 at, 2 above) is answered as it must be."""
    rig = case.rig()
    check(case, case.new(rig, case.levels[level]), level)


def check_amendment(case: Case, level: int) -> None:
    """Likewise for an amendment."""
    assert case.amend is not None
    check(case, case.amend(case.rig(), case.levels[level]), level)


def check(case: Case, answer: Order | Denied, level: int) -> None:
    if level < 2:
        assert isinstance(answer, Order), f"{case}, {case.levels[level]}: {answer}"
        return
    assert isinstance(answer, Denied), f"{case}: {case.levels[level]} passed"
    assert answer.code is case.code, f"{case}: denied by another control: {answer}"
    if case.scope is not None:
        assert answer.scope == case.scope


@pytest.mark.parametrize("level", [0, 1, 2], ids=["below", "at", "above"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_new_order(case: Case, level: int) -> None:
    check_new(case, level)


@pytest.mark.parametrize("level", [0, 1, 2], ids=["below", "at", "above"])
@pytest.mark.parametrize("case", AMENDABLE, ids=str)
def test_amendment(case: Case, level: int) -> None:
    check_amendment(case, level)


@pytest.fixture
def disabled(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Case:
    """Disable the control of a case: it never denies."""
    case: Case = request.param

    def never(self: Any, wish: Wish) -> None:
        return None

    monkeypatch.setattr(case.control, "check", never)
    return case


@pytest.mark.parametrize("disabled", CASES, ids=str, indirect=True)
def test_a_disabled_control_is_noticed_at_a_new_order(disabled: Case) -> None:
    with pytest.raises(AssertionError):
        check_new(disabled, 2)


@pytest.mark.parametrize("disabled", AMENDABLE, ids=str, indirect=True)
def test_a_disabled_control_is_noticed_at_an_amendment(disabled: Case) -> None:
    with pytest.raises(AssertionError):
        check_amendment(disabled, 2)


def test_every_control_with_a_number_as_its_limit_has_a_boundary() -> None:
    controls = {
        one
        for module in (order_controls, exit_sides, rate_age, flow, throttle, budgets, exposure, margins, markets)
        for one in vars(module).values()
        if isinstance(one, type) and hasattr(one, "guards_exits") and hasattr(one, "number")
    }
    without_a_number = {order_controls.OrderType, order_controls.Twin}  # test_order_types.py, test_order_controls.py
    assert controls - without_a_number == {case.control for case in CASES}
