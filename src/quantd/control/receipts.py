"""Tells a waiting request that the engine has handled what it asked for, and which facts came of it.

Each action puts an `OperatorActed` with an id of its own into the inbox right before the event that carries it out;
both are handled in one batch, and the batch's facts are told here once they are on disk. Belongs to one event loop.
"""

import asyncio
from collections.abc import Sequence

from quantd.domain.facts import Fact, OperatorActionRecorded


class Receipts:
    """Requests that wait for the engine."""

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Future[Sequence[Fact]]] = {}
        self._count = 0

    def draw(self) -> str:
        """Return an id that no other request of this run has."""
        self._count += 1
        return f"r{self._count}"

    def expect(self, request: str) -> None:
        """Begin to listen for a request; before its events are put into the inbox."""
        self._waiting[request] = asyncio.get_running_loop().create_future()

    async def wait(self, request: str, timeout_s: float) -> Sequence[Fact] | None:
        """Return what was recorded with and after the request, None when it took too long."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._waiting[request]
        except TimeoutError:
            return None
        finally:
            self._waiting.pop(request, None)

    def told(self, facts: Sequence[Fact]) -> None:
        """Look through a batch of facts that is on disk."""
        if not self._waiting:
            return
        for index, fact in enumerate(facts):
            if isinstance(fact, OperatorActionRecorded):
                waiting = self._waiting.get(fact.request)
                if waiting is not None and not waiting.done():
                    waiting.set_result(facts[index + 1 :])
