"""The network between the daemon and the simulated venue, and every mishap on it; outlives the daemon's crashes.

A request that has left arrives even if its sender dies meanwhile. Each fate is drawn when the request leaves, with the
same number of draws whatever the weather, so that one seed stays comparable under another weather. Used by the simulation.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from enum import Enum
from typing import Protocol

import msgspec

from quantd.ports import HttpRequest, HttpResponse, NotSent, ReplyLost
from quantd.simulators.delivery import GARBAGE
from quantd.simulators.venue import SimulatedVenue


class Fate(Enum):
    """What becomes of one exchange."""

    CARRIED = "carried"
    REFUSED = "refused"
    """No connection: it never left."""
    LOST_BEFORE = "lost_before"
    LOST_AFTER = "lost_after"
    """Processed; the reply is lost."""
    STALLED = "stalled"
    """Held up on the way out until after the sender's time-out, then processed."""
    DELAYED_REPLY = "delayed_reply"
    """Processed at once, the reply comes after the time-out."""
    DUPLICATED = "duplicated"
    """Processed twice."""
    THROTTLED = "throttled"
    """429, not processed."""
    ERROR_BEFORE = "error_before"
    """A 5xx, not processed."""
    ERROR_AFTER = "error_after"
    """A 5xx, processed all the same."""
    GARBAGE = "garbage"
    """Processed, the reply is unreadable."""


class Weather(msgspec.Struct, frozen=True):
    """Chances of each fate for a request that changes something; reads meet a share of them."""

    chances: dict[Fate, float] = {}
    reads: float = 0.3
    latency_s: tuple[float, float] = (0.005, 0.06)


class Witness(Protocol):
    """Sees what happens on the wire."""

    def leaving(self, request: HttpRequest) -> None:
        """A request leaves the daemon."""

    def point(self, name: str) -> None:
        """Something happened, after which the daemon may die."""


class Network:
    """Carries requests.

    Args:
        venue: Answers.
        rng: Decides.
        struck: Counts the faults.
    """

    def __init__(self, venue: SimulatedVenue, rng: random.Random, struck: Counter[str]) -> None:
        self.weather = Weather()
        self.is_down = False
        """No connection at all, and what is on its way gets lost."""
        self.may_duplicate = True
        self._venue = venue
        self._rng = rng
        self._struck = struck

    def _fate(self, request: HttpRequest) -> Fate:
        share = 1.0 if request.method != "GET" else self.weather.reads
        drawn = self._rng.random()
        for fate in Fate:
            drawn -= self.weather.chances.get(fate, 0.0) * share
            if drawn < 0:
                if fate is Fate.DUPLICATED and not self.may_duplicate:
                    break
                self._struck[fate.value] += 1
                return fate
        return Fate.CARRIED

    def _way_s(self) -> float:
        shortest, longest = self.weather.latency_s
        return shortest + (longest - shortest) * self._rng.random()

    def launch(self, request: HttpRequest, timeout_s: float, witness: Witness) -> "asyncio.Future[HttpResponse]":
        """Let a request leave; the future is answered, or fails, or stays open for ever.

        Raises:
            NotSent: it did not leave.
        """
        fate, out_s, back_s, extra = self._fate(request), self._way_s(), self._way_s(), self._rng.random()
        if fate is Fate.REFUSED or self.is_down:
            raise NotSent("no connection to the simulated venue")
        witness.leaving(request)
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[HttpResponse] = loop.create_future()

        def settle(response: HttpResponse | None) -> None:
            if not answered.done():
                self._settle(answered, response)
                witness.point("reply")

        def get_lost() -> None:
            if extra < 0.5:  # else nobody hears of it ever
                loop.call_later(back_s, settle, None)

        def arrive() -> None:
            if self.is_down or fate is Fate.LOST_BEFORE:
                get_lost()
                return
            witness.point("arrived")
            response = self._processed(request, fate, extra)
            witness.point("processed")
            # A 5xx is not kept under a key: repeated after it, a create would count, and no contract says otherwise.
            if fate is Fate.DUPLICATED and response.status < 500:
                loop.call_later(0.001 + 3 * extra, self._venue.handle, request)
            if fate is Fate.LOST_AFTER:
                get_lost()
                return
            late_s = timeout_s if fate is Fate.DELAYED_REPLY else 0.0
            loop.call_later(late_s + back_s, settle, response)

        stalled_s = timeout_s * (0.2 + 2.5 * extra) if fate is Fate.STALLED else 0.0
        loop.call_later(stalled_s + out_s, arrive)
        return answered

    def _settle(self, answered: "asyncio.Future[HttpResponse]", response: HttpResponse | None) -> None:
        if response is None or self.is_down:
            answered.set_exception(ReplyLost("connection reset by the simulated network"))
            answered.exception()  # the sender may be dead
        else:
            answered.set_result(response)

    def _processed(self, request: HttpRequest, fate: Fate, extra: float) -> HttpResponse:
        venue = self._venue
        if fate is Fate.THROTTLED:
            return venue.failure(429, 1.0)
        if fate is Fate.ERROR_BEFORE:
            return venue.failure((500, 502, 503)[int(extra * 3)])
        response = venue.handle(request)
        if fate is Fate.ERROR_AFTER:
            return venue.failure((500, 502, 504)[int(extra * 3)])
        if fate is Fate.GARBAGE:
            return msgspec.structs.replace(response, body=GARBAGE if extra < 0.5 else response.body[:-9])
        return response


class SimTransport:
    """One daemon's end of the network; after its death nothing leaves any more."""

    def __init__(self, network: Network, witness: Witness, is_dead: Callable[[], bool]) -> None:
        self._network = network
        self._witness = witness
        self._is_dead = is_dead
        self._closed = False

    async def send(self, request: HttpRequest, *, timeout_s: float) -> HttpResponse:
        """Send and return the answer.

        Raises:
            NotSent: nothing left.
            ReplyLost: it may have arrived.
        """
        if self._is_dead() or self._closed:
            raise NotSent("the sender is gone")
        self._witness.point("leaving")
        if self._is_dead():
            await asyncio.Event().wait()
        answered = self._network.launch(request, timeout_s, self._witness)
        try:
            async with asyncio.timeout(timeout_s):
                return await answered
        except TimeoutError as error:
            raise ReplyLost(f"no answer within {timeout_s} s") from error

    async def close(self) -> None:
        """Refuse further requests."""
        self._closed = True
