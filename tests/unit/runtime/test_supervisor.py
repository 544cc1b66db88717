"""The supervisor in virtual time: work that ends is a fault, a venue's passing trouble is none, both begin again."""

import asyncio
import contextlib

from quantd.clock import LoopClock
from quantd.errors import Unavailable
from quantd.runtime.supervisor import Supervisor
from quantd.testing.loop import run_virtual
from quantd.testing.observer import RecordingObserver


def run(ends: list[BaseException | None]) -> tuple[list[float], list[str]]:
    """Supervise work that ends as told, then runs for ever; when it was begun, and what was told of it."""
    begun: list[float] = []
    told: list[str] = []

    async def main(clock: LoopClock) -> None:
        async def work() -> None:
            begun.append(clock.monotonic_ns() / 1e9)
            if len(begun) > len(ends):
                await asyncio.Event().wait()
            error = ends[len(begun) - 1]
            if error is not None:
                raise error

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1_000):
                await Supervisor(RecordingObserver()).keep("poller", work, told.append)

    run_virtual(main)
    return begun, told


def test_work_that_merely_ends_is_a_fault_and_is_begun_again_after_a_growing_pause() -> None:
    begun, told = run([None, ValueError("ours"), None])
    assert begun == [0, 1, 3, 7]
    assert told == ["poller: ended without a reason", "poller: ValueError: ours", "poller: ended without a reason"]


def test_of_a_group_of_errors_it_is_told_what_they_began_with() -> None:
    _, told = run([ExceptionGroup("unhandled errors in a TaskGroup", [ValueError("ours")])])
    assert told == ["poller: ValueError: ours"]


def test_a_venues_passing_trouble_begins_the_work_again_and_is_told_nobody() -> None:
    begun, told = run([Unavailable("v", "ticker", "down")])
    assert begun == [0, 1]
    assert told == []


def test_trouble_after_a_long_calm_begins_with_a_short_pause_again() -> None:
    begun: list[float] = []

    async def main(clock: LoopClock) -> None:
        async def work() -> None:
            begun.append(clock.monotonic_ns() / 1e9)
            if len(begun) == 8:
                await asyncio.sleep(100)
            if len(begun) == 9:
                await asyncio.Event().wait()
            raise Unavailable("v", "ticker", "down")

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1_000):
                await Supervisor(RecordingObserver()).keep("poller", work, lambda reason: None)

    run_virtual(main)
    assert begun[7] - begun[6] == 60
    assert begun[8] - begun[7] == 101
