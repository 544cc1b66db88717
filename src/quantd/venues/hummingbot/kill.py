"""Cancels orders for the kill path: the connector's own route and classification, without its loop.

Used by the composition root. Sends cancels only. A cancel that the server has scheduled counts as not yet confirmed: the
kill path asks again, and "not found in active orders" is the confirmation.
"""

from quantd.domain.outcomes import NotExecuted, Unknown
from quantd.ports import HttpRequest, KillAnswer, NotSent, ReplyLost
from quantd.venues.blocking import BlockingTransport
from quantd.venues.hummingbot.api import cancel_path, headers_of
from quantd.venues.hummingbot.classify import CANCEL_REQUESTED, NOT_TRACKED, classify
from quantd.venues.hummingbot.options import HummingbotOptions

OPERATION = "cancel_order"
_AGAIN_S = 0.5


class HummingbotKillSwitch:
    """One account's cancels."""

    def __init__(self, transport: BlockingTransport, options: HummingbotOptions) -> None:
        self._transport = transport
        self._account, self._connector = options.account, options.connector
        self._headers = headers_of(options.username, options.password)

    def cancel(self, venue_order_id: str) -> KillAnswer:
        """Cancel one order; one that is not tracked any more counts as gone."""
        path = cancel_path(self._account, self._connector, venue_order_id)
        try:
            response = self._transport.send(HttpRequest("POST", path, self._headers, b"{}"))
        except (NotSent, ReplyLost) as error:
            return KillAnswer(False, f"{type(error).__name__}: {error}")
        outcome = classify(OPERATION, response.status, response.headers, response.body)
        if outcome == Unknown(NOT_TRACKED):
            return KillAnswer(True)
        if outcome == Unknown(CANCEL_REQUESTED):
            return KillAnswer(False, "requested", _AGAIN_S)
        if isinstance(outcome, NotExecuted):
            return KillAnswer(False, outcome.reason, outcome.retry_after_s or 0.0)
        return KillAnswer(False, f"answered {response.status}")
