"""The simulated venues kill the daemon from within their own request handlers: a sample; the campaign kills more often."""

import random
from pathlib import Path

import pytest

from tests.process.killers import plan
from tests.process.killing import run_folder
from tests.process.stages import STAGES
from tests.sim.scenes.venues import SCENES

ELSEWHERE = [name for name in STAGES if name != "ionloop"]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_killed_by_the_venue_before_and_after_each_kind_of_write_nothing_is_twice_lost_or_different(
    tmp_path: Path,
) -> None:
    stage = STAGES["ionloop"](1)
    result = run_folder(stage, plan(stage, random.Random(1), 10), tmp_path)
    assert result.problems == []
    writes = (*stage.writes, *stage.once)
    assert set(result.kills) == {(write, when) for write in writes for when in ("before", "after")}
    assert result.kills.total() == 10
    assert result.fills > 0
    print(f"{dict(result.kills)}; {result.orders} orders, {result.replays} answered from their key")


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("venue", ELSEWHERE)
def test_killed_by_each_other_venue_after_a_create_nothing_is_twice_lost_or_different(
    venue: str, tmp_path: Path
) -> None:
    stage = STAGES[venue](1)
    result = run_folder(stage, [(stage.writes[0], False)], tmp_path)
    assert result.problems == []
    assert result.kills == {(stage.writes[0], "after"): 1}


def test_every_simulated_venue_kills_too() -> None:
    assert [*STAGES] == [*SCENES]
