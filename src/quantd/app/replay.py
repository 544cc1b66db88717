"""Replays a recorded run: the same inputs through a fresh engine must give the same commands and the same journal, byte
for byte.

The engine begins at the state that the journal had when the recording began; nothing is sent anywhere.
"""

from pathlib import Path
from typing import NamedTuple

from quantd.app.recording import difference, open_recording
from quantd.config import Settings
from quantd.domain.commands import Command
from quantd.domain.events import StrategiesReplaced
from quantd.domain.facts import Fact
from quantd.journal.inputlog import Answered, Ended, digest_of


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
    engine, reader, told, notes = open_recording(settings, inputs)
    count = commands = 0
    facts: list[Fact] = []
    unanswered: list[Command] = []
    different = ""
    for told_next in reader.story():
        if isinstance(told_next, Answered):
            different = different or _other_commands(told_next, unanswered, count)
            unanswered = []
            continue
        if isinstance(told_next, StrategiesReplaced):
            notes += (
                f"after input {count} the run took over new code of {', '.join(told_next.sources)}: compared up to there",
            )
            told = told[: len(facts)]
            break
        if isinstance(told_next, Ended):
            notes += (f"the recording ended after input {count}, {told_next.why}: compared up to there",)
            told = told[: len(facts)]
            break
        count += 1
        caused = engine.handle(told_next)
        commands += len(caused)
        unanswered += caused
        facts += engine.take_facts()
    if reader.torn is not None:
        # The journal is synced and this log is not: with the power it loses inputs whose records the journal has.
        torn = f"{reader.torn.length} bytes from byte {reader.torn.offset} on are not whole, as after a power cut"
        notes += (f"the input log is torn behind input {count}, {torn}: compared up to there",)
        told = told[: len(facts)]
    # A record says more than a digest does.
    return Replay(count, len(facts), commands, difference(facts, told) or different, notes)


def _other_commands(answered: Answered, ours: list[Command], inputs: int) -> str:
    if (answered.count, answered.digest) == (len(ours), digest_of(ours)):
        return ""
    gives = ", ".join(type(one).__name__ for one in ours) or "none"
    return f"after input {inputs}: the run sent {answered.count} commands, replay gives {len(ours)} ({gives})"
