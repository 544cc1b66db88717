"""Who may ask, and how often: bearer keys with scopes, sliding windows, bans.

Used by the venue before anything is processed: what is refused here has certainly not been done.
"""

from collections import Counter, deque
from collections.abc import Iterable

from quantd.simulators.ionloop.envelope import NS_PER_S, Problem, retry_after
from quantd.simulators.ionloop.options import ApiKey, RateRules
from quantd.simulators.ionloop.routes import Asked
from quantd.simulators.windows import SlidingWindow

_MINUTE_NS = 60 * NS_PER_S
_BAN_MAX_S = 3 * 86_400.0


_Limit = tuple[tuple[str, ...], int, int]
"""(name of the window, limit, span in nanoseconds)."""


class _Address:
    """What is held against an address."""

    __slots__ = ("banned_until_ns", "bans", "refused")

    def __init__(self) -> None:
        self.refused: deque[int] = deque()
        self.banned_until_ns = 0
        self.bans = 0


class Access:
    """Keys and limits of one venue."""

    def __init__(self, keys: Iterable[ApiKey], rates: RateRules) -> None:
        self._keys = {key.key: key for key in keys}
        self._rates = rates
        self._windows: dict[tuple[str, ...], SlidingWindow] = {}
        self._addresses: dict[str, _Address] = {}
        self.refused: Counter[str] = Counter()
        """429 answers by the limit that gave them."""
        self.bans = 0

    def check_ban(self, peer: str, now_ns: int) -> float | None:
        """Return the seconds that an address is still banned, None when it is not."""
        address = self._addresses.get(peer)
        if address is None or now_ns >= address.banned_until_ns:
            return None
        return (address.banned_until_ns - now_ns) / NS_PER_S

    def admit(self, asked: Asked | None, header: str | None, peer: str, now_ns: int) -> ApiKey | None:
        """Return the key of a request that may be processed, None on a public route without one.

        Raises:
            Problem: it may not.
        """
        key = self._authenticated(header)
        needs_key = asked is None or bool(asked.route.scope)
        if (header is not None or needs_key) and key is None:
            self._count(self._limits(None, None, peer), peer, now_ns)
            raise Problem("UNAUTHORIZED", "Missing or invalid API token")
        self._count(self._limits(asked, key, peer), peer, now_ns)
        if asked is None:
            raise Problem("NOT_FOUND", "No such route")
        if key is not None and asked.route.scope and asked.route.scope not in key.scopes:
            raise Problem("FORBIDDEN", f"Missing scope {asked.route.scope}")
        return key

    def _authenticated(self, header: str | None) -> ApiKey | None:
        if header is None or not header.startswith("Bearer "):
            return None
        return self._keys.get(header.removeprefix("Bearer "))

    def _limits(self, asked: Asked | None, key: ApiKey | None, peer: str) -> list[_Limit]:
        """Return (window, limit, span) of all that a request counts against."""
        rates = self._rates
        caller = f"key:{key.key}" if key is not None else f"address:{peer}"
        if key is None:
            limits: list[_Limit] = [(("public", caller), rates.public_per_minute, _MINUTE_NS)]
        else:
            limits = [(("key", caller), rates.key_per_minute, _MINUTE_NS)]
        if asked is None:
            return limits
        if asked.route.is_order_route:
            limits.append((("orders", caller), rates.orders_per_second, NS_PER_S))
        if asked.route.operation == "ticker":
            limits.append((("ticker", caller, asked.part), 1, round(rates.ticker_every_s * NS_PER_S)))
        if asked.route.operation == "status":
            limits.append((("status", caller), 1, round(rates.status_every_s * NS_PER_S)))
        return limits

    def _count(self, limits: list[_Limit], peer: str, now_ns: int) -> None:
        windows = []
        for name, limit, span_ns in limits:
            window = self._windows.get(name)
            if window is None:
                window = self._windows[name] = SlidingWindow(limit, span_ns)
            wait_ns = window.wait_ns(now_ns)
            if wait_ns:
                self._refuse(name[0], peer, now_ns, wait_ns)
            windows.append(window)
        for window in windows:
            window.take(now_ns)

    def _refuse(self, limit: str, peer: str, now_ns: int, wait_ns: int) -> None:
        self.refused[limit] += 1
        address = self._addresses.setdefault(peer, _Address())
        refused = address.refused
        refused.append(now_ns)
        while refused[0] <= now_ns - _MINUTE_NS:
            refused.popleft()
        if len(refused) >= self._rates.ban_after:
            ban_s = min(self._rates.ban_s * 2.0**address.bans, _BAN_MAX_S)
            address.banned_until_ns = now_ns + round(ban_s * NS_PER_S)
            address.bans += 1
            refused.clear()
            self.bans += 1
        raise Problem("RATE_LIMITED", f"Quota exceeded: {limit}", headers=retry_after(wait_ns / NS_PER_S))
