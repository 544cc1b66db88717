"""Money that moved without a trade: told by the venue, or worked out from balances that nothing else explains.

External flows change neither profit nor drawdown, as those follow from books. What is inferred is marked as such, counts
as an adjustment, and is never guessed while an order could explain it.
"""

from decimal import Decimal
from itertools import accumulate

import msgspec

from quantd.domain.cash import CashFlow, CashFlowKind
from quantd.domain.events import CashMoved
from quantd.domain.facts import CashFlowRecorded
from quantd.domain.numbers import ZERO
from quantd.domain.reports import AccountSnapshot
from quantd.engine.context import Context

_INFERRED_MAX = 100
_RESUMED_MAX = 100
"""Losses of one account since its last look that count after a restart."""
_NEIGHBOURS_MAX = 200
"""Flows of which each sum of neighbours is tried; of more, only those that begin with the first."""
_MIXED_MAX = 20
"""Flows told by a look, and before it, of which sums of both are tried."""


class _Drift(msgspec.Struct, frozen=True):
    amount: Decimal
    asked_at_ns: int
    """Of the look that showed it."""


class _Owed(msgspec.Struct, frozen=True):
    """A flow that was told and that no balance is known to have shown."""

    amount: Decimal
    is_due: bool
    """It occurred after the look before. Else that look may have shown it, unless the venue's clock is behind ours."""
    looks: int = 0
    """How many looks have come since and not shown it: a balance may be read before the list that tells the flow."""


class _Taken(msgspec.Struct, frozen=True):
    """A flow that left our balance when it was told."""

    amount: Decimal
    at_ns: int
    """When it was told. What a look shows that was not asked for later, it is taken off again."""
    was_shown: bool = False
    """A look that was asked for later has come; the next may yet show its doubling, and is the last that it explains."""
    by_look: bool = False
    """It was told by the look that is being judged, whose balance may show it already."""


class CashFlows:
    """Records each told flow once, and what a drift of balances says where the venue tells nothing."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._drifts: dict[tuple[str, str], _Drift] = {}
        """(venue, asset) -> what one quiet look showed, until the next."""
        self._owed: dict[tuple[str, str], list[_Owed]] = {}
        """(venue, asset) -> what was told and no balance has shown yet, oldest first."""
        self._taken: dict[tuple[str, str], list[_Taken]] = {}
        """(venue, asset) -> what was told and left our balance at once; a balance from before may have shown it already."""
        self._inferred: dict[tuple[str, str, Decimal], None] = {}
        """What was recorded before the venue told it."""
        self._resumed: set[str] = set()
        """Venues whose accounts have been looked at by this process."""

    def resume(self, venue: str) -> None:
        """Before a look: remember what a process before this one took from our balance since the venue was asked last.

        The account does not say whether a flow or an execution took it. While no order is at work both explain the same.
        """
        if venue in self._resumed:
            return
        self._resumed.add(venue)
        for at_ns, asset, amount in self._context.state.portfolio.account(venue).since[-_RESUMED_MAX:]:
            self._taken.setdefault((venue, asset), []).append(_Taken(amount, at_ns))

    def moved(self, event: CashMoved) -> None:
        """Record a flow that the venue told; one that it told before changes nothing."""
        self._record(event.flow, self._context.state.portfolio.account(event.flow.venue).asked_at_ns)

    def told(self, snapshot: AccountSnapshot) -> None:
        """Record what a snapshot tells whose balances are too old to count."""
        since_ns = self._context.state.portfolio.account(snapshot.venue).asked_at_ns
        for flow in snapshot.flows:
            self._record(flow, since_ns)

    def _record(self, flow: CashFlow, since_ns: int, *, by_look: bool = False) -> None:
        """Record a flow; one that occurred before `since_ns` is in the balance that was shown then."""
        context, key = self._context, (flow.venue, flow.asset)
        if (flow.venue, flow.id) in context.state.tallies.flows:
            return
        before = context.state.portfolio.account(flow.venue).totals.get(flow.asset, ZERO)
        context.record(CashFlowRecorded(flow, context.now_ns))
        is_taken = context.state.portfolio.account(flow.venue).totals.get(flow.asset, ZERO) != before
        if is_taken:  # it went out after the last look by the venue's clock; where that is ahead of ours, before it
            self._taken.setdefault(key, []).append(_Taken(flow.amount, context.now_ns, by_look=by_look))
        drift = self._drifts.get(key)
        if drift is not None and drift.amount == flow.amount:
            del self._drifts[key]
        elif (*key, flow.amount) in self._inferred:
            del self._inferred[*key, flow.amount]
        elif not is_taken:
            self._owed.setdefault(key, []).append(_Owed(flow.amount, flow.occurred_at_ns >= since_ns))

    def drifted(self, snapshot: AccountSnapshot) -> dict[str, Decimal]:
        """Return by how much each balance differs from ours; to be asked before the snapshot is taken in."""
        totals = self._context.state.portfolio.account(snapshot.venue).totals
        return {one.asset: change for one in snapshot.balances if (change := one.total - totals.get(one.asset, ZERO))}

    def look(self, snapshot: AccountSnapshot, drifts: dict[str, Decimal], since_ns: int) -> None:
        """Record what a snapshot tells, and infer what two of them in a row show.

        Args:
            snapshot: Which has been taken in.
            drifts: What `drifted` returned before.
            since_ns: When the snapshot before it was asked for, 0 without one.
        """
        venue = snapshot.venue
        for flow in snapshot.flows:
            self._record(flow, since_ns or snapshot.asked_at_ns, by_look=True)
        quiet = bool(since_ns) and self._is_quiet(venue, since_ns)
        for balance in snapshot.balances:
            if balance.asset in snapshot.doubtful:
                continue  # ours, not the venue's word: it confirms nothing
            key, change = (venue, balance.asset), drifts.get(balance.asset, ZERO)
            drift = self._drifts.pop(key, None)
            change = self._unexplained(key, change)
            if drift is not None and quiet and not change:
                self._infer(venue, balance.asset, drift)
            elif change and quiet:
                self._drifts[key] = _Drift(change, snapshot.asked_at_ns)

    def _unexplained(self, key: tuple[str, str], change: Decimal) -> Decimal:
        """Return what of a balance's change no flow explains; flows that it does not show yet wait for the next.

        A balance shows flows in their order, so that those of one look follow each other.
        """
        owed = self._owed.pop(key, [])
        ends = _runs([one.amount for one in owed])
        for off in self._may_be_off(key):
            rest = change - off
            shown = ends.get(rest, 0) if rest else 0
            if rest and not shown:
                continue
            left = [one for one in owed[shown:] if one.is_due or not one.looks]
            if left:
                self._owed[key] = [_Owed(one.amount, one.is_due, one.looks + 1) for one in left]
            return ZERO
        return change - sum((one.amount for one in owed if one.is_due), ZERO)

    def _may_be_off(self, key: tuple[str, str]) -> list[Decimal]:
        """Return by how much our balance may be off: 0 first, then what left it at once and is shown now, or was before.

        While our clock stands still one look may do both: show what it tells, and give back what the look before took twice.
        """
        taken = self._taken.pop(key, [])
        asked_at_ns = self._context.state.portfolio.account(key[0]).asked_at_ns
        left = [_Taken(one.amount, one.at_ns, one.at_ns < asked_at_ns) for one in taken if not one.was_shown]
        if left:
            self._taken[key] = left
        either = (sign * total for total in _runs([one.amount for one in taken]) for sign in (1, -1))
        told = [one.amount for one in taken if one.by_look][:_MIXED_MAX]
        earlier = [one.amount for one in taken if not one.by_look][-_MIXED_MAX:]
        return [ZERO, *either, *(shown - back for shown in _runs(told) for back in _runs(earlier))]

    def _infer(self, venue: str, asset: str, drift: _Drift) -> None:
        name = f"inferred-{asset}-{drift.asked_at_ns}"
        flow = CashFlow(venue, name, CashFlowKind.ADJUSTMENT, asset, drift.amount, drift.asked_at_ns, inferred=True)
        self._context.record(CashFlowRecorded(flow, self._context.now_ns))
        self._inferred[venue, asset, drift.amount] = None
        if len(self._inferred) > _INFERRED_MAX:
            del self._inferred[next(iter(self._inferred))]

    def _is_quiet(self, venue: str, since_ns: int) -> bool:
        """Whether no order can have moved money: none is open there, and none changed since the look before."""
        state = self._context.state
        return not any(order.instrument.partition(":")[0] == venue for order in state.orders.open_orders()) and all(
            at_ns < since_ns
            for instrument, at_ns in state.last_order_event_ns.items()
            if instrument.partition(":")[0] == venue
        )


def _runs(amounts: list[Decimal]) -> dict[Decimal, int]:
    """Return what neighbours add up to, with the end of the first run that does."""
    ends: dict[Decimal, int] = {}
    for first in range(min(len(amounts), _NEIGHBOURS_MAX)):
        for last, total in enumerate(accumulate(amounts[first : _NEIGHBOURS_MAX if first else None]), start=first):
            ends.setdefault(total, last + 1)
    return ends
