"""Books kept from the stream's deltas, held against the venue's checksum and sequence; no network.

Used by `stream`, which resubscribes what does not fit, and by the connector, which asks the poller instead of a book that
is not whole. Prices and amounts stay exact here, since the checksum counts their digits.
"""

from decimal import Decimal

from quantd.domain.instruments import Instrument
from quantd.domain.market import Book, Quote
from quantd.venues.parsing import CANNOT_READ, time_ns
from quantd.venues.ripio import wire
from quantd.venues.ripio.checksum import checksum
from quantd.venues.ripio.translate import MS_NS

Levels = dict[Decimal, Decimal]
_BODY = wire.reader(wire.BookDelta)


class OutOfStep(Exception):
    """A frame does not fit what is kept; `kind` is a bounded name. The book is gone until the next snapshot."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class StreamBook:
    """The book of one pair.

    Invariant: `is_whole` holds only after a snapshot and an unbroken sequence of deltas, each with the venue's checksum.
    """

    def __init__(self) -> None:
        self.is_whole = False
        self.heard_at_ns = 0
        """Wall time of our own at which the last frame came."""
        self._bids: Levels = {}
        self._asks: Levels = {}
        self._sequence: int | None = None
        self._venue_ms: int | None = None
        self._best: tuple[list[Decimal], list[Decimal]] = ([], [])
        """Prices of both sides, best first, of the last frame."""

    def reset(self) -> None:
        """Forget the book: the next frame is a snapshot."""
        self.is_whole = False
        self._sequence = None
        self._bids.clear()
        self._asks.clear()

    def apply(self, frame: wire.Frame, received_at_ns: int) -> None:
        """Take in a frame: the first one is the whole book, the others are levels that changed.

        Raises:
            OutOfStep: it does not follow the one before, cannot be read, or leads to another book than the venue's.
        """
        try:
            self._apply(frame)
        except CANNOT_READ as error:
            self.reset()
            raise OutOfStep("stream_unreadable") from error
        except OutOfStep:
            self.reset()
            raise
        self.is_whole = True
        self.heard_at_ns = received_at_ns
        self._venue_ms = frame.timestamp

    def _apply(self, frame: wire.Frame) -> None:
        if self._sequence is not None and frame.id != self._sequence + 1:
            if frame.id <= self._sequence and self.is_whole:
                return  # seen before
            raise OutOfStep("stream_gap")
        body = _BODY(frame.body)
        for side, changes in ((self._bids, body.bids), (self._asks, body.asks)):
            for level in changes:
                if level.amount > 0:
                    side[level.price] = level.amount
                else:
                    side.pop(level.price, None)
        self._sequence = frame.id
        self._best = (sorted(self._bids, reverse=True), sorted(self._asks))
        bids, asks = self._best
        if body.hash != checksum(((p, self._bids[p]) for p in bids), ((p, self._asks[p]) for p in asks)):
            raise OutOfStep("checksum_differs")

    def quote(self, instrument: Instrument) -> Quote | None:
        """Return the top of book; None where the book is not whole, a side is empty, or the sides cross."""
        bids, asks = self._best
        if not self.is_whole or not bids or not asks or bids[0] >= asks[0]:
            return None
        occurred_at_ns = time_ns(self._venue_ms, MS_NS)
        return Quote(
            instrument.id,
            float(bids[0]),
            float(asks[0]),
            self.heard_at_ns,
            occurred_at_ns,
            float(self._bids[bids[0]]),
            float(self._asks[asks[0]]),
        )

    def book(self, instrument: Instrument, depth: int) -> Book | None:
        """Return up to `depth` levels a side; None where the book is not whole."""
        if not self.is_whole:
            return None
        bids, asks = self._best
        return Book(
            instrument.id,
            tuple((float(price), float(self._bids[price])) for price in bids[:depth]),
            tuple((float(price), float(self._asks[price])) for price in asks[:depth]),
            self.heard_at_ns,
            time_ns(self._venue_ms, MS_NS),
            self._sequence or 0,
        )
