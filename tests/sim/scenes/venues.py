"""The venues that simulations and kills play at, by name."""

from tests.sim.scenes.hummingbot import HummingbotScene
from tests.sim.scenes.ionloop import IonloopScene
from tests.sim.scenes.oanda import OandaScene
from tests.sim.scenes.ripio import RipioScene
from tests.sim.scenes.scene import Scene
from tests.sim.scenes.tradelocker import TradeLockerScene

SCENES: dict[str, type[Scene]] = {
    one.name: one for one in (IonloopScene, HummingbotScene, RipioScene, TradeLockerScene, OandaScene)
}
