"""Whether a webhook really comes from ionloop and is new; pure.

Used by `webhooks.WebhookReceiver`. Compares in constant time, knows no clock and no network.
"""

import base64
import binascii
import hmac
from hashlib import sha256

from quantd.venues.ionloop.translate import SECOND_NS

MAX_AGE_NS = 25 * 3600 * SECOND_NS
"""The venue retries for up to 24 h; an hour is added for clocks and queues."""

_DIGEST_BYTES = 32


def sign(secret: str, body: bytes) -> str:
    """Return the signature of a body as lower-case hex."""
    return hmac.new(secret.encode(), body, sha256).hexdigest()


def is_signed(secret: str, body: bytes, signature: str) -> bool:
    """Tell whether `signature` is the HMAC-SHA256 of the raw `body` under `secret`, in constant time.

    The venue does not say how it writes the digest: hex, ``sha256=`` before hex, and base64 are taken. An empty
    secret signs nothing.
    """
    given = _digest(signature.strip())
    expected = hmac.new(secret.encode(), body, sha256).digest()
    return hmac.compare_digest(given, expected) and bool(secret)


def _digest(signature: str) -> bytes:
    text = signature.removeprefix("sha256=")
    try:
        if len(text) == 2 * _DIGEST_BYTES:
            return bytes.fromhex(text)
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return b""


class EventIds:
    """The ids of events that were taken, kept as long as the venue could send them again.

    Invariant: an event is refused from the moment it was taken until its own age refuses it. When the store is full
    the oldest ids go, and everything created up to them counts as taken.
    """

    def __init__(self, *, capacity: int = 100) -> None:
        self._capacity = capacity
        self._created_at: dict[str, int] = {}
        self._floor_ns = 0

    def __len__(self) -> int:
        """Return how many ids are kept."""
        return len(self._created_at)

    def is_taken(self, event_id: str, created_at_ns: int) -> bool:
        """Tell whether the event was taken before."""
        return created_at_ns <= self._floor_ns or event_id in self._created_at

    def take(self, event_id: str, created_at_ns: int, now_ns: int) -> None:
        """Remember an event, and forget those that are refused by their age."""
        self._created_at[event_id] = created_at_ns
        if len(self._created_at) > self._capacity:
            self._shrink(now_ns)

    def forget(self, event_id: str) -> None:
        """Take an event for new again: it could not be handed on."""
        self._created_at.pop(event_id, None)

    def _shrink(self, now_ns: int) -> None:
        self._created_at = {id_: at for id_, at in self._created_at.items() if at > now_ns - MAX_AGE_NS}
        excess = len(self._created_at) - self._capacity * 9 // 10
        if len(self._created_at) <= self._capacity or excess <= 0:
            return
        for id_, at in sorted(self._created_at.items(), key=lambda item: item[1])[:excess]:
            del self._created_at[id_]
            self._floor_ns = max(self._floor_ns, at)

    def export(self, now_ns: int) -> dict[str, int]:
        """Return what must survive a restart: creation time in nanoseconds by id, the floor under the empty id."""
        kept = {id_: at for id_, at in self._created_at.items() if at > now_ns - MAX_AGE_NS}
        return {"": self._floor_ns, **kept} if self._floor_ns else kept

    def restore(self, exported: dict[str, int]) -> None:
        """Take over what an earlier process had taken."""
        self._floor_ns = max(self._floor_ns, exported.get("", 0))
        self._created_at.update({id_: at for id_, at in exported.items() if id_})
