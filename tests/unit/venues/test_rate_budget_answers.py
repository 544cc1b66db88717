"""What the rate budget learns from answers and keeps: pauses, bans, headers, restarts, new limits."""

import asyncio
from collections.abc import Callable

import pytest

from quantd.clock import LoopClock
from quantd.testing.loop import run_virtual
from quantd.venues.budget import AddressPool, Bucket, BudgetState, Lane, Limit, NoBudget, RateBudget, Window
from tests.unit.venues.rate_servers import SECOND, Tally, budget, hold


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


@pytest.mark.parametrize(("route", "cancel_at_s"), [("ticker", 0.0), ("account", 30.0)])
def test_a_429_of_a_route_with_a_limit_of_its_own_keeps_no_cancel_back(route: str, cancel_at_s: float) -> None:
    """As at ionloop: a ticker's own pace beside the key's quota; what only the quota counts was refused by the quota."""

    async def main(clock: LoopClock) -> tuple[float, float]:
        key, ticker = Limit("key", Window(1200, 60.0)), Limit("ticker", Window(1, 1.0), {"ticker": 1})
        rates = budget(clock, key, ticker, Limit("orders", Bucket(5, 5), {"cancel": 1}))
        assert rates.penalise(route, 30.0) == 30.0
        with await rates.acquire("cancel", Lane.CANCEL):
            cancelled = clock.monotonic_ns() / SECOND
        with await rates.acquire("ticker", Lane.MARKET_DATA):
            asked = clock.monotonic_ns() / SECOND
        return cancelled, asked

    assert run_virtual(main) == pytest.approx((cancel_at_s, 30.0))


@pytest.mark.parametrize(("second", "asked_at_s"), [("ticker", 0.0), ("cancel", 30.0)])
def test_a_second_route_that_is_refused_meanwhile_tells_that_it_is_the_limit_of_all(
    second: str, asked_at_s: float
) -> None:
    async def main(clock: LoopClock) -> float:
        key, ticker = Limit("key", Window(1200, 60.0)), Limit("ticker", Window(1, 1.0), {"ticker": 1})
        rates = budget(clock, key, ticker, Limit("orders", Bucket(5, 5), {"cancel": 1}))
        rates.penalise("ticker", 30.0)
        rates.penalise(second, 30.0)
        with await rates.acquire("account", Lane.ACCOUNT):
            return clock.monotonic_ns() / SECOND

    assert run_virtual(main) == pytest.approx(asked_at_s)


def test_refusals_in_a_row_double_the_pause_up_to_a_minute_and_quiet_resets_it() -> None:
    async def main(clock: LoopClock) -> list[float]:
        rates = budget(clock, Limit("all", Bucket(100, 5)))
        pauses = []
        for _ in range(8):
            pauses.append(rates.penalise("a", None))
            await asyncio.sleep(pauses[-1])
        await asyncio.sleep(200)
        return [*pauses, rates.penalise("a", None)]

    assert run_virtual(main) == [1, 2, 4, 8, 16, 32, 60, 60, 1]


def test_what_was_under_way_when_a_pause_began_does_not_double_it() -> None:
    """Five orders sent at once and refused at once are one refusal: the exit after them must not wait for 16 s."""

    async def main(clock: LoopClock) -> tuple[list[float], float, float]:
        rates = budget(clock, Limit("orders", Bucket(5, 5)))
        permits = [await rates.acquire("place", Lane.SUBMIT) for _ in range(5)]
        pauses = []
        for permit in permits:
            permit.answered()
            pauses.append(rates.penalise("place", None))
        with await rates.acquire("cancel", Lane.CANCEL):
            cancelled = clock.monotonic_ns() / SECOND
        return pauses, cancelled, rates.penalise("cancel", None)

    pauses, cancelled, again = run_virtual(main)
    assert pauses == [1] * 5
    assert cancelled == pytest.approx(1.0, abs=0.3)
    assert again == 2, "what left after the pause and is refused does"


@pytest.mark.parametrize("named_s", [0.0, -3.0])
def test_a_wait_of_nothing_is_no_wait(named_s: float) -> None:
    """As a date that has passed by our clock: sent again at once, we would be refused again, and banned in the end."""

    async def main(clock: LoopClock) -> tuple[list[float], list[float], float]:
        rates = budget(clock, Limit("all", Window(100, 1.0)))
        pauses, left = [], []
        for _ in range(3):
            pauses.append(rates.penalise("a", named_s))
            await hold(rates, Lane.SUBMIT)
            left.append(clock.monotonic_ns() / SECOND)
        return pauses, left, rates.ban(named_s)

    pauses, left, banned_s = run_virtual(main)
    assert pauses == [1, 2, 4]
    assert left == pytest.approx([1, 3, 7], abs=0.1)
    assert banned_s == 120


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


def test_waits_counts_and_what_is_left_are_reported() -> None:
    async def main(clock: LoopClock) -> Tally:
        tally = Tally()
        limits = [Limit("all", Bucket(1, 2)), Limit("pace", Window(1, 0.1), {"other": 1})]
        rates = RateBudget("v", limits, clock=clock, observer=tally)
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
