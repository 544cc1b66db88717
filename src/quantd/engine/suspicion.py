"""Differences that were seen once: they count when a second snapshot agrees, and block new exposure until then.

A venue's lists lag, and a report may be on its way: one look proves nothing. Two that agree, with nothing of ours in
between, do. Used by `Operator` for every snapshot that comes by itself; what a person or the start orders to be compared
is compared at once.
"""

from collections.abc import Iterable

import msgspec

from quantd.domain.events import ReconcileAction
from quantd.domain.instruments import InstrumentId
from quantd.domain.reports import AccountSnapshot
from quantd.engine.differences import Difference, Policies, plan
from quantd.engine.state import State


class _Seen(msgspec.Struct, frozen=True):
    """A difference, and when the venue was asked that showed it first."""

    difference: Difference
    asked_at_ns: int


class Suspicions:
    """What each venue's last snapshot did not agree with."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._seen: dict[str, dict[tuple[str, str], _Seen]] = {}
        self._blocked: dict[InstrumentId, Difference] = {}

    def against(self, instrument: InstrumentId) -> Difference | None:
        """Return the difference that keeps new exposure out of an instrument, None without one."""
        return self._blocked.get(instrument)

    def look(self, snapshot: AccountSnapshot, policies: Policies) -> list[Difference]:
        """Compare a snapshot with our books and return the differences that count now: seen twice, nothing between.

        What a policy ignores is no suspicion.
        """
        before = self._seen.get(snapshot.venue, {})
        seen: dict[tuple[str, str], _Seen] = {}
        proven: list[Difference] = []
        for one in plan(self._state, snapshot):
            if one.kind == "balance" or policies.of(one.instrument) is ReconcileAction.IGNORE:
                continue
            key = (one.kind, one.subject)
            known = before.get(key)
            if known is not None and known.difference == one and self._is_quiet_since(one.instrument, known):
                proven.append(one)
                seen[key] = known
            else:
                seen[key] = _Seen(one, snapshot.asked_at_ns)
        self._seen[snapshot.venue] = seen
        self._block()
        return proven

    def settled(self, venue: str, differences: Iterable[Difference]) -> None:
        """Forget differences that were repaired: what they were about may be traded again."""
        seen = self._seen.get(venue, {})
        for one in differences:
            seen.pop((one.kind, one.subject), None)
        self._block()

    def _is_quiet_since(self, instrument: InstrumentId, known: _Seen) -> bool:
        state = self._state
        if any(order.operation is not None for order in state.orders.open_orders(instrument)):
            return False
        return state.last_order_event_ns.get(instrument, 0) < known.asked_at_ns

    def _block(self) -> None:
        self._blocked = {
            one.difference.instrument: one.difference for seen in self._seen.values() for one in seen.values()
        }
