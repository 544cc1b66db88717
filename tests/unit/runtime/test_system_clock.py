"""The system's clock when it is set: what the daemon is told goes forward, and comes back to what is right."""

from itertools import pairwise

import pytest

from quantd import clock as module
from quantd.clock import SystemClock

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND


class Machine:
    """The time of a machine, moved by hand."""

    def __init__(self) -> None:
        self.wall, self.monotonic = START, 5 * SECOND

    def time_ns(self) -> int:
        return self.wall

    def monotonic_ns(self) -> int:
        return self.monotonic

    def passes(self, seconds: float) -> None:
        self.wall += round(seconds * SECOND)
        self.monotonic += round(seconds * SECOND)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    monkeypatch.setattr(module, "time", machine)
    return machine


def test_time_goes_on_after_a_step_backwards_slower_until_it_is_right_and_never_back(machine: Machine) -> None:
    """Standing still it would hold up every exit that is to be tried again."""
    clock = SystemClock()
    machine.passes(1)
    assert clock.now_ns() == machine.wall
    machine.wall -= 60 * SECOND
    told = [clock.now_ns()]
    for _ in range(119):
        machine.passes(1)
        told.append(clock.now_ns())
    assert {after - before for before, after in pairwise(told)} == {SECOND // 2}
    machine.passes(2)
    assert clock.now_ns() == machine.wall
    machine.passes(1)
    assert clock.now_ns() == machine.wall


def test_a_step_forward_is_followed_at_once(machine: Machine) -> None:
    clock = SystemClock()
    clock.now_ns()
    machine.wall += 3_600 * SECOND
    assert clock.now_ns() == machine.wall


def test_time_begins_no_earlier_than_another_process_has_seen(machine: Machine) -> None:
    clock = SystemClock()
    clock.not_before(START + 10 * SECOND)
    assert clock.now_ns() == START + 10 * SECOND
    machine.passes(8)
    assert clock.now_ns() == START + 14 * SECOND
    clock.not_before(START)
    assert clock.now_ns() == START + 14 * SECOND
    machine.passes(100)
    assert clock.now_ns() == machine.wall
