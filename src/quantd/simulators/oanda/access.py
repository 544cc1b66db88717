"""Who may ask, and how often: a bearer token, its accounts, and a window that all requests share.

Used by the venue before anything is processed: what is refused here has certainly not been done. Assumed: the body of a
429, and that one who is not let in is not counted.
"""

from collections import Counter

from quantd.simulators.oanda.answers import NS_PER_S, Failed, malformed
from quantd.simulators.oanda.options import AccountRules, Setup, Switches, is_account_id
from quantd.simulators.oanda.routes import Asked
from quantd.simulators.windows import SlidingWindow

REQUESTS_PER_S = 120
UNAUTHORIZED = "Insufficient authorization to perform request."


class Access:
    """The door of one environment."""

    def __init__(self, setup: Setup, switches: Switches) -> None:
        self._setup = setup
        self._switches = switches
        self._token = setup.token
        self._window = SlidingWindow(REQUESTS_PER_S, NS_PER_S)
        self.counts: Counter[str] = Counter()

    def change_token(self, token: str) -> None:
        """Make another token the only one that is good, as a user who revokes the old one does."""
        self._token = token

    def admit(self, asked: Asked, now_ns: int) -> None:
        """Let in a request that has the token and is not one too many.

        Raises:
            Failed: it has no token or a wrong one (401), or it is one too many (429).
        """
        if self._switches.enforce_limits:
            if self._window.wait_ns(now_ns):
                self.counts["rate_limited"] += 1
                raise Failed(429, "Rate limit violation: too many requests")
            self._window.take(now_ns)
        scheme, _, token = asked.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or token != self._token:
            self.counts["unauthorized"] += 1
            raise Failed(401, UNAUTHORIZED)
        if asked.headers.get("accept-datetime-format", "RFC3339").upper() not in ("RFC3339", "UNIX"):
            raise malformed("Accept-Datetime-Format")

    def account(self, asked: Asked) -> AccountRules:
        """Return the account of the path.

        Raises:
            Failed: its id is no id (400), or it is not the token's (403).
        """
        wanted = asked.parts["account"]
        for account in self._setup.accounts:
            if account.id == wanted:
                return account
        if not is_account_id(wanted):
            raise malformed("accountID")
        if self._switches.unknown_account_404:
            raise Failed(404, "The account ID specified does not exist", "NO_SUCH_ACCOUNT")
        raise Failed(403, "The provided request was forbidden.")
