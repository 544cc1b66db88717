"""Keeps in the journal how far an account's log of transactions has been taken in, so that a restart goes on from there.

Used by `VenueKeeper` for venues whose log tells what happened while nobody was listening: exits that the venue executed,
financing, transfers.
"""

import asyncio

from quantd.app.shared import Shared
from quantd.domain.events import CursorAdvanced
from quantd.venues.parts import LogPlace

CURSOR = "transactions_until"
_EVERY_S = 5.0


def resume_log(shared: Shared, venue: str, log: LogPlace) -> None:
    """Let the venue go on after the entry that the journal names; without one it begins at the present."""
    told = shared.engine.state.cursors.get((venue, CURSOR))
    if told:
        log.resume(int(told))


async def follow_log(shared: Shared, venue: str, log: LogPlace) -> None:
    """Note the newest entry that has been taken in, for ever; the first time at once."""
    noted = int(shared.engine.state.cursors.get((venue, CURSOR), "0"))
    while True:
        done = log.reached()
        if done > noted:
            noted = done
            shared.emit(CursorAdvanced(venue, CURSOR, str(noted), shared.clock.now_ns()))
        await asyncio.sleep(_EVERY_S)
