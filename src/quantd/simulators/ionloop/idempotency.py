"""What an Idempotency-Key remembers: the first answer, for the same account key, route and body, for 24 hours.

Used by the venue around the create of an order. Requests are processed one at a time, so that of two at once the
second finds the first one's answer.
"""

from collections import OrderedDict
from hashlib import sha256

from quantd.simulators.ionloop.envelope import NS_PER_S, Answer, Problem

LIFETIME_NS = 24 * 3600 * NS_PER_S


class IdempotencyKeys:
    """Answers by (API key, route, key)."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str, str], tuple[int, bytes, Answer]] = OrderedDict()
        self.replays = 0
        self.conflicts = 0
        """Keys that came again with other bytes."""

    def find(self, owner: tuple[str, str, str], body: bytes, now_ns: int) -> Answer | None:
        """Return the answer that was given before, None for a new key.

        Raises:
            Problem: the key was used for another body.
        """
        while self._kept:
            oldest, (kept_at_ns, _, _) = next(iter(self._kept.items()))
            if kept_at_ns > now_ns - LIFETIME_NS:
                break
            del self._kept[oldest]
        kept = self._kept.get(owner)
        if kept is None:
            return None
        if kept[1] != sha256(body).digest():
            self.conflicts += 1
            raise Problem("VALIDATION_ERROR", "Idempotency-Key was used with another body")
        self.replays += 1
        return kept[2]

    def keep(self, owner: tuple[str, str, str], body: bytes, answer: Answer, now_ns: int) -> None:
        """Remember an answer."""
        self._kept[owner] = (now_ns, sha256(body).digest(), answer)
