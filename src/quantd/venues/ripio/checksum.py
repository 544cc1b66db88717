"""The checksum by which a book of the stream is held against the venue's; pure.

Recipe and vectors: the venue's sample "websocket-checksum-hash" (documented). The hash of the REST book is another one.
"""

from collections.abc import Iterable
from decimal import Decimal
from zlib import crc32

from quantd.domain.numbers import plain

LEVELS = 10
"""Levels a side that count."""


def checksum(bids: Iterable[tuple[Decimal, Decimal]], asks: Iterable[tuple[Decimal, Decimal]]) -> str:
    """Return the checksum of a book as the stream writes it.

    Args:
        bids: (price, amount), best first; those after the tenth are left out here.
        asks: Likewise.
    """
    text = ""
    for side in (bids, asks):
        for _, level in zip(range(LEVELS), side, strict=False):
            text += "".join(plain(number).replace(".", "").lstrip("0") for number in level)
    return str(crc32(text.encode()))
