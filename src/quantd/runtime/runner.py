"""The runner: inbox -> engine -> journal -> executor. The one consumer of events, the one caller of the engine.

Takes whatever waits, lets the engine handle it, writes all its facts in one commit, and only then hands the commands
on. A halt is in the latch's file before it is in the journal. If an append fails, memory is ahead of disk: nothing new
is sent, the latch is written, cancels go out, and the process ends.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec
import structlog

from quantd.domain.commands import Cancel, CancelAll, Command, Submit
from quantd.domain.events import Event, MarketEvent
from quantd.domain.facts import Fact, StateSet
from quantd.engine.core import Engine
from quantd.errors import JournalFailed
from quantd.ports import Clock, Journal, Observer
from quantd.runtime.executor import Executor

_log = structlog.get_logger("quantd.runner")


class Inbox(Protocol):
    """What the runner needs of the inbox."""

    async def get_batch(self) -> list[Event]:
        """Wait for events and return all of them."""


class InputLog(Protocol):
    """What the runner needs of the input log."""

    def append(self, event: Event) -> None:
        """Keep an input."""

    def answered(self, commands: Sequence[Command]) -> None:
        """Note the commands that the inputs since the last note led to."""

    def flush(self) -> None:
        """Hand what was kept to the operating system."""


Latch = Callable[[StateSet], None]
"""Told of each latched state, and of its end, before it is in the journal: writes a halt to the latch's file, synced."""
Watch = Callable[[Sequence[Fact]], None]
"""Reads the engine's facts: telemetry, follow-ups; must not change anything of the engine."""


class Runner:
    """Turns events into journalled commands.

    Args:
        engine: The core; nobody else may call `handle`.
        inbox: Where events wait.
        journal: Where facts go.
        executor: Where commands go.
        clock: Stamps what arrives with a time that never decreases.
        observer: Gets ``quantd_decision_seconds`` and ``quantd_events_total``.
        latch: See `Latch`.
        watch: See `Watch`.
    """

    def __init__(  # noqa: PLR0913 -- the four stages and what watches them
        self,
        engine: Engine,
        inbox: Inbox,
        journal: Journal,
        executor: Executor,
        *,
        clock: Clock,
        observer: Observer,
        latch: Latch,
        watch: Watch,
        input_log: InputLog | None = None,
    ) -> None:
        self._engine = engine
        self._inbox = inbox
        self._journal = journal
        self._executor = executor
        self._clock = clock
        self._observer = observer
        self._latch = latch
        self._watch = watch
        self._input_log = input_log
        self._last_ns = 0
        self.handled = 0
        """Events handled so far."""
        self.records = 0
        """Facts written since the last snapshot."""

    async def run(self) -> None:
        """Handle events until cancelled.

        Raises:
            JournalFailed: the disk refused; cancels are on their way, nothing else may be sent.
        """
        while True:
            await self.step(await self._inbox.get_batch())

    async def step(self, batch: Sequence[Event]) -> None:
        """Handle one batch to the end: facts on disk, then commands out.

        Raises:
            JournalFailed: as `run`.
        """
        began_ns = self._clock.monotonic_ns()
        commands: list[Command] = []
        ticks: dict[str, int] = {}
        engine = self._engine
        for event in batch:
            stamped = self._stamped(event)
            try:
                caused = engine.handle(stamped)
            finally:
                self._remember(stamped)
            if caused:
                commands += caused
                if isinstance(stamped, MarketEvent):
                    for command in caused:
                        if isinstance(command, Submit):
                            ticks[command.client_order_id] = stamped.received_at_ns
        self._observer.count("quantd_events_total", len(batch))
        self.handled += len(batch)
        facts = engine.take_facts()
        if commands and self._input_log is not None:
            self._input_log.answered(commands)
        self._observer.observe("quantd_decision_seconds", (self._clock.monotonic_ns() - began_ns) / 1e9)
        if facts:
            if self._input_log is not None:
                self._input_log.flush()
            await self._write(facts, commands)
            self._watch(facts)
        if commands:
            self._executor.execute(commands, ticks)

    def _remember(self, event: Event) -> None:
        """Keep an input after the interruptions that it led to, so that a replay meets those first."""
        for cut in self._engine.context.take_interruptions():
            self._observer.count("quantd_strategy_interruptions_total", 1, strategy=cut.strategy)
            _log.error("callback_interrupted", strategy=cut.strategy, hook=cut.hook, reason=cut.reason, acts=cut.acts)
            if self._input_log is not None:
                self._input_log.append(cut)
        context = self._engine.context
        if context.tolerated:
            for strategy, hook, error in context.tolerated:
                self._observer.count("quantd_strategy_errors_total", 1, strategy=strategy)
                _log.error("callback_failed", strategy=strategy, hook=hook, error=error)
            context.tolerated = []
        if self._input_log is not None:
            self._input_log.append(event)

    def _stamped(self, event: Event) -> Event:
        """Return the event with a time that is not before the last one's."""
        if event.received_at_ns >= self._last_ns:
            self._last_ns = event.received_at_ns
            return event
        return msgspec.structs.replace(event, received_at_ns=self._last_ns)

    async def _write(self, facts: list[Fact], commands: Sequence[Command]) -> None:
        for fact in facts:
            if isinstance(fact, StateSet):
                self._latch(fact)
        try:
            await self._journal.append(facts)
        except JournalFailed:
            self._executor.is_stopped = True
            self._executor.execute([command for command in commands if isinstance(command, Cancel | CancelAll)])
            raise
        self.records += len(facts)
