"""Runs code that may never return in a thread of its own, which holds up nothing but whoever asked for it.

Used where an author's module is imported while the daemon runs. asyncio's own threads are few, and the end of the process waits for
them: halts, the dead-man's switch and metrics need them too.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

_T = TypeVar("_T")


class OwnThread(Generic[_T]):
    """One piece of work at a time, each in a thread that the end of the process does not wait for.

    Args:
        name: Of the thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._thread: threading.Thread | None = None

    @property
    def is_busy(self) -> bool:
        """Whether what was begun has not ended, though nobody may wait for it any more."""
        return self._thread is not None and self._thread.is_alive()

    async def run(self, work: Callable[[], _T]) -> _T:
        """Return what `work` returns, or raise what it raises; the caller bounds the time, and looks at `is_busy` before."""
        assert not self.is_busy, "one at a time"
        loop = asyncio.get_running_loop()
        done: asyncio.Future[_T] = loop.create_future()

        def succeed(result: _T) -> None:
            if not done.done():
                done.set_result(result)

        def fail(error: BaseException) -> None:
            if not done.done():
                done.set_exception(error)

        def begin() -> None:
            with suppress(RuntimeError):  # the loop has been closed meanwhile
                try:
                    result = work()
                except BaseException as error:  # noqa: BLE001 # boundary: it is raised where it is waited for
                    loop.call_soon_threadsafe(fail, error)
                else:
                    loop.call_soon_threadsafe(succeed, result)

        self._thread = threading.Thread(target=begin, name=self._name, daemon=True)
        self._thread.start()
        return await done
