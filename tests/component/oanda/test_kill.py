"""The kill path's cancels: what confirms that an order is gone, and what has to be tried again."""

import msgspec
import pytest

from quantd.ports import HttpRequest, HttpResponse, KillAnswer, NotSent, ReplyLost
from quantd.venues.blocking import BlockingTransport
from quantd.venues.oanda.kill import OandaKillSwitch
from quantd.venues.oanda.options import OandaOptions
from tests.component.oanda.scripted_venue import ACCOUNT, TOKEN


class ScriptedTransport(BlockingTransport):
    """Answers without a socket."""

    def __init__(self, act: HttpResponse | Exception) -> None:
        super().__init__("http://127.0.0.1:1", 1.0)
        self.act = act
        self.requests: list[HttpRequest] = []

    def send(self, request: HttpRequest) -> HttpResponse:
        """Note the request and do as scripted."""
        self.requests.append(request)
        if isinstance(self.act, Exception):
            raise self.act
        return self.act


CANCELLED = HttpResponse(200, {}, b'{"orderCancelTransaction":{"id":"9","orderID":"7","reason":"CLIENT_REQUEST"}}')
GONE = HttpResponse(404, {}, b'{"errorMessage":"The Order specified does not exist","errorCode":"ORDER_DOESNT_EXIST"}')


@pytest.mark.parametrize(
    ("act", "gone"),
    [
        (CANCELLED, True),
        (GONE, False),
        (HttpResponse(200, {}, b"{}"), False),
        (HttpResponse(404, {}, b"<html>"), False),
        (HttpResponse(401, {}, b'{"errorMessage":"no"}'), False),
        (HttpResponse(503, {}, b""), False),
        (NotSent("no"), False),
        (ReplyLost("cut"), False),
    ],
)
def test_only_the_venues_word_confirms_that_an_order_is_gone(act: HttpResponse | Exception, gone: bool) -> None:
    transport = ScriptedTransport(act)
    answer = OandaKillSwitch(transport, OandaOptions(TOKEN, ACCOUNT)).cancel("7")
    assert answer.gone is gone
    assert TOKEN not in answer.reason
    request, *looks = transport.requests
    assert [one.method for one in looks] == (["GET"] if act is GONE else [])
    assert (request.method, request.path) == ("PUT", f"/v3/accounts/{ACCOUNT}/orders/7/cancel")
    assert request.headers["Authorization"] == f"Bearer {TOKEN}"


class ReplacedOrder(ScriptedTransport):
    """Order 7 has ended and, as it is told, goes on as 9."""

    def __init__(self, **told: str) -> None:
        super().__init__(GONE)
        self.told = {"id": "7", "type": "LIMIT", **told}
        self.is_shown = True

    def send(self, request: HttpRequest) -> HttpResponse:
        """Answer by what is asked for."""
        super().send(request)
        if request.method == "GET" and self.is_shown:
            return HttpResponse(200, {}, msgspec.json.encode({"order": self.told}))
        return CANCELLED if "/orders/9/" in request.path else GONE


def test_an_order_that_is_not_shown_is_gone_only_once_a_second_look_does_not_show_it() -> None:
    """Right after its creation an order may not be shown, and be replaced by another already."""
    switch = OandaKillSwitch(ScriptedTransport(GONE), OandaOptions(TOKEN, ACCOUNT))
    assert switch.cancel("7") == KillAnswer(False, "ended, and not shown yet", 1.0)
    assert switch.cancel("7") == KillAnswer(True)
    lagging = ReplacedOrder(state="CANCELLED", replacedByOrderID="9")
    switch = OandaKillSwitch(lagging, OandaOptions(TOKEN, ACCOUNT))
    lagging.is_shown = False
    assert not switch.cancel("7").gone
    lagging.is_shown = True
    assert switch.cancel("7") == KillAnswer(True)
    assert lagging.requests[-1].path.endswith("/orders/9/cancel")


def test_an_order_that_goes_on_under_another_number_is_cancelled_by_that() -> None:
    transport = ReplacedOrder(state="CANCELLED", replacedByOrderID="9")
    assert OandaKillSwitch(transport, OandaOptions(TOKEN, ACCOUNT)).cancel("7") == KillAnswer(True)
    assert [one.path.rpartition("orders/")[2] for one in transport.requests] == ["7/cancel", "7", "9/cancel"]


@pytest.mark.parametrize(("state", "gone"), [("FILLED", True), ("CANCELLED", True), ("PENDING", False)])
def test_an_order_whose_cancel_is_refused_is_gone_only_where_it_is_shown_to_have_ended(state: str, gone: bool) -> None:
    transport = ReplacedOrder(state=state)
    assert OandaKillSwitch(transport, OandaOptions(TOKEN, ACCOUNT)).cancel("7").gone is gone


def test_too_many_requests_name_a_pause() -> None:
    switch = OandaKillSwitch(
        ScriptedTransport(HttpResponse(429, {"retry-after": "2"}, b"")), OandaOptions(TOKEN, ACCOUNT)
    )
    assert switch.cancel("7") == KillAnswer(False, "rate_limited", 2.0)
