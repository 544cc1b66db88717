"""What is told: a notice about one thing, and a message that carries one notice or a summary of several.

Made by `facts` and the composition root, carried by the outboxes. Holds no secrets once the notifier has cleaned it.
"""

from enum import IntEnum

import msgspec


class Weight(IntEnum):
    """How urgent a notice is."""

    INFO = 0
    """Good to know: an end, a start."""
    WARNING = 1
    """For the working day."""
    CRITICAL = 2
    """Wakes somebody: money or safety is at stake."""

    @property
    def word(self) -> str:
        """The name in lower case, as in the configuration."""
        return self.name.lower()


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened, in words for people."""

    key: str
    """What it is about; the same key in the same `state` is told once within a while."""
    state: str
    """What has become of it: ``halted``, ``quarantined``, ``down``."""
    weight: Weight
    what: str
    """The headline."""
    where: str
    """Scope, venue, strategy or order."""
    since_ns: int
    """Since when, nanoseconds UTC."""
    why: str = ""
    do: str = ""
    """What to do first."""
    runbook: str = ""
    """Name of the page under docs/operations/runbooks."""
    is_end: bool = False
    """Ends what was told under the key before; not told where nothing was."""


class Message(msgspec.Struct, frozen=True):
    """What one channel is given to deliver: one notice, or several as a summary."""

    id: str
    """The same for every attempt, so that receivers can drop a repetition."""
    source: str
    """Which daemon."""
    notices: tuple[Notice, ...]
    """Oldest first; never empty."""

    @property
    def weight(self) -> Weight:
        """The most urgent."""
        return max(one.weight for one in self.notices)
