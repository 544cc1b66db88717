"""Keeps the halt latch's file and the engine's latches the same, whichever of them learnt of a halt first.

File or journal saying halted means halted. A person clears through the file (`quantd resume`), the engine follows.
"""

import structlog

from quantd.app.storage import latch_state_set
from quantd.domain.events import HaltOrdered, Resumed, TradingState
from quantd.domain.facts import StateSet
from quantd.engine.core import Engine
from quantd.engine.tallies import SCHEDULE, STORM, SUPERVISION
from quantd.errors import JournalError
from quantd.journal.latch import Halt, HaltLatch
from quantd.ports import Clock, Emit

_log = structlog.get_logger("quantd.app")
_OWN = (SCHEDULE, STORM, SUPERVISION)
"""Who may end a halt of its own without a person: a trading schedule, a breaker after its cool-down, and the renewal of
a strategy that failed."""


class LatchFollower:
    """Compares the file with the engine at start and at every tick."""

    def __init__(self, latch: HaltLatch, engine: Engine, emit: Emit, clock: Clock) -> None:
        self._latch = latch
        self._engine = engine
        self._emit = emit
        self._clock = clock
        self._generation: int | None = None
        self._told: dict[str, Halt] = {}
        """The clearing of each scope that the engine was told last: once, since it may be halted again meanwhile."""
        self._ending: set[str] = set()
        """Scopes whose own halt the engine has ended, until that is in the journal and out of the file."""

    def start(self) -> None:
        """Write what only the journal knows into the file, and tell the engine what only the file knows."""
        content = self._latch.read()
        known = {halt.scope for halt in content.halts}
        cleared = {note.scope: note.at_ns for note in content.cleared}
        for scope, fact in self._engine.state.latches.items():
            if scope not in known and cleared.get(scope, 0) <= fact.at_ns:
                self._write(Halt(scope, fact.state, fact.by, fact.why, fact.at_ns))
        self._compare()

    def look(self) -> None:
        """Follow a change of the file, and tell the engine a halt until it has it; one `stat` when all is known.

        Telling once is not enough: a clearing that still waits in the inbox would undo it. Nor may a clearing be forgotten
        because the halt that it is for was still on its way to the engine.
        """
        content, known = self._latch.read(), self._engine.state.latches
        untold = any(halt.by not in _OWN and halt.scope not in known for halt in content.halts)
        latched = {halt.scope for halt in content.halts}
        cleared = [note for note in content.cleared if note.scope in known and note.scope not in latched]
        uncleared = any(self._told.get(note.scope) != note for note in cleared)
        if untold or uncleared or content.generation != self._generation:
            self._compare()

    def decided(self, fact: StateSet) -> None:
        """Put a halt into the file, before it is in the journal; an end waits for that, and is not undone meanwhile."""
        if fact.state is not TradingState.ACTIVE:
            self._ending.discard(fact.scope)
            latch_state_set(self._latch, fact)
        elif fact.by in _OWN:
            self._ending.add(fact.scope)

    def recorded(self, fact: StateSet) -> None:
        """Take a halt out of the file that the engine itself ended, where it was its own."""
        if fact.state is not TradingState.ACTIVE or fact.by not in _OWN:
            return
        self._ending.discard(fact.scope)
        if any(halt.scope == fact.scope and halt.by == fact.by for halt in self._latch.read().halts):
            try:
                self._latch.clear(fact.scope, by=fact.by, why=fact.why, at_ns=fact.at_ns)
            except JournalError as error:
                _log.error("halt_latch_not_cleared", scope=fact.scope, error=str(error))

    def _compare(self) -> None:
        """Tell the engine what only the file says.

        A scope that it has latched and the file has not was cleared by a person, whatever the clocks of the two processes
        say: a halt of the engine's own is in the file before anybody looks.
        """
        content = self._latch.read()
        self._generation = content.generation
        now_ns = self._clock.now_ns()
        ours = self._engine.state.latches
        for halt in content.halts:
            known = ours.get(halt.scope)
            if known is None and halt.by in _OWN and halt.scope in self._ending:
                continue
            if known is None or known.state is not halt.state:
                self._emit(HaltOrdered(halt.scope, halt.state, halt.by, halt.why, max(content.generation, 0), now_ns))
        latched = {halt.scope for halt in content.halts}
        for note in content.cleared:
            known = ours.get(note.scope)
            if known is not None and note.scope not in latched and self._told.get(note.scope) != note:
                self._told[note.scope] = note
                self._emit(Resumed(note.scope, note.by, note.why, now_ns))

    def _write(self, halt: Halt) -> None:
        try:
            self._latch.halt(halt)
        except JournalError as error:
            _log.error("halt_latch_not_written", error=str(error))
