"""The kill switch on a socket, against the simulated server: what counts as gone, and sessions that have ended."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest

from quantd.clock import SystemClock
from quantd.domain.market import Quote
from quantd.ports import HttpRequest, KillAnswer
from quantd.simulators.faults import Action, FaultRule, FaultScript
from quantd.simulators.server import SimulatorServer
from quantd.simulators.tradelocker.answers import RefusedByVenue
from quantd.simulators.tradelocker.options import Setup, Switches
from quantd.simulators.tradelocker.venue import TradeLockerVenue
from quantd.venues.blocking import BlockingTransport
from quantd.venues.tradelocker.api import Credentials
from quantd.venues.tradelocker.kill import TradeLockerKillSwitch

SETUP = Setup()
MINE = Credentials(SETUP.email, SETUP.password, SETUP.server, SETUP.accounts[0].id)
ORDER = {
    "tradableInstrumentId": 206, "routeId": 9912, "side": "buy", "type": "limit", "validity": "GTC", "qty": "0.10",
    "price": "60000",
}  # fmt: skip


class Place:
    """A served venue with one user's session."""

    def __init__(self) -> None:
        clock = SystemClock()
        self.venue = TradeLockerVenue(SETUP, clock=clock, switches=Switches(enforce_limits=False))
        self.venue.on_market(Quote(SETUP.instruments[0].instrument().id, 65_000.0, 65_010.0, 0))
        self.faults = FaultScript(clock=clock)
        self.server = SimulatorServer(self.venue, self.faults)
        log_in = {"email": SETUP.email, "password": SETUP.password, "server": SETUP.server}
        self.token = self._asked("POST", "/auth/jwt/token", log_in)["accessToken"]

    def _asked(self, method: str, path: str, body: object) -> Any:
        headers = {"Authorization": f"Bearer {getattr(self, 'token', '')}", "accNum": "60"}
        request = HttpRequest(method, f"/backend-api{path}", headers, msgspec.json.encode(body))
        return msgspec.json.decode(self.venue.handle(request).body)

    def order(self) -> str:
        placed = self._asked("POST", f"/trade/accounts/{MINE.account_id}/orders", ORDER)
        order_id: str = placed["d"]["orderId"]
        return order_id

    def requests(self, operation: str) -> int:
        asked: int = self.venue.counters()["requests"].get(operation, 0)
        return asked

    async def cancel(
        self, *orders: str, session: tuple[str, str] | None = None, credentials: Credentials = MINE
    ) -> list[KillAnswer]:
        """Cancel from other threads, all at once, as the kill path does."""
        transport = BlockingTransport(self.server.url, 5.0)
        held = (self.token, "60") if session is None else session
        switch = TradeLockerKillSwitch(transport, credentials, lambda: held)

        def work(cancel: Callable[[str], KillAnswer], order: str) -> KillAnswer:
            answer = cancel(order)
            transport.close()
            return answer

        async with asyncio.TaskGroup() as tasks:
            threads = [asyncio.to_thread(work, switch.cancel, one) for one in orders]
            done = [tasks.create_task(one, name=f"cancel {number}") for number, one in enumerate(threads)]
        return [one.result() for one in done]


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    made = Place()
    await made.server.start()
    yield made
    await made.server.stop()


async def test_it_cancels_with_the_connector_s_own_session(place: Place) -> None:
    orders = [place.order() for _ in range(4)]
    assert await place.cancel(*orders) == [KillAnswer(True)] * 4
    assert place.venue.counters()["orders"]["open"] == 0
    assert (place.requests("log_in"), place.requests("orders")) == (1, 0)


async def test_an_order_that_nobody_knows_or_that_has_ended_is_gone(place: Place) -> None:
    ended = place.order()
    await place.cancel(ended)
    assert await place.cancel(ended, "12345") == [KillAnswer(True)] * 2
    assert place.requests("orders") == 1, "words of a refusal are no proof: the list is"


async def test_a_refused_order_that_is_still_listed_is_not_gone(place: Place) -> None:
    order = place.order()
    place.venue.orders.cancel = _refuse  # type: ignore[method-assign, assignment]  # a word that the server has never said
    (answer,) = await place.cancel(order)
    assert answer == KillAnswer(False, "refused and still open", 1.0)


def _refuse(*_: Any) -> None:
    raise RefusedByVenue("Order cannot be cancelled now")


@pytest.mark.parametrize("session", [("", ""), ("spent", "60")])
async def test_without_a_good_session_it_logs_in_once_for_all_threads(place: Place, session: tuple[str, str]) -> None:
    orders = [place.order() for _ in range(5)]
    assert await place.cancel(*orders, session=session) == [KillAnswer(True)] * 5
    assert place.requests("log_in") == 2
    assert place.venue.counters()["orders"]["open"] == 0


async def test_a_session_that_cannot_be_had_is_said_and_nothing_counts_as_gone(place: Place) -> None:
    wrong = msgspec.structs.replace(MINE, password="wrong")
    (answer,) = await place.cancel(place.order(), session=("", ""), credentials=wrong)
    assert not answer.gone
    assert "log-in" in answer.reason
    assert "wrong" not in answer.reason


@pytest.mark.parametrize("action", [Action.DROP_AFTER, Action.ERROR, Action.THROTTLE, Action.GARBAGE])
async def test_what_the_server_does_not_confirm_is_asked_for_again(place: Place, action: Action) -> None:
    order = place.order()
    place.faults.add([FaultRule(action, "cancel_order", times=1, status=503)])
    (first,) = await place.cancel(order)
    assert not first.gone
    assert await place.cancel(order) == [KillAnswer(True)]
