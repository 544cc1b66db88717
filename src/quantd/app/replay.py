"""Replays a recorded run: the same inputs through a fresh engine must give the same commands and the same journal, byte
for byte.

The engine begins at the state that the journal had when the recording began; nothing is sent anywhere.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import quantd
from quantd.app.engine import build_engine
from quantd.app.storage import codec
from quantd.app.strategies import Prepared, prepare, source_hashes
from quantd.app.venues import build_venues, over_http
from quantd.clock import ManualClock
from quantd.config import Settings
from quantd.domain.commands import Command
from quantd.domain.events import Event, StrategiesReplaced
from quantd.domain.facts import Fact, RunStarted
from quantd.errors import JournalError
from quantd.journal.inputlog import Answered, InputLogReader, digest_of
from quantd.journal.records import Record
from quantd.journal.store import JournalStore
from quantd.telemetry.metrics import NullObserver
from quantd.venues.parts import Surroundings


class Replay(NamedTuple):
    """How a replay went."""

    inputs: int
    records: int
    commands: int
    difference: str
    """The first commands or record that differ, empty when none do."""
    notes: tuple[str, ...] = ()
    """What is not as it was in that run: configuration, sources of strategies, version."""


def replay_inputs(settings: Settings, inputs: Path) -> Replay:
    """Run the inputs and compare each record with the journal's.

    Raises:
        JournalError: the journal or the input log cannot be read, or they do not belong together.
        ConfigProblems: the configuration does not fit.
    """
    reader: InputLogReader[Event] = InputLogReader(inputs, Event)
    header = reader.header
    store: JournalStore[Fact] = JournalStore.open(settings.journal.path, codec(), read_only=True)
    if (store.meta.journal_id, store.meta.epoch) != (header.journal_id, header.epoch):
        raise JournalError(f"{inputs}: belongs to journal {header.journal_id} epoch {header.epoch}, not to this one")
    around = Surroundings(
        ManualClock(), NullObserver(), lambda lane: "replay", lambda one: (), lambda venue, reason: None, over_http
    )
    capabilities = {name: parts.connector.capabilities for name, parts in build_venues(settings, around).items()}
    strategies = prepare(settings, capabilities).strategies
    engine = build_engine(settings, strategies, header.journal_id, header.epoch)
    for name, known in capabilities.items():
        engine.connect(name, known)
    engine.declare()
    told: list[Record] = []
    run: Fact | None = None
    for record in store.records():
        fact = store.codec.decode(record)
        if record.seq <= header.after_seq:
            engine.state.apply(fact)
        elif isinstance(fact, RunStarted) and told:
            break  # the next run has an input log of its own
        else:
            run = run or fact
            told.append(record)
    engine.restored()
    if not isinstance(run, RunStarted):
        raise JournalError(f"{inputs}: the journal has no run that starts after record {header.after_seq}")
    engine.begin(run)
    engine.lose_in_flight("restart", run.at_ns)
    count = commands = 0
    facts: list[Fact] = []
    unanswered: list[Command] = []
    difference = ""
    notes = _notes(settings, run, strategies)
    for told_next in reader.story():
        if isinstance(told_next, Answered):
            difference = difference or _other_commands(told_next, unanswered, count)
            unanswered = []
            continue
        if isinstance(told_next, StrategiesReplaced):
            notes += (
                f"after input {count} the run took over new code of {', '.join(told_next.sources)}: compared up to there",
            )
            told = told[: len(facts)]
            break
        count += 1
        caused = engine.handle(told_next)
        commands += len(caused)
        unanswered += caused
        facts += engine.take_facts()
    # A record says more than a digest does.
    difference = _difference(facts, told) or difference
    return Replay(count, len(facts), commands, difference, notes)


def _notes(settings: Settings, run: RunStarted, strategies: Sequence[Prepared]) -> tuple[str, ...]:
    notes = []
    if run.version != quantd.__version__:
        notes.append(f"the run was made by version {run.version}, this is {quantd.__version__}")
    if run.config_hash != settings.hash:
        notes.append(f"the run had configuration {run.config_hash[:12]}, this is {settings.hash[:12]}")
    now = source_hashes(strategies)
    notes += [
        f"strategy {one} has another source than in the run"
        for one, known in run.strategy_sources.items()
        if now.get(one) != known
    ]
    return tuple(notes)


def _other_commands(answered: Answered, ours: list[Command], inputs: int) -> str:
    if (answered.count, answered.digest) == (len(ours), digest_of(ours)):
        return ""
    gives = ", ".join(type(one).__name__ for one in ours) or "none"
    return f"after input {inputs}: the run sent {answered.count} commands, replay gives {len(ours)} ({gives})"


def _difference(facts: list[Fact], told: list[Record]) -> str:
    """Compare bytes. A killed run may have taken in events whose facts never reached the disk: more facts are fine."""
    encode = codec().encode
    for fact, record in zip(facts, told, strict=False):
        draft = encode(fact)
        if (draft.kind, draft.at_ns, draft.payload) != (record.kind, record.at_ns, record.payload):
            return f"record {record.seq}: journal has {record.kind} at {record.at_ns}, replay gives {fact}"
    if len(facts) < len(told):
        return f"journal has {len(told)} records, replay gives {len(facts)}"
    return ""
