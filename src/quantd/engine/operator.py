"""What people, schedules and the start-up order: halts, cancels, closing, own orders.

Everything that adds exposure goes through the gate like a strategy's own wish.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from quantd.domain.events import (
    CREDENTIALS_CAUSE,
    CancelOrdered,
    FlattenOrdered,
    HaltOrdered,
    OperatorActed,
    OrderOrdered,
    Resumed,
    ShutDown,
    Stopping,
    TradingState,
    VenueChanged,
)
from quantd.domain.facts import OperatorActionRecorded, StateSet
from quantd.domain.orders import Origin
from quantd.engine.context import Context
from quantd.engine.emulation import Ticket
from quantd.engine.orders import LiveOrder
from quantd.engine.reducing import only_reduces
from quantd.engine.state import SEVERITY
from quantd.engine.targets import Targets
from quantd.engine.trading import Trading

if TYPE_CHECKING:
    from quantd.engine.desk import Desk


class Operator:
    """Carries out operators' events."""

    def __init__(self, context: Context, trading: Trading, targets: Targets, desks: "Mapping[str, Desk]") -> None:
        self._context = context
        self._trading = trading
        self._targets = targets
        self._desks = desks

    def handlers(self) -> dict[type, Callable[[Any], None]]:
        """Return what carries out which event."""
        return {
            VenueChanged: self.venue,
            Stopping: self.stop,
            ShutDown: self.shut_down_all,
            HaltOrdered: self.halt,
            Resumed: self.resume,
            CancelOrdered: self.cancel,
            FlattenOrdered: self.flatten,
            OrderOrdered: self.order,
            OperatorActed: self.acted,
        }

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
            if state is TradingState.HALTED or not only_reduces(context.state, order):
                self._trading.cancel(order, "halt")

    def tripped(self, scope: str, state: TradingState, flatten: bool) -> None:
        """Follow up a loss limit's trip: cancel, and close everything where it says so."""
        if flatten:
            self._close(scope, "loss_limit", "loss_limit")
            return
        for order in self.orders_of(scope):
            if state is TradingState.HALTED or not only_reduces(self._context.state, order):
                self._trading.cancel(order, "loss_limit")

    def reduced(self, scope: str, by: str) -> None:
        """Cancel the entries of a scope that a control let only reduce."""
        for order in self.orders_of(scope):
            if not only_reduces(self._context.state, order):
                self._trading.cancel(order, by)

    def cancel(self, event: CancelOrdered) -> None:
        """Cancel all orders of a scope, and end the targets that they work for."""
        for order in self.orders_of(event.scope):
            self._targets.forget(order)
            self._trading.cancel(order, f"by {event.by}")

    def flatten(self, event: FlattenOrdered) -> None:
        """Close all of a scope for a person."""
        self._close(event.scope, f"by {event.by}", event.why)

    def _close(self, scope: str, cancel_why: str, why: str) -> None:
        """Cancel a scope's orders and close its books: targets that wait for the cancels.

        EXTERNAL's book is closed too, and so are those of strategies, and of a strategy's instruments, that are no longer
        configured.
        """
        orders, state = self.orders_of(scope), self._context.state
        keys = {(order.strategy, order.instrument): None for order in orders}
        keys |= {(book.strategy, book.instrument.id): None for book in state.portfolio.books()}
        keys |= dict.fromkeys(state.targets)  # one that waits since before a restart may have no book yet
        for order in orders:
            self._trading.cancel(order, cancel_why)
        for strategy, instrument in keys:
            if _in_scope(scope, strategy, instrument):
                self._targets.close(strategy, instrument, why)

    def order(self, event: OrderOrdered) -> None:
        """Send an operator's own order, through the gate, into EXTERNAL's book."""
        why = f"by {event.by}: {event.why}" if event.why else f"by {event.by}"
        self._trading.submit(
            Ticket("", event.instrument, event.side, event.quantity, event.how, Origin.OPERATOR, why=why)
        )

    def acted(self, event: OperatorActed) -> None:
        """Keep who asked for what: the event that carries it out comes right after this one."""
        self._context.record(
            OperatorActionRecorded(
                event.request, event.by, event.action, event.detail, event.result, self._context.now_ns
            )
        )

    def venue(self, event: VenueChanged) -> None:
        """Note one cause why a venue takes exits only, or its end; the others' stay."""
        if event.state is TradingState.ACTIVE:
            self._end_cause(event.venue, event.cause)
        else:
            self._context.venue_reasons.setdefault(event.venue, {})[event.cause] = event.reason

    def _end_cause(self, venue: str, cause: str) -> None:
        reasons = self._context.venue_reasons
        causes = reasons.get(venue, {})
        causes.pop(cause, None)
        if not causes:
            reasons.pop(venue, None)

    def resume(self, event: Resumed) -> None:
        """Clear a scope's latch, let a quarantined strategy be called again, and try refused credentials again."""
        context = self._context
        for venue in list(context.venue_reasons):
            if event.scope in ("all", f"venue:{venue}"):
                self._end_cause(venue, CREDENTIALS_CAUSE)
        if event.scope in context.state.latches:
            generation = context.state.halt_generation
            context.record(StateSet(event.scope, TradingState.ACTIVE, event.by, event.why, generation, context.now_ns))
        desk = self._desks.get(event.scope.removeprefix("strategy:"))
        if desk is not None:
            desk.resume()

    def stop(self, event: Stopping) -> None:
        """Refuse new exposure from now on, and call each strategy's `on_stop`."""
        self._context.is_stopping = True
        for desk in self._desks.values():
            if desk.is_started:
                desk.call(desk.strategy.on_stop, event.reason)

    def shut_down_all(self, event: ShutDown) -> None:
        """Apply each strategy's `at_shutdown`, also of one that is warming up: it may have orders from before."""
        for desk in self._desks.values():
            self.shut_down(desk)

    def schedule(self, strategy: str, name: str) -> None:
        """Carry out a trading schedule: ``@start``, ``@stop`` and ``@flat``; of a strategy that could not be loaded, too."""
        scope, desk = f"strategy:{strategy}", self._desks.get(strategy)
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
        if name == "@flat" and desk is not None:
            desk.flatten("flat_by")
        elif name == "@flat":
            self._close(scope, "flat_by", "flat_by")
        else:
            self.reduced(scope, "schedule")

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
