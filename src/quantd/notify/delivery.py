"""The seam between outboxes and what carries a message out of the process.

Implemented by the channels, used by the outboxes.
"""

from typing import Protocol

from quantd.notify.notice import Message


class Undelivered(Exception):
    """A message did not, or perhaps did not, reach its receiver.

    Args:
        reason: In words, without secrets.
        is_final: The receiver refuses this message, and would again: it is not tried once more.
        retry_after_s: Seconds for which the receiver wants none; 0 where it said nothing.
    """

    def __init__(self, reason: str, *, is_final: bool = False, retry_after_s: float = 0.0) -> None:
        super().__init__(reason)
        self.is_final = is_final
        self.retry_after_s = retry_after_s


class Channel(Protocol):
    """Carries messages to one receiver."""

    async def send(self, message: Message) -> None:
        """Deliver a message; the caller bounds the time.

        Raises:
            Undelivered: it is not known to have arrived.
        """

    async def close(self) -> None:
        """Close the connections; a later `send` opens them anew."""
