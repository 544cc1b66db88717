"""The WebSocket API: orders created, cancelled and updated over a connection, each request signed by itself.

Used by the venue at the path ``/ws-api``. What is signed is the timestamp and the business parameters as compact JSON,
with neither method nor path; the three parameters about the credential are left out.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from quantd.ports import Clock
from quantd.simulators.ripio.access import TOLERANCE_MS, Access
from quantd.simulators.ripio.answers import FORBIDDEN, INVALID, NS_PER_S, Problem, encoded
from quantd.simulators.ripio.desk import OrderDesk
from quantd.simulators.ripio.options import Switches
from quantd.simulators.ripio.routes import TRADE
from quantd.simulators.ripio.terms import decode, read_text
from quantd.simulators.venue import Json

IDLE_S = 60.0
"""Documented: a connection that is silent for so long is closed."""
_ABOUT_THE_CREDENTIAL = ("apiToken", "timestamp", "signature")


class _Request(msgspec.Struct, frozen=True):
    """A request with its parameters as they were written."""

    id: msgspec.Raw
    method: str
    params: dict[str, msgspec.Raw]


def signed_message(timestamp: str, params: Mapping[str, bytes]) -> bytes:
    """Return what a request signs: `params` by name as JSON, in their order."""
    business = b",".join(
        msgspec.json.encode(name) + b":" + raw for name, raw in params.items() if name not in _ABOUT_THE_CREDENTIAL
    )
    return timestamp.encode() + b"{" + business + b"}"


class ApiConnection:
    """A `VenueSocket`."""

    def __init__(self, desk: OrderDesk, access: Access, wake: Callable[[], None], *, clock: Clock,
                 switches: Switches) -> None:  # fmt: skip
        self._desk = desk
        self._access = access
        self._wake = wake
        self._clock = clock
        self._switches = switches
        self._outbox: list[str] = []
        self._heard_at_ns = clock.now_ns()
        self.is_open = True

    def receive(self, text: str) -> None:
        """Process a request and answer it."""
        self._heard_at_ns = self._clock.now_ns()
        try:
            request = msgspec.json.decode(text, type=_Request)
        except msgspec.DecodeError:
            self._answer(b"null", 400, None, {"error_code": INVALID, "message": "Invalid request"})
            return
        try:
            result = self._result(request)
        except Problem as problem:
            error = {"error_code": problem.code, "message": problem.message}
            self._answer(bytes(request.id), problem.status, None, error)
        else:
            self._answer(bytes(request.id), 200, result, None)

    def _result(self, request: _Request) -> Any:
        now_ns = self._clock.now_ns()
        raws = {name: bytes(raw) for name, raw in request.params.items()}
        params = decode(b"{" + b",".join(msgspec.json.encode(name) + b":" + raw for name, raw in raws.items()) + b"}")
        token, stamp, given = (params.pop(name, "") for name in _ABOUT_THE_CREDENTIAL)
        credential = self._access.known(str(token), now_ns)
        self._access.check_time(str(stamp), TOLERANCE_MS, now_ns)
        self._access.check_signature(credential, str(given), signed_message(str(stamp), raws), now_ns)
        if TRADE not in credential.permissions:
            raise Problem(FORBIDDEN, f"Missing permission {TRADE}")
        return self._done(request.method, params, credential.account, now_ns)

    def _done(self, method: str, params: Json, account: str, now_ns: int) -> Any:
        if method == "order.create":
            return self._desk.create(params, account, now_ns)
        if method == "order.cancel" and "external_id" in params:
            (external_id,) = read_text(params, ("external_id",), self._desk.violations)
            return self._desk.cancel(self._desk.find_external(external_id, account), now_ns)
        if method == "order.cancel":
            (order_id,) = read_text(params, ("id",), self._desk.violations)
            return self._desk.cancel(self._desk.find(order_id, account), now_ns)
        if method == "order.update":
            order_id = str(params.pop("id", ""))
            change = {"unit_price" if name == "price" else name: value for name, value in params.items()}
            return self._desk.amend(self._desk.find(order_id, account), change, now_ns)
        raise Problem(INVALID, "method must be one of order.create, order.cancel, order.update")

    def _answer(self, id_: bytes, status: int, result: Any, error: Json | None) -> None:
        answer: Json = {"id": msgspec.Raw(id_), "status": status, "result": result}
        if error is not None:
            answer["error"] = error
        self._outbox.append(encoded(answer).decode())
        self._wake()

    def take(self) -> list[str]:
        """Hand out the answers; close when nothing was heard for long."""
        if self._clock.now_ns() - self._heard_at_ns > IDLE_S * NS_PER_S:
            self.is_open = False
        answers, self._outbox = self._outbox, []
        return answers

    def close(self) -> None:
        """End it."""
        self.is_open = False
