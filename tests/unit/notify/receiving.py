"""A channel in memory that does as it is told, and an outbox on it, in virtual time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from quantd.clock import LoopClock
from quantd.notify.delivery import Undelivered
from quantd.notify.notice import Message, Notice, Weight
from quantd.notify.outbox import Outbox
from quantd.notify.settings import WebhookChannel
from quantd.testing.observer import RecordingObserver

NAME = "webhooks.desk"
SINCE_NS = 1_700_000_000_000_000_000
"""2023-11-14 22:13:20 UTC."""


def notice(key: str = "k", weight: Weight = Weight.CRITICAL, **parts: Any) -> Notice:
    """Return a notice that only its key and weight matter of."""
    given: dict[str, Any] = {"state": "s", "what": f"what {key}", "where": "all", "since_ns": SINCE_NS}
    return Notice(key=key, weight=weight, **(given | parts))


class Receiver:
    """Answers each attempt as the list says, then takes everything."""

    def __init__(self, clock: LoopClock, *answers: Undelivered | Exception | float) -> None:
        self._clock = clock
        self._answers = list(answers)
        self.attempts: list[tuple[float, Message]] = []
        """When, in virtual seconds, and what."""
        self.taken: list[Message] = []
        self.is_closed = False

    async def send(self, message: Message) -> None:
        """Take a message, refuse it, raise, or take seconds."""
        self.attempts.append((self._clock.monotonic_ns() / 1e9, message))
        answer = self._answers.pop(0) if self._answers else None
        if isinstance(answer, float):
            await asyncio.sleep(answer)
        elif answer is not None:
            raise answer
        self.taken.append(message)

    async def close(self) -> None:
        """Close."""
        self.is_closed = True

    @property
    def told(self) -> list[list[str]]:
        """Keys of the notices of each message taken."""
        return [[one.key for one in message.notices] for message in self.taken]


class Desk:
    """An outbox, its receiver and its metrics."""

    def __init__(self, clock: LoopClock, *answers: Undelivered | Exception | float, **settings: Any) -> None:
        self.clock = clock
        self.observer = RecordingObserver()
        self.receiver = Receiver(clock, *answers)
        channel = WebhookChannel(url="http://127.0.0.1:1", **settings)
        self.outbox = Outbox(NAME, self.receiver, channel, source="desk", run="r", clock=clock, observer=self.observer)

    def count(self, outcome: str) -> float:
        """How many notices ended so."""
        return self.observer.counted("quantd_notifications_total", channel=NAME, outcome=outcome)

    async def run_for(self, seconds: float, then: Callable[[], Awaitable[None]] | None = None) -> None:
        """Let the outbox run for a while."""
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(self.outbox.run(), name="outbox")
            if then is not None:
                await then()
            await asyncio.sleep(seconds)
            running.cancel()
