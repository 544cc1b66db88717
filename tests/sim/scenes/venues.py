"""The venues that simulations and kills play at, by name."""

from tests.sim.scenes.hummingbot import HummingbotScene
from tests.sim.scenes.ionloop import IonloopScene
from tests.sim.scenes.ripio import RipioScene
from tests.sim.scenes.scene import Scene

SCENES: dict[str, type[Scene]] = {one.name: one for one in (IonloopScene, HummingbotScene, RipioScene)}
