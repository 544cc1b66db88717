"""Targets: a strategy says what its book should be, the engine works toward it.

At most one working order for (strategy, instrument) moves the book toward its target, what is in flight counted. A new
target replaces it, transient denials are tried again until the target's time is over, lasting ones end it unless it closes.
"""

from collections.abc import Callable, Collection
from decimal import Decimal

from quantd.domain.facts import TargetSet
from quantd.domain.instruments import Instrument, InstrumentId
from quantd.domain.numbers import ZERO, Rounding
from quantd.domain.orders import (
    Effect,
    How,
    Limit,
    Market,
    OrderKind,
    OrderState,
    Origin,
    Protect,
    Role,
    Side,
    StopLimit,
)
from quantd.engine.backoff import Backoff
from quantd.engine.context import Context
from quantd.engine.emulation import Ticket
from quantd.engine.exit_size import is_dust
from quantd.engine.orders import LiveOrder
from quantd.engine.risk.wish import Denied
from quantd.engine.trading import Trading

OnDenied = Callable[[str, InstrumentId, Denied], None]
"""Tells a strategy that its target ended in a lasting denial."""


_EXIT_GOOD_FOR_S = 86_400.0
"""How long a target that may only reduce (flattening) is pursued: an exit is not given up after a minute."""
_CLOSE_AGAIN_NS = 5_000_000_000
"""How long to wait with a close that was denied for a reason that may last."""


class Targets:
    """Pursues the targets of all strategies."""

    def __init__(self, context: Context, trading: Trading, denied: OnDenied) -> None:
        self._context = context
        self._trading = trading
        self._denied = denied
        self._orders: dict[tuple[str, InstrumentId], str] = {}
        """The order that works for a target."""
        self._retries: dict[tuple[str, InstrumentId], int] = {}
        """Targets without an order -> when they are tried again, engine time."""
        self._backoff = Backoff()
        """By target: how long to wait after its order was refused."""
        self._outgoing: dict[tuple[str, InstrumentId], set[str]] = {}
        """Orders that were working when a book was to be closed: each may trade until its end is known."""
        self._strategies: Collection[str] | None = None
        """Those that are configured, once a fold may have brought back targets of others."""
        self._replacing: set[str] = set()
        """Orders that were cancelled because their target changed: the next one follows at once."""

    def set(  # noqa: PLR0913 -- what an author may say of a target
        self,
        strategy: str,
        instrument: InstrumentId,
        quantity: Decimal | float,
        how: How,
        protect: Protect | None,
        why: str,
    ) -> None:
        """Remember a target and work toward it; repeating it sends nothing. What is held already comes under `protect`.

        Raises:
            ValueError: when `quantity` or a price of `protect` is not finite.
        """
        context = self._context
        rules = context.instrument(instrument)
        wanted = rules.quantity(quantity)
        known = context.state.targets.get((strategy, instrument))
        if known is not None and known.quantity == wanted and known.how == how and known.protect == protect:
            return
        is_there = wanted == context.state.portfolio.book(strategy, instrument).quantity
        if is_there and protect is not None:
            self._trading.change_exits(strategy, instrument, protect)
        if known is None and is_there and not self._may_still_fill(strategy, instrument):
            return
        good_for = how.good_for_s or (_EXIT_GOOD_FOR_S if how.reduce_only else context.settings.target_good_for_s)
        expires = context.now_ns + int(good_for * 1e9)
        context.record(
            TargetSet(strategy, instrument, wanted, how, expires, context.now_ns, why, protect, context.input)
        )
        self.pursue(strategy, instrument)

    def close(self, strategy: str, instrument: InstrumentId, why: str) -> None:
        """Cancel a strategy's orders in an instrument and close its book, with what those orders still trade.

        What is left at a venue that is no longer configured stays: nothing can be sent there.
        """
        if not self._context.reaches(instrument):
            return
        orders = [one for one in self._context.state.orders.open_orders(instrument) if one.strategy == strategy]
        self._outgoing[strategy, instrument] = {one.client_order_id for one in orders}
        for order in orders:
            self._trading.cancel(order, why)
        self.set(strategy, instrument, ZERO, Market(reduce_only=True), None, why)

    def restore(self, strategies: Collection[str]) -> None:
        """After a fold: work on every target again at the next tick, with the order that works for it already.

        That order may outlive its target, and a next one goes on with it.

        Args:
            strategies: Those that are configured. Targets of others end, unless they bring a book to nothing: there is
                nobody who would look after what they open.
        """
        self._strategies = strategies
        for order in self._context.state.orders.open_orders():
            if order.for_target:
                self._orders[order.strategy, order.instrument] = order.client_order_id
        for key in self._context.state.targets:
            self._retries[key] = 0
            orders = self._context.state.orders.open_orders(key[1])
            self._outgoing[key] = {one.client_order_id for one in orders if one.strategy == key[0]}

    def working_order(self, strategy: str, instrument: InstrumentId) -> LiveOrder | None:
        """Return the open order that moves a book toward its target."""
        order_id = self._orders.get((strategy, instrument))
        order = None if order_id is None else self._context.state.orders.get(order_id)
        return order if order is not None and order.is_open else None

    def order_changed(self, order: LiveOrder) -> None:
        """Go on when the order of a target has ended, or another that a closing target waits for."""
        key = (order.strategy, order.instrument)
        if order.is_open or key not in self._context.state.targets:
            return
        if self._orders.get(key) != order.client_order_id:
            if key in self._retries:
                self.pursue(*key)
            return
        del self._orders[key]
        successor = self._successor(order)
        if successor is not None:
            self._orders[key] = successor.client_order_id
        elif order.filled or order.client_order_id in self._replacing:
            self._replacing.discard(order.client_order_id)
            self._backoff.forget(key)
            self.pursue(*key)
        elif order.state is OrderState.REJECTED:
            self._retries[key] = self._context.now_ns + self._backoff.refused(key)
        else:
            self._retries[key] = 0  # expired or gone without a trade: not again at once

    def _successor(self, order: LiveOrder) -> LiveOrder | None:
        """Return the order that an emulated amendment put in the place of an ended one."""
        for other in self._context.state.orders.open_orders(order.instrument):
            if other.parent == order.client_order_id and other.origin is order.origin:
                return other
        return None

    def forget(self, order: LiveOrder) -> None:
        """End the target that `order` works for: whoever cancels the order does not want it sent again."""
        key = (order.strategy, order.instrument)
        target = self._context.state.targets.get(key)
        if target is not None and self._orders.get(key) == order.client_order_id:
            self._end(target)

    def drop(self, strategy: str) -> None:
        """End all targets of a strategy, but for those that only close; the orders that work for them stay as they are.

        Whoever wants a book closed, a person, a limit or a schedule, does not want it less because the strategy is another.
        """
        for target in list(self._context.state.targets.values()):
            if target.strategy == strategy and not target.how.reduce_only:
                self._end(target)

    @property
    def is_held_up(self) -> bool:
        """Whether any target waits to be tried again."""
        return bool(self._retries)

    @property
    def waits(self) -> bool:
        """Whether any target has no order at work: with time it is tried again, or ends."""
        if self._retries:
            return True
        for key in self._context.state.targets:
            if self.working_order(*key) is None:
                return True
        return False

    def time_passed(self) -> None:
        """Try again what was denied for a passing reason; end what is too old."""
        if not self._context.state.targets:
            return
        for key, at_ns in list(self._retries.items()):
            if self._context.now_ns >= at_ns:
                self._retries.pop(key, None)
                self.pursue(*key)
        for key, target in list(self._context.state.targets.items()):
            if self._context.now_ns >= target.expires_at_ns and self.working_order(*key) is None:
                self._end(target)

    def pursue(self, strategy: str, instrument: InstrumentId) -> None:
        """Send, cancel or wait, whichever brings the book toward the target."""
        context = self._context
        target = context.state.targets.get((strategy, instrument))
        if target is None or target.quantity is None:
            return
        if not self._is_looked_after(target) or not context.reaches(instrument):
            self._end(target)
            return
        book = context.state.portfolio.book(strategy, instrument)
        working = self.working_order(strategy, instrument)
        if working is not None:
            self._adjust_working(target, working, book.quantity)
            return
        missing = target.quantity - book.quantity
        if not context.instrument(instrument).quantity(abs(missing)):
            if target.how.reduce_only and self._may_still_fill(strategy, instrument):
                self._retries[strategy, instrument] = 0
            else:
                self._end(target)
            return
        if context.now_ns >= target.expires_at_ns:
            self._end(target)
            return
        self._send(target, book.quantity, missing)

    def _is_looked_after(self, target: TargetSet) -> bool:
        """Whether somebody follows what a target opens; one that brings a book to nothing needs nobody."""
        known = self._strategies is None or not target.strategy or target.strategy in self._strategies
        return known or not target.quantity

    def _may_still_fill(self, strategy: str, instrument: InstrumentId) -> bool:
        """Whether a book that is flat may not stay so: an order that was to go is not known to be gone."""
        outgoing = self._outgoing.get((strategy, instrument), ())
        orders = self._context.state.orders
        return any(order is not None and order.is_open for order in map(orders.get, outgoing))

    def _adjust_working(self, target: TargetSet, working: LiveOrder, held: Decimal) -> None:
        """Keep an order that still fits; cancel one that does not, and go on when it is gone."""
        remaining = working.remaining if working.spec.side is Side.BUY else -working.remaining
        wanted = target.quantity or ZERO
        rules = self._context.instrument(target.instrument)
        if _same_price(working, target.how, rules):
            if rules.quantity(held + remaining) == wanted:
                return
            if working.exit and _closing_first(held, wanted) and not rules.quantity(held + remaining):
                return
            if _is_part(working, target.how, wanted - held):
                return
        self._replacing.add(working.client_order_id)
        self._trading.cancel(working, "new_target", urgent=False)

    def _send(self, target: TargetSet, held: Decimal, missing: Decimal) -> None:
        context, wanted = self._context, target.quantity or ZERO
        closing = bool(held) and (missing > 0) != (held > 0)
        side = Side.BUY if missing > 0 else Side.SELL
        if closing and self._clear_exits(target, held):
            return
        quantity = abs(missing)
        if closing and _closing_first(held, wanted):
            quantity = abs(held)  # a flip is a close, then an open once the close is confirmed
        ticket = Ticket(
            target.strategy,
            target.instrument,
            side,
            quantity,
            target.how,
            role=Role.CLOSE if closing else Role.ENTRY,
            effect=Effect.CLOSE if closing else Effect.AUTO,
            protect=None if closing else target.protect,
            why=target.why,
            for_target=True,
        )
        placed = self._trading.submit(ticket)
        key = (target.strategy, target.instrument)
        if isinstance(placed, LiveOrder):
            self._orders[key] = placed.client_order_id
        elif placed.is_transient:
            self._retries[key] = 0
        elif closing and not is_dust(context.state, target.instrument, side, abs(held)):
            self._retries[key] = context.now_ns + _CLOSE_AGAIN_NS  # a close is never given up before its time is over
        else:
            self._end(target)
            if target.strategy:
                self._denied(target.strategy, target.instrument, placed)

    def _clear_exits(self, target: TargetSet, held: Decimal) -> bool:
        """Cancel the strategy's own resting exits and tell whether to wait for any: together they would close twice."""
        side = Side.SELL if held > 0 else Side.BUY
        waits = False
        for order in list(self._context.state.orders.open_orders(target.instrument)):
            if order.strategy != target.strategy or order.spec.side is not side:
                continue
            waits = True
            if order.origin is Origin.STRATEGY:
                self._trading.cancel(order, "new_target")
        if waits:
            self._retries[target.strategy, target.instrument] = 0
        return waits

    def _end(self, target: TargetSet) -> None:
        self._retries.pop((target.strategy, target.instrument), None)
        self._backoff.forget((target.strategy, target.instrument))
        self._outgoing.pop((target.strategy, target.instrument), None)
        self._context.record(
            TargetSet(
                target.strategy,
                target.instrument,
                None,
                target.how,
                target.expires_at_ns,
                self._context.now_ns,
                target.why,
            )
        )


def _closing_first(held: Decimal, wanted: Decimal) -> bool:
    """Whether going from `held` to `wanted` passes through flat."""
    return bool(held) and (not wanted or (wanted > 0) != (held > 0))


def _is_part(working: LiveOrder, how: How, missing: Decimal) -> bool:
    """Whether an exit at the market, cut to what one order may be, goes part of the way: the rest follows."""
    is_toward = (missing > 0) == (working.spec.side is Side.BUY)
    return working.exit and isinstance(how, Market) and is_toward and working.remaining < abs(missing)


def _same_price(working: LiveOrder, how: How, rules: Instrument) -> bool:
    """Whether an order is of the kind and at the price that a target now asks for."""
    spec = working.spec
    if isinstance(how, Market):
        return spec.kind is OrderKind.MARKET or spec.expires_at_ns is not None  # a market order sent as a capped limit
    if isinstance(how, Limit | StopLimit):
        rounding = Rounding.FLOOR if spec.side is Side.BUY else Rounding.CEILING
        return spec.price == rules.price(how.price, rounding)
    return spec.trigger == rules.price(how.trigger, Rounding.NEAREST)
