"""A simulated venue behind the `Transport` port, without sockets: for tests and simulations in virtual time.

Executes the same fault decisions as the shell. Bandwidth and jitter are not its matter.
"""

import asyncio

from quantd.ports import HttpRequest, HttpResponse, NotSent, ReplyLost
from quantd.simulators.delivery import deliver
from quantd.simulators.faults import FaultScript
from quantd.simulators.venue import SimulatedVenue


class MemoryTransport:
    """Carries requests to `venue` in this process.

    Args:
        venue: Answers.
        faults: What goes wrong on the way.
        latency_s: Each way.
    """

    def __init__(self, venue: SimulatedVenue, faults: FaultScript, *, latency_s: float = 0.0) -> None:
        self._venue = venue
        self._faults = faults
        self._latency_s = latency_s
        self._closed = False

    async def send(self, request: HttpRequest, *, timeout_s: float) -> HttpResponse:
        """Send and return the answer.

        Raises:
            NotSent: the transport is closed.
            ReplyLost: the answer was dropped, broken off, or late.
        """
        if self._closed:
            raise NotSent("the transport is closed")
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.sleep(self._latency_s)
                delivered = await deliver(self._venue, request, self._faults)
                await asyncio.sleep(self._latency_s)
        except TimeoutError as error:
            raise ReplyLost(f"no answer within {timeout_s} s") from error
        if delivered is None:
            raise ReplyLost("connection reset by the simulated venue")
        if delivered.cut:
            raise ReplyLost("the answer breaks off")
        return delivered.response

    async def close(self) -> None:
        """Refuse further requests."""
        self._closed = True
