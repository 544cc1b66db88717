"""Signs requests with the account's token and secret, by a clock that follows the venue's.

Used by the requests, the kill path and the stream's log-in, from any thread. Recipe and vectors: the venue's page
"authentication" and its samples (documented). The secret is shown nowhere.
"""

import base64
import hmac
import threading
from collections import deque
from collections.abc import Mapping
from hashlib import sha256

from quantd.ports import Clock

MS_NS = 1_000_000
TOLERANCE_MS = 5_000
"""Documented: how long after its timestamp a request is valid unless it says otherwise, and the most recommended."""
TOLERANCE_MAX_MS = 60_000
"""Documented."""
_SAMPLES = 8


def sign(secret: str, timestamp_ms: int, method: str, path: str, body: bytes = b"") -> str:
    """Return the signature of one request.

    Args:
        secret: The account's secret.
        timestamp_ms: The value of the ``Timestamp`` header.
        method: Upper case.
        path: As in the URL, with the gateway's prefix, without host and query.
        body: The very bytes that are sent; empty without a body.
    """
    message = f"{timestamp_ms}{method}{path}".encode() + body
    return base64.b64encode(hmac.new(secret.encode(), message, sha256).digest()).decode()


def sign_parameters(secret: str, timestamp_ms: int, parameters: bytes) -> str:
    """Return the signature of a request on the venue's websocket API: of its parameters as compact JSON."""
    return base64.b64encode(
        hmac.new(secret.encode(), f"{timestamp_ms}".encode() + parameters, sha256).digest()
    ).decode()


class Signer:
    """Makes the headers of signed requests.

    Invariant: timestamps strictly increase, unless a clock was set back by more than half the tolerance: documents say
    that the timestamp makes a signature unique, and a signature seen twice may be refused (assumed); but one from the
    future is refused for certain.

    Args:
        token: The API token; sent as it is, without ``Bearer`` (documented).
        secret: Signs.
        clock: Our wall time.
        tolerance_ms: How long after its timestamp the venue may still carry a request out.
    """

    def __init__(self, token: str, secret: str, *, clock: Clock, tolerance_ms: int = TOLERANCE_MS) -> None:
        self._token = token
        self._secret = secret
        self._clock = clock
        self._last_ms = 0
        self._lock = threading.Lock()
        self._samples: deque[int] = deque(maxlen=_SAMPLES)
        self.tolerance_ms = tolerance_ms
        self.offset_ms = 0
        """The venue's clock minus ours."""
        self.jumps = 0
        """How often the venue's clock was found to be so far from what we took it for that it refuses us."""

    def __repr__(self) -> str:
        """Leave token and secret out."""
        return f"Signer(offset_ms={self.offset_ms}, tolerance_ms={self.tolerance_ms})"

    def headers(self, method: str, path: str, body: bytes = b"") -> dict[str, str]:
        """Return the headers of one request, stamped now: call it when the request is about to leave."""
        timestamp_ms = self._stamp()
        headers = {
            "Authorization": self._token,
            "Timestamp": str(timestamp_ms),
            "Timestamp-tolerance": str(self.tolerance_ms),
            "Signature": sign(self._secret, timestamp_ms, method, path, body),
            "Accept": "application/json",
        }
        if body:
            headers["Content-Type"] = "application/json"
        return headers

    @property
    def stamped_ms(self) -> int:
        """The newest timestamp."""
        return self._last_ms

    def _stamp(self) -> int:
        with self._lock:
            now_ms = self._clock.now_ns() // MS_NS + self.offset_ms
            is_far_ahead = self._last_ms - now_ms > self.tolerance_ms // 2
            self._last_ms = now_ms if is_far_ahead else max(now_ms, self._last_ms + 1)
            return self._last_ms

    def heard(self, venue_ms: int, *, refused_ms: int | None = None) -> None:
        """Take in the venue's time from an answer that has just come.

        An answer is always some time on its way, so a single look makes the venue's clock too slow, never too fast: of
        the last eight looks the largest offset counts. After a refusal that is explained by the clock only the last one does.

        Args:
            venue_ms: When the venue answered, by its clock.
            refused_ms: The timestamp of the request that was refused for its signature, where one was. The answer's way
                back does not count: a refusal that comes late is no matter of the clock.
        """
        offset_ms = venue_ms - self._clock.now_ns() // MS_NS
        with self._lock:
            if refused_ms is not None and abs(venue_ms - refused_ms) > self.tolerance_ms // 2:
                self.jumps += 1
                self._samples.clear()
                self._last_ms = 0
            self._samples.append(offset_ms)
            self.offset_ms = max(self._samples)


def stamp_of(headers: Mapping[str, str]) -> int:
    """Return the timestamp of a signed request, 0 of one that is not."""
    return int(headers.get("Timestamp", "0"))
