"""A budget after a restart: what the earlier process may have used a moment ago is not used again."""

from quantd.clock import LoopClock
from quantd.testing.loop import run_virtual
from quantd.testing.observer import RecordingObserver
from quantd.venues.budget import AddressPool, Bucket, BudgetState, Lane, Limit, RateBudget, Window


def test_short_windows_and_buckets_begin_used_up_after_a_restart_and_long_ones_do_not() -> None:
    limits = (
        Limit("ticker", Window(1, 1.0), {"ticker": 1}),
        Limit("orders", Bucket(5.0, 5), {"order": 1}),
        Limit("key", Window(1200, 60.0), {"account": 1}),
    )

    async def waits(clock: LoopClock, *, restarted: bool) -> list[float]:
        budget = RateBudget("v", limits, clock=clock, observer=RecordingObserver())
        if restarted:
            budget.begin_used()
        found = []
        for route in ("ticker", "order", "account"):
            with await budget.acquire(route, Lane.MARKET_DATA) as permit:
                found.append(permit.waited_ns / 1e9)
        return found

    assert run_virtual(lambda clock: waits(clock, restarted=False)) == [0, 0, 0]
    ticker, order, account = run_virtual(lambda clock: waits(clock, restarted=True))
    assert 1.0 <= ticker < 1.1
    assert order == 0  # refilled while the ticker waited
    assert account == 0


def test_a_limit_that_is_added_after_a_restart_begins_used_up_too() -> None:
    async def first_wait_s(clock: LoopClock) -> float:
        budget = RateBudget("v", (), clock=clock, observer=RecordingObserver())
        budget.begin_used()
        budget.reconfigure([Limit("ticker", Window(1, 1.0), {"ticker": 1})])
        with await budget.acquire("ticker", Lane.MARKET_DATA) as permit:
            return permit.waited_ns / 1e9

    assert 1.0 <= run_virtual(first_wait_s) < 1.1


def test_what_two_accounts_have_kept_of_their_address_is_counted_once() -> None:
    limit = Limit("public", Window(60, 60.0), scope="address")

    async def left(clock: LoopClock) -> float:
        before, after = AddressPool(), AddressPool()
        one, two, *later = (
            RateBudget(name, [limit], clock=clock, observer=RecordingObserver(), pool=pool)
            for pool in (before, after)
            for name in ("a", "b")
        )
        for budget in (one, two):
            for _ in range(10):
                (await budget.acquire("markets", Lane.RECONCILE)).answered()
        for old, new in zip((one, two), later, strict=True):
            new.restore(old.state())
        return later[0].left()["public"]

    assert run_virtual(left) == 40 / 60


def test_a_clock_that_was_set_back_at_a_restart_keeps_no_slot_for_longer_than_its_window() -> None:
    limit, kept = Limit("key", Window(10, 60.0)), list[BudgetState]()

    async def before(clock: LoopClock) -> None:
        budget = RateBudget("v", [limit], clock=clock, observer=RecordingObserver())
        for _ in range(10):
            (await budget.acquire("any", Lane.CANCEL)).answered()
        kept.append(budget.state())

    async def waited_s(clock: LoopClock) -> float:
        budget = RateBudget("v", [limit], clock=clock, observer=RecordingObserver())
        budget.restore(kept[0])
        with await budget.acquire("any", Lane.CANCEL) as permit:
            return permit.waited_ns / 1e9

    run_virtual(before, started_at_ns=1_600_003_600_000_000_000)
    assert 60 <= run_virtual(waited_s, started_at_ns=1_600_000_000_000_000_000) < 61
