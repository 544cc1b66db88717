"""The seams of the daemon: Protocols that the outer layers implement and the composition root joins.

Used by runtime, venues, feeds, journal, telemetry and the simulators. Holds no behaviour.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from quantd.domain.capabilities import Capabilities
from quantd.domain.cash import Account
from quantd.domain.commands import Amend, Cancel, CancelAll, CloseLot, SetProtection, Submit
from quantd.domain.events import AccountSnapshot, Event, OrderReport
from quantd.domain.facts import Fact
from quantd.domain.instruments import Instrument, MarketStatus
from quantd.domain.market import Bar, Book, Quote
from quantd.domain.orders import OrderRef
from quantd.domain.outcomes import Outcome, Resolution

Emit = Callable[[Event], None]
"""Puts an event into the daemon's inbox; never blocks."""


class Clock(Protocol):
    """The only source of time. `SystemClock` in production, a loop clock in simulations."""

    def now_ns(self) -> int:
        """Return wall time in nanoseconds since 1970 UTC."""

    def monotonic_ns(self) -> int:
        """Return nanoseconds that never go back; for time-outs and durations."""


def wall_ns(clock: Clock) -> int:
    """Return the system's own wall time where the clock tells it, in nanoseconds since 1970 UTC.

    After a step backwards `now_ns` is ahead of it until it is caught up. What others date is held against this.
    """
    told: Callable[[], int] = getattr(clock, "wall_ns", clock.now_ns)
    return told()


class Random(Protocol):
    """A seeded source of chance for jitter; `random.Random` satisfies it."""

    def random(self) -> float:
        """Return a float in [0, 1)."""


class HttpRequest(msgspec.Struct, frozen=True):
    """One HTTP request, complete: what a `Transport` sends and a simulator answers."""

    method: str
    """Upper case."""
    path: str
    """Path and query, percent-encoded, e.g. ``/v1/orders?page=1``."""
    headers: Mapping[str, str] = {}
    body: bytes = b""
    peer: str = "127.0.0.1"
    """Address of the client, as a simulator sees it; a sender leaves it alone."""


class HttpResponse(msgspec.Struct, frozen=True):
    """One whole HTTP answer."""

    status: int
    headers: Mapping[str, str] = {}
    """Found by their names in lower case, however the venue writes them."""
    body: bytes = b""


class NotSent(Exception):
    """The request certainly did not reach the venue (no connection, name not found)."""


class ReplyLost(Exception):
    """The request may have reached the venue; there is no readable answer (time-out, reset)."""


class Transport(Protocol):
    """Carries requests to one host: aiohttp in production, a simulator in memory under virtual time."""

    async def send(self, request: HttpRequest, *, timeout_s: float) -> HttpResponse:
        """Send and return the answer, whatever its status.

        Raises:
            NotSent: nothing left this process.
            ReplyLost: the bytes may have arrived; the outcome is unknown.
        """

    async def close(self) -> None:
        """Close the connections."""


class Lines(Protocol):
    """Follows streams of one host: answers without an end, line by line."""

    async def follow(self, request: HttpRequest, on_line: Callable[[bytes], None], *, silence_s: float) -> HttpResponse:
        """Call `on_line` with each whole line, for as long as they come; return an answer that is no stream.

        Raises:
            NotSent: no connection.
            ReplyLost: the stream ended, broke off, or said nothing for `silence_s` seconds.
        """


class Observer(Protocol):
    """Counts what happens. Metrics are declared in one catalogue; an unknown name raises KeyError."""

    def count(self, metric: str, amount: float = 1, order: str = "", /, **labels: str) -> None:
        """Add to a counter; `order` is the client order id behind it, if one is."""

    def gauge(self, metric: str, value: float, /, **labels: str) -> None:
        """Set a gauge."""

    def observe(self, metric: str, value: float, order: str = "", /, **labels: str) -> None:
        """Add an observation to a histogram, in the metric's base unit; `order` as for `count`."""


class Connector(Protocol):
    """One account at one venue. Reads raise `VenueError`s; writes return an `Outcome` and never raise for the venue.

    Prices and quantities cross as Decimal, market data as float, times as integer nanoseconds UTC.
    """

    venue: str
    """The key of the venue in the configuration; instrument ids start with it."""

    @property
    def capabilities(self) -> Capabilities:
        """What the venue can do; never changes."""

    @property
    def account(self) -> Account:
        """What the account is. Until `start`, what the configuration says or expects: enough for a lock, a check and a
        backtest. From then on what the venue says, renewed by `start` and `snapshot`; the engine is told of each change.
        `id` is the configuration's and never changes, as the account's lock is taken under it."""

    async def start(self) -> None:
        """Open the session, check the credentials and read what the account is.

        Called again after a failure, until all of the venue has come up.

        Raises:
            AuthFailed: the credentials are not accepted, or the account is not the one that is configured.
            VenueError: the venue could not be asked; it is tried again.
        """

    async def instruments(self, symbols: Iterable[str]) -> tuple[Instrument, ...]:
        """Return trading rules for venue symbols (``BTC-USDT``); unknown ones raise `Refused`."""

    async def conversion(self, currency: str, into: str) -> str | None:
        """Return the symbol of an instrument between two currencies, either way round; None where there is none."""

    async def quotes(self, instruments: Sequence[Instrument]) -> tuple[Quote, ...]:
        """Return the top of book of each instrument."""

    async def book(self, instrument: Instrument, depth: int) -> Book:
        """Return up to `depth` levels a side, best first."""

    async def bars(self, instrument: Instrument, interval_s: int, count: int) -> tuple[Bar, ...]:
        """Return up to `count` complete bars, oldest first; empty where the venue has no history."""

    async def statuses(self, instruments: Sequence[Instrument]) -> Mapping[str, MarketStatus]:
        """Return the market status by instrument id."""

    async def submit(self, command: Submit) -> Outcome:
        """Place a new order."""

    async def amend(self, command: Amend) -> Outcome:
        """Change quantity (the new total) or price of a working order."""

    async def cancel(self, command: Cancel) -> Outcome:
        """Cancel one order. "Already gone" is `Accepted` with the final report, never a refusal."""

    async def cancel_all(self, command: CancelAll) -> Outcome:
        """Cancel every order of ours, natively or one by one."""

    async def close_lot(self, command: CloseLot) -> Outcome:
        """Close a lot in full or in part."""

    async def set_protection(self, command: SetProtection) -> Outcome:
        """Set, change or remove the protection that the venue holds for a lot."""

    async def resolve(self, command: Submit | Amend | Cancel | CloseLot | SetProtection, sent_at_ns: int) -> Resolution:
        """Find out by evidence what became of a write whose outcome is unknown."""

    async def order_reports(self, working: Sequence[OrderRef]) -> tuple[OrderReport, ...]:
        """Return what changed for the orders that we believe to be working."""

    async def snapshot(self) -> AccountSnapshot:
        """Return balances, lots and all open orders of the account, with the times of asking and answering.

        What it shows of the account itself (a margin rate, a hedging flag) is set on `account` before it returns.
        """

    async def close(self) -> None:
        """Close the session."""


class KillAnswer(msgspec.Struct, frozen=True):
    """What became of one cancel of the kill path."""

    gone: bool
    """The venue confirms that the order works no more: cancelled now, or ended before."""
    reason: str = ""
    """Why it is not confirmed, free of secrets."""
    retry_after_s: float = 0.0
    """Seconds for which the venue wants no further request."""


class KillSwitch(Protocol):
    """Cancels orders of one account without loop, budget or journal: blocking, from any thread, several at a time."""

    def cancel(self, venue_order_id: str) -> KillAnswer:
        """Cancel one order. Never raises for what the venue or the network does."""


class KillTarget(NamedTuple):
    """How the kill path cancels orders at one venue."""

    switch: KillSwitch
    route: str
    """What a cancel is called in the venue's budget."""
    at_once: int
    """Requests that may leave at once."""
    interval_s: float
    """Seconds between further ones."""


class Feed(Protocol):
    """A source of market data that runs until cancelled; one that merely ends is a fault."""

    async def run(self, emit: Emit) -> None:
        """Emit events for ever."""


class Journal(Protocol):
    """The durable record of facts."""

    def append(self, facts: Sequence[Fact]) -> Awaitable[None]:
        """Write `facts` in one transaction; the awaitable is done when they are on disk.

        Raises:
            JournalFailed: on awaiting, when the disk refused.
        """


class Service(Protocol):
    """A long-running part with its own life: a listener, a watchdog."""

    async def start(self) -> None:
        """Start; return when ready."""

    async def stop(self) -> None:
        """Stop; return when everything is released."""
