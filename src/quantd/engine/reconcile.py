"""Applies what a comparison with a venue found, by policy. A second pass after the first finds nothing."""

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
from quantd.engine.differences import UNLISTED, Difference, Policies, plan
from quantd.engine.emulation import Ticket
from quantd.engine.orders import LiveOrder
from quantd.engine.trading import Trading


class Reconciler:
    """Applies plans."""

    def __init__(self, context: Context, trading: Trading) -> None:
        self._context = context
        self._trading = trading

    def run(self, event: ReconcileOrdered) -> list[Difference]:
        """Apply the event's policies to all differences, take the venue's balances, and record the count by kind."""
        context, snapshot = self._context, event.snapshot
        differences = plan(context.state, snapshot)
        self.repair(differences, snapshot, Policies(event.policy, event.by_instrument))
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
        self._count(snapshot.venue, differences)
        return differences

    def repair(self, differences: list[Difference], snapshot: AccountSnapshot, policies: Policies) -> None:
        """Answer each difference that changes exposure by its instrument's policy.

        What is held or ordered in an instrument that we do not know is named in a latch, whatever the policy says.
        """
        serious = [one for one in differences if one.kind in ("foreign_order", "position")]
        refused = [
            one for one in serious if one.ours == UNLISTED or policies.of(one.instrument) is ReconcileAction.REFUSE
        ]
        if refused:
            self._refuse(snapshot.venue, refused)
        for one in serious:
            action = policies.of(one.instrument)
            if one not in refused and action is not ReconcileAction.IGNORE:
                self._repair(one, snapshot, action)

    def proven(self, differences: list[Difference], snapshot: AccountSnapshot, policies: Policies) -> None:
        """Answer differences that two snapshots agree on, and record their count."""
        self.repair(differences, snapshot, policies)
        self._count(snapshot.venue, differences)

    def _count(self, venue: str, differences: list[Difference]) -> None:
        counts: dict[str, int] = {}
        for difference in differences:
            counts[difference.kind] = counts.get(difference.kind, 0) + 1
        self._context.record(Reconciled(venue, counts, self._context.now_ns))

    def _refuse(self, venue: str, differences: list[Difference]) -> None:
        what = "; ".join(
            f"{one.kind} {one.subject}: ours {one.ours or 'none'}, theirs {one.theirs}" for one in differences
        )
        self._context.latch(f"venue:{venue}", TradingState.REDUCING, "reconciliation", f"refused: {what}")

    def _repair(self, difference: Difference, snapshot: AccountSnapshot, action: ReconcileAction) -> None:
        if difference.kind == "foreign_order":
            report = next(one for one in snapshot.orders if one.venue_order_id == difference.subject)
            order = self._adopt_order(report, snapshot.venue)
            if order is not None and action is ReconcileAction.CLOSE:
                self._trading.cancel(order, "reconcile")
        else:
            self._adopt_position(difference.instrument, snapshot)
            if action is ReconcileAction.CLOSE:
                self._close(difference.instrument)

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
