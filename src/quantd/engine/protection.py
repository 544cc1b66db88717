"""Protection: stop, take profit and trailing stop for what an entry bought or sold, and held stop orders.

What a venue holds for a lot is set by `LotExits`; the rest the engine holds: it watches the price, and a trigger sends a
reducing order through the gate like any other. Journalled, so that a restart has all of it back. Of one entry's exits
only one can ever leave, and where lots tell entries apart it closes that entry's lots and nothing else.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from quantd.domain.events import OutcomeReceived
from quantd.domain.fills import Fill, Quality
from quantd.domain.instruments import Instrument, InstrumentId
from quantd.domain.lots import LotProtection
from quantd.domain.numbers import ZERO, Rounding
from quantd.domain.orders import ClientOrderId, Protect, Role, Side
from quantd.domain.protection_facts import ProtectionHeld
from quantd.engine.context import Context
from quantd.engine.lot_exits import NOTHING, LotExits
from quantd.engine.nakedness import Nakedness
from quantd.engine.orders import LiveOrder
from quantd.engine.rates import Mark
from quantd.engine.spent_exits import SpentExits
from quantd.engine.spent_stops import is_stop_again, place_again
from quantd.engine.trading import Trading
from quantd.engine.way_out import WayOut


class Protection:
    """Keeps every position under the exits that its strategy wants, wherever they are held.

    Args:
        context: The engine's.
        trading: Sends the exits that the engine holds.
        is_shared: Whether several strategies trade an instrument.
    """

    def __init__(self, context: Context, trading: Trading, is_shared: Callable[[InstrumentId], bool]) -> None:
        self._context = context
        self._trading = trading
        self._stops: dict[InstrumentId, dict[str, LiveOrder]] = {}
        """Stop orders that the venue cannot hold, and what is left of those that were reached."""
        self.exits = LotExits(context, is_shared)
        self._way_out = WayOut(context, trading, self.exits, self._end)
        self.nakedness = Nakedness(context, self.exits, self._leave)
        self._spent = SpentExits(context, trading)
        trading.held, trading.attached, trading.change_exits = self.hold, self.exits.attached, self.change

    def restore(self) -> None:
        """Find the held orders again after a fold."""
        for order in self._context.state.orders.open_orders():
            if order.held:
                self.hold(order)
        self._spent.restore()

    def hold(self, order: LiveOrder) -> None:
        """Watch the trigger of an order that the venue cannot hold; try one again that was reached already."""
        if order.spec.trigger is not None or is_stop_again(order):
            self._stops.setdefault(order.instrument, {})[order.client_order_id] = order

    @property
    def is_idle(self) -> bool:
        """Whether nothing is watched at all."""
        return not self._stops and not self._context.state.protections

    @property
    def waits(self) -> bool:
        """Whether `time_passed` may have anything to send, or a stop is to be shown by the venue yet."""
        guards = self._context.state.protections
        if self._spent.waits or self.nakedness.episodes:
            return True
        return bool(guards) and (any(guard.due is not None for guard in guards.values()) or self.exits.waits)

    @property
    def is_held_up(self) -> bool:
        """Whether an exit that was reached waits to be tried again, nothing of it being at work."""
        guards = self._context.state.protections.values()
        return any(guard.due is not None and not self._way_out.under_way(guard) for guard in guards)

    # -- following the entries ------------------------------------------------------------------------------------

    def filled(self, order: LiveOrder, signed: Decimal, fill: Fill) -> None:
        """Guard what an entry got; shrink the guards when the strategy itself got out."""
        context = self._context
        if order.protect is not None:
            known = context.state.protections.get(order.client_order_id)
            if known is not None:
                self._set(known, quantity=signed + known.quantity)
            else:
                rules = context.instrument(order.instrument)
                exits, mark = self.exits.prices(rules, order.protect), self._trail_start(rules, fill, long=signed > 0)
                self._guard(order.strategy, order.instrument, order.client_order_id, signed, exits, mark)
        if context.state.protections:
            self._shrink(order.strategy, order.instrument, order.parent)
            guard = context.state.protections.get(order.client_order_id)
            if guard is not None:
                self._look(guard)
        self._spent.look(order.strategy, order.instrument)

    def _trail_start(self, rules: Instrument, fill: Fill, *, long: bool) -> Decimal:
        """Return where a trail begins: at the fill, for what we saw last may be from before the move that filled the entry.

        An estimated price is the worst that it may be: there, what we saw counts where that is further from the market.
        """
        price, seen = rules.price(fill.price, Rounding.NEAREST), self._context.state.rates.marks[rules.id].exact()
        if fill.quality is Quality.CONFIRMED or seen is None:
            return price
        return min(price, seen) if long else max(price, seen)

    def change(self, strategy: str, instrument: InstrumentId, protect: Protect) -> bool:
        """Put all that a strategy holds of an instrument under these exits, instead of those that it has.

        What is under them already stays as it is: a stop that was reached stays reached, a trail stays where it stands.

        Returns:
            Whether it holds anything.

        Raises:
            ValueError: when a price or distance is not finite, or not above 0: such an exit would never be reached, or at once.
        """
        context = self._context
        held = context.state.portfolio.book(strategy, instrument).quantity
        if not held:
            return False
        exits = self.exits.prices(context.instrument(instrument), protect)
        if any(price is not None and price <= 0 for price in msgspec.structs.astuple(exits)):
            raise ValueError(f"protect: expected exits above 0, found {protect}")
        mark = context.state.rates.marks[instrument].exact()
        guards = self._guards(strategy, instrument)
        changed: set[str] = {guard.parent for guard in guards if _exits_of(guard) != exits}
        for guard in guards:
            if guard.parent in changed:
                if exits == NOTHING:
                    self.exits.clear(guard)
                trails = exits.trail is not None and exits.trail == guard.trail
                self._guard(strategy, instrument, guard.parent, guard.quantity, exits, guard.mark if trails else mark)
        for entry, quantity in self._unguarded(strategy, instrument, held, guards):
            self._guard(strategy, instrument, entry, quantity, exits, mark)
            changed.add(entry)
        for guard in self._guards(strategy, instrument):
            if guard.parent in changed:
                self.exits.look(guard, at_once=True)
                self.nakedness.look(guard)
        return True

    def _guards(self, strategy: str, instrument: InstrumentId) -> list[ProtectionHeld]:
        guards = self._context.state.protections.values()
        return [one for one in guards if one.strategy == strategy and one.instrument == instrument]

    def _unguarded(
        self, strategy: str, instrument: InstrumentId, held: Decimal, guards: list[ProtectionHeld]
    ) -> list[tuple[str, Decimal]]:
        """Return (entry, signed quantity) of what a book holds without a guard, by the lots' entries where there are lots."""
        covered = {guard.parent for guard in guards}
        if self._follows_lots(instrument):
            sums = self._lot_sums(strategy, instrument)
            return [(one, lots) for one, lots in sums.items() if one and one not in covered and lots * held > 0]
        rest = held - sum((guard.quantity for guard in guards), ZERO)
        name = f"{strategy} {instrument}"  # of no entry in particular
        own = sum((guard.quantity for guard in guards if guard.parent == name), ZERO)
        return [(name, own + rest)] if rest * held > 0 else []

    def _guard(  # noqa: PLR0913 -- the fields of the fact
        self,
        strategy: str,
        instrument: InstrumentId,
        entry: str,
        quantity: Decimal,
        exits: LotProtection,
        mark: Decimal | None,
    ) -> None:
        """Record what is wanted from here on; exits of nothing at all end the guard."""
        now_ns = self._context.now_ns
        quantity = ZERO if exits == NOTHING else quantity
        name = ClientOrderId(entry)
        self._record(
            ProtectionHeld(strategy, instrument, name, quantity, exits.stop, exits.take, exits.trail, mark, now_ns)
        )

    def _set(self, guard: ProtectionHeld, **changes: Any) -> ProtectionHeld:
        """Record a change of a guard, and return it as it is now."""
        changed = msgspec.structs.replace(guard, at_ns=self._context.now_ns, **changes)
        self._record(changed)
        return changed

    def _end(self, guard: ProtectionHeld) -> None:
        self._set(guard, quantity=ZERO)

    def _record(self, guard: ProtectionHeld) -> None:
        self._context.record(guard)
        if not guard.quantity:
            self.nakedness.ended(guard.parent)

    def _follows_lots(self, instrument: InstrumentId) -> bool:
        """Whether fills name lots that are the work of one order each, so that a guard is as large as its lots."""
        capabilities = self._context.capabilities.get(instrument.partition(":")[0])
        return capabilities is not None and bool(capabilities.lot_writes)

    def adjusted(self, strategy: str, instrument: InstrumentId) -> None:
        """Follow a book that reconciliation has moved: what is no longer held needs no guard, what was adopted does."""
        context = self._context
        held = context.state.portfolio.book(strategy, instrument).quantity
        for entry, quantity in self._lot_sums(strategy, instrument).items():
            order = context.state.orders.get(entry)
            if order is None or order.protect is None or entry in context.state.protections or quantity * held <= 0:
                continue
            exits = self.exits.prices(context.instrument(instrument), order.protect)
            self._guard(strategy, instrument, entry, quantity, exits, context.state.rates.marks[instrument].exact())
        self._shrink(strategy, instrument)
        self._spent.look(strategy, instrument)

    def _shrink(self, strategy: str, instrument: InstrumentId, parent: str = "") -> None:
        """Never guard more than is held: an entry's own lots, and a share of what the book holds that no lot explains.

        That is all of it where fills name no lots; elsewhere a fill that has not named its lot yet, or what another's
        orders closed and opened anew. The newest guard takes first, the one whose exit has just traded last.
        """
        held = self._context.state.portfolio.book(strategy, instrument).quantity
        guards = self._guards(strategy, instrument)
        for guard in [one for one in guards if held * one.quantity <= 0]:
            guards.remove(guard)
            self._end(guard)
        explained = self._lot_sums(strategy, instrument)
        rest = max(abs(held) - abs(sum(explained.values(), ZERO)), ZERO)
        guards.sort(key=lambda guard: guard.parent != parent)
        for guard in reversed(guards):
            own = abs(explained.get(guard.parent, ZERO))
            kept = min(abs(guard.quantity), own + rest)
            rest -= max(kept - own, ZERO)
            if kept != abs(guard.quantity):
                self._set(guard, quantity=kept.copy_sign(guard.quantity))

    def _lot_sums(self, strategy: str, instrument: InstrumentId) -> dict[str, Decimal]:
        """Return what a strategy's lots of an instrument hold, signed, by their entry; nothing where fills name none."""
        lots = self._context.state.lots.get(instrument.partition(":")[0])
        sums: dict[str, Decimal] = {}
        for one in lots.all() if lots is not None and self._follows_lots(instrument) else ():
            if one.strategy == strategy and one.lot.instrument == instrument:
                sums[one.entry] = sums.get(one.entry, ZERO) + one.lot.signed
        return sums

    # -- following the venue and the time ------------------------------------------------------------------------

    def look(self) -> None:
        """Look at every guard: after a snapshot, after an answer of the venue, and with every tick."""
        guards = self._context.state.protections
        for parent in list(guards):
            guard = guards.get(parent)
            if guard is not None:
                self._look(guard)

    def _look(self, guard: ProtectionHeld) -> None:
        self.exits.look(guard)
        self.nakedness.look(guard)

    def _leave(self, guard: ProtectionHeld) -> None:
        """Get out of a position that cannot be protected."""
        self._way_out.leave(guard, guard.due or Role.CLOSE)

    def time_passed(self) -> None:
        """Try again what was due, set what is not shown, and count the seconds of what is naked."""
        for order in [one for held in self._stops.values() for one in held.values() if is_stop_again(one)]:
            self._release(order)
        self._spent.time_passed()
        guards = self._context.state.protections
        if not guards:
            return
        for parent in list(guards):
            guard = guards.get(parent)
            if guard is not None and guard.due is not None and self._way_out.may_try(parent):
                self._way_out.exit(guard, guard.due)
        self.look()

    def outcome(self, event: OutcomeReceived) -> None:
        """Take in an answer that belongs to no order: what became of setting a lot's exits."""
        if self.exits.outcome(event):
            self.look()

    def lose_in_flight(self, cause: str) -> None:
        """After a fold: see `LotExits.lose_in_flight`."""
        self.exits.lose_in_flight(cause)

    # -- following the market -------------------------------------------------------------------------------------

    def marked(self, mark: Mark) -> None:
        """Look at everything that the new price may trigger."""
        instrument = mark.instrument.id
        held = self._stops.get(instrument)
        if held:
            for order in list(held.values()):
                if not order.is_open or not order.held:
                    held.pop(
                        order.client_order_id, None
                    )  # the end of one before it may have ended it, and taken it out
                elif _reached(order, mark):
                    self._release(order)
        guards = self._context.state.protections
        if guards:
            for parent in list(guards):
                guard = guards.get(parent)  # as it is now: one before it may have changed it
                if guard is not None and guard.instrument == instrument:
                    self._watch(guard, mark)

    def _watch(self, guard: ProtectionHeld, mark: Mark) -> None:
        """Follow the best price, and the price for the exits that no venue is known to hold."""
        price = mark.instrument.price(mark.bid if guard.quantity > 0 else mark.ask, Rounding.NEAREST)
        if price <= 0:
            return
        long = guard.quantity > 0
        best = guard.mark
        if guard.trail is not None and (best is None or (price > best if long else price < best)):
            # Also while the venue holds the trail: should it hold it no more, we go on from where it stood.
            guard = self._set(guard, mark=price)
        standing = self.exits.standing(guard)
        exits = LotProtection(
            guard.stop if standing.stop is None else None,
            guard.take if standing.take is None else None,
            guard.trail if standing.trail is None else None,
        )
        role = guard.due or _triggered(exits, guard.mark, price, long)
        if role is None:
            return
        if role is not Role.TARGET and guard.due is None:
            guard = self._set(guard, due=role)
            self.nakedness.look(guard)
        if self._way_out.may_try(guard.parent):
            self._way_out.exit(guard, role)

    def changed(self, order: LiveOrder) -> None:
        """Look at an open order of which something became known: one that had ended may be alive after all."""
        self._spent.changed(order)

    # -- held stop orders --------------------------------------------------------------------------------------------

    def ended(self, order: LiveOrder) -> None:
        """Forget a held order that was cancelled; place one again that left and came to nothing."""
        held = self._stops.get(order.instrument)
        if held is not None:
            held.pop(order.client_order_id, None)
        self._way_out.ended(order)
        again = place_again(self._context, order)
        if again is not None:
            self._way_out.denied(again.client_order_id)
            self.hold(again)

    def _release(self, order: LiveOrder) -> None:
        """Send a held order, unless it was turned away a moment ago."""
        if not self._way_out.may_try(order.client_order_id):
            return
        self._trading.release(order)
        if order.held and order.is_open:
            self._way_out.denied(order.client_order_id)
        else:
            self._stops[order.instrument].pop(order.client_order_id, None)


def _exits_of(guard: ProtectionHeld) -> LotProtection:
    return LotProtection(guard.stop, guard.take, guard.trail)


def _reached(order: LiveOrder, mark: Mark) -> bool:
    trigger = order.spec.trigger
    if trigger is None:
        return False
    if order.spec.side is Side.BUY:
        return mark.ask > 0 and mark.instrument.price(mark.ask, Rounding.NEAREST) >= trigger
    return mark.bid > 0 and mark.instrument.price(mark.bid, Rounding.NEAREST) <= trigger


def _triggered(exits: LotProtection, best: Decimal | None, price: Decimal, long: bool) -> Role | None:
    """Return the exit that `price` triggers; the stop before the target where both would."""
    if exits.stop is not None and (price <= exits.stop if long else price >= exits.stop):
        return Role.STOP
    if exits.trail is not None and best is not None:
        edge = best - exits.trail if long else best + exits.trail
        if price <= edge if long else price >= edge:
            return Role.TRAIL
    if exits.take is not None and (price >= exits.take if long else price <= exits.take):
        return Role.TARGET
    return None
