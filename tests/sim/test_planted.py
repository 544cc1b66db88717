"""The simulation bites: each fault that is planted is found, and its seed is clean without it."""

import pytest

from tests.sim import planted
from tests.sim.invariants import Violation
from tests.sim.planted import PLANTS, Plant, hunt
from tests.sim.simulation import SimulationFailed

pytestmark = pytest.mark.timeout(300)


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: str(plant.name).replace(" ", "_"))
def test_a_planted_fault_is_found(plant: Plant) -> None:
    catch = hunt(plant, plant.begin)
    assert catch.seed >= 0, f"not found in any seed: {plant.name} {catch.violation}"
    print(f"{plant.name}: found by {catch.scenario} {catch.seed}: {catch.violation[:160]}")


def test_a_seed_that_fails_anyway_finds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that cannot even start would otherwise find every fault at once."""

    def fails(scenario: str, seed: int, venue: str) -> None:
        raise SimulationFailed(f"{scenario} {seed}") from Violation("the daemon fell")

    monkeypatch.setattr(planted, "simulate", fails)
    catch = hunt(PLANTS[0])
    assert (catch.seed, catch.violation) == (-1, "seed 0 fails without the fault: the daemon fell")
