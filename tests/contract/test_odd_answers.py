"""Whatever stands in one place of a venue's answers: no error but a `VenueError` leaves a connector's read and none its write,
nothing that cannot be reaches the engine or the journal, all that is written is read again, and nothing is traded on it.

A sample of all places and values, the same each time: `make campaign` takes a large one. ``QUANTD_SEED`` draws another,
``QUANTD_ODD`` says how many of each venue.
"""

import os
import random
from collections import defaultdict

import pytest

from quantd.clock import LoopClock
from quantd.testing.loop import run_virtual
from tests.contract.conformance.rig import Rig
from tests.contract.conformance.venues import RIGS
from tests.contract.odd_answers import Oddity, oddities
from tests.contract.odd_session import Session

SAMPLE = int(os.environ.get("QUANTD_ODD", "14"))
SEED = int(os.environ.get("QUANTD_SEED", "1"))
OVER_HTTP = [rig for rig in RIGS if rig.routes]


def played(make: type[Rig], oddity: Oddity | None = None) -> Session:
    async def act(clock: LoopClock) -> Session:
        session = Session(make(clock), oddity)
        await session.run()
        return session

    return run_virtual(act)


@pytest.mark.parametrize("make", OVER_HTTP, ids=lambda make: str(make.name))
def test_no_odd_value_in_an_answer_gets_past_the_connector(make: type[Rig]) -> None:
    usual = played(make)
    assert not usual.findings
    assert {"FillRecorded", "OperationSettled", "ProtectionHeld"} <= {record.kind for record in usual.journal.records}
    found = defaultdict[str, list[Oddity]](list)
    for oddity in random.Random(SEED).sample(oddities(usual.transport.shapes), SAMPLE):
        for finding in played(make, oddity).findings:
            found[finding].append(oddity)
    words = [f"{finding}\n    by {', '.join(map(str, by[:3]))}" for finding, by in found.items()]
    assert not words, f"QUANTD_SEED={SEED} QUANTD_ODD={SAMPLE}\n" + "\n".join(words)
