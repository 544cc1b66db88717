"""Cancels OANDA orders for the kill path: the connector's own route, headers and classification, without its loop.

Used by the composition root. Of what it sends all are cancels, but for a look at an order that has ended: it may go on under
another number, by an amendment whose answer nobody has seen or for the rest that was not filled.
"""

import msgspec

from quantd.domain.outcomes import Accepted, NotExecuted, Unknown
from quantd.ports import HttpRequest, HttpResponse, KillAnswer, NotSent, ReplyLost
from quantd.venues.blocking import BlockingTransport
from quantd.venues.final_state import ASK_FINAL_STATE
from quantd.venues.oanda.api import account_path, headers_of, order_path
from quantd.venues.oanda.classify import classify
from quantd.venues.oanda.options import OandaOptions
from quantd.venues.oanda.wire import OneOrder
from quantd.venues.parsing import CANNOT_READ

OPERATION = "cancel_order"
_LOOK_AGAIN_S = 1.0
_HOPS_MAX = 20


class OandaKillSwitch:
    """One account's cancels."""

    def __init__(self, transport: BlockingTransport, options: OandaOptions) -> None:
        self._transport = transport
        self._account = options.account
        self._headers = headers_of(options.token)
        self._not_shown: set[str] = set()
        """Numbers that a look did not find: right after its creation the venue may not show an order (observed)."""

    def cancel(self, venue_order_id: str) -> KillAnswer:
        """Cancel one order by its number, or what has replaced it meanwhile; one that has ended counts as gone."""
        try:
            for _ in range(_HOPS_MAX):
                told = self._cancel(venue_order_id) or self._looked(venue_order_id)
                if isinstance(told, KillAnswer):
                    return told
                venue_order_id = told
        except (NotSent, ReplyLost) as error:
            return KillAnswer(False, f"{type(error).__name__}: {error}")
        return KillAnswer(False, f"replaced more than {_HOPS_MAX} times")

    def _cancel(self, number: str) -> KillAnswer | None:
        """Cancel; None where the order of this number has ended."""
        response = self._send("PUT", f"{order_path(number)}/cancel")
        outcome = classify(OPERATION, response.status, response.headers, response.body)
        if isinstance(outcome, Accepted):
            return KillAnswer(True)
        if outcome == Unknown(ASK_FINAL_STATE):
            return None
        if isinstance(outcome, NotExecuted):
            return KillAnswer(False, outcome.reason, outcome.retry_after_s or 0.0)
        return KillAnswer(False, f"answered {response.status}")

    def _looked(self, number: str) -> KillAnswer | str:
        """Return the number under which an order goes on that has ended under this one; that it is gone, where there is none."""
        response = self._send("GET", order_path(number))
        if response.status == 404:
            if number in self._not_shown:
                return KillAnswer(True)
            self._not_shown.add(number)
            return KillAnswer(False, "ended, and not shown yet", _LOOK_AGAIN_S)
        try:
            order = msgspec.json.decode(response.body, type=OneOrder).order
        except CANNOT_READ:
            return KillAnswer(False, f"ended, and the look answered {response.status}", _LOOK_AGAIN_S)
        if order.replaced_by_order_id:
            return order.replaced_by_order_id
        if order.state in ("FILLED", "CANCELLED"):
            return KillAnswer(True)
        return KillAnswer(False, "ended, and still shown as open", _LOOK_AGAIN_S)

    def _send(self, method: str, path: str) -> HttpResponse:
        return self._transport.send(HttpRequest(method, account_path(self._account, path), self._headers))
