"""What a snapshot of an account proves of its lots, and what it may be too old to know."""

import msgspec

from quantd.domain.lots import Lot
from quantd.domain.reports import AccountSnapshot
from quantd.engine.context import Context


def lots_to_take(context: Context, snapshot: AccountSnapshot) -> tuple[Lot, ...] | None:
    """Return the lots that a snapshot proves, None where it shows not all.

    Of an instrument that had an event since the venue was asked, or whose lots are suspect, ours stay: a fill that is not
    reported yet would give its lot to nobody.
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
    if not kept:
        return snapshot.lots
    exits = {lot.venue_id: lot.protection for lot in snapshot.lots}  # which of them stand is the venue's word, always
    return (
        *(one for one in snapshot.lots if one.instrument not in kept),
        *(
            msgspec.structs.replace(one, protection=exits.get(one.venue_id, one.protection))
            for one in ours
            if one.instrument in kept
        ),
    )
