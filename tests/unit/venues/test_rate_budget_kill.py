"""A budget beside the kill path: silent while that sends, and poorer by what it sent."""

from quantd.clock import LoopClock
from quantd.testing.loop import run_virtual
from quantd.testing.observer import RecordingObserver
from quantd.venues.budget import Bucket, Lane, Limit, RateBudget


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
