"""One receiver's queue: bounded, rate limited, tried again; what a receiver does costs its own notices and nobody else.

Used by the notifier, one for each channel. `put` never waits and never raises; the task of `run` does all the waiting.
Critical notices have a lane of their own and go first, so that a storm of warnings delays no halt.
"""

import asyncio
from collections import deque
from contextlib import suppress
from typing import Final, NamedTuple

import structlog

from quantd.notify.delivery import Channel, Undelivered
from quantd.notify.notice import Message, Notice, Weight
from quantd.notify.settings import ChannelSettings
from quantd.ports import Clock, Observer

_log = structlog.get_logger("quantd.notify")
_BACKOFF_FIRST_S: Final = 1.0
_BACKOFF_MAX_S: Final = 15.0
_RETRY_AFTER_MAX_S: Final = 300.0
"""A receiver may not silence us for longer."""


class _Waiting(NamedTuple):
    number: int
    put_at_ns: int
    """Monotonic."""
    notice: Notice


class _Lane:
    """Notices that wait, the message that is on its way, and how many attempts there were lately."""

    def __init__(self, settings: ChannelSettings) -> None:
        self.waiting: deque[_Waiting] = deque()
        self.sending: tuple[_Waiting, ...] = ()
        """Stays one message until it is delivered or lost: a receiver that had it already knows the repetition by its id."""
        self._left: deque[int] = deque()
        self._count = settings.rate_count
        self._per_ns = int(settings.rate_per_s * 1e9)

    def pause_s(self, now_ns: int) -> float:
        """Return the seconds until a message may leave."""
        self._forget(now_ns)
        return 0.0 if len(self._left) < self._count else (self._left[0] + self._per_ns - now_ns) / 1e9

    def take(self, now_ns: int) -> tuple[_Waiting, ...]:
        """Return what the next message carries: what failed, or one, or all that waits where no further may follow."""
        self._forget(now_ns)
        is_last = len(self._left) >= self._count - 1
        self._left.append(now_ns)
        if not self.sending:
            count = len(self.waiting) if is_last else 1
            self.sending = tuple(self.waiting.popleft() for _ in range(count))
        return self.sending

    def _forget(self, now_ns: int) -> None:
        while self._left and self._left[0] + self._per_ns <= now_ns:
            self._left.popleft()


class Outbox:
    """Queue and sender of one channel.

    Args:
        name: The channel's, for metrics and log.
        channel: Carries messages out.
        settings: Its rate, bounds and least weight.
        source: Which daemon.
        run: Names this run, so that ids of messages are never used twice.
    """

    def __init__(  # noqa: PLR0913 -- one channel's surroundings
        self,
        name: str,
        channel: Channel,
        settings: ChannelSettings,
        *,
        source: str,
        run: str,
        clock: Clock,
        observer: Observer,
    ) -> None:
        self.name = name
        self._channel = channel
        self._settings = settings
        self._least = Weight[settings.least.upper()]
        self._source = source
        self._run = run
        self._clock = clock
        self._observer = observer
        self._lanes = (_Lane(settings), _Lane(settings))
        self._changed = asyncio.Event()
        self._count = 0
        self._failures = 0
        """In a row."""
        self._not_before_ns = 0

    @property
    def waiting(self) -> int:
        """How many notices wait, or are on their way."""
        return sum(len(lane.sending) + len(lane.waiting) for lane in self._lanes)

    def put(self, notice: Notice) -> None:
        """Queue a notice if it is heavy enough for this channel; where there is no room the oldest is lost, and counted."""
        if notice.weight < self._least:
            return
        self._count += 1
        lane = self._lanes[0 if notice.weight is Weight.CRITICAL else 1]
        lane.waiting.append(_Waiting(self._count, self._clock.monotonic_ns(), notice))
        self._bound(lane)
        self._changed.set()

    async def run(self) -> None:
        """Send for ever."""
        while True:
            await self._step()

    async def drain(self) -> None:
        """Send until nothing waits; the caller bounds the time."""
        while self.waiting:
            await self._step()

    async def close(self) -> None:
        """Close the channel, and count what was left as lost."""
        for lane in self._lanes:
            self._lost("dropped", len(lane.sending) + len(lane.waiting), "the daemon ended")
            lane.sending = ()
            lane.waiting.clear()
        await self._channel.close()

    async def _step(self) -> None:
        """Send the next message, or wait until that may be possible."""
        now_ns = self._clock.monotonic_ns()
        closed_s = max(0.0, (self._not_before_ns - now_ns) / 1e9)
        pauses = [(max(closed_s, lane.pause_s(now_ns)), lane) for lane in self._lanes if lane.sending or lane.waiting]
        ready = next((lane for pause_s, lane in pauses if pause_s <= 0), None)
        if ready is not None:
            await self._send(ready, now_ns)
            return
        self._changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(min((pause_s for pause_s, _ in pauses), default=None)):
                await self._changed.wait()

    async def _send(self, lane: _Lane, now_ns: int) -> None:
        """Make one attempt; one that is cancelled leaves its message where `drain` finds it."""
        taken = lane.take(now_ns)
        message = Message(f"{self._run}-{taken[0].number}", self._source, tuple(one.notice for one in taken))
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                await self._channel.send(message)
        except Undelivered as error:
            self._failed(lane, error)
        except TimeoutError:
            self._failed(lane, Undelivered(f"no answer within {self._settings.timeout_s:g} s"))
        except Exception as error:  # noqa: BLE001 # boundary: whatever a channel raises must not end the daemon
            self._failed(lane, Undelivered(f"{type(error).__name__} in the channel"))
        else:
            self._delivered(lane)

    def _delivered(self, lane: _Lane) -> None:
        if self._failures:
            _log.info("notifications_recovered", channel=self.name)
        self._failures = 0
        now_ns = self._clock.monotonic_ns()
        outcome = "sent" if len(lane.sending) == 1 else "summarised"
        self._observer.count("quantd_notifications_total", len(lane.sending), channel=self.name, outcome=outcome)
        for one in lane.sending:
            self._observer.observe("quantd_notification_seconds", (now_ns - one.put_at_ns) / 1e9, channel=self.name)
        lane.sending = ()

    def _failed(self, lane: _Lane, error: Undelivered) -> None:
        self._failures += 1
        self._observer.count("quantd_notification_attempts_failed_total", channel=self.name)
        if self._failures == 1 or error.is_final:
            _log.warning("notification_failed", channel=self.name, error=str(error), is_final=error.is_final)
        now_ns = self._clock.monotonic_ns()
        is_old = now_ns - lane.sending[-1].put_at_ns >= self._settings.give_up_after_s * 1e9
        if error.is_final or is_old:
            self._lost("failed", len(lane.sending), str(error))
            lane.sending = ()
        if not error.is_final:
            backoff_s = min(_BACKOFF_FIRST_S * 2 ** min(self._failures - 1, 10), _BACKOFF_MAX_S)
            wait_s = min(error.retry_after_s, _RETRY_AFTER_MAX_S) or backoff_s
            self._not_before_ns = now_ns + int(wait_s * 1e9)

    def _bound(self, lane: _Lane) -> None:
        over = len(lane.waiting) - self._settings.queue_max
        for _ in range(over):
            lane.waiting.popleft()
        self._lost("dropped", over, "the queue is full")

    def _lost(self, outcome: str, count: int, reason: str) -> None:
        if count > 0:
            self._observer.count("quantd_notifications_total", count, channel=self.name, outcome=outcome)
            _log.warning("notifications_lost", channel=self.name, count=count, outcome=outcome, reason=reason)
