"""Tells a notice to every channel, once within a while, without secrets.

Used by the composition root. `tell` costs some twenty microseconds and never waits; what leaves the process does so in the
outboxes' tasks.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

import msgspec
import structlog

from quantd.notify.notice import Notice, Weight
from quantd.notify.outbox import Outbox
from quantd.ports import Clock, Observer

_log = structlog.get_logger("quantd.notify")
_OPEN_MAX: Final = 2000
_WHY_MAX: Final = 500
"""Characters: an exception's text has no bound of its own."""


class _Told(NamedTuple):
    state: str
    at_ns: int
    """Monotonic."""
    weight: Weight


class Notifier:
    """Keeps the outboxes, and what was told.

    Args:
        outboxes: One for each channel.
        repeat_after_s: Seconds in which the same state of the same key is told once.
        clean: Takes secrets out of a text.
    """

    def __init__(
        self,
        outboxes: Sequence[Outbox],
        *,
        repeat_after_s: float,
        clock: Clock,
        observer: Observer,
        clean: Callable[[str], str] = str,
    ) -> None:
        self.outboxes = tuple(outboxes)
        self._repeat_after_ns = int(repeat_after_s * 1e9)
        self._clock = clock
        self._observer = observer
        self._clean = clean
        self._told: dict[str, _Told] = {}
        """Oldest first, by key; what has ended is forgotten."""

    def tell(self, notice: Notice) -> None:
        """Queue a notice for every channel, unless it was told lately or ends what nobody was told of."""
        before, now_ns = self._told.pop(notice.key, None), self._clock.monotonic_ns()
        if notice.is_end and before is None:
            return
        if before is not None and _is_repetition(notice, before) and now_ns - before.at_ns < self._repeat_after_ns:
            self._told[notice.key] = before
            self._observer.count("quantd_notification_repeats_total")
            return
        if not notice.is_end:
            self._told[notice.key] = _Told(notice.state, now_ns, notice.weight)
            if len(self._told) > _OPEN_MAX:
                self._told.pop(next(iter(self._told)))
        cleaned = msgspec.structs.replace(
            notice,
            key=self._presentable(notice.key),
            what=self._presentable(notice.what),
            where=self._presentable(notice.where),
            why=self._presentable(notice.why)[:_WHY_MAX],
            do=self._presentable(notice.do),
        )
        _log.info("notice_told", key=cleaned.key, state=cleaned.state, weight=cleaned.weight.word, why=cleaned.why)
        for outbox in self.outboxes:
            outbox.put(cleaned)

    def _presentable(self, text: str) -> str:
        """Return a text without secrets, and without halves of characters that no receiver could be sent."""
        return self._clean(text).encode("utf-8", "replace").decode()

    async def run(self) -> None:
        """Send for ever; ends by cancellation, and what was under way waits for `finish`."""
        async with asyncio.TaskGroup() as tasks:
            for outbox in self.outboxes:
                tasks.create_task(outbox.run(), name=f"notifications {outbox.name}")
            await asyncio.Event().wait()

    async def finish(self, timeout_s: float) -> None:
        """Send what still waits, for at most `timeout_s` seconds, and close all channels."""
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s), asyncio.TaskGroup() as tasks:
                    for outbox in self.outboxes:
                        tasks.create_task(outbox.drain(), name=f"last notifications {outbox.name}")
        finally:
            for outbox in self.outboxes:
                await outbox.close()


def _is_repetition(notice: Notice, before: _Told) -> bool:
    """Whether it says what was told; what weighs more now was perhaps too light for most channels then."""
    return notice.state == before.state and notice.weight <= before.weight


def trial(source: str, now_ns: int) -> Notice:
    """Return a notice that only proves that notices arrive; heavy enough for every channel."""
    return Notice(
        key=f"trial {now_ns}",
        state="trial",
        weight=Weight.CRITICAL,
        what="a trial notice, nothing is wrong",
        where=source,
        since_ns=now_ns,
        do="Nothing. If you read this, notices of this daemon arrive.",
    )
