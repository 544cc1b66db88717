"""What strategies give away to threads comes back as an event, whatever the author's function does."""

import asyncio
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from quantd.clock import ManualClock
from quantd.domain.events import Event, JobDone
from quantd.runtime.jobs import Jobs
from quantd.testing.builders import Rig


def raising(error: type[BaseException]) -> Any:
    raise error("by the author")


def outcome(function: Callable[..., Any], *args: Any) -> JobDone:
    """Give `function` away as strategy `s1` and return what comes back, while another task goes on."""
    rig, told = Rig(), list[Event]()
    rig.do(lambda s: s.job("look", function, *args))

    async def run() -> None:
        async with asyncio.TaskGroup() as tasks:
            jobs = Jobs(rig.engine, told.append, ManualClock(rig.now_ns))
            jobs.attach(tasks)
            jobs.start_waiting()

    asyncio.run(run())
    (done,) = told
    assert isinstance(done, JobDone)
    return done


def test_a_result_comes_back_as_an_event() -> None:
    done = outcome(max, 3, 5)
    assert (done.strategy, done.name, done.result, done.error) == ("s1", "look", b"5", "")


@pytest.mark.parametrize(
    ("function", "args", "fault"),
    [
        (int, ("x",), "ValueError: invalid literal"),
        (sys.exit, (3,), "SystemExit: 3"),
        (raising, (KeyboardInterrupt,), "KeyboardInterrupt: by the author"),
        (raising, (asyncio.CancelledError,), "CancelledError: by the author"),
        (object, (), "TypeError: Encoding objects of type object"),
    ],
)
def test_a_function_that_fails_or_exits_is_a_fault_of_its_strategy_and_ends_nothing(
    function: Callable[..., Any], args: tuple[Any, ...], fault: str
) -> None:
    done = outcome(function, *args)
    assert done.result == b""
    assert done.error.startswith(fault)


def test_jobs_that_never_return_take_no_thread_that_the_daemon_needs() -> None:
    """A halt by the control API is written by one of those."""
    rig, told, release = Rig(), list[Event](), threading.Event()
    rig.do(lambda s: [s.job("look", release.wait, 30) for _ in range(40)])

    async def run() -> int:
        async with asyncio.TaskGroup() as tasks:
            jobs = Jobs(rig.engine, told.append, ManualClock(rig.now_ns))
            jobs.attach(tasks)
            jobs.start_waiting()
            await asyncio.sleep(0.05)
            try:
                async with asyncio.timeout(3):
                    return await asyncio.to_thread(max, 3, 5)
            finally:
                release.set()

    assert asyncio.run(run()) == 5
    assert [one.error for one in told if isinstance(one, JobDone)] == [""] * 40
