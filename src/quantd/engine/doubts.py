"""Assets whose balance a venue tells in several ways: what we know of them stays, and nothing new is begun with them.

Used by reconciliation, before a snapshot is compared and taken in, and by the gate. Not kept over a restart: a start takes a
snapshot before it trades.
"""

from collections.abc import Iterable

import msgspec

from quantd.domain.cash import Balance
from quantd.domain.instruments import Instrument
from quantd.domain.numbers import ZERO
from quantd.domain.reports import AccountSnapshot
from quantd.engine.reservations import locked_by_us
from quantd.engine.state import State


class Doubts:
    """Which balances nobody can tell, by the newest snapshot of each venue."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._assets: dict[str, tuple[str, ...]] = {}

    def settled(self, snapshot: AccountSnapshot) -> AccountSnapshot:
        """Return a snapshot with the balances that we know in the place of those that the venue tells in several ways.

        Without them an exit would find nothing to sell, and what came back later would pass for a deposit.
        """
        if snapshot.asked_at_ns >= self._state.portfolio.account(snapshot.venue).asked_at_ns:
            self._assets[snapshot.venue] = snapshot.doubtful
        if not snapshot.doubtful:
            return snapshot
        return msgspec.structs.replace(snapshot, balances=(*snapshot.balances, *self._known(snapshot)))

    def at(self, venue: str) -> tuple[str, ...]:
        """Return the assets in doubt at a venue."""
        return self._assets.get(venue, ())

    def of(self, rules: Instrument) -> str | None:
        """Return an asset that trading an instrument moves and whose balance is in doubt; None where there is none."""
        doubtful = self._assets.get(rules.venue)
        if not doubtful:
            return None
        return next((one for one in (rules.base, rules.quote, rules.settlement_currency) if one in doubtful), None)

    def _known(self, snapshot: AccountSnapshot) -> Iterable[Balance]:
        """Yield our own figures as the venue would tell them at the time of the snapshot.

        What we have lost since is in our figures already, and is taken off a snapshot's: so it is added here.
        """
        state, asked_at_ns = self._state, snapshot.asked_at_ns
        account = state.portfolio.account(snapshot.venue)
        inside = locked_by_us(state.orders, state.last_order_event_ns, snapshot.venue, asked_at_ns)
        for asset in snapshot.doubtful:
            if asset not in account.totals:
                continue
            lost = sum((amount for at_ns, one, amount in account.since if one == asset and at_ns >= asked_at_ns), ZERO)
            total = account.totals[asset] - lost
            locked = account.foreign.get(asset, ZERO) + inside.get(asset, ZERO)
            yield Balance(asset, total, total - locked, locked)
