"""Cancels ionloop orders for the kill path: the connector's own route, headers and classification, without its loop.

Used by the composition root. Sends cancels only.
"""

from collections import Counter
from collections.abc import Mapping

from quantd.domain.outcomes import Accepted, NotExecuted, Unknown
from quantd.ports import HttpRequest, KillAnswer, NotSent, ReplyLost
from quantd.venues.blocking import BlockingTransport
from quantd.venues.final_state import ASK_FINAL_STATE
from quantd.venues.ionloop.classify import RATE_PAUSE_S, classify
from quantd.venues.ionloop.routes import route_table, target

OPERATION = "cancel_order"
NOT_FOUND_LOOKS = 9
"""How often an order must not be found before it counts as gone: the kill path asks again after 0.5, 1, 2, 4, 5, 5 ... s, so
for more than the 30 s in which a new order may not be shown yet."""


class IonloopKillSwitch:
    """One account's cancels."""

    def __init__(self, transport: BlockingTransport, api_key: str, paths: Mapping[str, str]) -> None:
        self._transport = transport
        self._route = route_table(paths)[OPERATION]
        self._headers = {"Authorization": f"Bearer {api_key}", "Accept": "application/json"}
        self._not_found: Counter[str] = Counter()

    def cancel(self, venue_order_id: str) -> KillAnswer:
        """Cancel one order; one that has ended counts as gone, and one that was not found time and again."""
        path = target(self._route, {"id": venue_order_id})
        try:
            response = self._transport.send(HttpRequest(self._route.method, path, self._headers))
        except (NotSent, ReplyLost) as error:
            return KillAnswer(False, f"{type(error).__name__}: {error}")
        outcome = classify(OPERATION, response.status, response.headers, response.body)
        if response.status == 404 and outcome == Unknown(ASK_FINAL_STATE):
            # It had an id, so the venue has accepted it once: it may be too new to be found.
            self._not_found[venue_order_id] += 1
            if self._not_found[venue_order_id] < NOT_FOUND_LOOKS:
                return KillAnswer(False, "not_found")
        if isinstance(outcome, Accepted) or outcome == Unknown(ASK_FINAL_STATE):
            return KillAnswer(True)
        if isinstance(outcome, NotExecuted):
            return KillAnswer(False, outcome.reason, outcome.retry_after_s or RATE_PAUSE_S)
        return KillAnswer(False, f"answered {response.status}")
