"""Keeps background work alive: what fails with a venue's error is started again after a pause, anything else takes its
venue to REDUCING. Work that merely ends is a fault too. Only engine and journal faults end the process, and those are
not kept here.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from quantd.errors import Temporary, first_of
from quantd.ports import Observer

_log = structlog.get_logger("quantd.supervisor")
_PAUSE_FIRST_S = 1.0
_PAUSE_MAX_S = 60.0
_CALM_S = 60.0
"""Work that has run for so long has recovered."""


class Supervisor:
    """Runs eternal work."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    async def keep(
        self,
        name: str,
        work: Callable[[], Awaitable[None]],
        unwell: Callable[[str], None],
        well: Callable[[], None] = lambda: None,
    ) -> None:
        """Run `work` for ever, again and again after a failure.

        Args:
            name: For the log.
            work: Eternal; each call starts it anew.
            unwell: Told why, when it failed for another reason than a venue's passing trouble.
            well: Told once it has run for a while.
        """
        pause_s, loop = _PAUSE_FIRST_S, asyncio.get_running_loop()
        while True:
            began_s, calm = loop.time(), loop.call_later(_CALM_S, well)
            try:
                await work()
                reason = "ended without a reason"
            except Temporary as error:
                _log.warning("task_failed", task=name, error=str(error))
                reason = ""
            except Exception as error:  # noqa: BLE001 -- boundary: one source's fault must not end the daemon
                _log.exception("task_failed", task=name)
                first = first_of(error)
                reason = f"{type(first).__name__}: {first}"
            finally:
                calm.cancel()
            if reason:
                unwell(f"{name}: {reason}")
            if loop.time() - began_s > _CALM_S:
                pause_s = _PAUSE_FIRST_S  # it had recovered: this is a new trouble
            self._observer.count("quantd_task_restarts_total", 1, kind="poller")
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _PAUSE_MAX_S)
