"""What a snapshot of an account proves of its lots, and what it may be too old to know."""

import msgspec

from quantd.domain.lots import Lot
from quantd.domain.numbers import ZERO
from quantd.domain.orders import Side
from quantd.domain.reports import AccountSnapshot
from quantd.engine.context import Context
from quantd.engine.reservations import locked_by_us
from quantd.engine.state import State


def lots_to_take(context: Context, snapshot: AccountSnapshot) -> tuple[Lot, ...] | None:
    """Return the lots that a snapshot proves, None where it shows not all.

    Of an instrument that had an event since the venue was asked, or whose lots are suspect, ours stay: a fill that is not
    reported yet would give its lot to nobody. A lot that an order of ours may have shrunk keeps its size until that fill
    is told, or it would be taken from the lot twice.
    """
    if not snapshot.lots_complete:
        return None
    state = context.state
    known = state.lots.get(snapshot.venue)
    ours = [held.lot for held in known.all()] if known is not None else []
    kept = {
        one
        for one in {lot.instrument for lot in (*ours, *snapshot.lots)}
        if context.suspicions.blocks(one) or state.last_order_event_ns.get(one, 0) >= snapshot.asked_at_ns
    }
    held = {lot.venue_id: lot for lot in ours}
    shown = tuple(_with_untold(state, one, held.get(one.venue_id)) for one in snapshot.lots)
    if not kept:
        return shown
    exits = {lot.venue_id: lot.protection for lot in snapshot.lots}  # which of them stand is the venue's word, always
    return (
        *(one for one in shown if one.instrument not in kept),
        *(
            msgspec.structs.replace(one, protection=exits.get(one.venue_id, one.protection))
            for one in ours
            if one.instrument in kept
        ),
    )


def lots_have_moved(state: State, venue: str, lots: tuple[Lot, ...]) -> bool:
    """Tell whether lots are others than those that are known, or show exits that were set since as they are."""
    known = state.lots.get(venue)
    held = known.all() if known is not None else ()
    return set(lots) != {one.lot for one in held} or any(one.shown_at_ns <= one.set_at_ns for one in held)


def _with_untold(state: State, shown: Lot, ours: Lot | None) -> Lot:
    """Return a lot with what working orders of ours may have closed of it: their fills, once told, make it smaller."""
    net = state.portfolio.nets.get(shown.instrument)
    if ours is None or net is None or ours.side is not shown.side:
        return shown
    closing = net.sells if ours.side is Side.BUY else net.buys
    if ZERO < ours.quantity - shown.quantity <= closing:
        return msgspec.structs.replace(shown, quantity=ours.quantity)
    return shown


def locks_are_stale(state: State, snapshot: AccountSnapshot) -> bool:
    """Tell whether a calm look explains what the venue has locked otherwise than the last look that was taken in.

    An order that was accepted while the venue was asked is counted twice then, as ours and as somebody's; balances that
    do not change any more would keep it so.
    """
    account = state.portfolio.account(snapshot.venue)
    for instrument, at_ns in state.last_order_event_ns.items():
        if at_ns >= snapshot.asked_at_ns and instrument.partition(":")[0] == snapshot.venue:
            return False  # not calm
    ours = locked_by_us(state.orders, state.last_order_event_ns, snapshot.venue, snapshot.asked_at_ns)
    return any(
        max(balance.locked - ours.get(balance.asset, ZERO), ZERO) != account.foreign.get(balance.asset, ZERO)
        for balance in snapshot.balances
    )
