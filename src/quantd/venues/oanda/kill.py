"""Cancels OANDA orders for the kill path: the connector's own route, headers and classification, without its loop.

Used by the composition root. Sends cancels only.
"""

from quantd.domain.outcomes import Accepted, NotExecuted, Unknown
from quantd.ports import HttpRequest, KillAnswer, NotSent, ReplyLost
from quantd.venues.blocking import BlockingTransport
from quantd.venues.final_state import ASK_FINAL_STATE
from quantd.venues.oanda.api import account_path, headers_of, order_path
from quantd.venues.oanda.classify import classify
from quantd.venues.oanda.options import OandaOptions

OPERATION = "cancel_order"


class OandaKillSwitch:
    """One account's cancels."""

    def __init__(self, transport: BlockingTransport, options: OandaOptions) -> None:
        self._transport = transport
        self._account = options.account
        self._headers = headers_of(options.token)

    def cancel(self, venue_order_id: str) -> KillAnswer:
        """Cancel one order by its number; one that has ended counts as gone."""
        path = account_path(self._account, f"{order_path(venue_order_id)}/cancel")
        try:
            response = self._transport.send(HttpRequest("PUT", path, self._headers))
        except (NotSent, ReplyLost) as error:
            return KillAnswer(False, f"{type(error).__name__}: {error}")
        outcome = classify(OPERATION, response.status, response.headers, response.body)
        if isinstance(outcome, Accepted) or outcome == Unknown(ASK_FINAL_STATE):
            return KillAnswer(True)
        if isinstance(outcome, NotExecuted):
            return KillAnswer(False, outcome.reason, outcome.retry_after_s or 0.0)
        return KillAnswer(False, f"answered {response.status}")
