"""Exits that the engine holds: stop, take profit and trailing stop for what an entry bought or sold, and held stops.

Journalled, so that a restart has them back. A trigger sends a reducing order through the gate like any other; of one
entry's exits only one can ever leave.
"""

from decimal import Decimal

from quantd.domain.facts import ProtectionHeld
from quantd.domain.instruments import InstrumentId
from quantd.domain.numbers import ZERO, Rounding
from quantd.domain.orders import Effect, Market, OrderKind, Origin, Role, Side
from quantd.engine.context import Context
from quantd.engine.emulation import Ticket
from quantd.engine.orders import LiveOrder
from quantd.engine.rates import Mark
from quantd.engine.trading import Trading

_AGAIN_NS = 1_000_000_000


class Protection:
    """Watches prices for all held exits and held stop orders."""

    def __init__(self, context: Context, trading: Trading) -> None:
        self._context = context
        self._trading = trading
        self._held: dict[InstrumentId, dict[str, LiveOrder]] = {}
        self._exits: dict[str, str] = {}
        """Parent of a protection -> the exit order that its trigger sent."""
        self._again_at_ns: dict[str, int] = {}
        """Order or parent -> when an exit that was denied may be tried again: not with every quote."""

    def restore(self) -> None:
        """Find the held orders again after a fold."""
        for order in self._context.state.orders.open_orders():
            if order.held:
                self.hold(order)
            if order.origin is Origin.PROTECTION and order.parent:
                self._exits[order.parent] = order.client_order_id

    def hold(self, order: LiveOrder) -> None:
        """Watch the trigger of an order that the venue cannot hold."""
        if order.spec.trigger is not None:
            self._held.setdefault(order.instrument, {})[order.client_order_id] = order

    @property
    def is_idle(self) -> bool:
        """Whether nothing is watched at all."""
        return not self._held and not self._context.state.protections

    # -- following the entries ------------------------------------------------------------------------------------

    def filled(self, order: LiveOrder, signed: Decimal) -> None:
        """Guard what an entry got; shrink the guards when the strategy itself got out."""
        context = self._context
        if order.protect is not None:
            known = context.state.protections.get(order.client_order_id)
            quantity = signed + (known.quantity if known is not None else ZERO)
            mark = context.state.rates.marks[order.instrument].exact() or order.spec.price
            rules = context.instrument(order.instrument)

            def price(value: Decimal | float | None) -> Decimal | None:
                return None if value is None else rules.price(value, Rounding.NEAREST)

            protect = order.protect
            context.record(
                ProtectionHeld(
                    order.strategy,
                    order.instrument,
                    order.client_order_id,
                    quantity,
                    price(protect.stop),
                    price(protect.take),
                    price(protect.trail),
                    mark,
                    context.now_ns,
                )
            )
        if context.state.protections:
            self._shrink(order)

    def _shrink(self, order: LiveOrder) -> None:
        """Never guard more than the book holds: the guard whose exit traded goes first, then the oldest."""
        context = self._context
        held = context.state.portfolio.book(order.strategy, order.instrument).quantity
        guards = [
            guard
            for guard in context.state.protections.values()
            if guard.strategy == order.strategy and guard.instrument == order.instrument
        ]
        for guard in [one for one in guards if held * one.quantity <= 0]:
            guards.remove(guard)
            self._set(guard, ZERO)
        guards.sort(key=lambda guard: guard.parent != order.parent)
        excess = sum((abs(guard.quantity) for guard in guards), ZERO) - abs(held)
        for guard in guards:
            if excess <= 0:
                return
            cut = min(excess, abs(guard.quantity))
            excess -= cut
            self._set(guard, guard.quantity - cut if guard.quantity > 0 else guard.quantity + cut)

    def _set(self, guard: ProtectionHeld, quantity: Decimal, mark: Decimal | None = None) -> None:
        self._context.record(
            ProtectionHeld(
                guard.strategy,
                guard.instrument,
                guard.parent,
                quantity,
                guard.stop,
                guard.take,
                guard.trail,
                guard.mark if mark is None else mark,
                self._context.now_ns,
            )
        )

    # -- following the market -------------------------------------------------------------------------------------

    def marked(self, mark: Mark) -> None:
        """Look at everything that the new price may trigger."""
        instrument = mark.instrument.id
        held = self._held.get(instrument)
        if held:
            for order in list(held.values()):
                if not order.is_open or not order.held:
                    del held[order.client_order_id]
                elif _reached(order, mark) and self._may_try(order.client_order_id):
                    del held[order.client_order_id]
                    self._trading.release(order)
                    if _is_held(order):
                        self._denied(order.client_order_id)
                        held[order.client_order_id] = order
        if self._context.state.protections:
            for guard in list(self._context.state.protections.values()):
                if guard.instrument == instrument:
                    self._watch(guard, mark)

    def _watch(self, guard: ProtectionHeld, mark: Mark) -> None:
        price = mark.instrument.price(mark.bid if guard.quantity > 0 else mark.ask, Rounding.NEAREST)
        if price <= 0:
            return
        long = guard.quantity > 0
        best = guard.mark
        if guard.trail is not None and (best is None or (price > best if long else price < best)):
            best = price
            self._set(guard, guard.quantity, best)
        role = _triggered(guard, best, price)
        if role is not None and self._may_try(guard.parent):
            self._exit(guard, role)

    def _may_try(self, key: str) -> bool:
        return self._context.now_ns >= self._again_at_ns.get(key, 0)

    def _denied(self, key: str) -> None:
        if len(self._again_at_ns) > 1_000:
            self._again_at_ns.clear()
        self._again_at_ns[key] = self._context.now_ns + _AGAIN_NS

    def _exit(self, guard: ProtectionHeld, role: Role) -> None:
        context = self._context
        sent = context.state.orders.get(self._exits.get(guard.parent, ""))
        if sent is not None and sent.is_open:
            return
        book = context.state.portfolio.book(guard.strategy, guard.instrument)
        long = guard.quantity > 0
        rules = context.instrument(guard.instrument)
        self._make_room(guard, book.open_sells if long else book.open_buys)
        working = book.sells if long else book.buys
        held = book.quantity if long else -book.quantity
        quantity = rules.quantity(min(abs(guard.quantity), held - working))
        if quantity <= 0 or quantity < (rules.min_quantity or ZERO):
            if not working:
                self._set(guard, ZERO)  # dust: nothing that could be sent
            return
        placed = self._trading.submit(
            Ticket(
                guard.strategy,
                guard.instrument,
                Side.SELL if long else Side.BUY,
                quantity,
                Market(reduce_only=True),
                Origin.PROTECTION,
                role,
                Effect.CLOSE,
                None,
                f"{role.value} of {guard.parent}",
                guard.parent,
            )
        )
        if isinstance(placed, LiveOrder):
            self._exits[guard.parent] = placed.client_order_id
        else:
            self._denied(guard.parent)

    def _make_room(self, guard: ProtectionHeld, others: int) -> None:
        """Cancel the strategy's own resting exits on this side: the trigger is more urgent than they are."""
        if not others:
            return
        side = Side.SELL if guard.quantity > 0 else Side.BUY
        for order in list(self._context.state.orders.open_orders(guard.instrument)):
            mine = order.strategy == guard.strategy and order.spec.side is side
            if mine and order.origin is Origin.STRATEGY and order.spec.kind is not OrderKind.MARKET:
                self._trading.cancel(order, "protection")

    def ended(self, order: LiveOrder) -> None:
        """Forget a held order that was cancelled."""
        held = self._held.get(order.instrument)
        if held is not None:
            held.pop(order.client_order_id, None)


def _is_held(order: LiveOrder) -> bool:
    return order.held and order.is_open


def _reached(order: LiveOrder, mark: Mark) -> bool:
    trigger = order.spec.trigger
    if trigger is None:
        return False
    if order.spec.side is Side.BUY:
        return mark.ask > 0 and mark.instrument.price(mark.ask, Rounding.NEAREST) >= trigger
    return mark.bid > 0 and mark.instrument.price(mark.bid, Rounding.NEAREST) <= trigger


def _triggered(guard: ProtectionHeld, best: Decimal | None, price: Decimal) -> Role | None:
    """Return the exit that `price` triggers; the stop before the target where both would."""
    long = guard.quantity > 0
    if guard.stop is not None and (price <= guard.stop if long else price >= guard.stop):
        return Role.STOP
    if guard.trail is not None and best is not None:
        edge = best - guard.trail if long else best + guard.trail
        if price <= edge if long else price >= edge:
            return Role.TRAIL
    if guard.take is not None and (price >= guard.take if long else price <= guard.take):
        return Role.TARGET
    return None
