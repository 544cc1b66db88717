"""A `Transport` in memory: carries requests to a simulator through a network that delays, drops and repeats.

For tests and simulations, ours and those of strategy and venue authors. Deterministic for a seed; works in virtual time
and in real time alike. Opens no socket and starts no task.
"""

import asyncio
from collections.abc import Callable

import msgspec

from quantd.ports import Clock, HttpRequest, HttpResponse, NotSent, Random, ReplyLost

Handler = Callable[[HttpRequest], HttpResponse]
"""A simulator: answers at once; what it changes is changed when it returns."""


class Faults(msgspec.Struct):
    """What the network does. Probabilities are 0 to 1, each drawn for each request; change them while running."""

    latency_s: tuple[float, float] = (0.0, 0.0)
    """Shortest and longest way, drawn for each direction."""
    refuse: float = 0.0
    """No connection: the request never leaves."""
    drop_before: float = 0.0
    """Lost on the way out: the venue never sees it, the sender waits for its time-out or a reset."""
    drop_after: float = 0.0
    """Lost on the way back: the venue has done it, the sender waits for its time-out or a reset."""
    duplicate: float = 0.0
    """Delivered twice, some time apart; the sender gets the first answer."""
    stall: float = 0.0
    """Held up on the way out until after the sender's time-out, and delivered then."""


class Carried(msgspec.Struct, frozen=True):
    """One request that the venue has seen."""

    arrived_at_ns: int
    request: HttpRequest
    response: HttpResponse


class SimulatorTransport:
    """Carries requests to `handler`.

    Args:
        handler: The simulator.
        clock: Stamps what is carried.
        rng: Seeded; decides latency and faults.
        faults: None for a perfect network.
    """

    def __init__(self, handler: Handler, *, clock: Clock, rng: Random, faults: Faults | None = None) -> None:
        self._handler = handler
        self._clock = clock
        self._rng = rng
        self._closed = False
        self._late: set[asyncio.TimerHandle] = set()
        self.faults = faults if faults is not None else Faults()
        self.carried: list[Carried] = []
        """What the venue has seen, in the order of arrival; repeated deliveries count."""

    async def send(self, request: HttpRequest, *, timeout_s: float) -> HttpResponse:
        """Carry `request` to the simulator and its answer back.

        Raises:
            NotSent: refused; the simulator has not seen it.
            ReplyLost: dropped or too slow; the simulator may have seen it, or may yet see it.
        """
        faults = self.faults
        if self._closed or self._chance(faults.refuse):
            raise NotSent("refused by the simulated network")
        try:
            async with asyncio.timeout(timeout_s):
                out_s = self._latency()
                if self._chance(faults.stall) or out_s >= timeout_s:
                    self._later(timeout_s + max(out_s, 0.001), request)
                    await self._never(timeout_s)
                await asyncio.sleep(out_s)
                if self._chance(faults.drop_before):
                    await self._never(timeout_s)
                response = self._deliver(request)
                if self._chance(faults.duplicate):
                    self._later(self._latency() + 0.001, request)
                if self._chance(faults.drop_after):
                    await self._never(timeout_s)
                await asyncio.sleep(self._latency())
                return response
        except TimeoutError as error:
            raise ReplyLost(f"no answer within {timeout_s} s") from error

    async def close(self) -> None:
        """Refuse further requests; what is still on its way is lost."""
        self._closed = True
        for handle in self._late:
            handle.cancel()
        self._late.clear()

    def _chance(self, probability: float) -> bool:
        # Drawn even where it cannot happen: the rest of the run does not change when one fault is switched off.
        return self._rng.random() < probability

    def _latency(self) -> float:
        shortest, longest = self.faults.latency_s
        return shortest + (longest - shortest) * self._rng.random()

    async def _never(self, timeout_s: float) -> None:
        if self._chance(0.5):
            await asyncio.sleep(self._latency())
            raise ReplyLost("connection reset by the simulated network")
        await asyncio.sleep(timeout_s + 1)

    def _deliver(self, request: HttpRequest) -> HttpResponse:
        response = self._handler(request)
        self.carried.append(Carried(self._clock.now_ns(), request, response))
        return response

    def _later(self, delay_s: float, request: HttpRequest) -> None:
        def arrive() -> None:
            self._late.discard(handle)
            self._deliver(request)

        handle = asyncio.get_running_loop().call_later(delay_s, arrive)
        self._late.add(handle)
