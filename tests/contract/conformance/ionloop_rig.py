"""ionloop under the conformance suite: the real connector on the simulated venue, in memory."""

import asyncio
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar

import msgspec

from quantd.clock import LoopClock
from quantd.exchange import DepthRules
from quantd.ports import Connector
from quantd.simulators.faults import Action
from tests.contract.conformance.rig import Rig, Truth
from tests.contract.ionloop_pair import ALL, SETUP, Pair

_THIN = msgspec.structs.replace(SETUP, depth=DepthRules(levels=3, size=0.004))


class IonloopRig(Rig):
    """Without idempotency keys: an order is found by its terms."""

    name = "ionloop"
    symbol = "BTC-USDT"
    bid = Decimal("65000.00")
    ask = Decimal("65010.00")
    quantity = Decimal("0.001")
    huge = Decimal(100)
    routes: ClassVar[Mapping[str, str]] = {
        "submit": "create_order", "cancel": "cancel_order", "quotes": "ticker", "snapshot": "portfolio",
    }  # fmt: skip
    idempotency: ClassVar[bool] = False
    not_applicable: ClassVar[Mapping[str, str]] = {
        "51": "a key does not end by itself; a revoked one is case 50",
    }

    def __init__(self, clock: LoopClock) -> None:
        super().__init__(clock)
        self.pair = Pair(clock, setup=_THIN, idempotency=self.idempotency)

    def connect(self, *, wrong_credentials: bool = False) -> Connector:
        """Return another connector with the same key, or with one that nobody issued."""
        return self.pair.connect("nobody" if wrong_credentials else ALL.key, idempotency=self.idempotency)

    def move(self, bid: Decimal, ask: Decimal) -> None:
        """Move the market."""
        self.pair.quote(str(bid), str(ask))

    def truth(self) -> Truth:
        """Return what the simulated venue holds."""
        exchange = self.pair.venue.exchange
        snapshot = exchange.snapshot("main", "ionloop", self.clock.now_ns())
        totals = {balance.asset: balance.total for balance in snapshot.balances if balance.total}
        return Truth(totals, {}, frozenset(report.venue_order_id for report in snapshot.orders))

    def fault(self, action: Action, request: str, **terms: Any) -> None:
        """Let the next request of a kind meet a fault."""
        self.pair.fault(action, self.routes[request], **terms)

    def refusals(self) -> int:
        """Return the 429s that the venue has given."""
        refused: int = self.pair.venue.counters()["rate_limited"]
        return refused

    def skew(self, seconds: float) -> None:
        """Let the venue's clock go wrong."""
        self.pair.switches.clock_skew_s = seconds

    def deposit(self, amount: Decimal) -> str:
        """Bring money in."""
        self.pair.venue.command("deposit", {"asset": "USDT", "amount": str(amount)})
        return "USDT"

    async def foreign_order(self, price: Decimal, quantity: Decimal) -> None:
        """Place an order past the connector, at the pace that the venue allows."""
        await asyncio.sleep(0.15)
        self._numbers += 1
        body = {
            "symbol": self.symbol, "side": "buy", "type": "limit", "quantity": str(quantity), "price": str(price),
        }  # fmt: skip
        status, answer = self.pair.raw("POST", "/v1/orders", body, Idempotency_Key=f"foreign-{self._numbers}")
        assert status == 200, answer


class IonloopKeysRig(IonloopRig):
    """With idempotency keys, as the sandbox may be seen to honour them."""

    name = "ionloop, keys"
    idempotency = True
