"""Each case of the Idempotency-Key: what the venue does with one, and that a lost create is never placed twice."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from quantd.domain.commands import Submit
from quantd.domain.outcomes import Accepted, Found, NotFound, Outcome, Resolution, StillUnknown, Unknown
from quantd.simulators.faults import Action
from tests.contract.ionloop_pair import Json, Pair, run

BODY = {"symbol": "BTC-USDT", "side": "buy", "type": "limit", "quantity": "0.01", "price": "64000.00"}


def create(pair: Pair, *, key: str = "k1", **changes: str) -> tuple[int, Json]:
    """Ask for an order under a key, without a connector."""
    return pair.raw("POST", "/v1/orders", {**BODY, **changes}, Idempotency_Key=key)


def counted(pair: Pair) -> dict[str, int]:
    """Return what the venue counted of keys, and its orders."""
    return {**pair.venue.counters()["idempotency"], "orders": len(pair.venue.desk.orders)}


async def same_body_gets_the_first_answer(pair: Pair) -> None:
    status, first = create(pair)
    await asyncio.sleep(2)
    again, second = create(pair)
    assert (status, again) == (200, 200)
    assert first["data"] == second["data"]
    assert first["meta"]["requestId"] != second["meta"]["requestId"]
    assert counted(pair) == {"replays": 1, "conflicts": 0, "orders": 1}


async def a_replay_shows_the_order_as_it_was(pair: Pair) -> None:
    _, first = create(pair, price="65010.00")
    pair.quote("65000.00", "65010.00")
    assert pair.raw("GET", f"/v1/orders/{first['data']['id']}")[1]["data"]["status"] == "filled"
    assert create(pair, price="65010.00")[1]["data"]["status"] == "open"


async def another_body_is_refused(pair: Pair) -> None:
    create(pair)
    status, answer = create(pair, price="64000.01")
    assert (status, answer["error"]["code"]) == (422, "VALIDATION_ERROR")
    assert counted(pair) == {"replays": 0, "conflicts": 1, "orders": 1}


async def the_same_key_of_another_api_key_is_another(pair: Pair) -> None:
    create(pair)
    status, _ = pair.raw("POST", "/v1/orders", BODY, Idempotency_Key="k1", Authorization="Bearer trader")
    assert status == 200
    assert counted(pair) == {"replays": 0, "conflicts": 0, "orders": 2}


async def a_key_is_forgotten_after_a_day(pair: Pair) -> None:
    create(pair)
    await asyncio.sleep(86_399)
    create(pair)
    await asyncio.sleep(2)
    create(pair)
    assert counted(pair) == {"replays": 1, "conflicts": 0, "orders": 2}


async def a_refusal_is_remembered(pair: Pair) -> None:
    assert create(pair, quantity="10")[0] == 402
    pair.venue.command("deposit", {"asset": "USDT", "amount": "1000000"})
    assert create(pair, quantity="10")[0] == 402
    assert create(pair, key="k2", quantity="10")[0] == 200


async def throttling_is_not_remembered(pair: Pair) -> None:
    for _ in range(10):
        pair.raw("GET", "/v1/orders")
    assert create(pair)[0] == 429
    await asyncio.sleep(1)
    assert create(pair)[0] == 200
    assert counted(pair) == {"replays": 0, "conflicts": 0, "orders": 1}


async def a_closed_market_is_not_remembered_unless_switched_on(pair: Pair) -> None:
    pair.venue.command("market", {"symbol": "BTC-USDT", "status": "halted"})
    assert create(pair)[0] == 503
    pair.switches.store_failures = True
    assert create(pair, key="k2")[0] == 503
    pair.venue.command("market", {"symbol": "BTC-USDT", "status": "online"})
    assert create(pair)[0] == 200
    assert create(pair, key="k2")[0] == 503


async def ignored_keys_make_two_orders_and_that_is_counted(pair: Pair) -> None:
    pair.switches.honour_keys = False
    create(pair)
    create(pair)
    assert len(pair.venue.desk.orders) == 2
    assert pair.venue.desk.violations == {"duplicate_under_one_key": 1}


async def without_a_key_the_same_terms_within_a_second_are_counted(pair: Pair) -> None:
    for wait_s in (0.5, 1.0, 0.0):
        pair.raw("POST", "/v1/orders", BODY)
        await asyncio.sleep(wait_s)
    assert pair.venue.desk.violations == {"create_without_key": 3, "duplicate_order": 1}


CASES = (
    same_body_gets_the_first_answer,
    a_replay_shows_the_order_as_it_was,
    another_body_is_refused,
    the_same_key_of_another_api_key_is_another,
    a_key_is_forgotten_after_a_day,
    a_refusal_is_remembered,
    throttling_is_not_remembered,
    a_closed_market_is_not_remembered_unless_switched_on,
    ignored_keys_make_two_orders_and_that_is_counted,
    without_a_key_the_same_terms_within_a_second_are_counted,
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_case_of_the_key(case: Callable[[Pair], Coroutine[Any, Any, None]]) -> None:
    run(case)


async def resolved(pair: Pair, command: Submit, sent_at_ns: int) -> Resolution:
    """Ask step by step, as the executor does, until it is known."""
    while True:
        resolution = await pair.connector.resolve(command, sent_at_ns)
        if not isinstance(resolution, StillUnknown):
            return resolution
        await asyncio.sleep(resolution.retry_after_s or 1.0)


PLACED = (Action.DROP_AFTER, Action.ERROR_AFTER, Action.TRUNCATE, Action.GARBAGE)
NOT_PLACED = (Action.DROP_BEFORE, Action.ERROR)


@pytest.mark.parametrize("idempotency", [True, False], ids=["keys relied on", "keys not relied on"])
@pytest.mark.parametrize("action", [*PLACED, *NOT_PLACED, Action.DELAY, Action.DUPLICATE], ids=lambda a: a.value)
def test_a_lost_create_is_placed_at_most_once_and_found(action: Action, idempotency: bool) -> None:
    """A held-up create arrives after its sender has given up; a repeated one arrives twice under one key."""

    async def act(pair: Pair) -> None:
        pair.fault(action, "create_order", delay_s=20.0)
        command, sent_at_ns = pair.submit(), pair.clock.now_ns()
        outcome: Outcome | Resolution = await pair.connector.submit(command)
        if action is Action.DUPLICATE:
            assert isinstance(outcome, Accepted)
        else:
            assert isinstance(outcome, Unknown), outcome
            outcome = await resolved(pair, command, sent_at_ns)
        orders = pair.venue.desk.orders
        if action in NOT_PLACED and not idempotency:
            assert outcome == NotFound()
            assert not orders
            return
        assert len(orders) == 1
        if isinstance(outcome, Found):
            assert outcome.report.venue_order_id in orders
        assert not pair.venue.desk.violations

    run(act, idempotency=idempotency)
