"""Ids as the venue has them: integers near 2^62, as text. Orders and positions never share one.

They differ from those of an earlier run, and lie close together, so that an order's id taken for a position's is a
wrong one and not just a missing one; as floats they would all be the same.
"""

from quantd.simulators.tradelocker.answers import NS_PER_MS

_ROOM = 2**22


class Ids:
    """Both ways between the exchange's ids (a letter and a count) and the venue's.

    Args:
        started_at_ns: When the venue started.
    """

    def __init__(self, started_at_ns: int) -> None:
        self._base = 2**62 + (started_at_ns // NS_PER_MS) % 2**36 * _ROOM

    def shown(self, exchange_id: str) -> str:
        """Return the venue's id of an order ``o1``, lot ``l1`` or trade ``t1``."""
        return str(self._base + 4 * int(exchange_id[1:]) + "olt".index(exchange_id[0]))

    def order(self, venue_id: str) -> str:
        """Return the exchange's id of an order, nothing when the id is not an order's."""
        return self._back(venue_id, "o")

    def lot(self, venue_id: str) -> str:
        """Return the exchange's id of a lot, nothing when the id is not a position's."""
        return self._back(venue_id, "l")

    def _back(self, venue_id: str, letter: str) -> str:
        if not venue_id.isascii() or not venue_id.isdigit():
            return ""
        count, kind = divmod(int(venue_id) - self._base, 4)
        return f"{letter}{count}" if 0 < 4 * count < _ROOM and "olt"[kind : kind + 1] == letter else ""
