"""A simulated venue with its limits off and a market that stands still, in a process and on a core of its own.

Run by `clients.py`; alone: python benchmarks/simulated.py oanda|hummingbot, which prints its port. It is the simulator of
`quantd simulate`. What only guards a client against itself is off: the limit on requests, the search for a pending order
of the same client id (its time grows with their number), and the queue and delay behind the Hummingbot server.
"""

from __future__ import annotations

import asyncio
import sys
from decimal import Decimal

from stub import announce, loop_factory, pin_server

from quantd.clock import SystemClock
from quantd.domain.market import Quote
from quantd.domain.numbers import use_exact_arithmetic
from quantd.simulators.faults import FaultScript
from quantd.simulators.hummingbot import options as hummingbot
from quantd.simulators.hummingbot.venue import HummingbotVenue
from quantd.simulators.oanda import options as oanda
from quantd.simulators.oanda.venue import OandaVenue
from quantd.simulators.server import SimulatorServer

_RICH = Decimal(10) ** 12
"""No order is refused for want of money."""


def oanda_venue() -> OandaVenue:
    """Return a netting account and EUR_USD at 1.1."""
    venue = OandaVenue(
        oanda.Setup(accounts=(oanda.AccountRules(balance=_RICH),)),
        clock=SystemClock(),
        switches=oanda.Switches(enforce_limits=False, pending_client_ids_unique=False),
    )
    venue.on_market(Quote(venue.instruments["EUR_USD"].id, 1.1, 1.1002, 0))
    return venue


def hummingbot_venue() -> HummingbotVenue:
    """Return a spot account and BTC-USDT at 65,000."""
    venue = HummingbotVenue(
        hummingbot.Setup(balances={"USDT": _RICH}),
        clock=SystemClock(),
        switches=hummingbot.Switches(ack_delay_s=0.0, queue_per_10s=1_000_000_000),
    )
    venue.on_market(Quote(hummingbot.PairRules().instrument().id, 65_000.0, 65_010.0, 0))
    return venue


VENUES = {"oanda": oanda_venue, "hummingbot": hummingbot_venue}


async def serve(name: str) -> None:
    """Serve until terminated; the port goes to standard output."""
    pin_server()
    server = SimulatorServer(VENUES[name](), FaultScript(clock=SystemClock()))
    await server.start()
    await announce(server.port)
    await server.stop()


if __name__ == "__main__":
    use_exact_arithmetic()
    with asyncio.Runner(loop_factory=loop_factory()) as loops:
        loops.run(serve(sys.argv[1]))
