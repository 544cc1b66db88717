"""The Hummingbot connector on the simulated server in virtual time, with a hand on what it sends and hears."""

import asyncio
import json
import re
from collections.abc import Callable, Coroutine
from decimal import Decimal
from typing import Any

import msgspec

from quantd.clock import LoopClock
from quantd.domain.commands import Cancel, Submit
from quantd.domain.instruments import InstrumentId
from quantd.domain.orders import ClientOrderId, OrderKind, OrderRef, OrderSpec, Side
from quantd.domain.outcomes import Resolution, Scheduled, StillUnknown
from quantd.ports import HttpRequest, HttpResponse, NotSent
from quantd.simulators.memory import MemoryTransport
from quantd.testing.loop import run_virtual
from quantd.venues.hummingbot.connector import HummingbotConnector
from tests.contract.conformance.hummingbot_rig import HummingbotRig

Json = Any
BTC = InstrumentId("hummingbot:BTC-USDT")
SECOND_NS = 1_000_000_000


class Bench(HummingbotRig):
    """Server, connector and what the engine would know.

    The transport is the bench itself: `down` refuses connections, and `tampers` change answers.
    """

    connector: HummingbotConnector

    def __init__(self, clock: LoopClock) -> None:
        super().__init__(clock)
        self.down = False
        self.tampers: list[tuple[str, Callable[[Json, Json], Json]]] = []
        """(pattern of the path, what is made of the answer and of what was asked)."""
        self.paths: list[str] = []
        """All that has left."""

    def transport(self) -> "Bench":
        """Stand between connector and server."""
        return self

    async def send(self, request: HttpRequest, *, timeout_s: float) -> HttpResponse:
        """Carry a request to the server."""
        if self.down:
            raise NotSent("connection refused")
        self.paths.append(request.path)
        response = await MemoryTransport(self.venue, self.faults).send(request, timeout_s=timeout_s)
        for pattern, tamper in self.tampers:
            if re.fullmatch(pattern, request.path) and response.status == 200:
                body = json.dumps(tamper(json.loads(response.body), json.loads(request.body or b"null"))).encode()
                response = msgspec.structs.replace(response, body=body)
        return response

    async def close(self) -> None:
        """Do nothing."""

    def buy(self, price: str | None = "60000", quantity: str = "0.001", **terms: Any) -> Submit:
        """Return the command for a new buy; without a price it is a market order."""
        kind = OrderKind.MARKET if price is None else OrderKind.LIMIT
        limit = None if price is None else Decimal(price)
        self._numbers += 1
        spec = OrderSpec(BTC, terms.pop("side", Side.BUY), Decimal(quantity), kind, limit, **terms)
        return Submit(ClientOrderId(f"q-{self._numbers}"), 1, spec, self.clock.now_ns() + 2 * SECOND_NS, 0)

    async def rest(self, command: Submit, *, settle_s: float = 0.2) -> str:
        """Place an order that the server must take, let the market see it, and return its id."""
        outcome = await self.connector.submit(command)
        assert isinstance(outcome, Scheduled), outcome
        self.known.add(outcome.ref)
        await self.trade(settle_s)
        return outcome.ref

    async def trade(self, after_s: float = 0.2) -> None:
        """Let what crosses trade."""
        await asyncio.sleep(after_s)
        self.move(self.bid, self.ask)

    def cancelling(self, order_id: str, operation: int = 2) -> Cancel:
        """Return the command that cancels an order."""
        return Cancel(ClientOrderId("q-1"), operation, BTC, order_id)

    def order_ref(self, command: Submit, order_id: str) -> OrderRef:
        """Return how the engine asks for an order."""
        return OrderRef(command.client_order_id, (order_id,), command.spec, Decimal(0), self.clock.now_ns())

    async def settle(self, command: Submit | Cancel, sent_at_ns: int, *, looks: int = 30) -> Resolution:
        """Ask what became of a write as the daemon does, at most so often; the last answer may be that it is unknown."""
        resolution = await self.connector.resolve(command, sent_at_ns)
        for _ in range(looks):
            if not isinstance(resolution, StillUnknown):
                break
            await asyncio.sleep(resolution.retry_after_s or 1.0)
            resolution = await self.connector.resolve(command, sent_at_ns)
        return resolution


def on_bench(act: Callable[[Bench], Coroutine[Any, Any, None]]) -> None:
    """Run `act` on a bench that has started."""

    async def main(clock: LoopClock) -> None:
        bench = Bench(clock)
        await bench.start()
        await act(bench)

    run_virtual(main)
