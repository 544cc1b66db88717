"""Who may ask, and how often: signatures, timestamps, buckets by user, daily caps.

Used by the venue before anything is processed: what is refused here has certainly not been done. Limits come first
(assumed), then the timestamp, the signature, and the permission.
"""

from collections import Counter, deque
from collections.abc import Iterable

from quantd.simulators.ripio.answers import FORBIDDEN, INVALID, NS_PER_MS, NS_PER_S, TOO_MANY, UNAUTHORIZED, Problem
from quantd.simulators.ripio.options import Credential, RateRules, Switches
from quantd.simulators.ripio.routes import READ, Asked
from quantd.simulators.ripio.signing import is_signed, request_message

TOLERANCE_MS = 5000
TOLERANCE_MAX_MS = 60_000
_DAY_NS = 86_400 * NS_PER_S
PER_SECOND = "Too many requests"
PER_DAY = "Limit Exceeded"


class Bucket:
    """So many a second, and `burst` at once; what was refused does not count."""

    __slots__ = ("_burst_ns", "_each_ns", "_full_at_ns")

    def __init__(self, per_second: float, burst: int) -> None:
        self._each_ns = round(NS_PER_S / per_second)
        self._burst_ns = self._each_ns * burst
        self._full_at_ns = 0

    def take(self, now_ns: int) -> bool:
        """Count one, if one fits."""
        full_at_ns = max(self._full_at_ns, now_ns) + self._each_ns
        if full_at_ns - now_ns > self._burst_ns:
            return False
        self._full_at_ns = full_at_ns
        return True


class _Caller:
    """What is held against a user or an address."""

    __slots__ = ("bucket", "day", "in_day")

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self.day = 0
        self.in_day = 0


class Access:
    """Credentials and limits of one venue."""

    def __init__(self, credentials: Iterable[Credential], rates: RateRules, switches: Switches) -> None:
        self._credentials = {one.token: one for one in credentials}
        self._rates = rates
        self._switches = switches
        self._callers: dict[str, _Caller] = {}
        self._seen: set[tuple[str, str]] = set()
        self._seen_until: deque[tuple[int, tuple[str, str]]] = deque()
        self.blocked: set[str] = set()
        """Tokens that are blocked."""
        self.refused: Counter[str] = Counter()
        """429 answers by the limit that gave them."""
        self.unauthorized: Counter[str] = Counter()
        """401 answers by their cause."""

    def admit(self, asked: Asked, now_ns: int) -> Credential | None:
        """Return the credential of a request that may be processed, None on a public route.

        Raises:
            Problem: it may not.
        """
        if not asked.route.permission:
            self._count(f"address {asked.peer}", now_ns)
            return None
        credential = self.known(asked.headers.get("authorization", ""), now_ns)
        stamp = asked.headers.get("timestamp", "")
        self.check_time(stamp, self._tolerance_ms(asked), now_ns)
        path = self._signed_path(asked)
        message = request_message(stamp, asked.route.method, path, asked.body)
        self.check_signature(credential, asked.headers.get("signature", ""), message, now_ns)
        if asked.route.permission != READ and asked.route.permission not in credential.permissions:
            raise Problem(FORBIDDEN, f"Missing permission {asked.route.permission}")
        return credential

    def known(self, token: str, now_ns: int) -> Credential:
        """Return the credential of a token and count the request against its user's limits.

        Raises:
            Problem: there is none, it is blocked, or the user has asked too often.
        """
        credential = self._credentials.get(token)
        if credential is None:
            raise self._stranger("token", "Not authorized")
        self._count(f"user {credential.account}", now_ns)
        if token in self.blocked:
            raise self._stranger("blocked", "Token blocked")
        return credential

    def check_time(self, stamp: str, tolerance_ms: int, now_ns: int) -> None:
        """Hold a timestamp against the venue's clock; one from the future is no better than an old one.

        Raises:
            Problem: it is too far away, or no number of milliseconds.
        """
        if not stamp.isascii() or not stamp.isdigit() or len(stamp) > 15:
            raise self._stranger("timestamp", "Not authorized: no timestamp in milliseconds")
        here_ms = (now_ns + round(self._switches.clock_skew_s * NS_PER_S)) // NS_PER_MS
        if abs(here_ms - int(stamp)) > tolerance_ms:
            raise self._stranger("timestamp", "Not authorized: timestamp out of tolerance")

    def check_signature(self, credential: Credential, given: str, message: bytes, now_ns: int) -> None:
        """Hold a signature against its message, and against those that were seen.

        Raises:
            Problem: it is not the message's, or it came before.
        """
        if not is_signed(given, credential.secret, message):
            raise self._stranger("signature", "Not authorized")
        while self._seen_until and self._seen_until[0][0] <= now_ns:
            self._seen.discard(self._seen_until.popleft()[1])
        signed = (credential.token, given)
        if signed in self._seen and self._switches.refuse_replays:
            raise self._stranger("replay", "Not authorized: repeated signature")
        if signed not in self._seen:
            self._seen.add(signed)
            self._seen_until.append((now_ns + 2 * TOLERANCE_MAX_MS * NS_PER_MS, signed))

    def _tolerance_ms(self, asked: Asked) -> int:
        text = asked.headers.get("timestamp-tolerance")
        if text is None and self._switches.misspelt_tolerance:
            text = asked.headers.get("timstamp-tolerance")
        if text is None:
            return TOLERANCE_MS
        if not text.isascii() or not text.isdigit() or len(text) > 6 or int(text) > TOLERANCE_MAX_MS:
            raise Problem(INVALID, f"timestamp-tolerance must be 0 to {TOLERANCE_MAX_MS}")
        return int(text)

    def _signed_path(self, asked: Asked) -> str:
        if not self._switches.template_paths or not asked.part:
            return asked.path
        return asked.path.rpartition("/")[0] + "/{id}"

    def _stranger(self, cause: str, message: str) -> Problem:
        self.unauthorized[cause] += 1
        return Problem(UNAUTHORIZED, message)

    def _count(self, name: str, now_ns: int) -> None:
        rates = self._rates
        is_user = name.startswith("user ")
        caller = self._callers.get(name)
        if caller is None:
            bucket = (
                Bucket(rates.per_second, rates.burst)
                if is_user
                else Bucket(rates.public_per_second, rates.public_burst)
            )
            caller = self._callers[name] = _Caller(bucket)
        day = now_ns // _DAY_NS
        if caller.day != day:
            caller.day, caller.in_day = day, 0
        if is_user and caller.in_day >= rates.per_day:
            self.refused["day"] += 1
            raise Problem(TOO_MANY, PER_DAY)
        if not caller.bucket.take(now_ns):
            self.refused["second" if is_user else "public"] += 1
            raise Problem(TOO_MANY, PER_SECOND)
        caller.in_day += 1
