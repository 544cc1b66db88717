"""Who may ask, and how often: log-in, tokens that end and are renewed in pairs, accounts, sliding windows.

Used by the venue before anything is processed: what is refused here has certainly not been done. Assumed, for no
document tells: a wrong log-in is a 400, an account header that fits no account a 403, windows slide and count by
account, and a renewal leaves the old access token good until its own end.
"""

import base64
import hashlib
import hmac
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from quantd.simulators.tradelocker.answers import NS_PER_S, Failed
from quantd.simulators.tradelocker.options import AccountRules, Setup, Switches
from quantd.simulators.tradelocker.routes import Asked
from quantd.simulators.venue import Json
from quantd.simulators.windows import SlidingWindow

_SPANS_NS = {"SECONDS": NS_PER_S, "MINUTES": 60 * NS_PER_S}
_SIGNED_WITH = b"simulated"


class Access:
    """Tokens and windows of one user."""

    def __init__(self, setup: Setup, switches: Switches) -> None:
        self._setup = setup
        self._switches = switches
        self._limits = {one.rate_limit_type: one for one in setup.rate_limits}
        self._windows: dict[tuple[str, str], SlidingWindow] = {}
        self._access: dict[str, int] = {}
        """End in nanoseconds by token."""
        self._refresh: dict[str, int] = {}
        self._minted = 0
        self.counts: Counter[str] = Counter()
        self.crowded: Counter[str] = Counter()

    # --- sessions ---------------------------------------------------------------------------------------------------

    def log_in(self, body: Mapping[str, Any], now_ns: int) -> Json:
        """Return a pair of tokens.

        Raises:
            Failed: a member is missing or wrong (400).
        """
        wanted = {"email": self._setup.email, "password": self._setup.password, "server": self._setup.server}
        if any(body.get(name) != value for name, value in wanted.items()):
            self.counts["refused_log_ins"] += 1
            raise Failed(400, "email, password or server is wrong")
        self.counts["log_ins"] += 1
        return self._pair(now_ns)

    def refresh(self, body: Mapping[str, Any], now_ns: int) -> Json:
        """Return a new pair for a refresh token, which is spent by it.

        Raises:
            Failed: it is none, it has ended, or it was spent (401).
        """
        ends_at_ns = self._refresh.pop(str(body.get("refreshToken")), 0)
        if ends_at_ns <= now_ns:
            raise Failed(401, "the refresh token is not valid")
        self.counts["refreshes"] += 1
        return self._pair(now_ns)

    def revoke(self, *, refresh: bool) -> None:
        """End all access tokens at once, and the refresh tokens too where told."""
        self._access.clear()
        if refresh:
            self._refresh.clear()

    def _pair(self, now_ns: int) -> Json:
        access_ends_ns = now_ns + round(self._switches.access_s * NS_PER_S)
        refresh_ends_ns = now_ns + round(self._switches.refresh_s * NS_PER_S)
        access, refresh = self._mint("access", access_ends_ns), self._mint("refresh", refresh_ends_ns)
        self._access[access], self._refresh[refresh] = access_ends_ns, refresh_ends_ns
        ends = datetime.fromtimestamp(access_ends_ns // NS_PER_S, UTC)
        return {
            "accessToken": access, "refreshToken": refresh, "expireDate": ends.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        }  # fmt: skip

    def _mint(self, kind: str, ends_at_ns: int) -> str:
        self._minted += 1
        claims = {
            "sub": f"{self._setup.server}#1", "exp": ends_at_ns // NS_PER_S, "jti": str(self._minted), "typ": kind,
        }  # fmt: skip
        head = _part(msgspec.json.encode({"alg": "HS256", "typ": "JWT"})) + "." + _part(msgspec.json.encode(claims))
        return f"{head}.{_part(hmac.digest(_SIGNED_WITH, head.encode(), hashlib.sha256))}"

    def authenticate(self, asked: Asked, now_ns: int) -> None:
        """Let a bearer of a token that is good pass.

        Raises:
            Failed: there is none, or it has ended (401).
        """
        scheme, _, token = asked.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or self._access.get(token, 0) <= now_ns:
            self.counts["unauthorized"] += 1
            raise Failed(401, "Unauthorized")

    def account(self, asked: Asked) -> AccountRules:
        """Return the account that the header names and the path does not contradict.

        Raises:
            Failed: there is none (403).
        """
        named = asked.headers.get("accnum", "")
        for account in self._setup.accounts:
            if named == str(account.acc_num) and asked.parts.get("account", account.id) == account.id:
                return account
        raise Failed(403, f"accNum {named[:16]!r} is not of this account")

    # --- limits -----------------------------------------------------------------------------------------------------

    def admit(self, asked: Asked, account: str, now_ns: int) -> None:
        """Count a request.

        Raises:
            Failed: it is one too many (429).
        """
        limit = self._limits.get(asked.limit)
        if limit is None or not self._switches.enforce_limits:
            return
        key = (account, asked.limit)
        window = self._windows.get(key)
        if window is None:
            window = SlidingWindow(limit.limit, limit.interval_num * _SPANS_NS[limit.measure])
            self._windows[key] = window
        if window.wait_ns(now_ns):
            self.crowded[asked.limit] += 1
            raise Failed(429, "Too Many Requests")
        window.take(now_ns)


def _part(text: bytes) -> str:
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()
