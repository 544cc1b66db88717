"""A connector on the scripted venue in virtual time, and the commands that the tests give it."""

import asyncio
from collections.abc import Callable, Coroutine
from decimal import Decimal
from typing import Any

from quantd.clock import LoopClock
from quantd.domain.commands import Amend, Cancel, CloseLot, SetProtection, Submit
from quantd.domain.instruments import InstrumentId
from quantd.domain.lots import LotProtection
from quantd.domain.orders import ClientOrderId, OrderKind, OrderRef, OrderSpec, Side
from quantd.domain.outcomes import Resolution, StillUnknown
from quantd.testing.loop import run_virtual
from quantd.testing.observer import RecordingObserver
from quantd.venues.budget import RateBudget
from quantd.venues.http import VenueHttp
from quantd.venues.oanda.connector import OandaConnector
from quantd.venues.oanda.limits import LIMITS
from quantd.venues.oanda.options import OandaOptions
from tests.component.oanda.scripted_venue import ACCOUNT, TOKEN, ScriptedVenue

EUR_USD = InstrumentId("oanda:EUR_USD")
SECOND_NS = 1_000_000_000


class Rig:
    """Venue, connector and what the engine would know."""

    def __init__(self, clock: LoopClock, *, venue: ScriptedVenue | None = None, token: str = TOKEN) -> None:
        self.clock = clock
        self.venue = venue or ScriptedVenue(clock)
        self.observer = RecordingObserver()
        self.known: set[str] = set()
        self.auth_failures: list[str] = []
        budget = RateBudget("oanda", LIMITS, clock=clock, observer=self.observer)
        self.connector = OandaConnector(
            VenueHttp("oanda", self.venue, budget, clock, self.observer),
            OandaOptions(token, ACCOUNT),
            observer=self.observer,
            known_venue_ids=lambda _: self.known,
            auth_failed=self.auth_failures.append,
        )

    def restarted(self) -> "Rig":
        """Return another process on the same venue."""
        return Rig(self.clock, venue=self.venue)

    def submit(self, number: int = 1, *, kind: OrderKind = OrderKind.LIMIT, **more: Any) -> Submit:
        """Return the command for an order to buy 1000."""
        price = Decimal("1.09000") if kind is OrderKind.LIMIT else None
        protection = more.pop("protection", None)
        spec = OrderSpec(EUR_USD, more.pop("side", Side.BUY), Decimal(1000), kind, price, **more)
        return Submit(ClientOrderId(f"q1-{number}"), 1, spec, self._deadline(), 0, protection)

    def cancel(self, venue_order_id: str, number: int = 1) -> Cancel:
        """Return the command that cancels an order."""
        return Cancel(ClientOrderId(f"q1-{number}"), 2, EUR_USD, venue_order_id)

    def amend(self, venue_order_id: str, quantity: int = 2000, price: str = "1.08000") -> Amend:
        """Return the command that changes the first order."""
        wanted = OrderSpec(EUR_USD, Side.BUY, Decimal(quantity), OrderKind.LIMIT, Decimal(price))
        return Amend(
            ClientOrderId("q1-1"),
            3,
            EUR_USD,
            venue_order_id,
            wanted,
            self._deadline(),
            0,
            wanted.quantity,
            wanted.price,
        )

    def close(self, lot: str, quantity: int | None = None, number: int = 9) -> CloseLot:
        """Return the command that closes a trade."""
        part = None if quantity is None else Decimal(quantity)
        return CloseLot(ClientOrderId(f"q1-{number}"), 1, EUR_USD, lot, part, self._deadline(), 0)

    def protect(self, lot: str, **exits: str) -> SetProtection:
        """Return the command that sets a trade's exits."""
        wanted = LotProtection(**{name: Decimal(value) for name, value in exits.items()})
        return SetProtection(ClientOrderId("q1-8"), 1, EUR_USD, lot, wanted)

    def _deadline(self) -> int:
        return self.clock.now_ns() + 2 * SECOND_NS

    def ref(self, command: Submit, *venue_order_ids: str, filled: str = "0") -> OrderRef:
        """Return how the engine asks for the order of a command."""
        return OrderRef(command.client_order_id, venue_order_ids, command.spec, Decimal(filled), self.clock.now_ns())

    def anomalies(self, kind: str) -> float:
        """Return how often one was noted."""
        return self.observer.counted("quantd_venue_anomalies_total", kind=kind)

    async def resolved(self, command: Submit | Amend | Cancel | CloseLot, sent_at_ns: int) -> Resolution:
        """Ask step by step, as the executor does, until it is known."""
        while True:
            resolution = await self.connector.resolve(command, sent_at_ns)
            if not isinstance(resolution, StillUnknown):
                return resolution
            assert self.clock.now_ns() - sent_at_ns < 7200 * SECOND_NS, f"never resolved: {resolution}"
            await asyncio.sleep(resolution.retry_after_s or 1.0)


def run(test: Callable[[Rig], Coroutine[Any, Any, None]], **options: Any) -> None:
    """Run a test's body in virtual time, the connector started."""

    async def main(clock: LoopClock) -> None:
        rig = Rig(clock, **options)
        await rig.connector.start()
        await test(rig)

    run_virtual(main)
