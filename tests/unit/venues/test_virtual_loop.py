"""Virtual time: long waits cost nothing, nothing hangs, the same program gives the same order."""

import asyncio
import time

import pytest

from quantd.clock import LoopClock
from quantd.testing.loop import STARTED_AT_NS, Deadlock, run_virtual


def test_thirty_hours_of_sleep_pass_at_once_and_the_clock_agrees() -> None:
    async def main(clock: LoopClock) -> int:
        for _ in range(30):
            await asyncio.sleep(3600)
        return clock.now_ns()

    began = time.perf_counter()
    assert run_virtual(main) == STARTED_AT_NS + 30 * 3600 * 1_000_000_000
    assert time.perf_counter() - began < 1


def test_a_time_out_fires_at_its_time() -> None:
    async def main(clock: LoopClock) -> int:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2.5):
                await asyncio.sleep(100)
        return clock.monotonic_ns()

    assert run_virtual(main) == 2_500_000_000


def test_waiting_for_what_can_never_come_raises() -> None:
    async def main(clock: LoopClock) -> None:
        await asyncio.sleep(5)
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Deadlock, match=r"5\.0 s"):
        run_virtual(main)


def test_two_runs_of_one_program_have_the_same_order() -> None:
    async def main(clock: LoopClock) -> list[tuple[int, int]]:
        seen: list[tuple[int, int]] = []

        async def tick(name: int) -> None:
            for _ in range(5):
                await asyncio.sleep(name * 0.1)
                seen.append((name, clock.monotonic_ns()))

        async with asyncio.TaskGroup() as group:
            for name in range(1, 6):
                group.create_task(tick(name))
        return seen

    assert run_virtual(main) == run_virtual(main)
