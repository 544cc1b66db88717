"""Keeps in the journal what a connector must remember over a restart, and hands it back at the next start.

Used by `VenueKeeper` for venues that cannot be asked afterwards for what a search will need.
"""

from quantd.app.shared import Shared
from quantd.domain.events import CursorAdvanced
from quantd.venues.parts import Notes

CURSOR = "note"
"""The cursors ``note/<part>``."""


def keep_notes(shared: Shared, venue: str, notes: Notes) -> None:
    """Hand back the parts that the journal knows, and write down each one that comes."""
    found: dict[str, str] = {}
    for (owner, cursor), text in shared.engine.state.cursors.items():
        kind, _, part = cursor.partition("/")
        if owner == venue and kind == CURSOR:
            found[part] = text
    notes.restore(found)
    notes.follow(lambda part, text: shared.emit(CursorAdvanced(venue, f"{CURSOR}/{part}", text, shared.clock.now_ns())))
