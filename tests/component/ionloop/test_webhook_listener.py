"""The listener on a real socket: only signed routes, bounded bodies, quick answers."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from structlog.testing import capture_logs

from quantd.clock import ManualClock
from quantd.control.webhooks import WebhookListener
from quantd.testing.observer import RecordingObserver
from quantd.venues.ionloop.verify import sign
from quantd.venues.ionloop.webhooks import WebhookReceiver

SECRET = "whsec_test"
BODY = b'{"id":"evt_1","type":"order.filled","createdAt":"2026-05-14T12:00:02Z","data":{}}'
NOW_NS = 1_778_760_003_000_000_000


class Site:
    """A running listener and what it handed on."""

    def __init__(self) -> None:
        self.delivered: list[bytes] = []
        receiver = WebhookReceiver(
            "ionloop", SECRET, clock=ManualClock(NOW_NS), observer=RecordingObserver(), deliver=self.delivered.append
        )
        self.listener = WebhookListener(
            "127.0.0.1", 0, receivers={"ionloop": receiver.receive}, body_limit=1024, read_timeout_s=0.2
        )

    async def post(self, path: str, body: bytes, **headers: str) -> tuple[int, str]:
        url = f"http://127.0.0.1:{self.listener.port}{path}"
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=named) as answer:
            return answer.status, await answer.text()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    await site.listener.start()
    yield site
    await site.listener.stop()


async def test_a_signed_event_is_taken_and_its_repetition_acknowledged(site: Site) -> None:
    signature = sign(SECRET, BODY)
    assert await site.post("/webhooks/ionloop", BODY, X_Ionloop_Signature=signature) == (200, "taken")
    assert await site.post("/webhooks/ionloop", BODY, X_Ionloop_Signature=signature) == (200, "duplicate")
    assert site.delivered == [BODY]


async def test_unsigned_and_malformed_bodies_are_refused(site: Site) -> None:
    assert (await site.post("/webhooks/ionloop", BODY))[0] == 401
    assert (await site.post("/webhooks/ionloop", b"{", X_Ionloop_Signature=sign(SECRET, b"{")))[0] == 400
    assert site.delivered == []


async def test_nothing_else_is_served(site: Site) -> None:
    assert (await site.post("/webhooks/other", BODY))[0] == 404
    assert (await site.post("/", BODY))[0] == 404
    url = f"http://127.0.0.1:{site.listener.port}/webhooks/ionloop"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert answer.status == 405


async def test_a_body_above_the_limit_is_refused_announced_or_not(site: Site) -> None:
    body = b"x" * 1025
    assert (await site.post("/webhooks/ionloop", body, X_Ionloop_Signature=sign(SECRET, body)))[0] == 413

    async def stream() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b"x" * 512

    url = f"http://127.0.0.1:{site.listener.port}/webhooks/ionloop"
    async with aiohttp.ClientSession() as session, session.post(url, data=stream()) as answer:
        assert answer.status == 413


async def test_a_sender_that_dawdles_is_cut_off(site: Site) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.listener.port)
    writer.write(b"POST /webhooks/ionloop HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nx")
    async with asyncio.timeout(5):
        assert b" 408 " in await reader.readline()
        await reader.read()
    writer.close()
    await writer.wait_closed()


async def test_an_event_that_cannot_be_handed_on_is_not_acknowledged() -> None:
    def receive(headers: object, body: bytes) -> tuple[int, str]:
        raise RuntimeError("inbox closed")

    listener = WebhookListener("127.0.0.1", 0, receivers={"ionloop": receive}, body_limit=1024)
    await listener.start()
    try:
        url = f"http://127.0.0.1:{listener.port}/webhooks/ionloop"
        async with aiohttp.ClientSession() as session, session.post(url, data=BODY) as answer:
            assert answer.status == 500
    finally:
        await listener.stop()


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "identity"])
async def test_a_compressed_body_is_refused_unread_and_is_no_fault_of_ours(
    site: Site, encoding: str, caplog: pytest.LogCaptureFixture
) -> None:
    head = f"POST /webhooks/ionloop HTTP/1.1\r\nHost: x\r\nContent-Encoding: {encoding}\r\nContent-Length: 7\r\n\r\n"
    with capture_logs() as lines:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.listener.port)
        writer.write(head.encode() + b"rubbish")
        async with asyncio.timeout(5):
            told = await reader.read()
        writer.close()
    assert b" 415 " in told.splitlines()[0]
    assert b"Server: quantd" in told
    assert not [line for line in lines if line["log_level"] == "error"]
    assert not caplog.records, "nor does the library tell of it"


async def test_a_sender_that_goes_away_in_the_middle_is_no_fault_of_ours(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    with capture_logs() as lines:
        for head in (b"Content-Length: 100\r\n\r\n{", b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"):
            _, writer = await asyncio.open_connection("127.0.0.1", site.listener.port)
            writer.write(b"POST /webhooks/ionloop HTTP/1.1\r\nHost: x\r\n" + head)
            await writer.drain()
            writer.close()
            await writer.wait_closed()
        assert (await site.post("/webhooks/ionloop", BODY))[0] == 401, "others are served"
    assert not [line for line in lines if line["log_level"] == "error"]
    assert not caplog.records


async def test_what_is_not_served_does_not_say_which_software_this_is(site: Site) -> None:
    for path in ("/webhooks/other", "/", "/webhooks/ionloop"):
        url = f"http://127.0.0.1:{site.listener.port}{path}"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            assert answer.headers["Server"] == "quantd"
