"""Hooks that calls have caused: kept until the running hook has returned, then called in order.

A strategy that never stops causing them is quarantined: one event may not keep the engine for ever.
"""

from collections import deque
from collections.abc import Callable

from quantd.engine.desk import Desk


class Notices:
    """Waiting calls of hooks.

    Args:
        limit: Calls that one event may cause for one strategy.
    """

    def __init__(self, limit: int) -> None:
        self.waiting: deque[tuple[Desk, Callable[[], None]]] = deque()
        self._limit = limit

    def add(self, desk: Desk, hook: Callable[[], None]) -> None:
        """Call `hook` once the present one has returned."""
        self.waiting.append((desk, hook))

    def drain(self) -> None:
        """Call all that wait, and what that causes."""
        counts: dict[str, int] = {}
        while self.waiting:
            desk, hook = self.waiting.popleft()
            counts[desk.id] = count = counts.get(desk.id, 0) + 1
            if count > self._limit:
                if not desk.is_quarantined:
                    desk.quarantine("storm", f"more than {self._limit} callbacks caused by one event")
            elif desk.is_started:
                desk.call(hook)
