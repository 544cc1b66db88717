"""Applies plans of differences by policy; see `differences`. A second pass after the first finds nothing.

What is invented on the way is told as such: `ExternalOrderSeen` and `PositionAdjusted` have no other source.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from decimal import Decimal

from quantd.domain.events import ReconcileAction, ReconcileOrdered, TradingState
from quantd.domain.facts import EXTERNAL, BalancesRecorded, ExternalOrderSeen, PositionAdjusted, Reconciled
from quantd.domain.instruments import InstrumentId
from quantd.domain.lots import Lot
from quantd.domain.numbers import ZERO
from quantd.domain.orders import (
    ClientOrderId,
    Market,
    OrderKind,
    OrderSpec,
    TimeInForce,
)
from quantd.domain.reports import AccountSnapshot, OrderReport
from quantd.engine.context import Context
from quantd.engine.differences import ASK, TAKE, Difference, Policies, changes_of_owners, plan
from quantd.engine.flows import CashFlows
from quantd.engine.intake import Intake
from quantd.engine.orders import LiveOrder
from quantd.engine.snapshots import lots_to_take
from quantd.engine.state import State
from quantd.engine.targets import Targets
from quantd.engine.trading import Trading


class Reconciler:
    """Looks at every snapshot, and applies what two of them agree on."""

    def __init__(self, context: Context, trading: Trading, intake: Intake, targets: Targets) -> None:
        self._context = context
        self._trading = trading
        self._intake = intake
        self._targets = targets
        self.flows = CashFlows(context)
        self._moved: list[tuple[str, InstrumentId]] = []
        self._told: dict[str, dict[str, int]] = {}
        """By venue, the counts that were recorded last."""
        self.agreed_at_ns: dict[str, int] = {}
        """By venue, when a look last found nothing but balances."""
        self.adjusted: Callable[[str, InstrumentId], None] = lambda strategy, instrument: None
        """Set by the engine: told of each strategy's book that was moved, once the snapshot's lots are taken."""

    def look(self, snapshot: AccountSnapshot) -> None:
        """Compare a periodic snapshot by the venue's own policies, where it has any; then take it in."""
        context, snapshot = self._context, self._context.doubts.settled(snapshot)
        self.flows.resume(snapshot.venue)
        if snapshot.asked_at_ns < context.state.portfolio.account(snapshot.venue).asked_at_ns:
            self._intake.snapshot(snapshot)  # by a clock that was set back over a restart, too
            self.flows.told(snapshot)
            return
        policies = context.policies.get(snapshot.venue)
        if policies is None:
            self._intake.snapshot(snapshot)
            return
        since_ns = context.state.portfolio.account(snapshot.venue).asked_at_ns
        drifts = self.flows.drifted(snapshot)
        # First what it tells of executions: they explain what would be taken over as nobody's work, and then be booked again.
        for report in snapshot.orders:
            self._intake.report(report)
        differences = plan(context.state, snapshot, policies)
        closing = self._apply(differences, snapshot)
        self._intake.snapshot(snapshot)
        self._follow()
        self.flows.look(snapshot, drifts, since_ns)
        self._tell(snapshot.venue, differences, always=False)
        self._close(closing)

    def run(self, event: ReconcileOrdered) -> None:
        """Compare by the policies that were ordered, apply what counts, take the venue's balances, and say so."""
        context, snapshot = self._context, self._context.doubts.settled(event.snapshot)
        self.flows.resume(snapshot.venue)
        if event.agreed_at_ns and snapshot.asked_at_ns < context.state.portfolio.account(snapshot.venue).asked_at_ns:
            self.look(snapshot)  # overtaken by another look while a person's was on its way: it proves nothing any more
            return
        for report in snapshot.orders:
            self._intake.report(report)
        differences = plan(context.state, snapshot, Policies(event.policy, event.instruments))
        closing = self._apply(differences, snapshot, event.agreed_at_ns)
        context.record(
            BalancesRecorded(
                snapshot.venue,
                snapshot.balances,
                snapshot.asked_at_ns,
                context.now_ns,
                snapshot.margin_used,
                snapshot.margin_available,
                lots_to_take(context, snapshot),
            )
        )
        self._follow()
        self.flows.look(snapshot, {}, 0)
        self._tell(snapshot.venue, differences, always=True)
        self._close(closing)

    def _apply(
        self, differences: list[Difference], snapshot: AccountSnapshot, agreed_at_ns: int = 0
    ) -> dict[InstrumentId, Decimal]:
        """Answer what counts; return what is to be closed once the snapshot's lots are taken, signed, by instrument."""
        suspicions, closing = self._context.suspicions, dict[InstrumentId, Decimal]()
        certain = suspicions.confirmed(differences, snapshot, agreed_at_ns)
        refused = [one for one in certain if one.action == ReconcileAction.REFUSE.value]
        if refused:
            self._refuse(snapshot.venue, refused)
        repaired = [one for one in certain if one.action != ReconcileAction.REFUSE.value]
        for one in repaired:
            change = self._repair(one, snapshot)
            if change and one.action == ReconcileAction.CLOSE.value:
                closing[InstrumentId(one.instrument)] = change
        suspicions.settled(snapshot.venue, repaired)
        return closing

    def _tell(self, venue: str, differences: list[Difference], *, always: bool) -> None:
        """Record how many differences a look found, by kind.

        A periodic look is recorded only where it is news; what answers itself (balances, an order whose fill is on its
        way) is none.
        """
        lasting = _counts(one for one in differences if one.action not in (ASK, TAKE))
        if always or lasting != self._told.get(venue, {}):
            self._context.record(Reconciled(venue, _counts(differences) if always else lasting, self._context.now_ns))
        self._told[venue] = lasting
        if not lasting:
            self.agreed_at_ns[venue] = self._context.now_ns

    def _refuse(self, venue: str, differences: list[Difference]) -> None:
        what = "; ".join(
            f"{one.kind} {one.subject}: ours {one.ours or 'none'}, theirs {one.theirs or 'none'}" for one in differences
        )
        self._context.latch(f"venue:{venue}", TradingState.REDUCING, "reconciliation", f"refused: {what}")

    def _repair(self, difference: Difference, snapshot: AccountSnapshot) -> Decimal:
        """Take over what the venue has; return by how much EXTERNAL's position changed. Lots come with the snapshot."""
        if difference.kind in ("position", "lot"):  # a lot may be another one though the position is the same
            return self._adopt_position(InstrumentId(difference.instrument), snapshot)
        if difference.kind == "ended_order":
            alive = self._context.state.orders[difference.subject]
            self._intake.reopen(alive)
            self._trading.cancel(alive, "reconcile")
        if difference.kind == "foreign_order":
            report = next(one for one in snapshot.orders if one.venue_order_id == difference.subject)
            order = self._adopt_order(report, snapshot.venue)
            if order is not None and difference.action == ReconcileAction.CLOSE.value:
                self._trading.cancel(order, "reconcile")
        return ZERO

    def _adopt_order(self, report: OrderReport, venue: str) -> LiveOrder | None:
        context = self._context
        if report.side is None or report.quantity is None:
            return None
        order_id = ClientOrderId(f"x-{venue}-{report.venue_order_id}")
        spec = OrderSpec(
            report.instrument,
            report.side,
            report.quantity,
            _kind(report),
            report.price,
            report.trigger,
            TimeInForce.GTC,
        )
        context.record(ExternalOrderSeen(order_id, report.venue_order_id, spec, report.filled_quantity, context.now_ns))
        return context.state.orders[order_id]

    def _adopt_position(self, instrument: InstrumentId, snapshot: AccountSnapshot) -> Decimal:
        """Move books so that their sum is what the venue holds: a strategy's by its own lots, the rest is EXTERNAL's."""
        context, state = self._context, self._context.state
        lots = [lot for lot in snapshot.lots if lot.instrument == instrument]
        change = sum((lot.signed for lot in lots), ZERO) - state.portfolio.nets[instrument].quantity
        for strategy, signed in changes_of_owners(state, snapshot, instrument, change).items():
            price = _price_of(state, instrument, lots, signed)
            context.record(PositionAdjusted(instrument, signed, price, "reconcile", context.now_ns, strategy))
            self._moved.append((strategy, instrument))
            change -= signed
        if change:
            price = _price_of(state, instrument, lots, change)
            context.record(PositionAdjusted(instrument, change, price, "reconcile", context.now_ns))
        return change

    def _follow(self) -> None:
        """Tell of the strategies' books that were moved, now that the lots are as the venue shows them."""
        moved, self._moved = self._moved, []
        for strategy, instrument in moved:
            self.adjusted(strategy, instrument)

    def _close(self, closing: dict[InstrumentId, Decimal]) -> None:
        """Close what was taken over, as far as EXTERNAL's book holds it: what an operator ordered by hand stays.

        By a target, as one order may not do: there may be several lots, a foreign exit that is just being cancelled, a
        venue that turns the first attempt away.
        """
        for instrument, change in closing.items():
            held = self._context.state.portfolio.book(EXTERNAL, instrument).quantity
            if held * change > 0:
                left = held - min(held, change, key=abs)
                self._targets.set(EXTERNAL, instrument, left, Market(reduce_only=True), None, "reconcile")


def _counts(differences: Iterable[Difference]) -> dict[str, int]:
    return dict(Counter(one.kind for one in differences))


def _price_of(state: State, instrument: InstrumentId, lots: Iterable[Lot], change: Decimal) -> Decimal:
    """Return at what price a change was made: what came, at its lot's open price; what went, at the market's price.

    Before there is a price, as at a start, what went is taken to have cost what it brought: at any other price, or none,
    the next quote would show a profit or loss that never was.
    """
    for lot in lots:
        if lot.signed * change > 0:
            return lot.open_price
    mark = state.rates.marks[instrument].exact()
    if mark is not None:
        return mark
    held = (book for book in state.portfolio.books(instrument) if book.quantity * change < 0)
    return next((price for book in held if (price := book.average_price) is not None), ZERO)


def _kind(report: OrderReport) -> OrderKind:
    """Return what kind of order the venue shows; where it is told by no word of ours, what its prices say."""
    if report.kind is not None:
        return report.kind
    if report.trigger is not None:
        return OrderKind.STOP if report.price is None else OrderKind.STOP_LIMIT
    return OrderKind.LIMIT if report.price is not None else OrderKind.MARKET
