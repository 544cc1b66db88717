"""The orders by which protection gets out of a position: through the gate, reducing, never two for the same quantity.

Where lots tell entries apart an exit closes a lot by its name, so that it can never close more than the entry's own,
whatever else happens there. Used by `Protection`, which decides when.
"""

from collections.abc import Callable
from decimal import Decimal

from quantd.domain.capabilities import LotWrite
from quantd.domain.commands import CloseLot
from quantd.domain.orders import Effect, Market, OrderKind, OrderState, Origin, Role, Side
from quantd.domain.protection_facts import ProtectionHeld
from quantd.engine.backoff import Backoff
from quantd.engine.context import Context
from quantd.engine.emulation import Ticket
from quantd.engine.exit_size import is_dust
from quantd.engine.lot_exits import LotExits
from quantd.engine.orders import LiveOrder
from quantd.engine.trading import Trading

_AGAIN_NS = 1_000_000_000


class WayOut:
    """Sends exits.

    Args:
        context: The engine's.
        trading: The way to the venue.
        exits: Knows the lots of an entry.
        end: Ends a guard of which nothing can be sent.
    """

    def __init__(
        self, context: Context, trading: Trading, exits: LotExits, end: Callable[[ProtectionHeld], None]
    ) -> None:
        self._context = context
        self._trading = trading
        self._exits = exits
        self._end = end
        self._again_at_ns: dict[str, int] = {}
        """Order or entry -> when an exit that was denied may be tried again: not with every quote."""
        self._backoff = Backoff()
        """By entry: how long to wait after its exit was refused."""

    def may_try(self, key: str) -> bool:
        """Whether an exit of an order or entry may leave again."""
        return self._context.now_ns >= self._again_at_ns.get(key, 0)

    def denied(self, key: str) -> None:
        """Note that an exit was turned away just now."""
        self._wait(key, _AGAIN_NS)

    def ended(self, order: LiveOrder) -> None:
        """Wait longer each time that a venue refuses an exit outright."""
        if order.origin is not Origin.PROTECTION:
            return
        if order.state is OrderState.REJECTED and not order.filled:
            self._wait(order.parent, self._backoff.refused(order.parent))
        else:
            self._backoff.forget(order.parent)

    def _wait(self, key: str, wait_ns: int) -> None:
        if len(self._again_at_ns) > 1_000:
            self._again_at_ns.clear()
        self._again_at_ns[key] = self._context.now_ns + wait_ns

    def leave(self, guard: ProtectionHeld, role: Role) -> None:
        """Get out at the market, and of the rest of the entry that is still to be filled."""
        entry = self._context.state.orders.get(guard.parent)
        if entry is not None and entry.is_open and not entry.cancel_wanted:
            self._trading.cancel(entry, "unprotected")
        if self.may_try(guard.parent):
            self.exit(guard, role)

    def exit(self, guard: ProtectionHeld, role: Role) -> None:
        """Send what closes a guard's position: one order at a time, or one for each of its lots.

        Where a position is a net, another's orders may have closed the lots and opened new ones that are not the guard's:
        what its own do not add up to any more is closed by an order that names none.
        """
        context = self._context
        if not context.reaches(guard.instrument):
            return
        under_way = self.under_way(guard)
        if not self._closes_lots(guard):
            if not under_way:
                self._send(guard, role, abs(guard.quantity), "")
            return
        busy, rest = {order.lot: order for order in under_way}, abs(guard.quantity)
        for held in self._exits.lots(guard):
            order, rest = busy.get(held.lot.venue_id), rest - held.lot.quantity
            if order is None:
                self._send(guard, role, held.lot.quantity, held.lot.venue_id)
            elif order.is_unknown:
                self._repeat(guard, order, held.lot.quantity)
        venue = guard.instrument.partition(":")[0]
        if rest > 0 and "" not in busy and not context.state.portfolio.account(venue).is_hedging:
            self._send(guard, role, rest, "")

    def under_way(self, guard: ProtectionHeld) -> list[LiveOrder]:
        """Return the exits of a guard that are at work."""
        return [
            order
            for order in self._context.state.orders.open_orders(guard.instrument)
            if order.origin is Origin.PROTECTION and order.parent == guard.parent
        ]

    def _closes_lots(self, guard: ProtectionHeld) -> bool:
        """Whether exits name the lot that they close; where the oldest must go first, the account's oldest goes."""
        venue = guard.instrument.partition(":")[0]
        capabilities, account = self._context.capabilities.get(venue), self._context.state.portfolio.account(venue)
        if capabilities is None or LotWrite.CLOSE_WHOLE not in capabilities.lot_writes:
            return False
        return account.account is not None and account.is_margin and not account.account.first_in_first_out

    def _repeat(self, guard: ProtectionHeld, order: LiveOrder, quantity: Decimal) -> None:
        """Send the close of a whole lot once more, where the venue says that this closes nothing twice.

        It is the same write: whichever answer comes first settles it. Any other exit of unknown outcome is waited for.
        """
        capabilities = self._context.capabilities[guard.instrument.partition(":")[0]]
        operation = order.operation
        whole = order.spec.quantity == quantity
        if operation is None or not whole or LotWrite.CLOSE_WHOLE not in capabilities.repeat_safe_lot_writes:
            return
        context = self._context
        deadline = context.now_ns + int(context.settings.good_for_s * 1e9)
        generation = context.state.halt_generation
        context.send(
            CloseLot(order.client_order_id, operation.number, order.instrument, order.lot, None, deadline, generation)
        )
        self.denied(guard.parent)

    def _send(self, guard: ProtectionHeld, role: Role, wanted: Decimal, lot: str) -> None:
        context = self._context
        book = context.state.portfolio.book(guard.strategy, guard.instrument)
        long = guard.quantity > 0
        rules = context.instrument(guard.instrument)
        self._make_room(guard, book.open_sells if long else book.open_buys)
        working = book.sells if long else book.buys
        held = book.quantity if long else -book.quantity
        quantity, side = rules.quantity(min(wanted, held - working)), Side.SELL if long else Side.BUY
        if is_dust(context.state, rules.id, side, quantity):
            if not working:
                self._end(guard)  # nothing that could be sent
            return
        placed = self._trading.submit(
            Ticket(
                guard.strategy,
                guard.instrument,
                side,
                quantity,
                Market(reduce_only=True),
                Origin.PROTECTION,
                role,
                Effect.CLOSE,
                None,
                f"{role.value} of {guard.parent}",
                guard.parent,
                lot=lot,
            )
        )
        if not isinstance(placed, LiveOrder):
            self.denied(guard.parent)

    def _make_room(self, guard: ProtectionHeld, others: int) -> None:
        """Cancel the strategy's own resting exits on this side: the trigger is more urgent than they are."""
        if not others:
            return
        side = Side.SELL if guard.quantity > 0 else Side.BUY
        for order in list(self._context.state.orders.open_orders(guard.instrument)):
            mine = order.strategy == guard.strategy and order.spec.side is side
            if mine and order.origin is Origin.STRATEGY and order.spec.kind is not OrderKind.MARKET:
                self._trading.cancel(order, "protection")
