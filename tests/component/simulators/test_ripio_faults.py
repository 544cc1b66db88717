"""The simulated Ripio Trade behind the in-memory transport: what is lost on the way was done, or was not."""

import asyncio
from typing import Any

import pytest

from quantd.clock import LoopClock
from quantd.ports import ReplyLost
from quantd.simulators.faults import Action, FaultRule, FaultScript
from quantd.simulators.memory import MemoryTransport
from quantd.testing.loop import run_virtual
from tests.component.simulators.ripio_desk import LIMIT, Desk, compact, tree_of


def sent(rule: FaultRule, *, timeout_s: float = 2.0, wait_s: float = 0.0) -> tuple[Desk, Any, Any]:
    """Send a create that meets a fault; return the desk, the answer or the loss, and the orders that stand."""
    desk = Desk()

    async def main(clock: LoopClock) -> Any:
        transport = MemoryTransport(desk.venue, FaultScript([rule], clock=clock))
        try:
            answer: Any = await transport.send(
                desk.signed("POST", "/trade/orders", compact(LIMIT)), timeout_s=timeout_s
            )
        except ReplyLost as error:
            answer = error
        if wait_s:
            await asyncio.sleep(wait_s)
        return answer

    answer = run_virtual(main)
    return desk, answer, desk.data("GET", "/orders/open")["orders"]


def test_create_lost_before_is_not_done_and_lost_after_is() -> None:
    _, answer, orders = sent(FaultRule(Action.DROP_BEFORE, "create_order"))
    assert (isinstance(answer, ReplyLost), orders) == (True, [])
    _, answer, orders = sent(FaultRule(Action.DROP_AFTER, "create_order"))
    assert (isinstance(answer, ReplyLost), len(orders)) == (True, 1)


def test_create_that_is_late_is_done_after_its_client_gave_up() -> None:
    _, answer, orders = sent(FaultRule(Action.DELAY, "create_order", delay_s=4), wait_s=3)
    assert (isinstance(answer, ReplyLost), len(orders)) == (True, 1)


@pytest.mark.parametrize(("action", "count"), [(Action.ERROR, 0), (Action.ERROR_AFTER, 1)])
def test_internal_error_says_nothing_of_what_was_done(action: Action, count: int) -> None:
    _, answer, orders = sent(FaultRule(action, "create_order", status=500))
    assert (answer.status, tree_of(answer)["error_code"], len(orders)) == (500, 50000, count)


def test_request_that_the_network_repeats_is_caught_by_its_signature() -> None:
    desk, answer, orders = sent(FaultRule(Action.DUPLICATE, "create_order"))
    assert (answer.status, len(orders)) == (200, 1)
    assert desk.venue.counters()["unauthorized"] == {"replay": 1}


def test_throttle_and_garbage() -> None:
    _, answer, orders = sent(FaultRule(Action.THROTTLE, "create_order"))
    assert (answer.status, tree_of(answer), orders) == (429, {"message": "Too many requests"}, [])
    _, answer, orders = sent(FaultRule(Action.GARBAGE, "create_order"))
    with pytest.raises(ValueError, match=r"codec|Expecting"):
        tree_of(answer)
    assert len(orders) == 1
