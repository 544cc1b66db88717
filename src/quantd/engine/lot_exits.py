"""Exits that venues hold: stop, target and trailing stop that hang on a lot (a trade, a position) at the venue.

They go with the entry; what a snapshot then does not show is set anew, with back-off, for as long as it is wanted. A
write of exits says what they all shall be, so that repeating it is safe wherever the venue says so. Used by
`Protection`, which holds here what no venue holds.
"""

from collections.abc import Callable
from decimal import Decimal

from quantd.domain.capabilities import Capabilities, LotWrite, Support
from quantd.domain.cash import PositionMode
from quantd.domain.commands import SetProtection
from quantd.domain.events import OutcomeReceived
from quantd.domain.instruments import Instrument, InstrumentId
from quantd.domain.lots import LotProtection
from quantd.domain.numbers import Rounding
from quantd.domain.orders import Protect
from quantd.domain.outcomes import Accepted, NotExecuted, Rejected, Unknown
from quantd.domain.protection_facts import ProtectionHeld, ProtectionIntended, ProtectionSettled
from quantd.domain.reports import OrderReport
from quantd.engine.context import Context
from quantd.engine.guarding import ACCEPTED, UNKNOWN
from quantd.engine.lots import HeldLot

NOTHING = LotProtection()
SHOWN_WITHIN_NS = 3_000_000_000
"""How long exits that went with an entry may take to be shown before they are set anew."""
_AGAIN_FIRST_NS = 1_000_000_000
_AGAIN_MAX_NS = 30_000_000_000


class LotExits:
    """Sets the exits that venues hold, and knows which of them stand.

    Args:
        context: The engine's.
        is_shared: Whether several strategies trade an instrument.
    """

    def __init__(self, context: Context, is_shared: Callable[[InstrumentId], bool]) -> None:
        self._context = context
        self._is_shared = is_shared
        self._again: dict[tuple[str, str], tuple[int, int]] = {}
        """(venue, lot) -> when its exits may be set again, and how long to wait after that, 0 before the first time."""
        self.report: Callable[[OrderReport], None] = lambda report: None
        """Set by the engine: takes in what an answer tells of the exits."""

    # -- what a venue would hold ---------------------------------------------------------------------------------

    def prices(self, rules: Instrument, protect: Protect) -> LotProtection:
        """Return exits on the instrument's steps.

        Raises:
            ValueError: when a price is not finite.
        """

        def price(value: Decimal | float | None) -> Decimal | None:
            return None if value is None else rules.price(value, Rounding.NEAREST)

        return LotProtection(price(protect.stop), price(protect.take), price(protect.trail))

    def attached(self, rules: Instrument, protect: Protect | None) -> LotProtection | None:
        """Return what of an entry's exits goes to the venue with it; None for nothing."""
        if protect is None or (capabilities := self._holding(rules)) is None:
            return None
        part = _native(capabilities, rules, self.prices(rules, protect))
        return None if part == NOTHING else part

    def wanted(self, guard: ProtectionHeld) -> LotProtection | None:
        """Return what the venue has to hold of a guard's exits, None where it holds none."""
        rules = self._context.instrument(guard.instrument)
        capabilities = self._holding(rules)
        if capabilities is None:
            return None
        part = _native(capabilities, rules, LotProtection(guard.stop, guard.take, guard.trail))
        return None if part == NOTHING else part

    def _holding(self, rules: Instrument) -> Capabilities | None:
        """Return the venue's abilities, None where exits cannot hang on the lots of one strategy alone.

        Where the oldest lot must be closed first, exits of a younger one would be refused when they are needed.
        """
        capabilities = self._context.capabilities.get(rules.venue)
        account = self._context.state.portfolio.account(rules.venue)
        if capabilities is None or LotWrite.PROTECT not in capabilities.lot_writes:
            return None
        told = account.account
        if told is None or not account.is_margin or told.first_in_first_out:
            return None
        return None if told.mode is PositionMode.NETTING and self._is_shared(rules.id) else capabilities

    # -- what it holds -------------------------------------------------------------------------------------------

    def lots(self, guard: ProtectionHeld) -> list[HeldLot]:
        """Return the open lots that a guard's entry opened, oldest first."""
        lots = self._context.state.lots.get(guard.instrument.partition(":")[0])
        return [] if lots is None else lots.of(guard.parent)

    def standing(self, guard: ProtectionHeld) -> LotProtection:
        """Return those of a guard's exits that the venue holds for every one of its lots."""
        wanted = self.wanted(guard)
        if wanted is None:
            return NOTHING
        shown = [held.lot.protection for held in self.lots(guard)]
        if not shown:
            return NOTHING
        return LotProtection(
            wanted.stop if all(one.stop == wanted.stop for one in shown) else None,
            wanted.take if all(one.take == wanted.take for one in shown) else None,
            wanted.trail if all(one.trail == wanted.trail for one in shown) else None,
        )

    def lacks_stop(self, guard: ProtectionHeld) -> bool:
        """Whether a stop that the venue has to hold is not known to stand; one at another price counts as a stop."""
        wanted = self.wanted(guard)
        if wanted is None or (wanted.stop is None and wanted.trail is None):
            return False
        shown = [held.lot.protection for held in self.lots(guard)]
        if not shown:
            return not self._is_gone(guard)
        return any(
            (wanted.stop is not None and one.stop is None) or (wanted.trail is not None and one.trail is None)
            for one in shown
        )

    def is_proven(self, guard: ProtectionHeld) -> bool:
        """Whether a snapshot has shown all lots since their exits were taken: a venue's "yes" alone is no proof."""
        return self.wanted(guard) is None or all(held.shown_at_ns > held.set_at_ns for held in self.lots(guard))

    def _is_gone(self, guard: ProtectionHeld) -> bool:
        """Whether the venue has closed all of it and only the report of that is on its way."""
        lots = self._context.state.lots.get(guard.instrument.partition(":")[0])
        return lots is not None and any(held.entry == guard.parent for held in lots.gone())

    # -- making it so --------------------------------------------------------------------------------------------

    def look(self, guard: ProtectionHeld, *, at_once: bool = False) -> None:
        """Set the exits of each lot that does not show what is wanted, unless it was tried a moment ago.

        Args:
            guard: What is wanted.
            at_once: Whether it has just been changed: nothing that went with the entry is on its way.
        """
        wanted = self.wanted(guard)
        if wanted is None:
            return
        venue = guard.instrument.partition(":")[0]
        under_way = {write.lot for write in self._context.state.guarding.writes.values()}
        for held in self.lots(guard):
            lot, key = held.lot.venue_id, (venue, held.lot.venue_id)
            if held.lot.protection == wanted:
                self._again.pop(key, None)
            elif lot not in under_way and (at_once or self._may_set(held, key)):
                self._set(guard, lot, wanted)

    def clear(self, guard: ProtectionHeld) -> None:
        """Take all exits from a guard's lots: they are wanted no more. Tried once; a person sees what is left."""
        if self.wanted(guard) is not None:
            for held in self.lots(guard):
                self._set(guard, held.lot.venue_id, NOTHING)

    @property
    def waits(self) -> bool:
        """Whether something may have to be set with time: a backtest has no other ticks."""
        guarding = self._context.state.guarding
        return any(
            self.standing(guard) != wanted
            for guard in guarding.held.values()
            if (wanted := self.wanted(guard)) is not None
        )

    def _may_set(self, held: HeldLot, key: tuple[str, str]) -> bool:
        now_ns = self._context.now_ns
        known = self._again.get(key)
        if known is None:
            if len(self._again) > 1_000:
                self._again.clear()
            known = self._again[key] = (now_ns + SHOWN_WITHIN_NS, 0)
        at_ns, waited_ns = known
        return now_ns >= at_ns or (not waited_ns and held.shown_at_ns > 0)

    def _set(self, guard: ProtectionHeld, lot: str, wanted: LotProtection) -> None:
        context = self._context
        write_id = context.ids.next()
        context.record(
            ProtectionIntended(write_id, guard.strategy, guard.instrument, guard.parent, lot, wanted, context.now_ns)
        )
        context.send(SetProtection(write_id, 1, guard.instrument, lot, wanted))

    def outcome(self, event: OutcomeReceived) -> bool:
        """Book what became of setting exits; False when the event is of something else.

        An unknown outcome is no end: the exits are set again where that is safe, else looked for until the venue's
        quiet period is over.
        """
        context = self._context
        write = context.state.guarding.writes.get(event.client_order_id)
        if write is None:
            return False
        venue = write.instrument.partition(":")[0]
        outcome, key = event.outcome, (venue, write.lot)
        result, code = ACCEPTED, ""
        wait_ns = self._again.get(key, (0, 0))[1] or _AGAIN_FIRST_NS
        if isinstance(outcome, Rejected):
            result, code = "rejected", outcome.code
        elif isinstance(outcome, NotExecuted):
            result, code = "not_executed", outcome.reason
        elif isinstance(outcome, Unknown):
            result, code = UNKNOWN, outcome.cause
            if LotWrite.PROTECT not in context.capabilities[venue].repeat_safe_lot_writes:
                wait_ns = max(wait_ns, int(context.capabilities[venue].quiet_period_s * 1e9))
        context.record(ProtectionSettled(event.client_order_id, result, context.now_ns, code))
        if result == ACCEPTED:
            self._again.pop(key, None)
        else:
            self._again[key] = (context.now_ns + wait_ns, min(2 * wait_ns, _AGAIN_MAX_NS))
        if isinstance(outcome, Accepted):
            for report in outcome.reports:
                self.report(report)
        return True

    def lose_in_flight(self, cause: str) -> None:
        """After a fold: what was under way may or may not have happened; the next snapshot shows it."""
        context = self._context
        for write_id in [write.client_order_id for write in context.state.guarding.writes.values()]:
            context.record(ProtectionSettled(write_id, UNKNOWN, context.now_ns, cause))


def _native(capabilities: Capabilities, rules: Instrument, exits: LotProtection) -> LotProtection:
    """Return those exits that a venue holds itself."""
    brackets, trail = capabilities.bracket is Support.NATIVE, exits.trail
    if trail is not None and (
        capabilities.trailing is not Support.NATIVE
        or (rules.min_trail is not None and trail < rules.min_trail)
        or (rules.max_trail is not None and trail > rules.max_trail)
    ):
        trail = None
    return LotProtection(exits.stop if brackets else None, exits.take if brackets else None, trail)
