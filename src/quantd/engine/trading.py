"""Orders on their way out: every submit, amendment and cancel of anyone passes here, and here through the gate.

Snaps prices, emulates what a venue lacks, asks the gate, records the intent (which reserves it) and sends the command.
"""

from collections.abc import Callable, Collection
from decimal import Decimal

import msgspec

from quantd.domain.capabilities import Support
from quantd.domain.commands import Amend, Cancel, Submit
from quantd.domain.facts import AmendIntended, CancelIntended, OrderIntended, OrderMoved, OrderReleased
from quantd.domain.instruments import Instrument, InstrumentId
from quantd.domain.lots import LotProtection
from quantd.domain.numbers import Rounding
from quantd.domain.orders import (
    Limit,
    Market,
    OperationKind,
    OperationPhase,
    OrderSpec,
    Origin,
    Protect,
    Side,
    Trigger,
)
from quantd.engine import standing
from quantd.engine.context import Context
from quantd.engine.emulation import Ticket, emulate, terms
from quantd.engine.exit_size import cut_to_book, fitted
from quantd.engine.lot_closing import close_lot
from quantd.engine.orders import LiveOrder, amended
from quantd.engine.reducing import must_go
from quantd.engine.refusals import record_denied, record_refused
from quantd.engine.risk.gate import Gate
from quantd.engine.risk.trips import Trips
from quantd.engine.risk.wish import Denial, Denied, Wish
from quantd.engine.spent_stops import EXPIRED, SELF_MATCH, is_stop_again


class Trading:
    """Places, amends and cancels, through the gate."""

    def __init__(self, context: Context, gate: Gate, trips: Trips) -> None:
        self._context = context
        self._gate = gate
        self._trips = trips
        self.forsaken: Collection[str] = ()
        """Strategies with orders from before, which are no longer configured or could not be loaded: their entries go."""
        self.held: Callable[[LiveOrder], None] = lambda order: None
        """Set by `Protection`: called with an order that waits here for its trigger."""
        self.changed: Callable[[LiveOrder], None] = lambda order: None
        """Set by the engine: called after an order ended here, without the venue."""
        self.attached: Callable[[Instrument, Protect], LotProtection | None] = lambda rules, protect: None
        """Set by `Protection`: tells what of an entry's exits goes to the venue with it."""
        self.change_exits: Callable[[str, InstrumentId, Protect], bool] = lambda strategy, instrument, protect: False
        """Set by `Protection`: puts what a strategy holds of an instrument under other exits."""
        self.around_gate: Callable[[Callable[[Wish], Denied | None], Wish], Denied | None] | None = None
        """Set by the runtime: asks the gate in our place, to time it."""

    # -- submit --------------------------------------------------------------------------------------------------

    def submit(self, ticket: Ticket) -> LiveOrder | Denied:
        """Place an order, or return and record why not."""
        context = self._context
        rules = context.state.portfolio.instruments.get(ticket.instrument)
        if rules is None:
            return self._denied(ticket, Denied(Denial.MALFORMED, 1, "order", "a listed instrument", ticket.instrument))
        try:
            spec = _terms(rules, ticket)
        except (ValueError, ArithmeticError) as error:
            return self._denied(ticket, Denied(Denial.MALFORMED, 1, "order", "finite numbers", str(error)))
        wish = self._wish(ticket.strategy, spec, rules, ticket.origin, protect=ticket.protect)
        held = False
        capabilities = context.capabilities.get(rules.venue)
        if capabilities is not None:
            emulated = emulate(context, spec, rules, self._capped(ticket, rules))
            if isinstance(emulated, Denied):
                return self._denied(ticket, emulated)
            sent, held = emulated
            if sent is not spec:
                spec = sent
                wish = self._wish(ticket.strategy, spec, rules, ticket.origin, protect=ticket.protect)
        wish, denied = self._check_fitted(wish)
        spec = wish.spec
        waits_s = 0.0 if denied is None or held else denied.wait_s
        if denied is not None and not waits_s:
            return self._denied(ticket, denied)
        if wish.exit and (ticket.lot or wish.account.is_hedging):
            closing = close_lot(context, ticket, wish)
            return self._denied(ticket, closing) if isinstance(closing, Denied) else closing
        order_id = context.ids.next()
        deadline = context.now_ns + int((waits_s or ticket.how.good_for_s or context.settings.good_for_s) * 1e9)
        held = held or waits_s > 0
        context.record(
            OrderIntended(
                order_id,
                ticket.strategy,
                spec,
                ticket.origin,
                ticket.role,
                deadline,
                context.now_ns,
                wish.exit,
                ticket.why,
                ticket.parent,
                ticket.group,
                ticket.lot,
                ticket.protect,
                wish.price if spec.price is None else None,
                held,
                context.input,
                ticket.for_target,
            )
        )
        order = context.state.orders[order_id]
        if held:
            self.held(order)
        else:
            attached = None if wish.exit or ticket.protect is None else self.attached(rules, ticket.protect)
            context.send(Submit(order_id, 1, spec, deadline, context.state.halt_generation, attached, wish.exit))
        return order

    def _send_held(self, order: LiveOrder, wish: Wish) -> None:
        context, spec = self._context, wish.spec
        deadline = context.now_ns + int(context.settings.good_for_s * 1e9)
        context.record(OrderReleased(order.client_order_id, spec, deadline, context.now_ns, wish.reduces))
        protect = None if order.exit else order.protect
        attached = None if protect is None else self.attached(context.instrument(order.instrument), protect)
        generation = context.state.halt_generation
        context.send(Submit(order.client_order_id, order.operations, spec, deadline, generation, attached, order.exit))

    def _release_waiting(self) -> None:
        """Send the orders that wait for room under a rate limit, oldest first; deny those that waited too long."""
        context = self._context
        for order in list(context.state.orders.open_orders()):
            if not order.held or order.spec.trigger is not None or is_stop_again(order):
                continue
            rules = context.instrument(order.instrument)
            wish = self._wish(order.strategy, order.spec, rules, order.origin, replaces=order)
            denied = self._check(wish)
            if denied is None:
                self._send_held(order, wish)
            elif not denied.wait_s or context.now_ns >= order.deadline_at_ns:
                context.record(OrderMoved(order.client_order_id, Trigger.DENY, context.now_ns, denied.code.value))
                self.changed(order)

    def _capped(self, ticket: Ticket, rules: Instrument) -> Ticket:
        """Return the ticket with the tightest slippage cap that any scope sets."""
        cap = self._gate.slippage_bps(ticket.strategy, rules) if type(ticket.how) is Market else None
        if cap is None or (ticket.max_slippage_bps is not None and ticket.max_slippage_bps <= cap):
            return ticket
        return msgspec.structs.replace(ticket, max_slippage_bps=cap)

    def release(self, order: LiveOrder) -> Denied | None:
        """Send a held order whose trigger was reached, now or earlier; it passes the gate again.

        A denial ends it, except that an exit which is denied for a passing reason stays held, to be tried again.
        """
        context = self._context
        rules = context.instrument(order.instrument)
        ticket = Ticket(
            order.strategy,
            order.instrument,
            order.spec.side,
            order.spec.quantity,
            Market() if order.spec.price is None else Limit(order.spec.price),
            order.origin,
            order.role,
            order.spec.effect,
        )
        spec = msgspec.structs.replace(terms(rules, ticket), reduce_only=order.spec.reduce_only)
        emulated = emulate(context, spec, rules, ticket)
        sent = spec if isinstance(emulated, Denied) else emulated[0]
        wish = self._wish(order.strategy, sent, rules, order.origin, replaces=order)
        wish, denied = (wish, emulated) if isinstance(emulated, Denied) else self._check_fitted(wish)
        if denied is not None:
            self._denied(ticket, denied, order.client_order_id)
            if not ((order.exit or wish.reduces) and denied.is_transient):
                context.record(OrderMoved(order.client_order_id, Trigger.DENY, context.now_ns, denied.code.value))
                self.changed(order)
            return denied
        self._send_held(order, wish)
        return None

    # -- amend ---------------------------------------------------------------------------------------------------

    def amend(self, order: LiveOrder, quantity: Decimal | None, price: Decimal | None) -> LiveOrder | Denied:
        """Change an order's total quantity or price; where the venue cannot, by cancel and a new order for the rest."""
        context = self._context
        rules = context.instrument(order.instrument)
        if not order.is_open or order.cancel_wanted:
            return self._refused(order, Denied(Denial.NOT_OPEN, 1, "order", "an open order", order.state.value))
        if order.operation is not None or order.held:
            return self._refused(order, Denied(Denial.BUSY, 1, "order", "no operation in flight", _busy(order)))
        capabilities = context.capabilities.get(rules.venue)
        amending = Support.REFUSED if capabilities is None else capabilities.amend
        if amending is Support.REFUSED:
            return self._refused(order, Denied(Denial.UNSUPPORTED, 6, f"venue:{rules.venue}", "amend", "refused"))
        if price is not None and order.spec.price is None:  # it would count instead of the trigger, which stays
            return self._refused(order, Denied(Denial.MALFORMED, 1, "order", "an order with a price", str(price)))
        try:
            rounding = Rounding.FLOOR if order.spec.side is Side.BUY else Rounding.CEILING
            new_price = None if price is None else rules.price(price, rounding)
            new_quantity = order.spec.quantity if quantity is None else rules.quantity(quantity)
        except (ValueError, ArithmeticError) as error:
            return self._refused(order, Denied(Denial.MALFORMED, 1, "order", "finite numbers", str(error)))
        spec = amended(order.spec, new_quantity, new_price)
        wish = self._wish(order.strategy, spec, rules, order.origin, amends=order)
        denied = self._check(wish)
        if denied is not None:
            return self._refused(order, denied)
        operation = order.operations + 1
        at_ns, reduces = context.now_ns, wish.reduces
        context.record(AmendIntended(order.client_order_id, operation, new_quantity, new_price, at_ns, reduces))
        deadline = context.now_ns + int(context.settings.good_for_s * 1e9)
        if amending is Support.NATIVE:
            context.send(
                Amend(
                    order.client_order_id,
                    operation,
                    order.instrument,
                    order.venue_order_id,
                    spec,
                    deadline,
                    context.state.halt_generation,
                    new_quantity,
                    new_price,
                )
            )
        else:
            context.send(Cancel(order.client_order_id, operation, order.instrument, order.venue_order_id))
        return order

    def resubmit(self, order: LiveOrder, quantity: Decimal, price: Decimal | None) -> LiveOrder | Denied:
        """Place the rest of an amended order anew, at the venue that cannot amend; it passes the gate again."""
        spec = order.spec
        how = Limit(
            price if price is not None else spec.price or Decimal(0),
            spec.time_in_force,
            spec.post_only,
            spec.reduce_only,
            expires_at_ns=spec.expires_at_ns,
        )
        return self.submit(
            Ticket(
                order.strategy,
                order.instrument,
                spec.side,
                cut_to_book(self._context.state, order, quantity),
                how,
                order.origin,
                order.role,
                spec.effect,
                order.protect,
                order.why,
                order.client_order_id,
                order.group,
                order.lot,
                for_target=order.for_target,
            )
        )

    # -- cancel --------------------------------------------------------------------------------------------------

    def cancel(self, order: LiveOrder, why: str = "", *, urgent: bool = True) -> bool:
        """Cancel an order; one with a write in flight is cancelled as soon as that is settled.

        Args:
            order: The order.
            why: For the journal.
            urgent: Passes the limit of cancels in time; others wait for room.

        Returns:
            Whether there is anything to cancel, at a venue that is configured.
        """
        context = self._context
        if not order.is_open:
            return False
        if order.held:
            context.record(OrderMoved(order.client_order_id, Trigger.CANCEL, context.now_ns, why or "cancelled"))
            self.changed(order)
            return True
        if not context.reaches(order.instrument):
            return False
        operation = order.operation
        if operation is not None:
            # The executor deletes an unsent submit on this; a sent one is cancelled when its outcome is in.
            if operation.kind is OperationKind.CANCEL or order.cancel_wanted:
                return True
            context.record(CancelIntended(order.client_order_id, 0, context.now_ns, why))
            if operation.kind is OperationKind.SUBMIT and operation.phase is OperationPhase.PENDING:
                context.send(Cancel(order.client_order_id, 0, order.instrument, ""))
            return True
        windows = self._gate.cancel_windows(order.strategy, context.instrument(order.instrument))
        if not urgent and not all(window.has_room(context.now_ns) for window in windows):
            if not order.cancel_wanted:
                context.record(CancelIntended(order.client_order_id, 0, context.now_ns, why))
            return True
        for window in windows:
            window.add(context.now_ns)
        context.record(CancelIntended(order.client_order_id, order.operations + 1, context.now_ns, why))
        context.send(Cancel(order.client_order_id, order.operations, order.instrument, order.venue_order_id))
        return True

    @property
    def waits(self) -> bool:
        """Whether `time_passed` may find anything: an order that waits for room, or one that is to be cancelled."""
        state = self._context.state
        return state.orders.has_open and any(
            state.latches or self.forsaken or order.held or order.cancel_wanted or order.spec.expires_at_ns is not None
            for order in state.orders.open_orders()
        )

    def time_passed(self) -> None:
        """Send orders and cancels that waited; cancel what was meant as a passing order, and what a latched state forbids."""
        self._release_waiting()
        now_ns, state = self._context.now_ns, self._context.state
        for order in state.orders.open_orders():
            if order.operation is not None:
                continue
            until = order.spec.expires_at_ns
            if order.cancel_wanted:
                self.cancel(order, urgent=False)
            elif until is not None and now_ns >= until and order.is_acknowledged:
                self.cancel(order, EXPIRED)
            elif (state.latches or self.forsaken) and must_go(state, order, now_ns, self.forsaken):
                self.cancel(order, "forsaken" if order.strategy in self.forsaken else "latched", urgent=False)

    # -- parts ---------------------------------------------------------------------------------------------------

    def _wish(  # noqa: PLR0913 -- the order's terms, its exits and whom it replaces
        self,
        strategy: str,
        spec: OrderSpec,
        rules: Instrument,
        origin: Origin,
        *,
        amends: LiveOrder | None = None,
        replaces: LiveOrder | None = None,
        protect: Protect | None = None,
    ) -> Wish:
        state = self._context.state
        portfolio, instrument = state.portfolio, rules.id
        return Wish(
            state=state,
            strategy=strategy,
            spec=spec,
            instrument=rules,
            mark=state.rates.marks[instrument],
            book=portfolio.book(strategy, instrument),
            net=portfolio.nets[instrument],
            account=portfolio.account(rules.venue),
            now_ns=self._context.now_ns,
            origin=origin,
            operation=OperationKind.SUBMIT if amends is None else OperationKind.AMEND,
            amends=amends or replaces,
            protect=protect,
        )

    def _check_fitted(self, wish: Wish) -> tuple[Wish, Denied | None]:
        """Ask for an exit in the size that one order may have; return the wish in that size, and the answer."""
        spec = fitted(wish)
        if isinstance(spec, Denied):
            return wish, spec
        if spec is not wish.spec:
            wish = self._wish(wish.strategy, spec, wish.instrument, wish.origin, replaces=wish.amends)
        return wish, self._check(wish)

    def _check(self, wish: Wish) -> Denied | None:
        """Ask what holds for all orders, then the gate; own orders that stand in the way are cancelled."""
        denied = standing.denied(self._context, wish)
        if denied is None:
            check, around = self._gate.check, self.around_gate
            denied = check(wish) if around is None else around(check, wish)
            if denied is not None:
                self._trips.denied(denied, wish)
        for order in wish.to_cancel:
            self.cancel(order, SELF_MATCH)
        return denied

    def _denied(self, ticket: Ticket, denied: Denied, client_order_id: str = "") -> Denied:
        return record_denied(self._context, ticket, denied, client_order_id)

    def _refused(self, order: LiveOrder, denied: Denied) -> Denied:
        return record_refused(self._context, order, denied)


def _terms(rules: Instrument, ticket: Ticket) -> OrderSpec:
    """Return an order's terms; exits that are no numbers raise like a price: once it has filled it is too late."""
    if ticket.protect is not None:
        for price in msgspec.structs.astuple(ticket.protect):
            if price is not None:
                rules.price(price, Rounding.NEAREST)
    return terms(rules, ticket)


def _busy(order: LiveOrder) -> str:
    return "held" if order.operation is None else f"{order.operation.kind.value} {order.operation.phase.value}"
