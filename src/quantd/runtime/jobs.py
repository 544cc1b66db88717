"""Runs the slow work that strategies give away, in threads, and brings results back as events.

A result becomes a recorded input, so that a replay repeats it without running the work again. The threads are the
strategy's own, a few for each: work that never returns takes none that the daemon needs, and keeps no process from its end.
"""

import asyncio
import contextlib
import threading
from typing import Any

import msgspec

from quantd.domain.events import JobDone
from quantd.engine import authored
from quantd.engine.core import Engine
from quantd.engine.views import Job
from quantd.ports import Clock, Emit

AT_ONCE = 4
"""Jobs of one strategy that run at a time; more wait."""
_JOB_S = 300.0


class Jobs:
    """Starts what waits at the desks."""

    def __init__(self, engine: Engine, emit: Emit, clock: Clock) -> None:
        self._engine = engine
        self._emit = emit
        self._clock = clock
        self._tasks: asyncio.TaskGroup | None = None
        self._rooms: dict[str, asyncio.Semaphore] = {}

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
                value, raised = await self._in_thread(job)
            # Not raised here: a CancelledError of the author's loop would end this task without a word, and what only a
            # process is to be ended by would end ours.
            result, fault = (b"", authored.fault(raised)) if raised is not None else (msgspec.json.encode(value), "")
        except Exception as error:  # noqa: BLE001 -- boundary: an author's function may raise anything
            fault = authored.fault(error)
        self._emit(JobDone(job.strategy, job.name, result, self._clock.now_ns(), fault))

    async def _in_thread(self, job: Job) -> tuple[Any, BaseException | None]:
        """Return what a job's function returns, and what it raises; its place is taken until the thread has ended, whoever still waits."""
        room = self._rooms.setdefault(job.strategy, asyncio.Semaphore(AT_ONCE))
        await room.acquire()
        loop = asyncio.get_running_loop()
        done: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()

        def settle(value: Any, error: BaseException | None) -> None:
            room.release()
            if not done.done():
                done.set_result((value, error))

        def work() -> None:
            value, error = None, None
            try:
                value = job.function(*job.args)
            except BaseException as raised:  # noqa: BLE001 -- boundary: handed on to whoever waits
                error = raised
            with contextlib.suppress(RuntimeError):  # the loop is closed: the process is about to end
                loop.call_soon_threadsafe(settle, value, error)

        try:
            threading.Thread(target=work, name=f"job {job.strategy}", daemon=True).start()
        except RuntimeError:
            room.release()
            raise
        return await done
