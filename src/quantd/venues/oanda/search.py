"""Finds out what became of a write whose answer was lost, by the account's log; never sends anything.

Used by the connector's `resolve`. The log tells everything that happened, by our id or by what was asked for: the newest
entry that was known before sending is the checkpoint, and the write is after it or nowhere; `absence` says what proves the
latter. The client id is no guard at the venue against a second order, so that several under one id are a person's matter.
"""

from collections.abc import Callable, Iterable

from quantd.domain.commands import Amend, Cancel, CloseLot, Submit
from quantd.domain.instruments import InstrumentId
from quantd.domain.outcomes import Ambiguous, Found, NotFound, Resolution, StillUnknown
from quantd.ports import Clock
from quantd.venues.absence import Progress, Searches
from quantd.venues.budget import Lane
from quantd.venues.oanda.ledger import Ledger
from quantd.venues.oanda.options import QUIET_PERIOD_S
from quantd.venues.oanda.orders import Chain, OrderBook

LOOK_EVERY_S = 2.0
"""Least time between two looks that count."""
_RETRY_S = 5.0

KnownIds = Callable[[InstrumentId], Iterable[str]]
"""Venue ids of all orders of an instrument that the engine has, ended ones too."""
Write = Submit | Amend | Cancel | CloseLot
_Key = tuple[str, int]


class Search:
    """Searches for what became of lost writes, and keeps the log within reach of them."""

    def __init__(
        self,
        ledger: Ledger,
        orders: OrderBook,
        *,
        clock: Clock,
        known_ids: KnownIds,
    ) -> None:
        self._ledger = ledger
        self._orders = orders
        self._clock = clock
        self.known_ids = known_ids
        self._searches = Searches(clock, quiet_period_s=QUIET_PERIOD_S, look_every_s=LOOK_EVERY_S, retry_s=_RETRY_S)
        self._checkpoints: dict[_Key, int] = {}
        """Writes under way or unknown -> the newest entry that was known before they left."""
        self._lost: set[_Key] = set()
        self._closing: dict[_Key, str] = {}
        """Closes under way or unknown -> the trade."""

    @property
    def oldest_checkpoint(self) -> int | None:
        """The entry after which everything is still needed, None when nothing is in flight."""
        return min(self._checkpoints.values(), default=None)

    @property
    def closing(self) -> frozenset[str]:
        """The trades of which a close is under way or unknown: what else took from them, the engine leaves open till then."""
        return frozenset(self._closing.values())

    def sending(self, command: Write) -> None:
        """Note the checkpoint of a write that is about to leave."""
        key = (command.client_order_id, command.operation)
        self._checkpoints.setdefault(key, self._ledger.last_id)
        if isinstance(command, CloseLot):
            self._closing[key] = command.lot

    def lost(self, command: Write) -> None:
        """Note that the outcome of a write is unknown: from now on only evidence settles it."""
        self._lost.add((command.client_order_id, command.operation))

    def answered(self, command: Write) -> None:
        """Note a definite no; it settles the first try, never one that was repeated because the first was lost."""
        if (command.client_order_id, command.operation) not in self._lost:
            self.known(command)

    def known(self, command: Write) -> None:
        """Note that what became of a write is known by evidence."""
        key = (command.client_order_id, command.operation)
        self._checkpoints.pop(key, None)
        self._closing.pop(key, None)
        self._lost.discard(key)
        self._searches.forget(command)

    async def step(self, command: Write, sent_at_ns: int) -> Resolution:
        """Take one step for a write that may have left at `sent_at_ns` (wall time)."""
        self.lost(command)  # also one of before a restart: a "no" to its repetition would begin the search anew
        if isinstance(command, CloseLot):
            self._closing[command.client_order_id, command.operation] = command.lot
        resolution = await self._searches.step(command, lambda progress: self._looked(command, sent_at_ns, progress))
        if not isinstance(resolution, StillUnknown):
            self.known(command)
        return resolution

    async def _looked(self, command: Write, sent_at_ns: int, progress: Progress) -> Resolution:
        begun = self._searches.now()
        whole = await self._ledger.catch_up(Lane.RECONCILE)
        checkpoint = self._checkpoints.get((command.client_order_id, command.operation))
        if checkpoint is None or checkpoint < self._ledger.began_id:
            whole = await self._ledger.cover(sent_at_ns, Lane.RECONCILE) and whole
        resolution = await self._look(command)
        if resolution is not None:
            return resolution
        if not whole:
            return StillUnknown("log_not_whole", _RETRY_S)
        return self._searches.missed(progress, begun, sent_at_ns)

    async def _look(self, command: Write) -> Resolution | None:
        """Return what the log tells of a write; None while it tells nothing."""
        if isinstance(command, Submit):
            return await self._one(self._orders.by_client_id(command.client_order_id))
        if isinstance(command, CloseLot):
            return await self._closed(command)
        chain = await self._target(command)
        if chain is None:
            return None
        if isinstance(command, Amend) and chain.is_open:
            if chain.ids[-1] == command.venue_order_id or command.venue_order_id not in chain.ids:
                return None
            # Its number is gone, so that what was not made is not made any more.
            return await self._one([chain]) if chain.has_terms(command.spec) else NotFound()
        return await self._one([chain]) if not chain.is_open else None

    async def _target(self, command: Amend | Cancel) -> Chain | None:
        if command.venue_order_id:
            chain = self._orders.find(command.venue_order_id)
            return chain or await self._ledger.load(command.venue_order_id, Lane.RECONCILE)
        chains = self._orders.by_client_id(command.client_order_id)
        return chains[-1] if chains else None

    async def _closed(self, command: CloseLot) -> Resolution | None:
        """Look for the order that closed a trade: those of other closes of ours are known by their numbers."""
        known = set(self.known_ids(command.instrument))
        after = self._checkpoints.get((command.client_order_id, command.operation), 0)
        found = [
            chain
            for chain in self._orders.closes_of(command.lot)
            if int(chain.ids[0]) > after
            and known.isdisjoint(chain.ids)
            and (not chain.client_order_id or chain.client_order_id == command.client_order_id)
            and command.quantity in (None, chain.units)
        ]
        if len(found) > 1:
            # A repeated close of the whole, of which one can have traded, or a person's close of as much: whichever of
            # them is taken for ours, the others are told as what took from the same lot.
            found = [chain for chain in found if chain.filled][:1] or found[-1:]
        if len(found) == 1:
            self._orders.bind(found[0].ids[0], command.client_order_id)
        return await self._one(found)

    async def _one(self, chains: list[Chain]) -> Resolution | None:
        if len(chains) > 1:
            return Ambiguous(tuple(sorted((chain.ids[-1] for chain in chains), key=int)))
        if not chains:
            return None
        if chains[0].in_doubt:
            await self._ledger.settle(chains[0], Lane.RECONCILE)
        return Found(self._orders.report(chains[0], self._clock.now_ns()))
