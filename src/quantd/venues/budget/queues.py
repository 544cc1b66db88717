"""Permits, and who is next for one: lanes by priority, first come first served inside a lane.

Used by `RateBudget` only, which hands the permits out. A request waits in the flow of all requests that draw on the
same limits, so a poll that waits for the limit of its own route never blocks an order on another. Never sleeps.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heappush
from typing import Self

from quantd.venues.budget.limits import Lane
from quantd.venues.budget.models import NEVER, Draw, LimitState

Draws = tuple[tuple[LimitState, float], ...]
"""The limits that a request draws on, with its weight on each."""


_NOTHING: Sequence[tuple[LimitState, Draw]] = ()


class Permit:
    """The right to send one request now.

    Use as a context manager around the send: leaving it, however that comes about, starts the request's slots as used.
    A request that certainly never left says so first, by `unsent()`, and gets its weight back.
    """

    __slots__ = ("_changed", "_drawn", "_now", "waited_ns")

    def __init__(
        self, drawn: Sequence[tuple[LimitState, Draw]], now: Callable[[], int], changed: Callable[[], None]
    ) -> None:
        self._drawn = drawn
        self._now = now
        self._changed = changed
        self.waited_ns = 0
        """How long the request waited for this permit."""

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Count the request as answered, unless it was taken back before."""
        self.answered()

    def answered(self) -> None:
        """Start the slots: the answer is here, or nobody waits for it any longer. Repeating it changes nothing."""
        if self._drawn:
            now = self._now()
            for state, drawn in self._drawn:
                state.settle(drawn, now)
            self._finish()

    def unsent(self) -> None:
        """Give the weight back: nothing left this process. Repeating it changes nothing."""
        if self._drawn:
            for state, drawn in self._drawn:
                state.take_back(drawn)
            self._finish()

    def _finish(self) -> None:
        done, self._drawn = self._drawn, _NOTHING
        self._changed()
        for state, _ in done:
            for listener in state.listeners:
                listener()


class Waiter:
    """One request in the queue; `future` gets its permit. Times are monotonic nanoseconds."""

    __slots__ = ("deadline", "future", "lane", "route", "seq", "since", "timer")

    def __init__(self, route: str, lane: Lane, future: asyncio.Future[Permit], *, since: int, deadline: int) -> None:
        self.route = route
        self.lane = lane
        self.future = future
        self.since = since
        self.deadline = deadline
        self.seq = 0
        self.timer: asyncio.TimerHandle | None = None


def earliest(draws: Draws, lane: Lane, now: int) -> int:
    """Return the time at which all the limits let the request go; at most `now` if they do already."""
    latest = 0
    for state, weight in draws:
        at = state.ready_at(weight, lane, now)
        latest = max(latest, at)
    return latest


class Queues:
    """All that waits for one budget.

    Invariant: `serve` grants nothing to a request while one of a higher lane, or an earlier one of the same lane,
    could use the same weight at that time or within the time in which the weight would come back.
    """

    def __init__(self) -> None:
        self._flows: list[dict[Draws, deque[Waiter]]] = [{} for _ in Lane]
        self._seq = 0
        self.waiting = 0
        """How many requests wait; those given up since the last `serve` count too."""

    def add(self, waiter: Waiter, draws: Draws) -> None:
        """Put a request at the end of its lane."""
        self._seq += 1
        waiter.seq = self._seq
        self._flows[waiter.lane].setdefault(draws, deque()).append(waiter)
        self.waiting += 1

    def drain(self) -> list[Waiter]:
        """Take everybody out, in the order of arrival."""
        out = [w for lane in self._flows for flow in lane.values() for w in flow if not w.future.done()]
        for lane in self._flows:
            lane.clear()
        self.waiting = 0
        return sorted(out, key=lambda w: w.seq)

    def serve(self, grant: Callable[[Waiter, Draws], None], *, now: int, not_before: int) -> tuple[int, list[Waiter]]:
        """Grant what may leave now, nothing at all before `not_before` (a ban).

        Returns:
            The time of the next possible grant (NEVER: only an answer can bring one), and the requests whose deadline
            cannot be met; they are out of the queue.
        """
        wake, hopeless = NEVER, []
        touched: list[LimitState] = []
        for lane in Lane:
            flows = self._flows[lane]
            if not flows:
                continue
            heads = [(flow[0].seq, draws) for draws, flow in flows.items() if self._head(flow) is not None]
            heapify(heads)
            while heads:
                _, draws = heappop(heads)
                flow = flows[draws]
                waiter = flow[0]
                at = max(not_before, earliest(draws, lane, now))
                if at <= now:
                    self._pop(flow)
                    grant(waiter, draws)
                elif waiter.deadline < at < NEVER:
                    self._pop(flow)
                    hopeless.append(waiter)
                else:
                    wake = min(wake, at, self._hold(waiter, draws, (now, at), touched))
                    continue
                if (head := self._head(flow)) is not None:
                    heappush(heads, (head.seq, draws))
            for draws in [draws for draws, flow in flows.items() if not flow]:
                del flows[draws]
        for state in touched:
            state.held = 0.0
        return wake, hopeless

    def _pop(self, flow: deque[Waiter]) -> None:
        flow.popleft()
        self.waiting -= 1

    def _head(self, flow: deque[Waiter]) -> Waiter | None:
        while flow and flow[0].future.done():  # given up: cancelled, or past its deadline
            self._pop(flow)
        return flow[0] if flow else None

    def _hold(self, waiter: Waiter, draws: Draws, span: tuple[int, int], touched: list[LimitState]) -> int:
        # What the blocked request will need is kept from those behind it: where it is short now, and where weight used
        # now would not be back in time. Elsewhere not: a poll that waits half a minute for its own route must not lock
        # the address's budget meanwhile. Returns when the first of the short limits ceases to be one.
        now, at = span
        look_again = NEVER
        for state, weight in draws:
            ready = state.ready_at(weight, waiter.lane, now)
            if ready > now or at - now <= state.regain_ns(weight):
                state.held += weight
                touched.append(state)
            if ready > now:
                look_again = min(look_again, ready)
        return look_again
