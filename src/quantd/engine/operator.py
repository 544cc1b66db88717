"""What people, schedules and the start-up order: halts, cancels, closing, own orders, reconciliation.

Everything that adds exposure goes through the gate like a strategy's own wish.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from quantd.domain.events import (
    CancelOrdered,
    FlattenOrdered,
    HaltOrdered,
    OrderOrdered,
    ReconcileOrdered,
    TradingState,
)
from quantd.domain.facts import StateSet
from quantd.domain.numbers import ZERO
from quantd.domain.orders import Effect, Market, Origin, Role, Side
from quantd.engine.context import Context
from quantd.engine.emulation import Ticket
from quantd.engine.orders import LiveOrder
from quantd.engine.reconcile import Reconciler
from quantd.engine.state import SEVERITY
from quantd.engine.trading import Trading

if TYPE_CHECKING:
    from quantd.engine.desk import Desk


class Operator:
    """Carries out operators' events."""

    def __init__(self, context: Context, trading: Trading, desks: "Mapping[str, Desk]") -> None:
        self._context = context
        self._trading = trading
        self._desks = desks
        self._reconciler = Reconciler(context, trading)

    def halt(self, event: HaltOrdered) -> None:
        """Latch a state for a scope. A halt cancels what works there; a reduction cancels the entries."""
        context = self._context
        known = context.state.latches.get(event.scope)
        if known is not None and known.state is event.state and known.generation >= event.generation:
            return
        state = event.state
        if known is not None and SEVERITY[known.state] > SEVERITY[state]:
            state = known.state  # only `Resumed` loosens
        context.record(StateSet(event.scope, state, event.by, event.why, event.generation, context.now_ns))
        for order in self.orders_of(event.scope):
            if state is TradingState.HALTED or not order.exit:
                self._trading.cancel(order, "halt")

    def tripped(self, scope: str, state: TradingState, flatten: bool) -> None:
        """Follow up a loss limit's trip: cancel, and close everything where it says so."""
        for order in self.orders_of(scope):
            if flatten or state is TradingState.HALTED or not order.exit:
                self._trading.cancel(order, "loss_limit")
        if flatten:
            for desk in self._desks.values():
                if scope in ("all", f"strategy:{desk.id}"):
                    desk.flatten("loss_limit")

    def cancel(self, event: CancelOrdered) -> None:
        """Cancel all orders of a scope."""
        for order in self.orders_of(event.scope):
            self._trading.cancel(order, f"by {event.by}")

    def flatten(self, event: FlattenOrdered) -> None:
        """Cancel a scope's orders and close its books with market orders."""
        for order in self.orders_of(event.scope):
            self._trading.cancel(order, f"by {event.by}")
        portfolio = self._context.state.portfolio
        for book in portfolio.books():
            if not book.quantity or not _in_scope(event.scope, book.strategy, book.instrument.id):
                continue
            side = Side.SELL if book.quantity > 0 else Side.BUY
            working = book.sells if side is Side.SELL else book.buys
            quantity = abs(book.quantity) - working
            if quantity > ZERO:
                self._trading.submit(
                    Ticket(
                        book.strategy,
                        book.instrument.id,
                        side,
                        quantity,
                        Market(reduce_only=True),
                        Origin.OPERATOR,
                        Role.CLOSE,
                        Effect.CLOSE,
                        None,
                        event.why,
                    )
                )

    def order(self, event: OrderOrdered) -> None:
        """Send an operator's own order, through the gate, into EXTERNAL's book."""
        self._trading.submit(
            Ticket("", event.instrument, event.side, event.quantity, event.how, Origin.OPERATOR, why=f"by {event.by}")
        )

    def reconcile(self, event: ReconcileOrdered) -> None:
        """Compare a venue's snapshot with our books and repair by policy."""
        self._reconciler.run(event)

    def schedule(self, desk: "Desk", name: str) -> None:
        """Carry out a trading schedule: ``@start``, ``@stop`` and ``@flat``."""
        scope = f"strategy:{desk.id}"
        context = self._context
        generation = context.state.halt_generation
        if name == "@start":
            latch = context.state.latches.get(scope)
            if latch is not None and latch.by == "schedule":
                context.record(StateSet(scope, TradingState.ACTIVE, "schedule", "start", generation, context.now_ns))
            return
        if scope not in context.state.latches:
            context.record(
                StateSet(scope, TradingState.REDUCING, "schedule", name.removeprefix("@"), generation, context.now_ns)
            )
        if name == "@flat":
            desk.flatten("flat_by")
        else:
            desk.cancel_entries("schedule")

    def shut_down(self, desk: "Desk") -> None:
        """Apply a strategy's `at_shutdown`."""
        policy = desk.setup.at_shutdown
        if policy == "cancel_entries":
            desk.cancel_entries("shutdown")
        elif policy == "cancel_all":
            desk.cancel_all(None)
        elif policy == "flatten":
            desk.flatten("shutdown")

    def orders_of(self, scope: str) -> Iterable[LiveOrder]:
        """Return the open orders of a scope."""
        return [
            order
            for order in self._context.state.orders.open_orders()
            if _in_scope(scope, order.strategy, order.instrument)
        ]


def _in_scope(scope: str, strategy: str, instrument: str) -> bool:
    return scope in ("all", f"strategy:{strategy}", f"instrument:{instrument}", f"venue:{instrument.partition(':')[0]}")
