"""Our books against a venue's: a pure plan of differences. It looks and decides nothing else.

Used at the start, for every snapshot, and on demand; `reconcile` applies what it finds.
"""

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from quantd.domain.events import ReconcileAction
from quantd.domain.instruments import InstrumentId
from quantd.domain.numbers import ZERO
from quantd.domain.reports import AccountSnapshot, OrderReport
from quantd.engine.state import State

UNLISTED = "unlisted"
"""Said of ours where the instrument is none that we know: nobody can repair that but a person."""


class Difference(msgspec.Struct, frozen=True):
    """One thing in which we and a venue do not agree."""

    kind: str
    """``foreign_order``, ``missing_order``, ``position`` or ``balance``."""
    subject: str
    """Venue order id, our order id, instrument or asset."""
    ours: str
    theirs: str
    instrument: InstrumentId = InstrumentId("")
    """What it is about; empty for a balance."""


class Policies(msgspec.Struct, frozen=True):
    """What differences at one venue are answered with."""

    default: ReconcileAction
    by_instrument: dict[InstrumentId, ReconcileAction] = {}

    def of(self, instrument: InstrumentId) -> ReconcileAction:
        """Return an instrument's policy."""
        return self.by_instrument.get(instrument, self.default)


def plan(state: State, snapshot: AccountSnapshot) -> list[Difference]:
    """Return all differences; pure. What changed after the venue was asked is no difference yet."""
    return [*_orders(state, snapshot), *_positions(state, snapshot), *_balances(state, snapshot)]


def _orders(state: State, snapshot: AccountSnapshot) -> Iterable[Difference]:
    shown: set[str] = set()
    for report in snapshot.orders:
        shown.add(report.venue_order_id)
        known = state.orders.by_venue_id(snapshot.venue, report.venue_order_id)
        if known is None and report.client_order_id is not None:
            known = state.orders.get(report.client_order_id)
        # An exit that hangs on a lot has no exposure of its own: the lot's difference speaks for it.
        if known is None and not report.lot and not _may_be_ours(state, report):
            ours = "" if report.instrument in state.portfolio.instruments else UNLISTED
            yield Difference("foreign_order", report.venue_order_id, ours, _told(report), report.instrument)
    if not snapshot.orders_complete:
        return
    for order in state.orders.open_orders():
        settled = order.is_acknowledged and order.operation is None and not order.held
        quiet = state.last_order_event_ns.get(order.instrument, 0) < snapshot.asked_at_ns
        mine = order.instrument.partition(":")[0] == snapshot.venue
        if mine and settled and quiet and not shown.intersection(order.venue_order_ids):
            yield Difference("missing_order", order.client_order_id, order.state.value, "not open", order.instrument)


def _may_be_ours(state: State, report: OrderReport) -> bool:
    """Whether an unknown submit of ours has these terms: then it is the resolution's business, not a foreigner."""
    return any(
        order.operation is not None
        and not order.is_acknowledged
        and order.spec.side is report.side
        and order.spec.quantity == report.quantity
        and (order.spec.price is None or report.price is None or order.spec.price == report.price)
        for order in state.orders.open_orders(report.instrument)
    )


def _told(report: OrderReport) -> str:
    side = report.side.value if report.side else "?"
    return f"{side} {report.quantity} {report.instrument} at {report.price}"


def _positions(state: State, snapshot: AccountSnapshot) -> Iterable[Difference]:
    account = state.portfolio.account(snapshot.venue)
    if not account.is_margin or not snapshot.lots_complete:
        return
    theirs: dict[InstrumentId, Decimal] = {}
    for lot in snapshot.lots:
        theirs[lot.instrument] = theirs.get(lot.instrument, ZERO) + lot.signed
    for instrument, net in state.portfolio.nets.items():
        if instrument.partition(":")[0] != snapshot.venue or not _is_quiet(state, instrument, snapshot):
            continue
        if net.quantity != theirs.get(instrument, ZERO):
            yield Difference("position", instrument, str(net.quantity), str(theirs.get(instrument, ZERO)), instrument)
    for instrument, quantity in theirs.items():
        if quantity and instrument not in state.portfolio.nets:
            yield Difference("position", instrument, UNLISTED, str(quantity), instrument)


def _balances(state: State, snapshot: AccountSnapshot) -> Iterable[Difference]:
    account = state.portfolio.account(snapshot.venue)
    if not account.asked_at_ns:
        return
    for balance in snapshot.balances:
        ours = account.totals.get(balance.asset, ZERO)
        if ours != balance.total:
            yield Difference("balance", balance.asset, str(ours), str(balance.total))


def _is_quiet(state: State, instrument: InstrumentId, snapshot: AccountSnapshot) -> bool:
    return state.last_order_event_ns.get(instrument, 0) < snapshot.asked_at_ns and not any(
        order.operation is not None for order in state.orders.open_orders(instrument)
    )
