"""What a listener says to bytes that are no HTTP, and to a fault of its own: nothing of what it was sent."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from quantd.clock import LoopClock
from quantd.listening import Bounds, Listener, Ration
from quantd.testing.loop import run_virtual

SECRET = "planted-token-1c97"

UNREADABLE = [
    pytest.param(f"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {SECRET}\x00\r\n\r\n", id="a control character"),
    pytest.param(f"GET / HTTP/1.1\r\nHost: x\r\nAuthorization {SECRET}\r\n\r\n", id="no colon"),
    pytest.param(f"GET / HTTP/1.1\r\nHost: x\r\nX-{SECRET} : 1\r\n\r\n", id="a blank in a name"),
    pytest.param(f"{SECRET}\r\n\r\n", id="no request line"),
    pytest.param(f"GET /{SECRET} HTTP/9.x\r\n\r\n", id="no version"),
    pytest.param(f"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: {SECRET}\r\n\r\n", id="no length"),
    pytest.param(f"GET / HTTP/1.1\r\nHost: x\r\nX: {'a' * 9000}{SECRET}\r\n\r\n", id="too long a header"),
]


async def _fails(request: web.Request) -> web.Response:
    raise ValueError(f"the handler tripped over {request.headers['Authorization']}")


async def _body(request: web.Request) -> web.Response:
    return web.Response(text=str(len(await request.read())))


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    app = web.Application()
    app.router.add_get("/fails", _fails)
    app.router.add_post("/body", _body)
    listener = Listener("probe", app, "127.0.0.1", 0)
    await listener.start()
    yield listener
    await listener.stop()


async def exchange(port: int, sent: str) -> str:
    """Send bytes as they are and return all that comes back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent.encode())
    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()
    return answer.decode()


@pytest.mark.parametrize("sent", UNREADABLE)
async def test_what_cannot_be_read_is_repeated_neither_in_the_answer_nor_in_the_log(
    listener: Listener, sent: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with capture_logs() as lines:
        answer = await exchange(listener.port, sent)
    assert " 400 Bad Request\r\n" in answer
    printed = capfd.readouterr()
    assert not [one for one in (answer, str(lines), printed.out, printed.err, caplog.text) if SECRET in one]
    assert [line["event"] for line in lines] == ["request_failed"]
    assert (lines[0]["listener"], lines[0]["status"]) == ("probe", 400)


async def test_a_fault_of_the_handler_is_a_500_and_the_log_names_the_line_of_code_only(
    listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    with capture_logs() as lines:
        answer = await exchange(
            listener.port, f"GET /fails HTTP/1.1\r\nHost: x\r\nAuthorization: {SECRET}\r\nConnection: close\r\n\r\n"
        )
    assert answer.startswith("HTTP/1.1 500 ")
    assert [line["error"] for line in lines] == ["ValueError"]
    assert "test_listening.py:" in lines[0]["where"]
    assert SECRET not in answer + str(lines) + caplog.text


async def test_a_body_that_turns_out_unreadable_is_not_repeated(
    listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    with capture_logs() as lines:
        answer = await exchange(
            listener.port, f"POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{SECRET}\r\n"
        )
    assert " 400 Bad Request\r\n" in answer
    assert SECRET not in answer + str(lines) + caplog.text


async def test_a_port_that_is_taken_is_an_error_of_the_start_and_one_that_was_left_is_free(listener: Listener) -> None:
    port = listener.port
    with pytest.raises(OSError, match="address already in use"):
        await Listener("second", web.Application(), "127.0.0.1", port).start()
    await listener.stop()
    third = Listener("third", web.Application(), "127.0.0.1", port)
    await third.start()
    assert (await exchange(port, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).startswith("HTTP/1.1 404 ")
    await third.stop()


async def ended(reader: asyncio.StreamReader) -> bool:
    """Whether the other side has closed; waits for it."""
    try:
        async with asyncio.timeout(5):
            return await reader.read() == b""
    except ConnectionResetError:
        return True


async def test_whoever_sends_no_headers_is_cut_off() -> None:
    listener = Listener("probe", web.Application(), "127.0.0.1", 0, bounds=Bounds(first_s=0.1))
    await listener.start()
    for begun in (b"", b"GET / HTTP/1.1\r\nHost: loc"):
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(begun)
        assert await ended(reader)
        writer.close()
    await listener.stop()


async def test_a_request_that_takes_too_long_is_cut_off() -> None:
    async def never(request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError("nobody waits for this")

    app = web.Application()
    app.router.add_get("/", never)
    listener = Listener("probe", app, "127.0.0.1", 0, bounds=Bounds(busy_s=0.1))
    await listener.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert await ended(reader)
    writer.close()
    await listener.stop()


async def test_idle_connections_are_bounded_and_keep_nobody_out() -> None:
    listener = Listener("probe", web.Application(), "127.0.0.1", 0, bounds=Bounds(most=4))
    await listener.start()
    opened = [await asyncio.open_connection("127.0.0.1", listener.port) for _ in range(12)]
    answer = await exchange(listener.port, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.startswith("HTTP/1.1 404 "), "who asks is answered"
    for reader, writer in opened[:9]:
        assert await ended(reader), "the oldest have made room"
        writer.close()
    for reader, writer in opened[9:]:
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        async with asyncio.timeout(5):
            assert (await reader.read()).startswith(b"HTTP/1.1 404 ")
        writer.close()
    await listener.stop()


async def test_a_connection_with_a_request_under_way_makes_no_room() -> None:
    asked, may_end = asyncio.Event(), asyncio.Event()

    async def slow(request: web.Request) -> web.Response:
        asked.set()
        await may_end.wait()
        return web.Response(text="done")

    app = web.Application()
    app.router.add_get("/", slow)
    listener = Listener("probe", app, "127.0.0.1", 0, bounds=Bounds(most=1))
    await listener.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    await asked.wait()
    other, second = await asyncio.open_connection("127.0.0.1", listener.port)
    assert await ended(other)
    second.close()
    may_end.set()
    async with asyncio.timeout(5):
        assert (await reader.read()).endswith(b"done")
    writer.close()
    await listener.stop()


async def test_who_sends_rubbish_does_not_fill_the_log(listener: Listener) -> None:
    with capture_logs() as lines:
        for _ in range(70):
            assert " 400 " in await exchange(listener.port, "rubbish\r\n\r\n")
    assert len(lines) == 60


def test_what_is_left_out_of_the_log_is_counted_with_the_next_line() -> None:
    async def told(clock: LoopClock) -> list[int | None]:
        ration, seen = Ration(most=2, within_s=60), []
        for pause_s in (0, 1, 1, 1, 57, 1):
            await asyncio.sleep(pause_s)
            seen.append(ration.take())
        return seen

    assert run_virtual(told) == [0, 0, None, None, 2, 0]
