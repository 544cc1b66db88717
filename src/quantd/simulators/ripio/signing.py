"""The venue's signatures, and the checksum of its books.

Source: the authentication page and the official samples (github.com/ripio/trade). Used by the access check, the
WebSocket API and the streams; tests hold it against worked vectors.
"""

import hmac
from base64 import b64encode
from collections.abc import Sequence
from decimal import Decimal
from hashlib import sha256
from zlib import crc32

from quantd.domain.numbers import plain

_LEVELS = 10


def signature(secret: str, message: bytes) -> str:
    """Return the base64 HMAC-SHA256 of a message."""
    return b64encode(hmac.new(secret.encode(), message, sha256).digest()).decode()


def request_message(timestamp: str, method: str, path: str, body: bytes) -> bytes:
    """Return what a REST request signs: no separators, no host, no query."""
    return f"{timestamp}{method}{path}".encode() + body


def is_signed(given: str, secret: str, message: bytes) -> bool:
    """Tell in constant time whether a signature is the message's."""
    return hmac.compare_digest(given.encode(), signature(secret, message).encode())


Levels = Sequence[tuple[Decimal, Decimal]]
"""(price, amount), best first."""


def checksum(bids: Levels, asks: Levels) -> str:
    """Return the CRC32 of the ten best levels of both sides; ``0`` of an empty book."""
    text = "".join(
        plain(part).replace(".", "").lstrip("0")
        for side in (bids, asks)
        for level in side[:_LEVELS]
        for part in level
    )  # fmt: skip
    return str(crc32(text.encode()))
