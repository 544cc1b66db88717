"""The account as a snapshot: sums, positions with their exits, open orders, and what closed positions since the last one.

Used by the connector. Positions are read first and orders after them, so that an exit which was executed in between is missed
by both or shown by its order.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from quantd.domain.cash import Account, Balance, PositionMode
from quantd.domain.lots import Lot, LotProtection
from quantd.domain.numbers import ONE
from quantd.domain.orders import OrderKind
from quantd.domain.reports import AccountSnapshot, OrderReport
from quantd.domain.soundness import flaw_of_snapshot, vouch
from quantd.errors import Refused, Unavailable
from quantd.venues.alerts import Alerts
from quantd.venues.budget import Lane
from quantd.venues.tradelocker.catalogue import Catalogue
from quantd.venues.tradelocker.closings import Closings
from quantd.venues.tradelocker.lists import Lists
from quantd.venues.tradelocker.orders import KnownIds, OrderReader
from quantd.venues.tradelocker.translate import SECOND_NS, ExecutionRow, OrderRow, PositionRow

_PERCENT = ONE / 100
_SUMS = frozenset({"balance", "projectedBalance", "initialMarginReq", "availableFunds"})
"""Columns of the account's state that a snapshot needs."""
_TOLD_MAX = 20
"""Snapshots that tell of a closing which the engine does not take."""
_RECENT_NS = 3_600 * SECOND_NS


class _Ended(msgspec.Struct, frozen=True):
    """An order that changed a position."""

    row: OrderRow
    lot: str
    """The position that it closed; empty where it opened one."""
    times: int = 0
    """How often it was told."""

    def is_wanted_since(self, since_ns: int) -> bool:
        """Tell whether it may be told once more."""
        return self.times < _TOLD_MAX and (self.row.modified_ns or 0) >= since_ns


class AccountReader:
    """Reads one account."""

    def __init__(
        self, lists: Lists, orders: OrderReader, catalogue: Catalogue, *, known_ids: KnownIds, alerts: Alerts
    ) -> None:
        self._lists = lists
        self._orders = orders
        self._catalogue = catalogue
        self._known_ids = known_ids
        self._ended: dict[str, _Ended] = {}
        """By order id. Kept until a snapshot has come about that tells them: a later read of it may fail."""
        self.closings = Closings(lists, alerts)
        orders.on_fill = self.closings.opened

    async def snapshot(self, account: Account) -> AccountSnapshot:
        """Return the account.

        Raises:
            Refused: it is configured as netting and holds opposite positions in one instrument.
            VenueError: a list could not be read.
        """
        asked_at_ns = self._orders.now_ns()
        positions = await self._lists.positions(Lane.ACCOUNT)
        working = await self._lists.orders(Lane.ACCOUNT)
        explained = await self.closings.explain(positions, working, asked_at_ns)
        self._ended |= {row.id: _Ended(row, "") for row in explained.openings}
        self._ended |= {row.id: _Ended(row, row.position) for row in explained.closings}
        executions = await self._lists.executions(Lane.ACCOUNT) if self._ended else ()
        sums = await self._lists.state(Lane.ACCOUNT)
        answered_at_ns = self._orders.now_ns()
        if account.mode is PositionMode.NETTING:
            self._check_netting(positions)
        exits = exit_orders(positions, working)
        reports = [self._orders.report(row, lot=exits.get(row.id, "")) for row in working.values()]
        missing = _SUMS - sums.keys()
        if missing:
            raise Unavailable(account.venue, "state", f"the server tells no {', '.join(sorted(missing))}")
        balance, equity, used = sums["balance"], sums["projectedBalance"], sums["initialMarginReq"]
        stop_out = sums.get("stopOutLevel")
        shown = AccountSnapshot(
            venue=account.venue,
            asked_at_ns=asked_at_ns,
            answered_at_ns=answered_at_ns,
            received_at_ns=answered_at_ns,
            balances=(Balance(account.home_currency, balance, balance, balance - balance),),
            lots=tuple(self._lot(row, working) for row in positions.values()),
            orders=tuple(reports),
            margin_used=used,
            margin_available=sums["availableFunds"],
            lots_complete=explained.complete,
            equity=equity,
            margin_closeout=used * stop_out * _PERCENT / equity if stop_out and equity > 0 else None,
        )
        vouch(account.venue, "snapshot", (shown,), flaw_of_snapshot)
        # Last: what is told here counts as taken in.
        return msgspec.structs.replace(shown, orders=(*shown.orders, *self._tell(working, executions)))

    def _tell(self, working: Mapping[str, OrderRow], executions: Sequence[ExecutionRow]) -> list[OrderReport]:
        """Return the ended orders that changed positions: ours that opened them first, then what closed them.

        The engine takes a closing only once it knows the position, which the fill of an order tells that may be unanswered
        still: so a closing is told again, for a while, until the engine has it.
        """
        instruments = {one.row.instrument for one in self._ended.values()}
        known = {order for instrument in instruments for order in self._known(instrument)}
        recent_ns = self._orders.now_ns() - _RECENT_NS
        untold = [
            one
            for order, one in self._ended.items()
            if not one.times or (one.lot and order not in known and one.is_wanted_since(recent_ns))
        ]
        self._ended = {one.row.id: msgspec.structs.replace(one, times=one.times + 1) for one in untold}
        untold.sort(key=lambda one: bool(one.lot))
        return [
            self._orders.report(one.row, executions, lot=one.lot)
            for one in untold
            if one.row.id not in working and (one.lot or one.row.id in known)
        ]

    def _known(self, tradable_id: str) -> Iterable[str]:
        return self._known_ids(self._catalogue.instrument_id(tradable_id))

    def _lot(self, row: PositionRow, working: Mapping[str, OrderRow]) -> Lot:
        """Return a position as a lot; the prices of its exits stand in the list of orders only."""
        stop, take = working.get(row.stop_order), working.get(row.take_order)
        return Lot(
            venue_id=row.id,
            instrument=self._catalogue.instrument_id(row.instrument),
            side=row.side,
            quantity=row.quantity,
            open_price=row.price,
            protection=LotProtection(
                stop=None if stop is None else stop.trigger, take=None if take is None else take.price
            ),
            tag=row.tag,
            opened_at_ns=row.opened_ns,
        )

    def _check_netting(self, positions: Mapping[str, PositionRow]) -> None:
        sides: dict[str, PositionRow] = {}
        for row in positions.values():
            other = sides.setdefault(row.instrument, row)
            if other.side is not row.side:
                name = self._catalogue.instrument_id(row.instrument)
                words = (
                    f"{name} has the positions {other.id} and {row.id} on both sides; configure `positions: hedging`"
                )
                raise Refused(self._catalogue.venue, "positions", "not_netting", words)


def exit_orders(positions: Mapping[str, PositionRow], working: Mapping[str, OrderRow]) -> dict[str, str]:
    """Return the position by the id of each working order that can only close it.

    Those are the orders that a position names, others on its opposite side that name it, and, as only what has traded or
    closes names one, those that name a position without having traded: it may be younger than the list of positions.
    """
    found = {order: row.id for row in positions.values() for order in (row.stop_order, row.take_order) if order}
    for order in working.values():
        held = positions.get(order.position)
        against = order.position and not order.filled if held is None else order.side is held.side.opposite
        if against and order.kind is not OrderKind.MARKET:
            found.setdefault(order.id, order.position)
    return found
