"""The connector and the simulated server in memory, in virtual time, with the server's answers and moments in the test's hand."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from decimal import Decimal
from typing import Any

from quantd.clock import LoopClock
from quantd.domain.commands import Amend, Cancel, CloseLot, SetProtection, Submit
from quantd.domain.lots import Lot, LotProtection
from quantd.domain.orders import ClientOrderId, OrderKind, Side
from quantd.domain.outcomes import Accepted, Outcome, Resolution, StillUnknown
from quantd.domain.reports import AccountSnapshot, OrderReport
from quantd.ports import HttpRequest, HttpResponse
from quantd.simulators.tradelocker.options import Setup
from quantd.simulators.tradelocker.venue import TradeLockerVenue
from quantd.testing.loop import run_virtual
from quantd.venues.tradelocker.connector import TradeLockerConnector
from tests.contract.conformance.rig import SECOND_NS, named_by
from tests.contract.conformance.tradelocker_rig import TradeLockerRig

D = Decimal


class WatchedVenue(TradeLockerVenue):
    """A server that lets a test act just before a request is processed, and change what is answered."""

    before: dict[str, Callable[[], None]]
    changed: dict[str, Callable[[Any], Any]]

    def handle(self, request: HttpRequest) -> HttpResponse:
        """Process a request."""
        operation = self.operation(request)
        act = self.before.pop(operation, None)
        if act is not None:
            act()
        response = super().handle(request)
        change = self.changed.get(operation)
        if change is None or response.status not in (200, 201):
            return response
        body = json.dumps(change(json.loads(response.body))).encode()
        return HttpResponse(response.status, response.headers, body)


class Site(TradeLockerRig):
    """One account; the rig of the conformance suite with a server that is watched."""

    def __init__(self, clock: LoopClock, **changes: Any) -> None:
        super().__init__(clock)
        if changes:
            fields = {name: getattr(self.setup, name) for name in self.setup.__struct_fields__}
            self.setup = Setup(**{**fields, **changes})
        venue = WatchedVenue(self.setup, clock=self.server_clock, switches=self.switches)
        venue.before, venue.changed = {}, {}
        self.venue: WatchedVenue = venue
        self._closes = 0

    @property
    def tl(self) -> TradeLockerConnector:
        """The connector."""
        assert isinstance(self.connector, TradeLockerConnector)
        return self.connector

    def requests(self, operation: str) -> int:
        """Return how often a route was asked."""
        asked: int = self.venue.counters()["requests"].get(operation, 0)
        return asked

    async def open(self, side: Side = Side.BUY, quantity: str = "0.1", **terms: Any) -> tuple[Submit, OrderReport]:
        """Open a position at the market and follow its order."""
        command = self.submit(kind=OrderKind.MARKET, side=side, quantity=D(quantity), **terms)
        order_id, _ = await self.place(command)
        await asyncio.sleep(1.1)
        (report,) = await self.tl.order_reports([self.ref(command, order_id)])
        return command, report

    async def look(self) -> AccountSnapshot:
        """Return a snapshot, with a second for the rate limits before it."""
        await asyncio.sleep(1.1)
        return await self.tl.snapshot()

    async def lot(self) -> Lot:
        """Return the only lot."""
        (lot,) = (await self.look()).lots
        return lot

    def close(self, lot: str, quantity: str | None = None) -> CloseLot:
        """Return the command that closes a lot, or a part of it."""
        self._closes += 1
        wanted = None if quantity is None else D(quantity)
        deadline_at_ns = self.clock.now_ns() + 2 * SECOND_NS
        return CloseLot(
            ClientOrderId(f"qcl-1-{self._closes}"), 1, self.instrument_id, lot, wanted, deadline_at_ns, 0
        )  # fmt: skip

    def protect(self, lot: str, stop: Decimal | None = None, take: Decimal | None = None) -> SetProtection:
        """Return the command that sets a lot's exits."""
        return SetProtection(ClientOrderId("qpr-1-1"), 1, self.instrument_id, lot, LotProtection(stop, take))

    async def settled(self, command: Submit | Amend | Cancel | CloseLot, sent_at_ns: int) -> Resolution:
        """Ask until it is known what became of a write, as the daemon does."""
        for _ in range(100):
            resolution = await self.tl.resolve(command, sent_at_ns)
            if not isinstance(resolution, StillUnknown):
                return resolution
            await asyncio.sleep(resolution.retry_after_s or 1.0)
        raise AssertionError("no evidence")


def only(outcome: Outcome) -> OrderReport:
    """Return the one report of an accepted write."""
    assert isinstance(outcome, Accepted), outcome
    (report,) = outcome.reports
    return report


def run(test: Callable[[Site], Coroutine[Any, Any, None]], **changes: Any) -> None:
    """Run a test's body in virtual time, started."""

    async def main(clock: LoopClock) -> None:
        site = Site(clock, **changes)
        await site.start()
        await test(site)

    run_virtual(main)


__all__ = ["D", "Site", "named_by", "only", "run"]
