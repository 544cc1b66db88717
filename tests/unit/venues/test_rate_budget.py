"""The rate budget in virtual time, against servers that enforce their limits exactly and a network that jitters."""

import asyncio
import random
from collections import deque
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantd.clock import LoopClock
from quantd.testing.loop import run_virtual
from quantd.venues.budget import AddressPool, Bucket, BudgetState, Lane, Limit, NoBudget, RateBudget, Window

JITTER_S = 0.020
SECOND = 1_000_000_000


class Tally:
    """An observer that keeps the last gauge and the sum of each counter."""

    def __init__(self) -> None:
        self.counts: dict[str, float] = {}
        self.gauges: dict[tuple[str, ...], float] = {}
        self.waits: list[float] = []

    def count(self, metric: str, amount: float = 1, /, **labels: str) -> None:
        self.counts[metric] = self.counts.get(metric, 0) + amount

    def gauge(self, metric: str, value: float, /, **labels: str) -> None:
        self.gauges[metric, *labels.values()] = value

    def observe(self, metric: str, value: float, /, **labels: str) -> None:
        self.waits.append(value)


class BucketServer:
    """A token bucket as a venue runs it."""

    def __init__(self, rate: float, burst: float) -> None:
        self.rate, self.burst, self.tokens, self.at = rate, burst, burst, 0.0

    def take(self, now: float, weight: float = 1) -> bool:
        self.tokens = min(self.burst, self.tokens + (now - self.at) * self.rate)
        self.at = now
        if self.tokens < weight:
            return False
        self.tokens -= weight
        return True


class WindowServer:
    """A sliding log: at most `limit` accepted in any `seconds`."""

    def __init__(self, limit: int, seconds: float) -> None:
        self.limit, self.seconds, self.log = limit, seconds, deque[float]()

    def take(self, now: float, weight: float = 1) -> bool:
        while self.log and self.log[0] <= now - self.seconds:
            self.log.popleft()
        if len(self.log) + weight > self.limit:
            return False
        self.log.extend([now] * int(weight))
        return True


def budget(clock: LoopClock, *limits: Limit, pool: AddressPool | None = None) -> RateBudget:
    return RateBudget("v", limits, clock=clock, observer=Tally(), pool=pool)


class Run:
    """Eager callers over a jittering network to an enforcing server; counts what the server says."""

    def __init__(self, seed: int, server: BucketServer | WindowServer, rates: RateBudget, jitter_s: float) -> None:
        self.rng = random.Random(seed)
        self.server, self.rates, self.jitter_s = server, rates, jitter_s
        self.accepted = self.refused = 0

    async def call(self, route: str = "any", lane: Lane = Lane.MARKET_DATA) -> None:
        with await self.rates.acquire(route, lane):
            await asyncio.sleep(self.rng.random() * self.jitter_s)
            if self.server.take(asyncio.get_running_loop().time()):
                self.accepted += 1
            else:
                self.refused += 1
            await asyncio.sleep(self.rng.random() * self.jitter_s)

    async def saturate(self, seconds: float, callers: int = 60) -> None:
        async def forever() -> None:
            while True:
                await self.call()

        try:
            async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
                for _ in range(callers):
                    group.create_task(forever())
        except TimeoutError:
            pass


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


async def hold(rates: RateBudget, lane: Lane = Lane.SUBMIT) -> None:
    with await rates.acquire("a", lane):
        pass


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


@pytest.mark.parametrize(("retry_after_s", "waits_s"), [(3.0, 3.0), (None, 1.0)])
def test_a_429_pauses_the_limits_of_the_route_only(retry_after_s: float | None, waits_s: float) -> None:
    async def main(clock: LoopClock) -> tuple[float, float]:
        rates = budget(clock, Limit("a", Bucket(100, 5), routes={"a": 1}), Limit("b", Bucket(100, 5), routes={"b": 1}))
        assert rates.penalise("a", retry_after_s) == waits_s
        with await rates.acquire("b", Lane.MARKET_DATA):
            other = clock.monotonic_ns() / SECOND
        await hold(rates, Lane.CANCEL)
        return other, clock.monotonic_ns() / SECOND

    assert run_virtual(main) == pytest.approx((0.0, waits_s))


def test_refusals_in_a_row_double_the_pause_up_to_a_minute_and_quiet_resets_it() -> None:
    async def main(clock: LoopClock) -> list[float]:
        rates = budget(clock, Limit("all", Bucket(100, 5)))
        pauses = [rates.penalise("a", None) for _ in range(8)]
        await asyncio.sleep(200)
        return [*pauses, rates.penalise("a", None)]

    assert run_virtual(main) == [1, 2, 4, 8, 16, 32, 60, 60, 1]


def test_a_ban_silences_every_account_at_the_address_and_doubles() -> None:
    async def main(clock: LoopClock) -> list[float]:
        pool = AddressPool()
        one, two = (budget(clock, Limit("all", Bucket(10, 5)), pool=pool) for _ in range(2))
        bans = [one.ban(None), one.ban(None)]  # the second answer belongs to the same ban
        with pytest.raises(NoBudget, match="banned"):
            await two.acquire("a", Lane.CANCEL, clock.monotonic_ns() + SECOND)
        await hold(two, Lane.CANCEL)
        bans += [clock.monotonic_ns() / SECOND, two.ban(None), two.ban(600.0)]
        return bans

    assert run_virtual(main) == [120, 120, 120, 240, 600]


def test_accounts_at_one_address_share_its_limit_and_wake_each_other() -> None:
    async def main(clock: LoopClock) -> float:
        pool = AddressPool()
        limit = Limit("ip", Window(1, 1, margin_s=0), scope="address")
        one, two = (budget(clock, limit, pool=pool) for _ in range(2))
        async with asyncio.TaskGroup() as group:
            permit = await one.acquire("a", Lane.SUBMIT)
            task = group.create_task(hold(two))
            await asyncio.sleep(2)
            assert not task.done()
            permit.answered()
        return clock.monotonic_ns() / SECOND

    assert run_virtual(main) == pytest.approx(3.001)


def test_bans_pauses_and_long_counts_survive_a_restart_and_short_ones_are_left_out() -> None:
    limits = (Limit("day", Window(10_000, 86_400)), Limit("second", Window(20, 1)))
    kept: list[tuple[BudgetState, int]] = []

    async def before(clock: LoopClock) -> None:
        rates = budget(clock, *limits)
        for _ in range(4_000):
            (await rates.acquire("a", Lane.RECONCILE)).answered()
        rates.ban(None)
        rates.penalise("a", 900.0)
        kept.append((rates.state(), clock.now_ns()))

    async def after(clock: LoopClock) -> tuple[dict[str, float], BudgetState, float]:
        rates = budget(clock, *limits)
        rates.restore(kept[0][0])
        state = rates.state()
        await asyncio.sleep(121)
        left = rates.left()
        await hold(rates)
        return left, state, clock.monotonic_ns() / SECOND

    run_virtual(before)
    state, ended_at_ns = kept[0]
    left, again, left_at_s = run_virtual(lambda clock: after(clock), started_at_ns=ended_at_ns)
    assert set(state.used) == {"day"}
    assert len(state.used["day"]) <= 49
    assert sum(weight for _, weight in state.used["day"]) == 4_000
    assert again == state
    assert left == {"day": pytest.approx(0.6), "second": 1.0}
    assert left_at_s == pytest.approx(900.0)


def test_headers_correct_a_limit_downwards_only() -> None:
    async def main(clock: LoopClock) -> list[float]:
        rates = budget(clock, Limit("w", Window(100, 60)), Limit("b", Bucket(10, 10)))
        seen = []
        for remaining in (30, 90, 0):
            rates.learn("w", remaining, 10.0)
            rates.learn("b", remaining / 10)
            seen += [rates.left()["w"], rates.left()["b"]]
        rates.learn("unknown", 0)
        await asyncio.sleep(10.1)
        return [*seen, rates.left()["w"], rates.left()["b"]]

    assert run_virtual(main) == pytest.approx([0.3, 0.3, 0.3, 0.3, 0, 0, 1, 1])


def test_new_limits_apply_to_those_who_wait_and_keep_what_is_counted() -> None:
    async def main(clock: LoopClock) -> float:
        rates = budget(clock, Limit("a", Window(1, 60)))
        await hold(rates)
        async with asyncio.TaskGroup() as group:
            group.create_task(hold(rates))
            await asyncio.sleep(1)
            rates.reconfigure([Limit("a", Window(2, 60)), Limit("other", Bucket(1, 1), routes={"x": 1})])
        assert rates.left() == {"a": 0.0, "other": 1.0}
        return clock.monotonic_ns() / SECOND

    assert run_virtual(main) == pytest.approx(1.0)


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


def test_waits_counts_and_what_is_left_are_reported() -> None:
    async def main(clock: LoopClock) -> Tally:
        tally = Tally()
        rates = RateBudget("v", [Limit("all", Bucket(1, 2))], clock=clock, observer=tally)
        for _ in range(3):
            await hold(rates)
        rates.penalise("a", 1.0)
        rates.ban(5.0)
        rates.report()
        return tally

    tally = run_virtual(main)
    assert tally.waits == pytest.approx([0, 0, 1.001], abs=1e-4)
    assert tally.counts == {"quantd_rate_limited_total": 1, "quantd_rate_bans_total": 1}
    assert tally.gauges == {("quantd_rate_budget_left_ratio", "v", "all"): 0.0}


@pytest.mark.parametrize(
    "make",
    [
        lambda: Bucket(0, 1),
        lambda: Bucket(1, 0.5),
        lambda: Window(0, 1),
        lambda: Window(1, 0),
        lambda: Limit("a", Bucket(1, 2), routes={"x": 3}),
        lambda: Limit("a", Bucket(1, 2), headroom=-1),
    ],
)
def test_limits_that_no_server_can_mean_are_refused(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"found|expected"):
        make()


def test_two_limits_of_one_name_are_refused() -> None:
    async def main(clock: LoopClock) -> None:
        with pytest.raises(ValueError, match="two limits"):
            budget(clock, Limit("a", Bucket(1, 1)), Limit("a", Bucket(2, 1)))

    run_virtual(main)
