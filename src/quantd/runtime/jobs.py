"""Runs the slow work that strategies give away, in threads, and brings results back as events.

A result becomes a recorded input, so that a replay repeats it without running the work again.
"""

import asyncio

import msgspec

from quantd.domain.events import JobDone
from quantd.engine.core import Engine
from quantd.engine.views import Job
from quantd.ports import Clock, Emit

_JOB_S = 300.0


class Jobs:
    """Starts what waits at the desks."""

    def __init__(self, engine: Engine, emit: Emit, clock: Clock) -> None:
        self._engine = engine
        self._emit = emit
        self._clock = clock
        self._tasks: asyncio.TaskGroup | None = None

    def attach(self, tasks: asyncio.TaskGroup) -> None:
        """Use `tasks` for all jobs."""
        self._tasks = tasks

    def start_waiting(self) -> None:
        """Start every job that was given away since the last call."""
        for job in self._engine.take_jobs():
            assert self._tasks is not None, "jobs have no task group yet"
            self._tasks.create_task(self._run(job), name=f"job {job.strategy} {job.name}")

    async def _run(self, job: Job) -> None:
        result, fault = b"", ""
        try:
            async with asyncio.timeout(_JOB_S):
                value = await asyncio.to_thread(job.function, *job.args)
            result = msgspec.json.encode(value)
        except (Exception, SystemExit) as error:  # noqa: BLE001 -- boundary: an author's function may raise anything
            fault = f"{type(error).__name__}: {error}"
        self._emit(JobDone(job.strategy, job.name, result, self._clock.now_ns(), fault))
