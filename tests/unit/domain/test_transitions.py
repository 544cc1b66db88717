"""The literal tables: every pair of state and trigger has the one answer written here by hand."""

import itertools

import pytest

from quantd.domain.orders import (
    ENDS,
    OPERATION_TRANSITIONS,
    ORDER_TRANSITIONS,
    OperationPhase,
    OperationTrigger,
    OrderState,
    Side,
    Trigger,
)

# Rows: state; columns: fill, fill_whole, cancel, reject, deny, expire, reopen. A dash is impossible.
ORDERS = """
working          partially_filled filled cancelled rejected  denied expired -
partially_filled partially_filled filled cancelled cancelled -      expired -
filled           -                -      -         -         -      -       -
cancelled        cancelled        filled -         -         -      -       working
rejected         partially_filled filled -         -         -      -       working
denied           partially_filled filled -         -         -      -       working
expired          expired          filled -         -         -      -       working
"""
TABLE = {row.split()[0]: row.split()[1:] for row in ORDERS.strip().splitlines()}


@pytest.mark.parametrize(("state", "trigger"), list(itertools.product(OrderState, Trigger)), ids=str)
def test_every_pair_of_an_order(state: OrderState, trigger: Trigger) -> None:
    expected = TABLE[state.value][list(Trigger).index(trigger)]
    found = ORDER_TRANSITIONS.get((state, trigger))
    assert (found.value if found else "-") == expected


@pytest.mark.parametrize(("phase", "trigger"), list(itertools.product(OperationPhase, OperationTrigger)), ids=str)
def test_every_pair_of_an_operation(phase: OperationPhase, trigger: OperationTrigger) -> None:
    p, t = OperationPhase, OperationTrigger
    expected = {
        (p.PENDING, t.SEND): p.SENT,
        (p.PENDING, t.LOSE): p.UNKNOWN,
        (p.PENDING, t.SETTLE): None,
        (p.SENT, t.LOSE): p.UNKNOWN,
        (p.SENT, t.SETTLE): None,
        (p.UNKNOWN, t.LOSE): p.UNKNOWN,
        (p.UNKNOWN, t.SETTLE): None,
    }
    step = (phase, trigger)
    assert (step in OPERATION_TRANSITIONS) == (step in expected)
    assert OPERATION_TRANSITIONS.get(step) == expected.get(step)


def test_the_ends_are_all_states_but_the_two_that_may_still_trade() -> None:
    assert set(OrderState) - ENDS == {OrderState.WORKING, OrderState.PARTIALLY_FILLED}


def test_sides_are_opposites() -> None:
    assert Side.BUY.opposite is Side.SELL
    assert Side.SELL.opposite is Side.BUY
