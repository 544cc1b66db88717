"""SIGKILL during appends: every record that was acknowledged is there, and nothing is torn."""

import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

import quantd.journal
from quantd.journal.fold import recover
from quantd.journal.records import RecordCodec
from quantd.journal.store import JournalStore
from quantd.journal.verify import verify
from tests.component.journal.kit import Small

APPEND_FOR_EVER = """
import asyncio, os, sys
from decimal import Decimal
from pathlib import Path
import msgspec
from quantd.clock import SystemClock
from quantd.journal.records import RecordCodec
from quantd.journal.store import JournalStore
from quantd.journal.writer import JournalWriter

class Bought(msgspec.Struct, frozen=True, tag=True):
    order: str
    quantity: Decimal
    at_ns: int

class Silent:
    def observe(self, metric, value, /, **labels): pass

async def main(path):
    store = JournalStore.open(Path(path), RecordCodec(Bought))
    writer = JournalWriter(store, clock=SystemClock(), observer=Silent(), on_failure=lambda error: os._exit(3))
    await writer.start()
    n = store.head.seq
    while True:
        batch = [Bought("q-%d" % k, Decimal(k), k) for k in range(n + 1, n + 1 + n % 5 + 1)]
        n += len(batch)
        waiting = writer.append(batch)
        if n % 3 == 0:
            writer.snapshot(b"%d" % n)
        await waiting
        os.write(1, b"%d\\n" % n)

asyncio.run(main(sys.argv[1]))
"""


@pytest.mark.parametrize("lines", [1, 7, 60, 400])
def test_a_kill_loses_no_acknowledged_record(path: Path, codec: RecordCodec[Small], lines: int) -> None:
    JournalStore.create(path, codec, journal_id="k7", epoch=1).close()
    environment = {**os.environ, "PYTHONPATH": str(Path(quantd.journal.__file__).parents[2])}
    for _ in range(2):  # the second process goes on in what the first one left
        child = subprocess.Popen(
            [sys.executable, "-c", APPEND_FOR_EVER, str(path)], stdout=subprocess.PIPE, env=environment
        )
        with child:
            assert child.stdout is not None
            acknowledged = [int(child.stdout.readline()) for _ in range(lines)]
            child.send_signal(signal.SIGKILL)
            # What it wrote to the pipe between the last line read and its death was acknowledged too.
            acknowledged += [
                int(line) for line in child.stdout.read().splitlines(keepends=True) if line.endswith(b"\n")
            ]
        with closing(JournalStore.open(path, codec)) as store:
            assert store.head.seq >= acknowledged[-1]
            assert verify(store).problems == ()
            restored: list[bytes] = [b"0"]
            facts: list[Small] = []
            recover(store, facts.append, restored.append)
            expected = range(int(restored[-1]) + 1, store.head.seq + 1)
            assert [fact.at_ns for fact in facts] == list(expected)
