"""The capacity test itself: which stretch it takes, and that it counts the time from when an input was due."""

import time
from array import array
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantd.app.recording import Recording
from quantd.app.stress import SECOND_NS, Load, Peak, _busiest, _hurry, _journal, find_peak
from quantd.domain.events import Event, StrategiesReplaced, TimePassed
from quantd.domain.facts import CursorMoved, Fact
from quantd.errors import JournalError
from quantd.journal.inputlog import InputLogHeader, InputLogWriter

HEADER = InputLogHeader(journal_id="k7", epoch=3, after_seq=0, started_at_ns=0)


@given(st.lists(st.integers(0, 60), max_size=40), st.integers(1, 20))
def test_the_busiest_window_is_the_one_that_counting_everywhere_finds(gaps: list[int], window: int) -> None:
    times = array("q")
    for gap in gaps:
        times.append((times[-1] if times else 0) + gap)
    first, count = _busiest(times, window)
    counts = [sum(at <= other < at + window for other in times) for at in times]
    assert count == max(counts, default=0)
    assert not count or sum(times[first] <= other < times[first] + window for other in times) == count


def log(path: Path, at_s: Sequence[float], *more: Event) -> Path:
    """Write a recording of ticks."""
    with InputLogWriter[Event](path, HEADER) as writer:
        for one in at_s:
            writer.append(TimePassed(round(one * SECOND_NS)))
        for event in more:
            writer.append(event)
    return path


def test_the_busiest_stretch_of_all_recordings_is_taken(tmp_path: Path) -> None:
    calm = log(tmp_path / "calm", range(100))
    busy = log(tmp_path / "busy", [0, 1, 2, *(10 + number / 100 for number in range(50)), 30, 31])
    assert find_peak([calm, busy], 5) == Peak(busy, 3, 50, 50, 0.49)
    assert find_peak([calm], 5) == Peak(calm, 0, 5, 1, 4.0)


def test_what_came_after_new_code_was_taken_over_cannot_be_replayed_and_does_not_count(tmp_path: Path) -> None:
    replaced = StrategiesReplaced({"one": "x"}, {"one": "code"}, "hash", "ann", 9 * SECOND_NS)
    path = log(tmp_path / "one", [1, 2, 3], replaced, *(TimePassed(9 * SECOND_NS + number) for number in range(100)))
    assert find_peak([path], 60).size == 3


def test_recordings_without_an_input_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="no inputs were recorded"):
        find_peak([log(tmp_path / "none", [])], 60)


class SlowEngine:
    """Stands still for a while at one input, and decides something at each."""

    def __init__(self, stands_at: int, for_s: float) -> None:
        self.context = SimpleNamespace(take_interruptions=list, tolerated=[])
        self._stands_at = stands_at
        self._for_s = for_s
        self._facts: list[Fact] = []
        self.handled = 0

    def handle(self, event: Event) -> list[Any]:
        self.handled += 1
        if self.handled == self._stands_at:
            time.sleep(self._for_s)
        self._facts.append(CursorMoved("paper", "seen", str(self.handled), event.received_at_ns))
        return [event] if self.handled % 10 == 0 else []

    def take_facts(self) -> list[Fact]:
        facts, self._facts = self._facts, []
        return facts


async def test_an_engine_that_stands_still_makes_all_wait_that_is_due_meanwhile(tmp_path: Path) -> None:
    """The pauses of the one under test must not make the load pause."""
    engine = SlowEngine(stands_at=100, for_s=0.2)
    events: list[Event] = [TimePassed(number * SECOND_NS // 250) for number in range(200)]
    journal = await _journal(tmp_path / "q.db", [CursorMoved("paper", "seen", "0", 0)])
    course = await _hurry(Recording(cast("Any", engine), cast("Any", None), [], ()), events, 2.0, journal)
    assert engine.handled == len(course.latencies_ns) == len(course.facts) == 200
    assert course.commands == 20
    assert 0.398 <= course.took_s < 2
    late = sum(one > 0.05 * SECOND_NS for one in course.latencies_ns)
    assert late >= 60, (
        "of the 100 inputs that were due within the 0.2 s, those of the first three quarters waited 50 ms"
    )
    assert course.waiting_max >= 60
    assert max(course.latencies_ns) >= 0.2 * SECOND_NS


def test_latencies_are_told_by_the_share_that_keeps_them(tmp_path: Path) -> None:
    load = Load(2.0, Peak(tmp_path, 0, 100, 1, 1.0), 1.0, 0, 0, 0, [n * 1_000_000 for n in range(1, 101)], 1, 0.1, "")
    assert (load.latency_ms(0.5), load.latency_ms(0.99), load.latency_ms(1.0)) == (51.0, 99.0, 100.0)
