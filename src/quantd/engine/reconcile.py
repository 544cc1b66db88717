"""Our books against a venue's: a pure plan of differences, and its application by policy.

`plan` looks and decides nothing else; `Reconciler` applies. A second pass after the first finds nothing.
"""

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from quantd.domain.events import ReconcileAction, ReconcileOrdered, TradingState
from quantd.domain.facts import EXTERNAL, BalancesRecorded, ExternalOrderSeen, PositionAdjusted, Reconciled
from quantd.domain.instruments import InstrumentId
from quantd.domain.numbers import ZERO
from quantd.domain.orders import (
    ClientOrderId,
    Effect,
    Market,
    OrderKind,
    OrderSpec,
    Origin,
    Role,
    Side,
    TimeInForce,
)
from quantd.domain.reports import AccountSnapshot, OrderReport
from quantd.engine.context import Context
from quantd.engine.emulation import Ticket
from quantd.engine.orders import LiveOrder
from quantd.engine.state import State
from quantd.engine.trading import Trading

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
            yield Difference("foreign_order", report.venue_order_id, ours, _told(report))
    if not snapshot.orders_complete:
        return
    for order in state.orders.open_orders():
        settled = order.is_acknowledged and order.operation is None and not order.held
        quiet = state.last_order_event_ns.get(order.instrument, 0) < snapshot.asked_at_ns
        mine = order.instrument.partition(":")[0] == snapshot.venue
        if mine and settled and quiet and not shown.intersection(order.venue_order_ids):
            yield Difference("missing_order", order.client_order_id, order.state.value, "not open")


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
            yield Difference("position", instrument, str(net.quantity), str(theirs.get(instrument, ZERO)))
    for instrument, quantity in theirs.items():
        if quantity and instrument not in state.portfolio.nets:
            yield Difference("position", instrument, UNLISTED, str(quantity))


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


class Reconciler:
    """Applies plans."""

    def __init__(self, context: Context, trading: Trading) -> None:
        self._context = context
        self._trading = trading

    def run(self, event: ReconcileOrdered) -> list[Difference]:
        """Apply `event.policy` to every difference, take the venue's balances, and record the count by kind."""
        context, snapshot = self._context, event.snapshot
        differences = plan(context.state, snapshot)
        counts: dict[str, int] = {}
        for difference in differences:
            counts[difference.kind] = counts.get(difference.kind, 0) + 1
        serious = [one for one in differences if one.kind in ("foreign_order", "position")]
        strange = [one for one in serious if one.ours == UNLISTED]
        if strange:
            self._refuse(snapshot.venue, strange)
        if serious and event.policy is ReconcileAction.REFUSE:
            self._refuse(snapshot.venue, serious)
        elif event.policy is not ReconcileAction.IGNORE:
            for difference in serious:
                if difference.ours != UNLISTED:
                    self._repair(difference, event)
        context.record(
            BalancesRecorded(
                snapshot.venue,
                snapshot.balances,
                snapshot.asked_at_ns,
                context.now_ns,
                snapshot.margin_used,
                snapshot.margin_available,
                snapshot.lots if snapshot.lots_complete else None,
            )
        )
        context.record(Reconciled(snapshot.venue, counts, context.now_ns))
        return differences

    def _refuse(self, venue: str, differences: list[Difference]) -> None:
        what = "; ".join(
            f"{one.kind} {one.subject}: ours {one.ours or 'none'}, theirs {one.theirs}" for one in differences
        )
        self._context.latch(f"venue:{venue}", TradingState.REDUCING, "reconciliation", f"refused: {what}")

    def _repair(self, difference: Difference, event: ReconcileOrdered) -> None:
        if difference.kind == "foreign_order":
            report = next(one for one in event.snapshot.orders if one.venue_order_id == difference.subject)
            order = self._adopt_order(report, event.snapshot.venue)
            if order is not None and event.policy is ReconcileAction.CLOSE:
                self._trading.cancel(order, "reconcile")
        else:
            instrument = InstrumentId(difference.subject)
            self._adopt_position(instrument, event.snapshot)
            if event.policy is ReconcileAction.CLOSE:
                self._close(instrument)

    def _adopt_order(self, report: OrderReport, venue: str) -> LiveOrder | None:
        context = self._context
        if report.side is None or report.quantity is None:
            return None
        order_id = ClientOrderId(f"x-{venue}-{report.venue_order_id}")
        spec = OrderSpec(
            report.instrument,
            report.side,
            report.quantity,
            OrderKind.LIMIT if report.price is not None else OrderKind.MARKET,
            report.price,
            None,
            TimeInForce.GTC,
        )
        context.record(ExternalOrderSeen(order_id, report.venue_order_id, spec, report.filled_quantity, context.now_ns))
        return context.state.orders[order_id]

    def _adopt_position(self, instrument: InstrumentId, snapshot: AccountSnapshot) -> None:
        """Move EXTERNAL's book so that the sum of all books is what the venue holds."""
        context = self._context
        lots = [lot for lot in snapshot.lots if lot.instrument == instrument]
        theirs = sum((lot.signed for lot in lots), ZERO)
        change = theirs - context.state.portfolio.nets[instrument].quantity
        price = lots[0].open_price if lots else context.state.rates.marks[instrument].exact()
        context.record(PositionAdjusted(instrument, change, price or ZERO, "reconcile", context.now_ns))

    def _close(self, instrument: InstrumentId) -> None:
        """Close what EXTERNAL holds of an instrument."""
        held = self._context.state.portfolio.book(EXTERNAL, instrument).quantity
        if held:
            side = Side.SELL if held > 0 else Side.BUY
            how = Market(reduce_only=True)
            ticket = Ticket(
                EXTERNAL,
                instrument,
                side,
                abs(held),
                how,
                Origin.RECONCILE,
                Role.CLOSE,
                Effect.CLOSE,
                why="reconcile",
            )
            self._trading.submit(ticket)
