"""Paper under the conformance suite, on a spot account and on margin: it has no network, so nothing is lost on the way."""

from collections.abc import Mapping
from decimal import Decimal
from typing import ClassVar

from quantd.domain.instruments import InstrumentId
from quantd.domain.market import Quote
from quantd.ports import Connector
from quantd.venues.paper.connector import PaperConnector
from quantd.venues.paper.rules import ACCOUNT
from quantd.venues.paper.settings import PaperSettings
from tests.contract.conformance.rig import Rig, Truth

_DEPTH = "depth is the data's: books, parts and fill or kill are proven in tests/unit/exchange"
_ONE = "one process, one account: nobody else can write to it"


class PaperRig(Rig):
    """A spot account on a made-up market, whose prices the cases move."""

    name = "paper"
    symbol = "BTC-USDT"
    bid = Decimal("65000.00")
    ask = Decimal("65010.00")
    quantity = Decimal("0.01")
    huge = Decimal(100)
    account: ClassVar[str] = "spot"
    not_applicable: ClassVar[Mapping[str, str]] = {
        "10": "a second connector would be a second exchange; what a restart does is in tests/process",
        "4": _DEPTH,
        "14": _DEPTH,
        "25": _DEPTH,
        "37": "its balances are what the configuration says",
        "38": _ONE,
        "39": _ONE,
        "40": "the exchange lives in this process: a restart begins anew and says so",
    }

    def connect(self, *, wrong_credentials: bool = False) -> Connector:
        """Return the connector; there is one."""
        settings = PaperSettings.model_validate(
            {
                "type": "paper",
                "account": self.account,
                "latency_s": 0,
                "balances": {"USDT": "100000"},
                "data": {"synthetic": {"instruments": [{"symbol": self.symbol, "price": "65000", "lot": "0.0001"}]}},
            }
        )
        return PaperConnector("paper", settings, self.clock)

    @property
    def _paper(self) -> PaperConnector:
        assert isinstance(self.connector, PaperConnector)
        return self.connector

    async def start(self) -> None:
        """Open the account, then let there be a price."""
        await super().start()
        self.move(self.bid, self.ask)

    def move(self, bid: Decimal, ask: Decimal) -> None:
        """Let the market move."""
        now_ns = self.clock.now_ns()
        quote = Quote(InstrumentId(f"paper:{self.symbol}"), float(bid), float(ask), now_ns)
        self._paper.on_market(quote, lambda event: None)

    def truth(self) -> Truth:
        """Return what the exchange holds."""
        snapshot = self._paper.exchange.snapshot(ACCOUNT, "paper", self.clock.now_ns())
        held: dict[str, Decimal] = {}
        for lot in snapshot.lots:
            held[lot.instrument] = held.get(lot.instrument, Decimal(0)) + lot.signed
        return Truth(
            {balance.asset: balance.total for balance in snapshot.balances if balance.total},
            held,
            frozenset(report.venue_order_id for report in snapshot.orders),
        )


class PaperMarginRig(PaperRig):
    """A margin account, netting."""

    name = "paper, margin"
    account = "margin"
