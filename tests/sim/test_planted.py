"""The simulation bites: each fault that is planted is found, and its seed is clean without it."""

import pytest

from tests.sim.planted import PLANTS, Plant, hunt
from tests.sim.simulation import simulate

pytestmark = pytest.mark.timeout(300)


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: str(plant.name).replace(" ", "_"))
def test_a_planted_fault_is_found(plant: Plant) -> None:
    catch = hunt(plant, plant.begin)
    assert catch.seed >= 0, f"not found in any seed: {plant.name}"
    print(f"{plant.name}: found by {catch.scenario} {catch.seed}: {catch.violation[:160]}")
    simulate(plant.scenario, catch.seed)
