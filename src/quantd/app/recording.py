"""A recorded run, opened to be run again: the engine as it stood when the recording began, the inputs, and what the journal
holds of them.

Used by `replay`, which compares, and by `stress`, which hurries. Nothing is sent anywhere.
"""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import quantd
from quantd.app.engine import build_engine
from quantd.app.storage import codec
from quantd.app.strategies import Prepared, prepare, source_hashes
from quantd.app.venues import build_venues, over_http
from quantd.clock import ManualClock
from quantd.config import Settings
from quantd.domain.events import Event
from quantd.domain.facts import Fact, RunStarted
from quantd.engine.core import Engine
from quantd.errors import JournalError
from quantd.journal.inputlog import InputLogHeader, InputLogReader
from quantd.journal.records import Record
from quantd.journal.store import JournalStore
from quantd.telemetry.metrics import NullObserver
from quantd.venues.parts import Surroundings


class Recording(NamedTuple):
    """Ready to be handed its inputs."""

    engine: Engine
    """Where the run began, its first facts not yet taken."""
    reader: InputLogReader[Event]
    told: list[Record]
    """The journal's records of that run."""
    notes: tuple[str, ...]
    """What is not as it was in that run: configuration, sources of strategies, version."""


def open_recording(settings: Settings, inputs: Path) -> Recording:
    """Build the engine and fold the journal up to where the recording begins.

    Raises:
        JournalError: the journal or the input log cannot be read, or they do not belong together.
        ConfigProblems: the configuration does not fit.
    """
    reader: InputLogReader[Event] = InputLogReader(inputs, Event)
    header = reader.header
    store: JournalStore[Fact] = JournalStore.open(settings.journal.path, codec(), read_only=True)
    with closing(store):
        if (store.meta.journal_id, store.meta.epoch) != (header.journal_id, header.epoch):
            raise JournalError(
                f"{inputs}: belongs to journal {header.journal_id} epoch {header.epoch}, not to this one"
            )
        engine, strategies = _engine(settings, header)
        run, told = _folded(store, engine, header.after_seq)
    engine.restored()
    if not isinstance(run, RunStarted):
        raise JournalError(f"{inputs}: the journal has no run that starts after record {header.after_seq}")
    engine.begin(run)
    engine.lose_in_flight("restart", run.at_ns)
    return Recording(engine, reader, told, _notes(settings, run, strategies))


def _engine(settings: Settings, header: InputLogHeader) -> tuple[Engine, Sequence[Prepared]]:
    """Build the engine that the recording belongs to, and its strategies."""
    around = Surroundings(
        ManualClock(), NullObserver(), lambda lane: "replay", lambda one: (), lambda venue, reason: None, over_http
    )
    capabilities = {name: parts.connector.capabilities for name, parts in build_venues(settings, around).items()}
    strategies = prepare(settings, capabilities).strategies
    engine = build_engine(settings, strategies, header.journal_id, header.epoch)
    for name, known in capabilities.items():
        engine.connect(name, known)
    engine.declare()
    return engine, strategies


def _folded(store: JournalStore[Fact], engine: Engine, after_seq: int) -> tuple[Fact | None, list[Record]]:
    """Fold the journal up to where the recording begins; return the first fact and all records of its run."""
    told: list[Record] = []
    run: Fact | None = None
    for record in store.records():
        fact = store.codec.decode(record)
        if record.seq <= after_seq:
            engine.state.apply(fact)
        elif isinstance(fact, RunStarted) and told:
            break  # the next run has an input log of its own
        else:
            run = run or fact
            told.append(record)
    return run, told


def difference(facts: Sequence[Fact], told: Sequence[Record]) -> str:
    """Compare bytes; return the first difference in words, empty for none.

    A killed run may have taken in events whose facts never reached the disk: more facts are fine.
    """
    encode = codec().encode
    for fact, record in zip(facts, told, strict=False):
        draft = encode(fact)
        if (draft.kind, draft.at_ns, draft.payload) != (record.kind, record.at_ns, record.payload):
            return f"record {record.seq}: journal has {record.kind} at {record.at_ns}, replay gives {fact}"
    if len(facts) < len(told):
        return f"journal has {len(told)} records, replay gives {len(facts)}"
    return ""


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
