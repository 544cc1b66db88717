"""Runs a simulated venue: listener, prices and webhooks together, until told to stop.

Used by `quantd simulate` and by tests on loopback. Ends in order: prices stop, webhooks under way are given up,
requests under way are answered, the port is free again.
"""

import asyncio
from collections.abc import Callable, Sequence

from quantd.domain.events import Event
from quantd.domain.market import Bar, Book, Quote
from quantd.ports import Clock, Feed
from quantd.simulators.courier import WebhookCourier
from quantd.simulators.server import SimulatorServer
from quantd.simulators.venue import SimulatedVenue

OnMarket = Callable[[Quote | Book | Bar], None]


class Session:
    """One running simulator.

    Args:
        venue: What is served.
        server: Where.
        clock: The venue's.
        feeds: Prices, told to `on_market`.
        on_market: The venue's ear.
    """

    def __init__(
        self,
        venue: SimulatedVenue,
        server: SimulatorServer,
        *,
        clock: Clock,
        feeds: Sequence[Feed] = (),
        on_market: OnMarket,
    ) -> None:
        self.server = server
        self._courier = WebhookCourier(venue, clock)
        self._feeds = feeds
        self._on_market = on_market
        self._stop = asyncio.Event()
        self.started = asyncio.Event()
        """Set once requests are answered."""

    def stop(self) -> None:
        """Ask for the end; returns at once."""
        self._stop.set()

    async def run(self) -> None:
        """Run until `stop`.

        Raises:
            OSError: when the port is taken.
            ExceptionGroup: when a feed fails.
        """
        await self.server.start()
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(feed.run(self._emit), name="prices") for feed in self._feeds]
                tasks.append(group.create_task(self._courier.run(), name="webhooks"))
                self.started.set()
                await self._stop.wait()
                for task in tasks:
                    task.cancel()
        finally:
            await self.server.stop()

    def _emit(self, event: Event) -> None:
        if isinstance(event, Quote | Book | Bar):
            self._on_market(event)
