"""A connector on the scripted venue in virtual time, and the commands that the tests give it."""

import asyncio
from collections.abc import Callable, Coroutine
from decimal import Decimal
from typing import Any

from quantd.clock import LoopClock
from quantd.domain.commands import Cancel, Submit
from quantd.domain.instruments import FeeSchedule, InstrumentId
from quantd.domain.orders import ClientOrderId, OrderKind, OrderRef, OrderSpec, Side
from quantd.domain.outcomes import Resolution, StillUnknown
from quantd.testing.loop import run_virtual
from quantd.testing.observer import RecordingObserver
from quantd.venues.budget import RateBudget
from quantd.venues.http import VenueHttp
from quantd.venues.ionloop.connector import IonloopConnector
from quantd.venues.ionloop.limits import LIMITS
from quantd.venues.ionloop.options import IonloopOptions
from tests.component.ionloop.scripted_venue import KEY, ScriptedVenue

BTC = InstrumentId("ionloop:BTC-USDT")
FEES = FeeSchedule(Decimal("0.001"), Decimal("0.001"), "quote")


class Rig:
    """Venue, connector and what the engine would know."""

    def __init__(self, clock: LoopClock, *, idempotency: bool = False, key: str = KEY) -> None:
        self.clock = clock
        self.venue = ScriptedVenue(clock)
        self.observer = RecordingObserver()
        self.known: set[str] = set()
        self.auth_failures: list[str] = []
        budget = RateBudget("ionloop", LIMITS, clock=clock, observer=self.observer)
        self.http = VenueHttp("ionloop", self.venue, budget, clock, self.observer)
        self.connector = IonloopConnector(
            self.http,
            IonloopOptions(api_key=key, fees=FEES, idempotency=idempotency),
            observer=self.observer,
            known_venue_ids=lambda _: self.known,
            auth_failed=self.auth_failures.append,
        )

    def submit(self, number: int = 1, *, price: str = "65000", quantity: str = "0.01", **more: Any) -> Submit:
        """Return the command for a limit order."""
        spec = OrderSpec(
            BTC,
            more.pop("side", Side.BUY),
            Decimal(quantity),
            more.pop("kind", OrderKind.LIMIT),
            Decimal(price),
            **more,
        )
        deadline_at_ns = self.clock.now_ns() + 2_000_000_000
        return Submit(ClientOrderId(f"qj1-1-{number}"), 1, spec, deadline_at_ns, 0)

    def ref(self, command: Submit, *venue_order_ids: str, filled: str = "0") -> OrderRef:
        """Return how the engine asks for the order of a command."""
        return OrderRef(command.client_order_id, venue_order_ids, command.spec, Decimal(filled), self.clock.now_ns())

    def anomalies(self, kind: str) -> float:
        """Return how often one was noted."""
        return self.observer.counted("quantd_venue_anomalies_total", kind=kind)

    async def resolved(self, command: Submit | Cancel, sent_at_ns: int) -> Resolution:
        """Ask step by step, as the executor does, until it is known."""
        while True:
            resolution = await self.connector.resolve(command, sent_at_ns)
            if not isinstance(resolution, StillUnknown):
                return resolution
            await asyncio.sleep(resolution.retry_after_s or 1.0)


def cancel(venue_order_id: str) -> Cancel:
    """Return the command that cancels an order."""
    return Cancel(ClientOrderId("qj1-1-1"), 2, BTC, venue_order_id)


def run(test: Callable[[Rig], Coroutine[Any, Any, None]], **options: Any) -> None:
    """Run a test's body in virtual time."""

    async def main(clock: LoopClock) -> None:
        await test(Rig(clock, **options))

    run_virtual(main)
