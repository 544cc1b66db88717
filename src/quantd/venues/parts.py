"""What a connector is built from and what comes of it: the seam between the composition root and the venues.

Each venue's `assembly` module holds its `VenueKind`; an outside package registers its own as an entry point in the group
`quantd.venues` (docs/venues/adding.md).
"""

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from quantd.domain.cash import CashFlow
from quantd.domain.events import Event
from quantd.domain.instruments import Instrument, InstrumentId
from quantd.ports import Clock, Connector, Emit, KillSwitch, KillTarget, Observer, Transport
from quantd.venues.blocking import BlockingTransport
from quantd.venues.budget import AddressPool, Bucket, Limit, RateBudget, Window
from quantd.venues.http import LastLook, VenueHttp
from quantd.venues.settings import RateOverride, VenueSettings
from quantd.venues.transport import IDLE_S

KILL_AT_ONCE = 1
"""Requests kept back from each budget, so that the first cancel of a kill need not wait."""
KILL_TIMEOUT_S = 5.0
CANCEL = "cancel_order"
"""What a cancel is called in the venues' budgets."""

MakeTransport = Callable[[str, str, float], Transport]
"""(venue, base URL, seconds that an idle connection is kept) -> how requests travel: aiohttp in production, a simulator in
memory in simulations."""


class Surroundings(NamedTuple):
    """What every connector is given."""

    clock: Clock
    observer: Observer
    last_look: LastLook
    known_venue_ids: Callable[[InstrumentId], Iterable[str]]
    auth_failed: Callable[[str, str], None]
    """(venue, reason)."""
    transport: MakeTransport
    doubtful: Callable[[InstrumentId, str], None] = lambda instrument, why: None
    """(instrument, what became of which order is for a person to find out)."""
    pool: Callable[[str], AddressPool] = lambda address: AddressPool()
    """Base URL -> what all accounts share that reach it from this process: limits by address, and bans."""
    clean: Callable[[str], str] = str
    """Takes secrets out of a venue's words."""


class LogPlace(NamedTuple):
    """How far the log of an account has been taken in: kept in the journal, so that a restart goes on from there."""

    resume: Callable[[int], None]
    """Called before the venue is asked for anything, with the place that the journal knows, if it knows one."""
    reached: Callable[[], int]
    """Returns the place; it never runs ahead of what the engine has taken in, nor past a write of unknown outcome."""


class Notes(NamedTuple):
    """What a connector must remember over a restart and nobody else can tell it: parts of text by name, kept in the journal.

    A name is used again for what takes an older part's place, and parts stay small: each is written whole.
    """

    restore: Callable[[Mapping[str, str]], None]
    """Called with the parts that the journal knows, before the venue is asked for anything."""
    follow: Callable[[Callable[[str, str], None]], None]
    """Given, once, what writes a part."""


class WebhookReceiver(Protocol):
    """Takes one venue's notices: only signed, fresh ones, and each once."""

    def receive(self, headers: Mapping[str, str], body: bytes) -> tuple[int, str]:
        """Return the HTTP status to answer with and the bounded name of why; headers are in lower case. Never waits."""

    def export(self) -> tuple[str, str]:
        """Return what it must remember over a restart and the notice has changed that is handed on now.

        Returns:
            The name of a part (empty where there is but one), and all of that part as text for the journal. A part
            stays small: each notice writes one.
        """

    def restore(self, exported: str) -> None:
        """Take over a part that `export` returned in an earlier process; empty text is nothing."""


class Webhook(NamedTuple):
    """How a venue tells by HTTP that something has happened."""

    receiver: Callable[[Callable[[Iterable[Event]], None]], WebhookReceiver]
    """(what takes the events of a notice) -> what takes the notices."""
    register: Callable[[str], Awaitable[str]] | None = None
    """Tells the venue our address and returns the registration's id; None where the owner does that by hand.

    Raises VenueErrors: `Unavailable` where the venue may know the address now, other `Temporary` ones where it does not.
    """


class VenueParts(NamedTuple):
    """One venue: its connector, what must be kept over restarts, and whatever it has beyond being asked."""

    settings: VenueSettings
    connector: Connector
    budget: RateBudget | None = None
    kill: KillTarget | None = None
    """How the kill path cancels there; None where orders live in this process only."""
    prices: Callable[[Iterable[Instrument], Emit], Coroutine[Any, Any, None]] | None = None
    """Emits the quotes that the venue streams of these instruments, for ever, beside the polls."""
    hints: Callable[[Callable[[], None]], Coroutine[Any, Any, None]] | None = None
    """Calls back whenever the venue tells that something has happened in the account, for ever."""
    stream: Callable[[Sequence[Instrument], Emit], Coroutine[Any, Any, None]] | None = None
    """Emits, for ever, what the venue streams of the account; from its books the connector answers reads."""
    log: LogPlace | None = None
    """Where the account's log of transactions is the truth."""
    notes: Notes | None = None
    """None where the venue can be asked for all that matters."""
    cash_flows: Callable[[int, int], Awaitable[Sequence[CashFlow]]] | None = None
    """Reads deposits, withdrawals and fees between two times in nanoseconds UTC, where nothing else tells them."""
    webhook: Webhook | None = None
    """None where the venue has none, or no secret is configured."""


class VenueKind(NamedTuple):
    """One type of venue."""

    settings: type[VenueSettings]
    """Its section of the configuration; `type` is a `Literal` of the type's name."""
    build: Callable[[str, Any, Surroundings], VenueParts]
    """(venue's name, its settings, surroundings) -> its parts; opens nothing."""


class Line(NamedTuple):
    """The way to one venue: requests within its rate limits, and the kill path's own connection beside them."""

    http: VenueHttp
    budget: RateBudget
    blocking: BlockingTransport

    def kill(self, switch: KillSwitch, route: str = CANCEL) -> KillTarget:
        """Return how the kill path cancels, with tokens kept back for it."""
        allowance = self.budget.reserve_for_kill(route, KILL_AT_ONCE)
        return KillTarget(switch, route, allowance.count, allowance.interval_s)


def line_to(  # noqa: PLR0913 - what a way to a venue is made of
    name: str,
    address: str,
    limits: Iterable[Limit],
    *,
    timeout_s: float,
    around: Surroundings,
    idle_s: float = IDLE_S,
) -> Line:
    """Return the way to a venue over HTTP; nothing is opened yet.

    Args:
        name: The venue's name in the configuration.
        address: Its base URL.
        limits: What its documents allow, or what the owner set instead.
        timeout_s: Seconds for an answer.
        around: What every connector is given.
        idle_s: Seconds that an idle connection is kept; less than the venue keeps it.
    """
    pool = around.pool(address)
    budget = RateBudget(name, limits, clock=around.clock, observer=around.observer, pool=pool)
    http = VenueHttp(name, around.transport(name, address, idle_s), budget, around.clock, around.observer, timeout_s)
    http.last_look = around.last_look
    http.clean = around.clean
    return Line(http, budget, BlockingTransport(address, min(timeout_s, KILL_TIMEOUT_S)))


def rates_of(overrides: Mapping[Any, RateOverride]) -> Mapping[str, Bucket | Window]:
    """Return the limits that the owner set instead of the documented ones, by name."""
    found: dict[str, Bucket | Window] = {}
    for name, override in overrides.items():
        if override.rate is not None and override.burst is not None:
            found[name] = Bucket(override.rate, override.burst)
            continue
        assert override.limit is not None, "the model checks that one of the two forms is whole"
        assert override.seconds is not None, "the model checks that one of the two forms is whole"
        found[name] = Window(override.limit, override.seconds)
    return found
