"""The rate budget in virtual time, against servers that enforce their limits exactly and a network that jitters."""

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantd.clock import LoopClock
from quantd.testing.loop import run_virtual
from quantd.venues.budget import Bucket, Lane, Limit, NoBudget, Window
from tests.unit.venues.rate_servers import JITTER_S, SECOND, BucketServer, Run, WindowServer, budget, hold


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), jitter_s=st.sampled_from([0.0, 0.001, JITTER_S, 0.2]))
def test_a_saturated_bucket_is_used_to_the_last_token_and_never_overdrawn(seed: int, jitter_s: float) -> None:
    async def main(clock: LoopClock) -> Run:
        rates = budget(clock, Limit("all", Bucket(20, 5)))
        run = Run(seed, BucketServer(20, 5), rates, jitter_s)
        await run.saturate(8.0)
        return run

    run = run_virtual(main)
    assert run.refused == 0
    if jitter_s <= JITTER_S:
        assert run.accepted >= 0.985 * (5 + 20 * 8)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), jitter_s=st.sampled_from([0.0, JITTER_S, 0.3]))
def test_a_saturated_window_is_filled_and_never_overdrawn(seed: int, jitter_s: float) -> None:
    async def main(clock: LoopClock) -> Run:
        rates = budget(clock, Limit("all", Window(20, 1)))
        run = Run(seed, WindowServer(20, 1), rates, jitter_s)
        await run.saturate(8.0)
        return run

    run = run_virtual(main)
    assert run.refused == 0
    if jitter_s <= JITTER_S:
        assert run.accepted >= 0.95 * 20 * 8


@pytest.mark.parametrize("seed", range(20))
def test_a_burst_after_a_pause_leaves_at_once(seed: int) -> None:
    async def main(clock: LoopClock) -> tuple[float, int]:
        run = Run(seed, BucketServer(20, 5), budget(clock, Limit("all", Bucket(20, 5))), JITTER_S)
        await run.saturate(1.0)
        await asyncio.sleep(1.25)
        began = clock.monotonic_ns()
        async with asyncio.TaskGroup() as group:
            for _ in range(5):
                group.create_task(run.call())
        return (clock.monotonic_ns() - began) / SECOND, run.refused

    took_s, refused = run_virtual(main)
    assert took_s <= 0.060
    assert refused == 0


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), at=st.floats(0.0, 5.0), bucket=st.booleans())
def test_a_cancel_leaves_within_one_slot_while_polls_want_everything(seed: int, at: float, bucket: bool) -> None:
    model, server = (Bucket(20, 5), BucketServer(20, 5)) if bucket else (Window(20, 1), WindowServer(20, 1))

    async def main(clock: LoopClock) -> tuple[int, int]:
        run = Run(seed, server, budget(clock, Limit("all", model)), JITTER_S)
        waited = -1

        async def cancel() -> None:
            nonlocal waited
            await asyncio.sleep(at)
            began = clock.monotonic_ns()
            with await run.rates.acquire("cancel", Lane.CANCEL):
                waited = clock.monotonic_ns() - began
                assert server.take(asyncio.get_running_loop().time())

        async with asyncio.TaskGroup() as group:
            group.create_task(run.saturate(7.0))
            group.create_task(cancel())
        return waited, run.refused

    waited, refused = run_virtual(main)
    # One slot of 50 ms, and the jitter with which the answers free the slots.
    assert waited / SECOND <= 0.050 + 2 * JITTER_S
    assert refused == 0


def test_lanes_go_by_priority_and_first_come_first_served_inside_a_lane() -> None:
    async def main(clock: LoopClock) -> list[str]:
        rates = budget(clock, Limit("all", Bucket(10, 1)))
        order: list[str] = []

        async def want(name: str, lane: Lane) -> None:
            with await rates.acquire(name, lane):
                order.append(name)

        async with asyncio.TaskGroup() as group:
            for lane in reversed(Lane):
                for n in range(2):
                    group.create_task(want(f"{lane.name}-{n}", lane))
        return order

    first, *rest = run_virtual(main)
    assert first == "MARKET_DATA-0"  # the bucket was full and nobody else was there yet
    assert rest == [f"{lane.name}-{n}" for lane in Lane for n in range(2) if (lane, n) != (Lane.MARKET_DATA, 0)]


def test_a_poll_that_waits_for_its_own_limit_does_not_block_an_order() -> None:
    async def main(clock: LoopClock) -> float:
        rates = budget(
            clock, Limit("orders", Window(1, 60), routes={"orders": 1}), Limit("all", Bucket(10, 1), routes={"*": 1})
        )
        with await rates.acquire("orders", Lane.RECONCILE):
            pass

        async def submit() -> float:
            began = clock.monotonic_ns()
            with await rates.acquire("submit", Lane.SUBMIT):
                return (clock.monotonic_ns() - began) / SECOND

        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(rates.acquire("orders", Lane.RECONCILE))
            await asyncio.sleep(0)
            task = group.create_task(submit())
        waiting.result().answered()
        return task.result()

    assert run_virtual(main) < 0.11


def test_a_request_draws_on_all_its_limits_or_on_none() -> None:
    async def main(clock: LoopClock) -> tuple[dict[str, float], dict[str, float]]:
        rates = budget(
            clock,
            Limit("weight", Window(10, 60), routes={"book": 8, "*": 1}, headroom=0),
            Limit("count", Window(100, 60), routes={"*": 1}, headroom=0),
        )
        with await rates.acquire("book", Lane.MARKET_DATA):
            pass
        before = rates.left()
        with pytest.raises(NoBudget):
            await rates.acquire("book", Lane.MARKET_DATA, clock.monotonic_ns() + SECOND)
        return before, rates.left()

    before, after = run_virtual(main)
    assert before == after == {"weight": pytest.approx(0.2), "count": pytest.approx(0.99)}


def test_a_heavy_request_is_not_starved_by_light_ones_behind_it() -> None:
    async def main(clock: LoopClock) -> float:
        rates = budget(clock, Limit("all", Bucket(10, 10), routes={"heavy": 10, "*": 1}))
        run = Run(1, BucketServer(10, 10), rates, 0.01)
        with await rates.acquire("heavy", Lane.ACCOUNT):
            pass

        async def heavy() -> float:
            await asyncio.sleep(0.5)
            with await rates.acquire("heavy", Lane.ACCOUNT):
                return clock.monotonic_ns() / SECOND

        async with asyncio.TaskGroup() as group:
            task = group.create_task(heavy())
            group.create_task(run.saturate(3.0, callers=5))
        return task.result()

    assert run_virtual(main) < 1.6


def test_a_request_that_cannot_meet_its_deadline_is_told_at_once() -> None:
    async def main(clock: LoopClock) -> tuple[NoBudget, int]:
        rates = budget(clock, Limit("all", Window(1, 60)))
        with await rates.acquire("a", Lane.SUBMIT):
            pass
        with pytest.raises(NoBudget) as refused:
            await rates.acquire("a", Lane.SUBMIT, clock.monotonic_ns() + 2 * SECOND)
        return refused.value, clock.monotonic_ns()

    refused, now = run_virtual(main)
    assert now == 0
    assert refused.reason == "rate_limited"
    assert refused.retry_after_s == pytest.approx(60, abs=0.1)


def test_a_request_behind_others_fails_at_its_deadline_and_not_later() -> None:
    async def main(clock: LoopClock) -> float:
        rates = budget(clock, Limit("all", Bucket(1, 1)))
        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(hold(rates))
            await asyncio.sleep(0)
            with pytest.raises(NoBudget):
                await rates.acquire("a", Lane.SUBMIT, clock.monotonic_ns() + 2 * SECOND)
            return clock.monotonic_ns() / SECOND

    assert run_virtual(main) == pytest.approx(2.0)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_cancelled_waiters_lose_no_weight_and_block_nobody(seed: int) -> None:
    async def main(clock: LoopClock) -> tuple[Run, float]:
        rng = random.Random(seed)
        run = Run(seed, BucketServer(50, 5), budget(clock, Limit("all", Bucket(50, 5))), JITTER_S)

        async def impatient() -> None:
            try:
                async with asyncio.timeout(rng.random() * 0.3):
                    await run.call(lane=rng.choice(list(Lane)))
            except TimeoutError:
                pass

        async with asyncio.TaskGroup() as group:
            for _ in range(120):
                group.create_task(impatient())
        await asyncio.sleep(2)
        began = clock.monotonic_ns()
        async with asyncio.TaskGroup() as group:
            for _ in range(5):
                group.create_task(run.call())
        return run, (clock.monotonic_ns() - began) / SECOND

    run, took_s = run_virtual(main)
    assert run.refused == 0
    assert took_s < 2 * JITTER_S + 1e-6


def test_a_permit_granted_to_a_caller_that_is_cancelled_in_the_same_moment_is_not_lost() -> None:
    async def main(clock: LoopClock) -> bool:
        rates = budget(clock, Limit("all", Window(1, 60)))
        first = await rates.acquire("a", Lane.SUBMIT)
        async with asyncio.TaskGroup() as group:
            second = group.create_task(hold(rates))
            await asyncio.sleep(0)
            first.unsent()  # grants the second, which has not run yet
            second.cancel()
        return rates.try_acquire("a", Lane.SUBMIT) is not None

    assert run_virtual(main)


def test_an_unsent_request_gives_its_weight_back_at_once() -> None:
    async def main(clock: LoopClock) -> int:
        rates = budget(clock, Limit("all", Window(1, 60)), Limit("b", Bucket(0.01, 1)))
        for _ in range(3):
            with await rates.acquire("a", Lane.SUBMIT) as permit:
                permit.unsent()
        return clock.monotonic_ns()

    assert run_virtual(main) == 0


def test_slots_of_a_window_start_at_the_answer() -> None:
    async def main(clock: LoopClock) -> float:
        rates = budget(clock, Limit("all", Window(1, 1, margin_s=0.1)))
        with await rates.acquire("a", Lane.SUBMIT):
            await asyncio.sleep(5)
        await hold(rates)
        return clock.monotonic_ns() / SECOND

    assert run_virtual(main) == pytest.approx(6.101, abs=1e-6)


def test_an_answer_that_takes_long_does_not_hold_a_bucket_for_ever() -> None:
    async def main(clock: LoopClock) -> float:
        rates = budget(clock, Limit("all", Bucket(10, 1, transit_s=0.5)))
        with await rates.acquire("a", Lane.SUBMIT):
            await hold(rates)
            return clock.monotonic_ns() / SECOND

    assert run_virtual(main) == pytest.approx(0.6, abs=0.001)


def test_the_kill_reserve_is_kept_from_every_lane_and_leaves_one_request() -> None:
    async def main(clock: LoopClock) -> None:
        rates = budget(clock, Limit("all", Bucket(5, 5)), Limit("one", Bucket(2, 1), routes={"other": 1}))
        allowance = rates.reserve_for_kill("cancel", 2)
        assert (allowance.count, allowance.interval_s) == (2, 0.2)
        permits = [rates.try_acquire("cancel", Lane.CANCEL) for _ in range(4)]
        assert [p is not None for p in permits] == [True, True, True, False]
        assert rates.reserve_for_kill("other", 5).count == 0

    run_virtual(main)


def test_headroom_is_kept_from_polls_and_submits_but_not_from_cancels() -> None:
    async def main(clock: LoopClock) -> list[int]:
        counts = []
        for lane in (Lane.MARKET_DATA, Lane.SUBMIT, Lane.CANCEL):
            rates = budget(clock, Limit("all", Bucket(1, 50)))
            counts.append(len([1 for _ in range(60) if rates.try_acquire("a", lane) is not None]))
        return counts

    assert run_virtual(main) == [48, 48, 50]
