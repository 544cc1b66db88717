"""The ionloop kill switch on a socket: what counts as gone, and what is asked for again."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from quantd.ports import KillAnswer
from quantd.venues.blocking import BlockingTransport
from quantd.venues.ionloop.kill import NOT_FOUND_LOOKS, IonloopKillSwitch

GOOD = '{"success":true,"data":{"id":"o1","status":"cancelled"},"meta":{}}'
ERROR = '{"success":false,"error":{"code":"%s","message":"no"},"meta":{}}'


class Place:
    """A server that answers as it is told and notes what it was asked."""

    def __init__(self) -> None:
        self.status, self.body = 200, GOOD
        self.headers: dict[str, str] = {}
        self.asked: list[tuple[str, str, str]] = []
        self.url = ""
        self._peers: set[object] = set()

    @property
    def peers(self) -> int:
        """How many connections it was asked over."""
        return len(self._peers)

    async def handle(self, request: web.Request) -> web.Response:
        self._peers.add(request.transport.get_extra_info("peername") if request.transport is not None else None)
        self.asked.append((request.method, request.raw_path, request.headers.get("Authorization", "")))
        return web.Response(status=self.status, text=self.body, headers=self.headers)

    async def cancel(self, order: str = "o1") -> KillAnswer:
        """Cancel from another thread, as the kill path does, and close the connection with it."""
        transport = BlockingTransport(self.url, 5.0)
        switch = IonloopKillSwitch(transport, "secret", {})

        def work() -> KillAnswer:
            answers = {switch.cancel(order), switch.cancel(order)} if order == "twice" else {switch.cancel(order)}
            transport.close()
            return answers.pop()

        return await asyncio.to_thread(work)


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    made = Place()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


async def test_it_sends_the_connectors_own_cancel(place: Place) -> None:
    assert await place.cancel("a/b") == KillAnswer(True)
    assert place.asked == [("DELETE", "/v1/orders/a%2Fb", "Bearer secret")]


async def test_a_connection_is_kept_for_the_next_cancel_of_its_thread(place: Place) -> None:
    assert await place.cancel("twice") == KillAnswer(True)
    assert len(place.asked) == 2
    assert place.peers == 1


@pytest.mark.parametrize(
    ("status", "body", "gone"),
    [
        (200, GOOD, True),
        (404, ERROR % "NOT_FOUND", False),
        (409, ERROR % "ORDER_REJECTED", True),
        (401, ERROR % "UNAUTHORIZED", False),
        (500, ERROR % "INTERNAL_ERROR", False),
        (502, "<html>", False),
        (200, "{", False),
    ],
)
async def test_only_what_the_venue_confirms_counts_as_gone(place: Place, status: int, body: str, gone: bool) -> None:
    place.status, place.body = status, body
    answer = await place.cancel()
    assert answer.gone is gone
    assert bool(answer.reason) is not gone
    assert "secret" not in answer.reason


async def test_an_order_that_is_not_found_counts_as_gone_once_it_cannot_be_too_new_to_be_shown(place: Place) -> None:
    place.status, place.body = 404, ERROR % "NOT_FOUND"
    transport = BlockingTransport(place.url, 5.0)
    switch = IonloopKillSwitch(transport, "secret", {})

    def work() -> list[bool]:
        gone = [switch.cancel("o1").gone for _ in range(NOT_FOUND_LOOKS)]
        transport.close()
        return gone

    assert await asyncio.to_thread(work) == [False] * (NOT_FOUND_LOOKS - 1) + [True]


async def test_a_refusal_for_too_many_requests_names_its_pause(place: Place) -> None:
    place.status, place.body, place.headers = 429, ERROR % "RATE_LIMITED", {"Retry-After": "3"}
    assert await place.cancel() == KillAnswer(False, "rate_limited", 3.0)


async def test_a_venue_that_is_not_there_is_told_and_not_raised() -> None:
    gone = Place()
    gone.url = "http://127.0.0.1:9"
    answer = await gone.cancel()
    assert not answer.gone
    assert answer.reason.startswith("NotSent")
