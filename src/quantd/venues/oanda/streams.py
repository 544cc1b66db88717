"""The venue's streams, beside the polls: prices as they come, and hints that the account's log has grown.

Used by the composition root. A stream is never the only source: what it misses, the next poll shows, so that its loss
makes nothing stale by itself and stops nothing. Transactions are not taken from it either, since it neither repeats what was
missed nor keeps to an order with the answers to our writes: an entry that it tells of is read from the log.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import TypeVar
from urllib.parse import urlencode

import msgspec
import structlog

from quantd.domain.instruments import Instrument, InstrumentId
from quantd.errors import AuthFailed, Refused
from quantd.ports import Clock, Emit, HttpRequest, HttpResponse, Lines, NotSent, Observer, Random, ReplyLost
from quantd.venues.oanda import wire
from quantd.venues.oanda.api import account_path, headers_of
from quantd.venues.oanda.classify import classify_read
from quantd.venues.oanda.market import quote
from quantd.venues.parsing import CANNOT_READ

SILENCE_S = 10.0
"""Both streams send a heartbeat every 5 s; after twice that without a line they are dead."""
_AGAIN_FIRST_S = 1.0
"""The venue allows two new connections a second for an address."""
_AGAIN_MAX_S = 60.0
_REFUSED_AGAIN_S = 300.0
_T = TypeVar("_T")
_log = structlog.get_logger(__name__)


class Streams:
    """Makes the streams of one account.

    Args:
        venue: Its key in the configuration.
        lines: Follows them; the streams have a host of their own.
        clock: Stamps prices.
        random: Jitter of the pauses between two connections.
        observer: Gets ``quantd_feed_up`` and the counts of connections.
    """

    def __init__(  # noqa: PLR0913 - what both streams share
        self, venue: str, token: str, account: str, *, lines: Lines, clock: Clock, random: Random, observer: Observer
    ) -> None:
        self._venue = venue
        self._account = account
        self._headers = headers_of(token)
        self._lines = lines
        self._clock = clock
        self._random = random
        self._observer = observer

    async def prices(self, instruments: Iterable[Instrument], emit: Emit) -> None:
        """Emit a quote for each price of the stream, for ever; at most four a second for an instrument."""
        ids = {one.symbol: one.id for one in instruments}
        path = f"/pricing/stream?{urlencode({'instruments': ','.join(ids)})}"
        await self._keep("pricing_stream", path, lambda line: self._price(line, ids, emit))

    def _price(self, line: bytes, ids: dict[str, InstrumentId], emit: Emit) -> None:
        price = _read(line, wire.StreamedPrice)
        if price is None or price.type != "PRICE" or price.instrument not in ids:
            return
        found = quote(ids[price.instrument], price, self._clock.now_ns())
        if found is not None:
            emit(found)

    async def transactions(self, known: Callable[[], int], grown: Callable[[], None]) -> None:
        """Call `grown` whenever the log has entries beyond the one that `known` returns, for ever."""

        def take(line: bytes) -> None:
            told = _read(line, wire.StreamedTransaction)
            newest = "" if told is None else told.last_transaction_id or told.id
            if newest.isdecimal() and int(newest) > known():
                grown()

        await self._keep("transaction_stream", "/transactions/stream", take)

    async def _keep(self, operation: str, path: str, on_line: Callable[[bytes], None]) -> None:
        """Follow a stream for ever; tell once when it is lost and once when it is back."""
        request = HttpRequest("GET", account_path(self._account, path), self._headers)
        up, reason, wait_s = False, "", _AGAIN_FIRST_S

        def take(line: bytes) -> None:
            nonlocal up, reason, wait_s
            if not up:
                up, reason, wait_s = True, "", _AGAIN_FIRST_S
                self._gauge(operation, up)
                _log.info("stream_up", venue=self._venue, stream=operation)
            on_line(line)

        labels = {"venue": self._venue, "endpoint": operation}
        self._observer.count("quantd_stream_losses_total", 0, **labels)
        while True:
            self._gauge(operation, up)
            self._observer.count("quantd_stream_connections_total", 1, **labels)
            try:
                found, pause_s = self._refusal(operation, await self._lines.follow(request, take, silence_s=SILENCE_S))
            except (NotSent, ReplyLost) as lost:
                found, pause_s = str(lost), 0.0
            if up or found != reason:
                _log.warning("stream_lost", venue=self._venue, stream=operation, reason=found)
            if up:
                self._observer.count("quantd_stream_losses_total", 1, **labels)
            up, reason = False, found
            self._gauge(operation, up)
            await asyncio.sleep((pause_s or wait_s) * (0.5 + self._random.random()))
            wait_s = min(wait_s * 2, _AGAIN_MAX_S)

    def _refusal(self, operation: str, answer: HttpResponse) -> tuple[str, float]:
        """Return why there is no stream and how long to wait: what is refused will be refused again."""
        error = classify_read(self._venue, operation, answer.status, answer.headers, answer.body)
        return str(error), _REFUSED_AGAIN_S if isinstance(error, AuthFailed | Refused) else 0.0

    def _gauge(self, operation: str, up: bool) -> None:
        self._observer.gauge("quantd_feed_up", float(up), venue=self._venue, endpoint=operation)


def _read(line: bytes, kind: type[_T]) -> _T | None:
    try:
        return msgspec.json.decode(line, type=kind)
    except CANNOT_READ:
        return None
