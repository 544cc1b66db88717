"""Where kills happen, one `Stage` for each venue: its simulator, its section of the configuration, its writes, its truth.

The truth is told in the words of the venue's scene where those suffice. Used by `killing`.
"""

from decimal import Decimal
from typing import Any, ClassVar

from quantd.clock import SystemClock
from quantd.domain.instruments import Instrument
from quantd.engine.state import State
from quantd.exchange.rules import DepthRules
from quantd.simulators.hummingbot import options as hummingbot
from quantd.simulators.hummingbot.venue import HummingbotVenue
from quantd.simulators.ionloop.options import MarketRules, RateRules, Setup, Switches
from quantd.simulators.ionloop.venue import IonloopVenue
from quantd.simulators.oanda import options as oanda
from quantd.simulators.oanda.venue import OandaVenue
from quantd.simulators.ripio import options as ripio
from quantd.simulators.ripio.venue import RipioVenue
from quantd.simulators.tradelocker import options as tradelocker
from quantd.simulators.tradelocker.venue import TradeLockerVenue
from tests.process import oanda_truth, tradelocker_truth
from tests.process.harness import free_port
from tests.process.killers import DEPTH, Killer, Stage
from tests.process.truth import Venue
from tests.sim.scenes.hummingbot import HummingbotScene
from tests.sim.scenes.ionloop import IonloopScene
from tests.sim.scenes.oanda import OandaScene
from tests.sim.scenes.ripio import RipioScene
from tests.sim.scenes.tradelocker import TradeLockerScene


class KillingIonloop(Killer, IonloopVenue):
    """ionloop."""


class KillingHummingbot(Killer, HummingbotVenue):
    """The Hummingbot API."""


class KillingRipio(Killer, RipioVenue):
    """Ripio Trade."""


class KillingTradeLocker(Killer, TradeLockerVenue):
    """TradeLocker."""


class KillingOanda(Killer, OandaVenue):
    """OANDA v20."""


class IonloopStage(Stage):
    """With keys, and in each so many folders without."""

    scene = IonloopScene
    once = ("create_webhook",)
    secrets: ClassVar = {"key": "sim-key", "secret": "sim-webhook-secret"}
    section = """
venues:
  ionloop:
    type: ionloop
    environment: custom
    base_url: http://127.0.0.1:{port}
    api_key_file: key
    webhook_secret_file: secret
    register_webhook: true
    reconcile: adopt
    idempotency: {keys}
    rates: {{orders: {{rate: 40, burst: 10}}}}
webhooks: {{port: {hook}, public_url: 'http://127.0.0.1:{hook}'}}
"""
    search_every: ClassVar[int] = 10
    """Each so many folders one has no keys: its starts take ten times as long."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self._keys = seed % self.search_every != 0
        self._rules = MarketRules()

    def venue(self, clock: SystemClock) -> Any:
        """Return the venue."""
        setup = Setup(
            markets=(self._rules,),
            balances={"main": {"USDT": Decimal(200_000), "BTC": Decimal(2)}},
            rates=RateRules(key_per_minute=10**6, orders_per_second=100, public_per_minute=10**6, status_every_s=0.0),
            depth=DEPTH,
            seed=self.seed,
            webhook_http=True,
            webhook_secret="sim-webhook-secret",
        )
        return KillingIonloop(setup, clock=clock, switches=Switches(honour_keys=self._keys))

    def rules(self, venue: Any) -> Instrument:
        """Return the market."""
        return self._rules.instrument()

    def terms(self, port: int) -> dict[str, Any]:
        """Return the port of the webhooks too."""
        return {"port": port, "keys": str(self._keys).lower(), "hook": free_port()}


class HummingbotStage(Stage):
    """No ids of ours: what became of an order is found by its terms."""

    scene = HummingbotScene
    writes = ("place_order", "cancel_order")
    secrets: ClassVar = {"password": "admin"}
    churner = "{writes: 2, keeps: 5}"
    section = """
venues:
  hummingbot:
    type: hummingbot
    base_url: http://127.0.0.1:{port}
    connector: binance
    password_file: password
    real_money: false
    reconcile: adopt
"""

    def venue(self, clock: SystemClock) -> Any:
        """Return the server."""
        balances = {"USDT": Decimal(200_000), "BTC": Decimal(2)}
        return KillingHummingbot(hummingbot.Setup(balances=balances, depth=DEPTH, seed=self.seed), clock=clock)

    def rules(self, venue: Any) -> Instrument:
        """Return the pair."""
        return hummingbot.PairRules(self.scene.symbol).instrument()


class RipioStage(Stage):
    """An id of ours that the venue keeps and does not hold apart."""

    scene = RipioScene
    currency = "BRL"
    secrets: ClassVar = {"token": "sim-token", "secret": "sim-secret"}
    churner = "{writes: 1, keeps: 3}"
    section = """
venues:
  ripio:
    type: ripio
    base_url: http://127.0.0.1:{port}
    api_token_file: token
    api_secret_file: secret
    reconcile: adopt
    orders_every_s: 1
    account_every_s: 5
"""

    def venue(self, clock: SystemClock) -> Any:
        """Return the venue."""
        balances = {"main": {"BRL": Decimal(200_000), "BTC": Decimal(2)}}
        return KillingRipio(ripio.Setup(balances=balances, depth=DEPTH, seed=self.seed), clock=clock)

    def rules(self, venue: Any) -> Instrument:
        """Return the pair."""
        return ripio.PairRules(self.scene.symbol).instrument()

    def freeze(self, told: Venue) -> None:
        """Let prices stand still."""
        told.post("switches", {"market_paused": True})


class TradeLockerStage(Stage):
    """A tag of ours on what opens; what closes names a position."""

    scene = TradeLockerScene
    writes = ("place_order", "cancel_order", "close_position")
    currency = "USD"
    secrets: ClassVar = {"password": "simulated"}
    churner = "{writes: 2, keeps: 4, scale: 10, step: 0.01, closes: true}"
    section = """
venues:
  tradelocker:
    type: tradelocker
    environment: custom
    base_url: http://127.0.0.1:{port}
    email: quant@example.com
    password_file: password
    server: SIM
    account: "1000001"
    reconcile: adopt
    account_every_s: 2
"""

    def venue(self, clock: SystemClock) -> Any:
        """Return the server."""
        depth = DepthRules(levels=20, size=0.08, growth=1.2, step_ticks=100)
        return KillingTradeLocker(tradelocker.Setup(depth=depth, seed=self.seed), clock=clock)

    def rules(self, venue: Any) -> Instrument:
        """Return the instrument."""
        return tradelocker.InstrumentRules().instrument()

    def differences(self, state: State, told: Venue) -> list[str]:
        """Compare orders, lots and money."""
        return tradelocker_truth.differences(state, told.read("state"))


class OandaStage(Stage):
    """A client id that the venue keeps, and a log that tells everything."""

    scene = OandaScene
    writes = ("create_order", "cancel_order")
    currency = "USD"
    secrets: ClassVar = {"token": oanda_truth.TOKEN}
    churner = "{writes: 2, keeps: 4, scale: 100000, step: 1}"
    section = """
venues:
  oanda:
    type: oanda
    environment: custom
    base_url: http://127.0.0.1:{port}
    stream_url: http://127.0.0.1:{port}
    account: {account}
    token_file: token
    reconcile: adopt
"""

    def venue(self, clock: SystemClock) -> Any:
        """Return the environment."""
        account = oanda.AccountRules(id=oanda_truth.ACCOUNT)
        depth = DepthRules(levels=20, size=400.0, growth=1.2, step_ticks=1)
        return KillingOanda(oanda.Setup(accounts=(account,), depth=depth, seed=self.seed), clock=clock)

    def rules(self, venue: Any) -> Instrument:
        """Return the instrument."""
        return oanda.InstrumentRules().instrument()

    def terms(self, port: int) -> dict[str, Any]:
        """Name the account too."""
        return {"port": port, "account": oanda_truth.ACCOUNT}

    def freeze(self, told: Venue) -> None:
        """Halt the market."""
        told.post("market", {"instrument": self.scene.symbol, "status": "halted"})

    def differences(self, state: State, told: Venue) -> list[str]:
        """Compare with the account's pages."""
        return oanda_truth.differences(state, told.port)

    def twins(self, told: Venue) -> list[str]:
        """Read them off the log, where an order that replaced another is no twin of it."""
        return oanda_truth.twins(told.port)


STAGES: dict[str, type[Stage]] = {
    one.scene.name: one for one in (IonloopStage, HummingbotStage, RipioStage, TradeLockerStage, OandaStage)
}
