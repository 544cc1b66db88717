"""Venue evidence on its way in: outcomes, reports, resolutions and snapshots become facts.

What a report tells of executions is booked by `Booking`. This module follows the orders themselves: what became of their
operations, their names, terms and ends. Never asks a venue, never decides what to trade.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import assert_never

from quantd.domain.capabilities import Support
from quantd.domain.events import AccountSnapshot, OperationResolved, OrderReport, OutcomeReceived, TradingState
from quantd.domain.facts import (
    BalancesRecorded,
    OperationLost,
    OperationSettled,
    OrderAcknowledged,
    OrderAmended,
    OrderMoved,
)
from quantd.domain.orders import ENDS, OperationKind, OrderState, Trigger
from quantd.domain.outcomes import (
    Accepted,
    Ambiguous,
    Found,
    NotExecuted,
    NotFound,
    Outcome,
    Rejected,
    Scheduled,
    StillUnknown,
    Unknown,
)
from quantd.engine.booking import Booking, OrderChanged
from quantd.engine.context import Context
from quantd.engine.lot_closing import lot_exit
from quantd.engine.orders import LiveOrder, Operation
from quantd.engine.overfills import is_beyond
from quantd.engine.restored import take_terms
from quantd.engine.snapshots import locks_are_stale, lots_have_moved, lots_to_take
from quantd.engine.trading import Trading

_END_TRIGGERS = {
    OrderState.CANCELLED: Trigger.CANCEL,
    OrderState.REJECTED: Trigger.REJECT,
    OrderState.EXPIRED: Trigger.EXPIRE,
    OrderState.DENIED: Trigger.DENY,
    OrderState.FILLED: Trigger.FILL_WHOLE,
}
_EARLY_MAX = 256


class Intake:
    """Turns what venues say into facts, and follows up what they imply."""

    def __init__(self, context: Context, trading: Trading, changed: OrderChanged) -> None:
        self._context = context
        self._trading = trading
        self._changed = changed
        self._booking = Booking(context, changed)
        self._early: dict[tuple[str, str], OrderReport] = {}

    # -- outcomes ------------------------------------------------------------------------------------------------

    def outcome(self, event: OutcomeReceived) -> None:
        """Book what became of a write. An answer to an operation that is long settled changes nothing."""
        order = self._context.state.orders.get(event.client_order_id)
        if order is None or order.operation is None or order.operation.number != event.operation:
            return
        if order.is_unknown and isinstance(event.outcome, Rejected | NotExecuted):
            return  # the close of a lot that was repeated: that it has no lot any more tells nothing of the first
        self._settle(order, order.operation, event.outcome)

    def resolved(self, event: OperationResolved) -> None:
        """Book what was found out about a write whose outcome was unknown."""
        context = self._context
        order = context.state.orders.get(event.client_order_id)
        if order is None or order.operation is None or order.operation.number != event.operation:
            return
        resolution = event.resolution
        match resolution:
            case Found(report):
                self._found_terms(order, order.operation, report)
                # A cancel whose order still works came to nothing: it is wanted as before, and leaves again.
                operation = order.operation
                undone = operation.kind is OperationKind.CANCEL and report.state not in ENDS
                self._settled(order, operation, "not_executed" if undone else "accepted", by=event.by)
                self.report(report, order)
                self._end_cancelled(order, operation, (report,))
                self._after_settled(order)
            case NotFound():
                operation = order.operation
                self._settled(order, operation, "not_executed", code="not_found", by=event.by)
                self._refused(order, operation, Trigger.DENY, "not_found")
            case Ambiguous():
                scope = f"instrument:{order.instrument}"
                latched = context.state.latches.get(scope)
                if latched is None or latched.state is not TradingState.HALTED:
                    context.latch(scope, TradingState.HALTED, "resolution", resolution.words(order.client_order_id))
            case StillUnknown(cause):
                if not order.is_unknown:
                    self.lost(order, order.operation, cause)
            case _:
                assert_never(resolution)

    def lost(self, order: LiveOrder, operation: Operation, cause: str) -> None:
        """Note that the outcome of a write is unknown; an order that has ended meanwhile is answer enough."""
        self._context.record(OperationLost(order.client_order_id, operation.number, cause, self._context.now_ns))
        self._settle_by_end(order)

    def _settle(self, order: LiveOrder, operation: Operation, outcome: Outcome) -> None:
        match outcome:
            case Accepted(reports):
                # An emulated amendment stays in flight until the order's end is told: what is left is known only then.
                if not self._awaits_end(order):
                    if operation.quantity is not None and order.is_open:
                        self._amended(order, operation.quantity, operation.price)
                    self._settled(order, operation, "accepted")
                for report in reports:
                    self.report(report, order)
                self._end_cancelled(order, operation, reports)
                self._after_settled(order)
            case Scheduled(ref):
                self._settled(order, operation, "scheduled", detail=ref)
                if ref and operation.kind is OperationKind.SUBMIT:
                    self._context.record(OrderAcknowledged(order.client_order_id, ref, self._context.now_ns))
                self._after_settled(order)
            case Rejected(code, detail):
                self._settled(order, operation, "rejected", code=code, detail=detail)
                self._refused(order, operation, Trigger.REJECT, code)
            case NotExecuted(reason):
                self._settled(order, operation, "not_executed", code=reason)
                self._refused(order, operation, Trigger.DENY, reason)
            case Unknown(cause):
                self.lost(order, operation, cause)
                self._changed(order, None)
            case _:
                assert_never(outcome)

    def _end_cancelled(self, order: LiveOrder, operation: Operation, reports: Iterable[OrderReport]) -> None:
        """End an order whose cancel was answered with its end, also where that tells of more than it can have traded.

        What it traded is not booked; but nothing else could ever end an order that a person has made larger at the venue.
        """
        if operation.kind is OperationKind.CANCEL and order.is_open and any(one.state in ENDS for one in reports):
            reason = "cancelled_beyond_its_terms"
            self._context.record(OrderMoved(order.client_order_id, Trigger.CANCEL, self._context.now_ns, reason))
            self._changed(order, None)

    def _settled(  # noqa: PLR0913 -- the fields of the fact
        self,
        order: LiveOrder,
        operation: Operation,
        result: str,
        *,
        code: str = "",
        detail: str = "",
        by: str = "venue",
    ) -> None:
        was_open = order.is_open
        self._context.record(
            OperationSettled(
                order.client_order_id, operation.number, operation.kind, result, self._context.now_ns, code, detail, by
            )
        )
        if was_open and not order.is_open:
            self._changed(order, None)  # an amendment that did not come about leaves an order that is whole

    def _amended(self, order: LiveOrder, quantity: Decimal, price: Decimal | None) -> None:
        self._context.record(OrderAmended(order.client_order_id, quantity, price, self._context.now_ns))

    def _found_terms(self, order: LiveOrder, operation: Operation, report: OrderReport) -> None:
        """Take the terms that the venue shows after an amendment whose answer was lost; untold ones at their worst."""
        if operation.quantity is None or self._awaits_end(order):
            return
        quantity = report.quantity if report.quantity is not None else max(operation.quantity, order.spec.quantity)
        self._amended(order, quantity, report.price if report.price is not None else operation.price)

    def _awaits_end(self, order: LiveOrder) -> bool:
        """Whether an amendment is in flight that was sent as a cancel."""
        operation = order.operation
        if operation is None or operation.quantity is None:
            return False
        capabilities = self._context.capabilities.get(order.instrument.partition(":")[0])
        return capabilities is not None and capabilities.amend is not Support.NATIVE

    def _refused(self, order: LiveOrder, operation: Operation, trigger: Trigger, code: str) -> None:
        """A refused submit ends its order; a refused amend or cancel leaves it as it was.

        An order that the venue has shown was not refused, whatever the answer to its submit says.
        """
        shown = trigger is Trigger.DENY and (order.is_acknowledged or order.filled)
        if operation.kind is OperationKind.SUBMIT and order.is_open and not shown:
            self._context.record(OrderMoved(order.client_order_id, trigger, self._context.now_ns, code))
        self._changed(order, None)
        if order.lot and operation.kind is OperationKind.CANCEL:
            self._look_again(order.lot)
        if operation.kind is not OperationKind.CANCEL:
            self._after_settled(order)

    def _after_settled(self, order: LiveOrder) -> None:
        """Let a cancel go that waited for the write before it; one that was turned away waits for the next tick."""
        if order.lot:
            self._look_again(order.lot)  # what else was told of the lot meanwhile was not this close
        if order.cancel_wanted and order.is_open and order.operation is None:
            self._trading.cancel(order)

    # -- reports -------------------------------------------------------------------------------------------------

    def report(self, report: OrderReport, order: LiveOrder | None = None) -> None:
        """Merge what a venue says of an order; one that is not ours is left to reconciliation."""
        context = self._context
        if order is None:
            order = self._find(report) or lot_exit(context, report)
            if order is None:
                self._keep(report)
                return
        take_terms(context, order, report)
        names = [one for one in (*report.parts, report.venue_order_id) if one and one not in order.venue_order_ids]
        for name in names:
            context.record(OrderAcknowledged(order.client_order_id, name, context.now_ns))
            early = self._early.pop((report.instrument, name), None)
            if early is not None and not report.parts:  # of one part it would tell as if it were the whole
                self.report(early, order)
        changed = False
        if not is_beyond(context, order, report):  # its name is true all the same: else nothing could cancel it
            self._settle_submit_by_report(order, report)
            changed = self._booking.take(order, report)
            changed = self._end_or_reopen(order, report) or changed
            self._settle_by_end(order)
        if names and not changed:
            self._changed(order, None)

    def _keep(self, report: OrderReport) -> None:
        """Remember a report that came before the answer that names its order; foreign ones age out."""
        self._early[report.instrument, report.venue_order_id] = report
        if len(self._early) > _EARLY_MAX:
            del self._early[next(iter(self._early))]

    def _look_again(self, lot: str) -> None:
        """Take in what was told of a lot while a close of ours was unanswered: it was not that close's doing."""
        for key, report in [one for one in self._early.items() if one[1].lot == lot]:
            del self._early[key]
            self.report(report)

    def _find(self, report: OrderReport) -> LiveOrder | None:
        orders = self._context.state.orders
        if report.client_order_id is not None:
            order = orders.get(report.client_order_id)
            if order is not None:
                return order
        return orders.by_venue_id(report.instrument.partition(":")[0], report.venue_order_id)

    def _settle_submit_by_report(self, order: LiveOrder, report: OrderReport) -> None:
        """A report of an order proves that its unknown submit happened."""
        operation = order.operation
        if operation is not None and operation.kind is OperationKind.SUBMIT and order.is_unknown:
            self._settled(order, operation, "accepted", code="reported")

    def _settle_by_end(self, order: LiveOrder) -> None:
        """The end of an order answers a cancel or amendment whose outcome was unknown or awaited it."""
        operation = order.operation
        if operation is not None and not order.is_open and (order.is_unknown or self._awaits_end(order)):
            self._settled(order, operation, "accepted", code="ended")

    def _end_or_reopen(self, order: LiveOrder, report: OrderReport) -> bool:
        context = self._context
        trigger = _END_TRIGGERS.get(report.state)
        if trigger is not None:
            if not order.is_open:
                return False
            if self._replace(order, trigger):
                return True
            context.record(
                OrderMoved(order.client_order_id, trigger, context.now_ns, report.reason or report.state.value)
            )
            self._changed(order, None)
            return True
        if not order.is_open and order.state is not OrderState.FILLED and self._is_newer(order, report):
            self.reopen(order)
            return True
        return False

    def reopen(self, order: LiveOrder) -> None:
        """Take an ended order for alive, as the venue shows it."""
        context = self._context
        context.record(OrderMoved(order.client_order_id, Trigger.REOPEN, context.now_ns, "venue_shows_it_alive"))
        self._changed(order, None)

    def _is_newer(self, order: LiveOrder, report: OrderReport) -> bool:
        """Whether the report was made after the order's end was learnt; an older page changes nothing."""
        ended_at_ns = self._context.state.last_order_event_ns.get(order.instrument, 0)
        return report.occurred_at_ns is not None and report.occurred_at_ns > ended_at_ns

    def _replace(self, order: LiveOrder, trigger: Trigger) -> bool:
        """End an order whose emulated amendment cancelled it (or came too late), and place a new one for the rest."""
        context = self._context
        operation = order.operation
        wanted = order.pending_amend
        if trigger not in (Trigger.CANCEL, Trigger.FILL_WHOLE) or wanted is None or operation is None:
            return False
        if order.is_unknown or order.cancel_wanted or not self._awaits_end(order):
            return False
        quantity, price = wanted
        rest = quantity - order.filled
        # In this order: what follows the order's end must find the new one in its place.
        context.record(
            OperationSettled(order.client_order_id, operation.number, operation.kind, "accepted", context.now_ns)
        )
        if order.is_open:
            context.record(OrderMoved(order.client_order_id, trigger, context.now_ns, "amended"))
        if rest > 0:
            self._trading.resubmit(order, rest, price)
        self._changed(order, None)
        return True

    # -- accounts ------------------------------------------------------------------------------------------------

    def snapshot(self, snapshot: AccountSnapshot) -> None:
        """Take in the state of our orders that it shows, and balances and lots where they differ from ours.

        In this order: what an execution took from a lot is not in the lots any more, and must not be taken twice. Of a
        snapshot that is older than the last one only the orders count.
        """
        context = self._context
        account = context.state.portfolio.account(snapshot.venue)
        for report in snapshot.orders:  # before the sums and lots, which show what they did already
            self.report(report)
        if snapshot.asked_at_ns < account.asked_at_ns:
            return
        told = {balance.asset: balance.total for balance in snapshot.balances}
        ours = {asset: amount for asset, amount in account.totals.items() if amount or asset in told}
        lots = lots_to_take(context, snapshot)
        moved = lots is not None and lots_have_moved(context.state, snapshot.venue, lots)
        told_anew = snapshot.balances != account.told or snapshot.margin_used != account.margin_used
        if told_anew or told != ours or moved or locks_are_stale(context.state, snapshot):
            context.record(
                BalancesRecorded(
                    snapshot.venue,
                    snapshot.balances,
                    snapshot.asked_at_ns,
                    context.now_ns,
                    snapshot.margin_used,
                    snapshot.margin_available,
                    lots,
                )
            )
