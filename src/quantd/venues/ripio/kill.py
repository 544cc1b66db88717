"""Cancels Ripio orders for the kill path: the connector's own signer and classification, without its loop.

Used by the composition root. Sends cancels only; each carries the id of one order, never "all".
"""

from quantd.domain.outcomes import Accepted, NotExecuted, Unknown
from quantd.ports import HttpRequest, KillAnswer, NotSent, ReplyLost
from quantd.venues.blocking import BlockingTransport
from quantd.venues.final_state import ASK_FINAL_STATE
from quantd.venues.ripio import wire
from quantd.venues.ripio.classify import classify
from quantd.venues.ripio.signing import Signer, stamp_of

OPERATION = "cancel_order"


class RipioKillSwitch:
    """One account's cancels."""

    def __init__(self, transport: BlockingTransport, signer: Signer, prefix: str) -> None:
        self._transport = transport
        self._signer = signer
        self._path = f"{prefix}/orders/cancel"

    def cancel(self, venue_order_id: str) -> KillAnswer:
        """Cancel one order; one that the venue does not know or that has ended counts as gone."""
        body = wire.encode({"id": venue_order_id})
        headers = self._signer.headers("POST", self._path, body)
        try:
            response = self._transport.send(HttpRequest("POST", self._path, headers, body))
        except (NotSent, ReplyLost) as error:
            return KillAnswer(False, f"{type(error).__name__}: {error}")
        told = wire.envelope(response.body)
        if told is not None and told.timestamp is not None:
            refused_ms = stamp_of(headers) if response.status == 401 else None
            self._signer.heard(told.timestamp, refused_ms=refused_ms)  # the next try is stamped right
        outcome = classify(OPERATION, response.status, response.headers, response.body)
        if isinstance(outcome, Accepted) or outcome == Unknown(ASK_FINAL_STATE):
            return KillAnswer(True)
        if isinstance(outcome, NotExecuted):
            return KillAnswer(False, outcome.reason, outcome.retry_after_s or 0.0)
        return KillAnswer(False, f"answered {response.status}")
