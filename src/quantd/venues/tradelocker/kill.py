"""Cancels orders for the kill path: the connector's own route and classification, without its loop.

Used by the composition root. Takes the connector's token as it is; where the server does not accept that any more, it logs in
by itself, once for all threads. Of what it then sends all are cancels, but for a look at the open orders after a refusal: the
venue's words do not say for sure that an order has ended.
"""

import threading
from collections.abc import Callable

import msgspec

from quantd.domain.outcomes import Accepted, NotExecuted, Rejected, Unknown
from quantd.ports import HttpRequest, KillAnswer, NotSent, ReplyLost
from quantd.venues.blocking import BlockingTransport
from quantd.venues.final_state import ASK_FINAL_STATE
from quantd.venues.parsing import CANNOT_READ
from quantd.venues.tradelocker.api import BASE, Credentials, encode, headers_of, log_in_body
from quantd.venues.tradelocker.classify import UNAUTHORIZED, classify
from quantd.venues.tradelocker.wire import AccountItems

OPERATION = "cancel_order"
_LOOK_AGAIN_S = 1.0
_NO_SESSION = "no session: the log-in failed"


class _Access(msgspec.Struct, frozen=True, rename="camel"):
    access_token: str


class TradeLockerKillSwitch:
    """One account's cancels.

    Args:
        transport: Blocking.
        credentials: For a log-in of its own.
        session: Returns the connector's access token and account number, empty before its start.
    """

    def __init__(
        self, transport: BlockingTransport, credentials: Credentials, session: Callable[[], tuple[str, str]]
    ) -> None:
        self._transport = transport
        self._credentials = credentials
        self._session = session
        self._own: tuple[str, str] | None = None
        self._logging_in = threading.Lock()

    def cancel(self, venue_order_id: str) -> KillAnswer:
        """Cancel one order; one that the venue does not know, or lists no more, counts as gone."""
        try:
            return self._cancel(venue_order_id)
        except (NotSent, ReplyLost) as error:
            return KillAnswer(False, f"{type(error).__name__}: {error}")

    def _cancel(self, venue_order_id: str) -> KillAnswer:
        session = self._own or self._session()
        if not all(session):
            session = self._renewed(session)
        answer = self._deleted(venue_order_id, session)
        if answer.reason == UNAUTHORIZED:
            answer = self._deleted(venue_order_id, self._renewed(session))
        return answer

    def _deleted(self, venue_order_id: str, session: tuple[str, str]) -> KillAnswer:
        if not all(session):
            return KillAnswer(False, _NO_SESSION, _LOOK_AGAIN_S)
        headers = headers_of(*session, self._credentials.developer_key)
        response = self._transport.send(HttpRequest("DELETE", f"{BASE}/trade/orders/{venue_order_id}", headers))
        outcome = classify(OPERATION, response.status, response.headers, response.body)
        match outcome:
            case Accepted():
                return KillAnswer(True)
            case Unknown(cause) if cause == ASK_FINAL_STATE:
                return KillAnswer(True) if response.status == 404 else self._looked(venue_order_id, headers)
            case Rejected(code):
                return KillAnswer(False, code)
            case NotExecuted(reason, retry_after_s):
                return KillAnswer(False, reason, retry_after_s or 0.0)
            case _:
                return KillAnswer(False, f"answered {response.status}")

    def _looked(self, venue_order_id: str, headers: dict[str, str]) -> KillAnswer:
        """Look whether a refused order is among the open ones; rows name it by its id, as text or as a number."""
        path = f"{BASE}/trade/accounts/{self._credentials.account_id}/orders"
        response = self._transport.send(HttpRequest("GET", path, headers))
        if response.status != 200 or b'"s":"ok"' not in response.body.replace(b" ", b""):
            return KillAnswer(False, f"refused, and the look answered {response.status}", _LOOK_AGAIN_S)
        if venue_order_id.encode() in response.body:
            return KillAnswer(False, "refused and still open", _LOOK_AGAIN_S)
        return KillAnswer(True)

    def _renewed(self, spent: tuple[str, str]) -> tuple[str, str]:
        """Return a session of our own, empty where there is none to be had; one log-in for all who ask."""
        with self._logging_in:
            if self._own is not None and self._own != spent:
                return self._own
            headers = headers_of("", "", self._credentials.developer_key) | {"Content-Type": "application/json"}
            body = encode(log_in_body(self._credentials))
            answer = self._transport.send(HttpRequest("POST", f"{BASE}/auth/jwt/token", headers, body))
            try:
                token = msgspec.json.decode(answer.body, type=_Access).access_token
                headers = headers_of(token, "", self._credentials.developer_key)
                listed = self._transport.send(HttpRequest("GET", f"{BASE}/auth/jwt/all-accounts", headers))
                accounts = msgspec.json.decode(listed.body, type=AccountItems).accounts
            except CANNOT_READ:
                return "", ""
            mine = [str(one.acc_num) for one in accounts if str(one.id) == self._credentials.account_id]
            self._own = (token, mine[0]) if mine else None
            return self._own or ("", "")
