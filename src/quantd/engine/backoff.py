"""How long to wait with what a venue has refused outright: the first time not at all, then longer each time.

What it says "no" to may be closed already, or too small, or the market shut. Only a calm look tells, and no look is calm, nor
has room in the rate budget, while orders come and go.
"""

from collections.abc import Hashable

_FIRST_NS = 1_000_000_000
_MAX_NS = 16_000_000_000
_KEYS_MAX = 1_000


class Backoff:
    """Waits by what they are for; engine time, nanoseconds."""

    def __init__(self) -> None:
        self._next_ns: dict[Hashable, int] = {}

    def refused(self, key: Hashable) -> int:
        """Note one more refusal and return how long to wait: 0, 1, 2, 4, 8 seconds, then 16 each time."""
        wait_ns = self._next_ns.pop(key, 0)
        if len(self._next_ns) >= _KEYS_MAX:
            self._next_ns.clear()
        self._next_ns[key] = min(max(2 * wait_ns, _FIRST_NS), _MAX_NS)
        return wait_ns

    def forget(self, key: Hashable) -> None:
        """Begin anew: something else became of it."""
        self._next_ns.pop(key, None)
