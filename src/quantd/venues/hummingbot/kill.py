"""Cancels orders for the kill path: the connector's own route and classification, without its loop.

Used by the composition root. Of what it sends all are cancels, but for a look at the recorded orders where a cancel's answer
tells no end. A cancel that the server has scheduled counts as not yet confirmed: the kill path asks again.
"""

import msgspec

from quantd.domain.orders import ENDS
from quantd.domain.outcomes import NotExecuted, Unknown
from quantd.ports import Clock, HttpRequest, KillAnswer, NotSent, ReplyLost
from quantd.venues.blocking import BlockingTransport
from quantd.venues.hummingbot import translate, wire
from quantd.venues.hummingbot.api import LIST_LIMIT, cancel_path, headers_of
from quantd.venues.hummingbot.classify import CANCEL_REQUESTED, NOT_TRACKED, classify
from quantd.venues.hummingbot.options import HummingbotOptions
from quantd.venues.hummingbot.search import CANCELS_MAX
from quantd.venues.parsing import CANNOT_READ

OPERATION = "cancel_order"
QUEUE_S = 15.0
"""After three cancels of an order no other leaves for so long: the server's queue of 10 s has let its placement pass by then,
and a fourth answer "unknown order" would mark it FAILED though it goes live."""
_AGAIN_S = 0.5
_SECOND_NS = 1_000_000_000


class HummingbotKillSwitch:
    """One account's cancels."""

    def __init__(self, transport: BlockingTransport, options: HummingbotOptions, clock: Clock) -> None:
        self._transport = transport
        self._clock = clock
        self._account, self._connector = options.account, options.connector
        self._headers = headers_of(options.username, options.password)
        self._requests: dict[str, tuple[int, int]] = {}
        """By order: cancels that were scheduled, and the monotonic time of the last one."""

    def cancel(self, venue_order_id: str) -> KillAnswer:
        """Cancel one order; it counts as gone once the server records its end."""
        try:
            return self._cancel(venue_order_id)
        except (NotSent, ReplyLost) as error:
            return KillAnswer(False, f"{type(error).__name__}: {error}")

    def _cancel(self, order_id: str) -> KillAnswer:
        count, last_ns = self._requests.get(order_id, (0, 0))
        if count >= CANCELS_MAX and self._clock.monotonic_ns() - last_ns < QUEUE_S * _SECOND_NS:
            return self._looked(order_id, "requested")
        path = cancel_path(self._account, self._connector, order_id)
        response = self._transport.send(HttpRequest("POST", path, self._headers, b"{}"))
        outcome = classify(OPERATION, response.status, response.headers, response.body)
        if outcome == Unknown(NOT_TRACKED):
            return self._looked(order_id, "not tracked, and no end is recorded")
        if outcome == Unknown(CANCEL_REQUESTED):
            self._requests[order_id] = (count + 1, self._clock.monotonic_ns())
            return KillAnswer(False, "requested", _AGAIN_S)
        if isinstance(outcome, NotExecuted):
            return KillAnswer(False, outcome.reason, outcome.retry_after_s or 0.0)
        return KillAnswer(False, f"answered {response.status}")

    def _looked(self, order_id: str, reason: str) -> KillAnswer:
        """Look at the newest recorded orders; what is not tracked may have ended, or be believed lost and live."""
        body = {"account_names": [self._account], "connector_names": [self._connector], "limit": LIST_LIMIT}
        request = HttpRequest("POST", "/trading/orders/search", self._headers, msgspec.json.encode(body))
        response = self._transport.send(request)
        try:
            rows = msgspec.json.decode(response.body, type=wire.Page[wire.OrderRow]).data
        except CANNOT_READ:
            return KillAnswer(False, f"{reason}; the look answered {response.status}", _AGAIN_S)
        if any(row.order_id == order_id and translate.state_of(row)[0] in ENDS for row in rows):
            return KillAnswer(True)
        return KillAnswer(False, reason, _AGAIN_S)
