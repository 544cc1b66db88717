"""A sample of seeds, the seeds that failed once, and the proof that a seed repeats itself to the byte."""

import os
from pathlib import Path

import pytest

from tests import campaign
from tests.sim.scenarios import SCENARIOS, scenarios_at
from tests.sim.scenes.venues import SCENES
from tests.sim.simulation import simulate

SAMPLE = int(os.environ.get("QUANTD_SEEDS", "60"))
"""How many seeds; they are shared out among the scenarios."""
SAMPLE_ELSEWHERE = 20
"""How many at each other venue."""
ELSEWHERE = [name for name in SCENES if name != "ionloop"]
_CHUNK = 10
_REGRESSIONS = Path(__file__).with_name("regressions.txt")


def regressions() -> list[tuple[str, int, str]]:
    found = []
    for line in _REGRESSIONS.read_text().splitlines():
        if line and not line.startswith("#"):
            place, seed, _ = line.split(maxsplit=2)
            scenario, _, venue = place.partition("@")
            found.append((scenario, int(seed), venue or "ionloop"))
    return found


@pytest.mark.parametrize("first", range(0, SAMPLE, _CHUNK))
def test_every_invariant_holds_for_every_seed(first: int) -> None:
    names = list(SCENARIOS)
    for seed in range(first, min(first + _CHUNK, SAMPLE)):
        simulate(names[seed % len(names)], seed)


@pytest.mark.parametrize("first", range(0, SAMPLE_ELSEWHERE, _CHUNK))
@pytest.mark.parametrize("venue", ELSEWHERE)
def test_every_invariant_holds_for_every_seed_at_each_other_venue(venue: str, first: int) -> None:
    names = list(scenarios_at(venue))
    for seed in range(first, first + _CHUNK):
        simulate(names[seed % len(names)], seed, venue)


@pytest.mark.parametrize(("scenario", "seed", "venue"), regressions())
def test_a_seed_that_failed_once_holds(scenario: str, seed: int, venue: str) -> None:
    simulate(scenario, seed, venue)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_same_seed_gives_the_same_journal_to_the_byte(scenario: str) -> None:
    assert simulate(scenario, 4).fingerprint == simulate(scenario, 4).fingerprint


@pytest.mark.parametrize("venue", ELSEWHERE)
def test_the_same_seed_gives_the_same_journal_at_each_other_venue(venue: str) -> None:
    assert simulate("grid", 4, venue).fingerprint == simulate("grid", 4, venue).fingerprint


def test_other_seeds_give_other_journals() -> None:
    assert simulate("crowd", 4).fingerprint != simulate("crowd", 5).fingerprint


def test_the_campaign_simulates_at_every_venue() -> None:
    assert [*campaign.ELSEWHERE] == ELSEWHERE
