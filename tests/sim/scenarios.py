"""What is simulated: which strategies trade, and what the operator may do to the disk."""

import dataclasses
from functools import cache
from pathlib import Path
from typing import NamedTuple

from quantd.config import Settings, load
from tests.sim.scenes.venues import SCENES

_FILE = Path(__file__).with_name("sim.yaml")


class Scenario(NamedTuple):
    """One kind of simulation."""

    name: str
    strategies: tuple[str, ...]
    restores: bool = False
    """Whether backups of the journal are restored."""
    faults_s: tuple[float, float] = (20.0, 60.0)
    """Shortest and longest first phase, virtual seconds."""


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("grid", ("grid",)),
        Scenario("cross", ("cross", "grid")),
        Scenario("trader", ("trader",)),
        Scenario("crowd", ("grid", "cross", "trader")),
        Scenario("stops", ("sleeper",), faults_s=(60.0, 110.0)),
        Scenario("backup", ("trader", "grid"), restores=True),
    )
}

GUARDED = Scenario("guarded", ("guarded",), faults_s=(40.0, 100.0))
"""Where a venue holds exits for what its orders open: entries with a stop and a target near by."""


def scenarios_at(venue: str) -> dict[str, Scenario]:
    """Return what is simulated at a venue, by name."""
    return {**SCENARIOS, GUARDED.name: GUARDED} if SCENES[venue].holds_exits else SCENARIOS


@cache
def _loaded(venue: str, keys: bool) -> Settings:
    scene = SCENES[venue]
    environ = {**scene.environ, "IDEMPOTENCY": str(keys).lower()} if venue == "ionloop" else scene.environ
    named = {f"QUANTD__VENUES__{venue.upper()}__{name}": value for name, value in environ.items()}
    return load([_FILE, scene.file()], named)


def settings_of(scenario: Scenario, seed: int, *, venue: str = "ionloop", keys: bool) -> Settings:
    """Return the configuration of one seed; `keys` says whether ionloop's idempotency keys are relied upon."""
    loaded = _loaded(venue, keys)
    strategies = tuple(
        one.model_copy(update={"params": one.params | {"seed": seed}}) if "seed" in one.params else one
        for one in loaded.strategies
        if one.id in scenario.strategies
    )
    section = SCENES[venue].configured(loaded.venues[venue], seed, len(strategies))
    return dataclasses.replace(loaded, strategies=strategies, venues={venue: section})
