"""Tickets: what a signed request gets, and a connection to the streams shows for its private topics.

Good for one connection, within a minute (assumed).
"""

from quantd.simulators.ripio.answers import NS_PER_S
from quantd.simulators.ripio.ids import uuid_of

LIFE_NS = 60 * NS_PER_S


class Tickets:
    """All tickets that were handed out and not yet shown."""

    def __init__(self, tag: str) -> None:
        self._tag = tag
        self._issued = 0
        self._open: dict[str, tuple[str, int]] = {}

    def issue(self, account: str, now_ns: int) -> str:
        """Return a new ticket of an account."""
        self._open = {ticket: held for ticket, held in self._open.items() if held[1] > now_ns}
        self._issued += 1
        ticket = uuid_of(self._tag, f"ticket/{self._issued}")
        self._open[ticket] = (account, now_ns + LIFE_NS)
        return ticket

    def redeem(self, ticket: str, now_ns: int) -> str | None:
        """Return the account of a ticket and void it; None when it is none, or too old."""
        account, ends_at_ns = self._open.pop(ticket, ("", 0))
        return account if now_ns < ends_at_ns else None
