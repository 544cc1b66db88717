"""The two models of a server's limit, seen from a client that does not know when its requests arrive.

Used by `RateBudget` only. A request arrives at some moment between our sending and its answer, and requests may
overtake each other on the way. Both models therefore count a request as *in flight* from the send on (it may arrive
together with the next one) and as *used* from its answer on, the latest moment at which it can have arrived. Whatever
the network does in between, the server has at least as much left as the model says, so a granted request is never
refused; and no token is thrown away as long as somebody waits, so the full rate is used.

Times are integer monotonic nanoseconds, handed in. Never sleeps, never reads a clock.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import TypeGuard

from quantd.venues.budget.limits import CLOCK_MARGIN, Bucket, Lane, Limit, Window

NEVER = 1 << 62
"""Later than any time: only an answer can change it."""

_SECOND = 1_000_000_000
_DEFAULT_HEADROOM = 0.04
_PENALTY_FIRST_S = 1.0
_PENALTY_MAX_S = 60.0
_GRANULES = 1000


def is_wait(retry_after_s: float | None) -> TypeGuard[float]:
    """Tell whether a venue that refuses has named a wait: none at all, or a moment that has passed, would lead to the next refusal."""
    return retry_after_s is not None and retry_after_s > 0


class Draw:
    """The weight of one request on one limit, until it is answered or taken back."""

    __slots__ = ("in_flight", "sent_at", "weight")

    def __init__(self, weight: float, sent_at: int) -> None:
        self.weight = weight
        self.sent_at = sent_at
        self.in_flight = True


class LimitState(ABC):
    """What all models share: capacity, what is kept back from whom, and pauses that the venue asked for."""

    def __init__(self, limit: Limit) -> None:
        self.held = 0.0
        """Kept for a waiting request of a higher lane, while waiters are being served."""
        self.reserved = 0.0
        """Kept for the kill path, from every lane."""
        self.paused_until = 0
        self.in_flight = 0.0
        self.listeners: list[Callable[[], None]] = []
        """Told when an answer has changed what may leave."""
        self._penalties = 0
        self.apply(limit)

    def apply(self, limit: Limit) -> None:
        """Take over changed numbers and keep what has been counted."""
        self.limit = limit
        self.capacity = limit.model.capacity
        self._set_headroom()

    def _set_headroom(self) -> None:
        wanted = self.limit.headroom
        if wanted is None:
            wanted = math.floor(self.capacity * _DEFAULT_HEADROOM)
        heaviest = max(self.limit.routes.values())
        headroom = max(0.0, min(wanted, self.capacity - self.reserved - heaviest))
        # By lane: what a request must leave untouched. A tuple, since this is read for every request.
        self._kept = tuple(self.reserved + (0.0 if lane.upper else headroom) for lane in Lane)

    def reserve(self, weight: float) -> float:
        """Keep `weight` more back for the kill path, but leave room for one request; return what could be kept."""
        heaviest = max(self.limit.routes.values())
        before = self.reserved
        self.reserved = max(before, min(before + weight, self.capacity - heaviest))
        self._set_headroom()
        return self.reserved - before

    def pause(self, now: int, retry_after_s: float | None) -> float:
        """Let nothing out for `retry_after_s`, else for a time that doubles with each refusal in a row; return it."""
        if now > self.paused_until + _PENALTY_MAX_S * _SECOND:
            self._penalties = 0
        # Nothing leaves during a pause: what is refused then was on its way when it began, and tells nothing new.
        if now >= self.paused_until:
            self._penalties += 1
        if not is_wait(retry_after_s):
            retry_after_s = min(_PENALTY_FIRST_S * 2.0 ** min(max(self._penalties - 1, 0), 10), _PENALTY_MAX_S)
        self.paused_until = max(self.paused_until, now + math.ceil(retry_after_s * _SECOND))
        return retry_after_s

    def draw(self, weight: float, now: int) -> Draw:
        """Count a request that leaves now."""
        drawn = Draw(weight, now)
        self.in_flight += weight
        return drawn

    def take_back(self, drawn: Draw) -> None:
        """Forget a request that never left."""
        if drawn.in_flight:
            drawn.in_flight = False
            self.in_flight -= drawn.weight

    @abstractmethod
    def settle(self, drawn: Draw, now: int) -> None:
        """Count a request as used: it has been answered, or nobody waits for its answer any longer."""

    @abstractmethod
    def ready_at(self, weight: float, lane: Lane, now: int) -> int:
        """Return the earliest time at which `weight` may leave, at most `now` if it may, NEVER before an answer."""

    @abstractmethod
    def regain_ns(self, weight: float) -> int:
        """Return how long `weight` takes to come back once used."""

    @abstractmethod
    def learn(self, remaining: float, reset_s: float | None, now: int) -> None:
        """Correct downwards by the venue's own figure; a figure above ours may be older than ours and is ignored."""

    @abstractmethod
    def left_ratio(self, now: int) -> float:
        """Return the share of the capacity that is left, 0 to 1."""


class BucketState(LimitState):
    """GCRA: one number, the time at which the bucket will be full again."""

    def __init__(self, limit: Limit) -> None:
        self._full_at = 0
        self._unanswered: deque[Draw] = deque()
        super().__init__(limit)

    def apply(self, limit: Limit) -> None:
        """Take over a changed rate or burst; what is missing from the bucket stays missing."""
        super().apply(limit)
        assert isinstance(limit.model, Bucket)
        self._interval = math.ceil(_SECOND / (limit.model.rate_per_s * (1 - CLOCK_MARGIN)))
        self._transit = math.ceil(limit.model.transit_s * _SECOND)

    def draw(self, weight: float, now: int) -> Draw:
        """Count a request that leaves now."""
        drawn = Draw(weight, now)
        self.in_flight += weight
        self._unanswered.append(drawn)
        return drawn

    def settle(self, drawn: Draw, now: int) -> None:
        """Take the weight out of the bucket, at the latest moment at which the server can have done so."""
        if drawn.in_flight:
            drawn.in_flight = False
            self.in_flight -= drawn.weight
            self._full_at = max(self._full_at, now) + math.ceil(drawn.weight * self._interval)

    def _arrive(self, now: int) -> None:
        # An answer that takes very long must not hold the whole budget: its request has surely arrived by now.
        while self._unanswered:
            oldest = self._unanswered[0]
            if oldest.in_flight:
                arrived_at = oldest.sent_at + self._transit
                if arrived_at > now:
                    return
                self.settle(oldest, arrived_at)
            self._unanswered.popleft()
        self.in_flight = 0.0

    def ready_at(self, weight: float, lane: Lane, now: int) -> int:
        """Return the time at which the bucket, less all that is in flight, holds `weight` and what must be kept."""
        self._arrive(now)
        spare = self.capacity - self.in_flight - self.held - self._kept[lane] - weight
        if spare < 0:
            return self._unanswered[0].sent_at + self._transit if self._unanswered else NEVER
        at = self._full_at - int(spare * self._interval)
        return max(at, self.paused_until)

    def regain_ns(self, weight: float) -> int:
        """Return the time in which `weight` refills."""
        return math.ceil(weight * self._interval)

    def pause(self, now: int, retry_after_s: float | None) -> float:
        """Pause, and take the bucket for empty: the server had less than we thought."""
        paused_s = super().pause(now, retry_after_s)
        self.learn(0, None, now)
        return paused_s

    def learn(self, remaining: float, reset_s: float | None, now: int) -> None:
        """Lower the level to `remaining`; `reset_s` adds nothing to a bucket whose rate is known."""
        missing = max(0.0, self.capacity - remaining)
        self._full_at = max(self._full_at, now + math.ceil(missing * self._interval))

    def left_ratio(self, now: int) -> float:
        """Return the level less what is in flight, over the burst."""
        level = self.capacity - max(0, self._full_at - now) / self._interval - self.in_flight
        return max(0.0, level / self.capacity)


class WindowState(LimitState):
    """A sliding window whose slots come back `seconds` after the answer of the request that used them."""

    def __init__(self, limit: Limit) -> None:
        self.counted = 0.0
        """Weight that was ever counted, whether it has come back or not."""
        self._used = 0.0
        # [first answer of the granule, time the granule comes back, weight], oldest first. Neighbours within a
        # thousandth of the window share an entry, so that a day's window is a thousand entries and not a million.
        self._slots: deque[list[float]] = deque()
        super().__init__(limit)

    def apply(self, limit: Limit) -> None:
        """Take over a changed limit; slots in use come back as they were going to."""
        super().apply(limit)
        model = limit.model
        assert isinstance(model, Window)
        self._span = math.ceil((model.seconds * (1 + CLOCK_MARGIN) + model.margin_s) * _SECOND)
        self._granule = self._span // _GRANULES
        self._slot = math.ceil(self._span / self.capacity)
        # The last quarter of the window is handed to polls and submits at the pace at which slots come back, so that
        # a cancel finds one within a slot's time even while they want all; before that they may burst.
        self._paced = math.floor(self.capacity / 4)

    @property
    def persistent(self) -> bool:
        """Whether the count outlives a restart: a minute or longer."""
        return self._span >= 60 * _SECOND

    def settle(self, drawn: Draw, now: int) -> None:
        """Start the slot's time, at the latest moment at which the server can have started it."""
        if drawn.in_flight:
            drawn.in_flight = False
            self.in_flight -= drawn.weight
            self._add(now, now + self._span, drawn.weight)

    def add(self, release_at: int, weight: float) -> None:
        """Count `weight` as used until `release_at`."""
        self._add(release_at - self._span, release_at, weight)

    def _add(self, first: int, release_at: int, weight: float) -> None:
        self._used += weight
        self.counted += weight
        if self._slots:
            last = self._slots[-1]
            release_at = max(release_at, int(last[1]))
            if first - last[0] <= self._granule:
                last[1] = release_at
                last[2] += weight
                return
        self._slots.append([first, release_at, weight])

    def _release(self, now: int) -> None:
        slots = self._slots
        while slots and slots[0][1] <= now:
            self._used -= slots.popleft()[2]
        if not slots:
            self._used = 0.0

    def ready_at(self, weight: float, lane: Lane, now: int) -> int:
        """Return the time at which enough slots are free, or due for a paced lane."""
        self._release(now)
        free = self.capacity - self._used - self.in_flight - self.held - self._kept[lane]
        if free < weight:
            for _, release_at, returned in self._slots:
                free += returned
                if free >= weight:
                    return max(int(release_at), self.paused_until)
            return NEVER
        if free > self._paced or lane.upper:
            return max(now, self.paused_until)
        next_return = int(self._slots[0][1]) if self._slots else now + self._span
        return max(next_return - math.floor(free) * self._slot, self.paused_until)

    def regain_ns(self, weight: float) -> int:
        """Return the time after which used slots come back."""
        return self._span

    def learn(self, remaining: float, reset_s: float | None, now: int) -> None:
        """Count what others have used of the same window, until `reset_s` or for a whole window."""
        self._release(now)
        foreign = self.capacity - self._used - self.in_flight - remaining
        if foreign > 0:
            span = self._span if reset_s is None else math.ceil(reset_s * _SECOND)
            self.add(now + span, foreign)

    def left_ratio(self, now: int) -> float:
        """Return the free slots over all slots."""
        self._release(now)
        return max(0.0, (self.capacity - self._used - self.in_flight) / self.capacity)

    def entries(self, now: int, *, most: int = 16) -> list[tuple[int, float]]:
        """Return what is in use as at most `most` + 1 pairs (time it comes back, weight), rounded to later."""
        self._release(now)
        out: list[tuple[int, float]] = []
        opened = 0.0
        for first, release_at, weight in self._slots:
            if out and first - opened <= self._span / most:
                out[-1] = (int(release_at), out[-1][1] + weight)
            else:
                opened = first
                out.append((int(release_at), weight))
        if self.in_flight:
            out.append((now + self._span, self.in_flight))
        return out


def state_of(limit: Limit) -> LimitState:
    """Return a fresh state for `limit`."""
    return BucketState(limit) if isinstance(limit.model, Bucket) else WindowState(limit)
