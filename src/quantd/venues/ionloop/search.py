"""Finds out what became of a create whose answer was lost, by evidence and without risk of a second order.

Used by the connector's `resolve`. One call is one step; the caller comes back after the time that `StillUnknown`
names. With keys switched on the same bytes are sent again under the same key, which the venue documents as safe; else,
after that, and while a halt holds everything back, the order is looked for by its terms; `absence` says what proves that it
was not placed. What a look cannot show for sure stays unknown.
"""

from collections.abc import Awaitable, Callable, Iterable

from quantd.domain.commands import Submit
from quantd.domain.instruments import InstrumentId, symbol_of
from quantd.domain.outcomes import Accepted, Ambiguous, Found, NotExecuted, NotFound, Outcome, Resolution, StillUnknown
from quantd.ports import Clock
from quantd.venues.absence import CLOCK_ERROR_NS, Progress, Searches
from quantd.venues.budget import Lane
from quantd.venues.ionloop import translate, wire
from quantd.venues.ionloop.orders import ANY, OrderDesk
from quantd.venues.ionloop.translate import SECOND_NS
from quantd.venues.parsing import instant_ns

KEY_TTL_S = 60.0
"""How long after the first send a key is used again; the venue does not say how long it remembers one."""
BACKOFF_S = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Waits before the resends; after the last one the order is looked for."""
QUIET_PERIOD_S = 30.0
"""How long after a create its absence from the list proves nothing."""
LOOK_EVERY_S = 5.0
"""Least time between two looks that count."""
CREATED_EARLIER_NS = 5 * SECOND_NS
"""The venue's time of creation has whole seconds and its clock is not ours."""
HELD_BACK = frozenset({"halted", "stopping"})
"""Refusals of our own side that may last: a resend under them is not waited for."""
_RETRY_S = 5.0

KnownIds = Callable[[InstrumentId], Iterable[str]]
"""Venue ids of all orders of an instrument that the engine has, ended ones too: they cannot be the lost one."""
Resend = Callable[[Submit], Awaitable[Outcome]]
"""Sends the same create again, same key and same bytes."""


class Search:
    """Searches for lost creates.

    Args:
        desk: Reads orders.
        clock: Wall time, for the key's lifetime and the quiet period.
        known_ids: What the engine has, by instrument.
        resend: Resends a create; None where keys are not relied upon.
        offset_ns: The venue's clock minus ours, as far as known.
    """

    def __init__(
        self,
        desk: OrderDesk,
        *,
        clock: Clock,
        known_ids: KnownIds,
        resend: Resend | None,
        offset_ns: Callable[[], int],
    ) -> None:
        self._desk = desk
        self._clock = clock
        self._known_ids = known_ids
        self._resend = resend
        self._offset_ns = offset_ns
        self._searches = Searches(clock, quiet_period_s=QUIET_PERIOD_S, look_every_s=LOOK_EVERY_S, retry_s=_RETRY_S)

    async def step(self, command: Submit, sent_at_ns: int) -> Resolution:
        """Take one step for a create that may have left at `sent_at_ns` (wall time)."""

        async def look(progress: Progress) -> Resolution:
            resolution = await self._resent(command, sent_at_ns, progress)
            return resolution if resolution is not None else await self._looked(command, sent_at_ns, progress)

        return await self._searches.step(command, look)

    async def _resent(self, command: Submit, sent_at_ns: int, progress: Progress) -> Resolution | None:
        """Send again if that is safe now; None when it is time to look."""
        age_s = (self._clock.now_ns() - sent_at_ns) / SECOND_NS
        if age_s >= 0:
            # Of two ages the larger one: a clock that was set back must not make a key young again.
            age_s = max(age_s, (self._clock.monotonic_ns() - progress.begun_ns) / SECOND_NS)
        if self._resend is None or progress.resends >= len(BACKOFF_S) or not 0 <= age_s < KEY_TTL_S:
            return None
        wait_s = sum(BACKOFF_S[: progress.resends + 1]) - age_s
        if wait_s > 0:
            return StillUnknown("waiting_to_resend", wait_s)
        progress.resends += 1
        outcome = await self._resend(command)
        match outcome:
            case Accepted(reports) if reports:
                return Found(reports[0])
            case NotExecuted(reason, retry_after_s):
                progress.resends -= 1
                if reason in HELD_BACK:
                    return None  # nothing may leave for as long as a person wants; looking may
                return StillUnknown(reason, retry_after_s or BACKOFF_S[progress.resends])
            case _:
                # A refusal is not proof: were the key not remembered, the first order might stand and this one be
                # what is refused. Looking costs little.
                if progress.resends >= len(BACKOFF_S):
                    return None
                return StillUnknown("resent_without_answer", BACKOFF_S[progress.resends])

    async def _looked(self, command: Submit, sent_at_ns: int, progress: Progress) -> Resolution:
        """Look for the order by its terms."""
        begun = self._searches.now()
        symbol = symbol_of(command.spec.instrument)
        rows, complete = await self._desk.listed(ANY, Lane.RECONCILE, symbol=symbol)
        known = frozenset(self._known_ids(command.spec.instrument))
        since_ns = sent_at_ns + min(0, self._offset_ns()) - CREATED_EARLIER_NS
        matches, doubtful = [], []
        for row in rows.values():
            if row.id in known or not _alike(row, command):
                continue
            order = await self._desk.priced(row, Lane.RECONCILE)
            if order is None or order.price not in (None, command.spec.price):
                continue
            created_at_ns = instant_ns(order.created_at)
            if created_at_ns is None or created_at_ns >= since_ns:
                matches.append(order)
            elif created_at_ns >= since_ns - CLOCK_ERROR_NS:
                doubtful.append(order)
        if len(matches) > 1:
            return _left_to_a_person(matches)
        if matches:
            return Found(self._desk.report(matches[0], command.client_order_id))
        if not complete:
            return StillUnknown("list_not_complete", _RETRY_S)
        resolution = self._searches.missed(progress, begun, sent_at_ns)
        return _left_to_a_person(doubtful) if doubtful and isinstance(resolution, NotFound) else resolution


def _left_to_a_person(orders: Iterable[wire.OrderWire]) -> Ambiguous:
    return Ambiguous(tuple(sorted(order.id for order in orders)))


def _alike(row: wire.OrderWire, command: Submit) -> bool:
    """Tell whether what the list shows fits; a price or a time that the venue does not tell speaks for it too."""
    return translate.side(row.side) is command.spec.side and row.quantity == command.spec.quantity
