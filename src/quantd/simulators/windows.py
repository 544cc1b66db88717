"""Sliding windows: how simulated venues count the requests that they let in.

Used by the venues' access checks before anything is processed. It reads no clock.
"""

from collections import deque


class SlidingWindow:
    """At most `limit` in any `span_ns`; what was refused does not count."""

    __slots__ = ("_limit", "_span_ns", "_taken")

    def __init__(self, limit: int, span_ns: int) -> None:
        self._limit = limit
        self._span_ns = span_ns
        self._taken: deque[int] = deque()

    def wait_ns(self, now_ns: int) -> int:
        """Return how long until one more fits; 0 for now."""
        taken = self._taken
        while taken and taken[0] <= now_ns - self._span_ns:
            taken.popleft()
        return taken[0] + self._span_ns - now_ns if len(taken) >= self._limit else 0

    def take(self, now_ns: int) -> None:
        """Count one."""
        self._taken.append(now_ns)
