"""A budget beside the kill path: silent while that sends, and poorer by what it sent."""

from quantd.clock import LoopClock
from quantd.testing.loop import run_virtual
from quantd.testing.observer import RecordingObserver
from quantd.venues.budget import AddressPool, Bucket, Lane, Limit, RateBudget


def test_while_the_kill_path_spends_the_rate_nothing_else_leaves_and_afterwards_its_requests_count() -> None:
    limits = (Limit("orders", Bucket(5.0, 5), {"cancel": 1}),)

    async def waits(clock: LoopClock) -> tuple[float, float]:
        budget = RateBudget("v", limits, clock=clock, observer=RecordingObserver())
        assert budget.reserve_for_kill("cancel", 1).interval_s == 0.2
        budget.silence(2.0)
        with await budget.acquire("cancel", Lane.CANCEL) as permit:
            silent_s = permit.waited_ns / 1e9
        budget.spent("cancel", 100)
        with await budget.acquire("cancel", Lane.CANCEL) as permit:
            return silent_s, permit.waited_ns / 1e9

    silent_s, empty_s = run_virtual(waits)
    assert 2.0 <= silent_s < 2.1
    assert empty_s > 0.19


def test_a_kill_at_one_account_lets_the_others_at_its_address_cancel() -> None:
    async def waited_s(clock: LoopClock) -> float:
        pool, limits = AddressPool(), (Limit("orders", Bucket(5.0, 5)),)
        killed, other = (
            RateBudget(name, limits, clock=clock, observer=RecordingObserver(), pool=pool) for name in ("a", "b")
        )
        killed.silence(2.0)
        assert killed.try_acquire("cancel", Lane.CANCEL) is None
        with await other.acquire("cancel", Lane.CANCEL) as permit:
            return permit.waited_ns / 1e9

    assert run_virtual(waited_s) == 0.0


def test_a_ban_that_comes_during_a_kill_is_as_long_as_any_and_is_kept() -> None:
    async def ban(clock: LoopClock) -> tuple[float, int]:
        budget = RateBudget("v", (), clock=clock, observer=RecordingObserver())
        budget.silence(2.0)
        banned_s = budget.ban(None)
        return banned_s, budget.state().ban_until_ns - clock.now_ns()

    assert run_virtual(ban) == (120.0, 120_000_000_000)
