"""The rigs: one for each column of the conformance table."""

from tests.contract.conformance.hummingbot_rig import HummingbotRig
from tests.contract.conformance.ionloop_rig import IonloopKeysRig, IonloopRig
from tests.contract.conformance.oanda_rig import OandaHedgingRig, OandaRig
from tests.contract.conformance.paper_rig import PaperMarginRig, PaperRig
from tests.contract.conformance.rig import Rig
from tests.contract.conformance.ripio_rig import RipioRig
from tests.contract.conformance.tradelocker_rig import TradeLockerNettingRig, TradeLockerRig

RIGS: tuple[type[Rig], ...] = (
    PaperRig,
    PaperMarginRig,
    IonloopRig,
    IonloopKeysRig,
    OandaRig,
    OandaHedgingRig,
    HummingbotRig,
    RipioRig,
    TradeLockerRig,
    TradeLockerNettingRig,
)
