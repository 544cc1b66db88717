"""The aiohttp transport against servers on loopback that misbehave at every stage of an exchange."""

import asyncio
import gzip
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from quantd.ports import HttpRequest, HttpResponse, NotSent, ReplyLost
from quantd.venues.transport import AiohttpTransport

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Seen: Yes\r\n\r\nok"
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


class Server:
    """A scripted server: each request, read whole, is handed to the script; counts the requests."""

    def __init__(self, script: Callable[["Server", asyncio.StreamWriter], Awaitable[None]]) -> None:
        self.script = script
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.connections = 0
        self.port = 0
        self.seen = asyncio.Event()
        self._serving: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """End with what is still being served, or a later test would be told of it."""
        for task in self._serving:
            task.cancel()
        if self._serving:
            await asyncio.wait(self._serving)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                length = 0
                for line in head.lower().split(b"\r\n"):
                    if line.startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                self.heads.append(head)
                self.bodies.append(await reader.readexactly(length))
                self.seen.set()
                await self.script(self, writer)
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError):
            pass
        finally:
            self._serving.discard(task)
            writer.close()


@asynccontextmanager
async def serving(
    script: Callable[[Server, asyncio.StreamWriter], Awaitable[None]], **options: float
) -> AsyncIterator[tuple[Server, AiohttpTransport]]:
    server = Server(script)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    transport = AiohttpTransport(f"http://127.0.0.1:{server.port}/api/", **options)  # type: ignore[arg-type] # body_max is an int
    try:
        yield server, transport
    finally:
        await transport.close()
        listener.close()
        await server.close()


def answering(*answers: bytes) -> Callable[[Server, asyncio.StreamWriter], Awaitable[None]]:
    """Answer the first request with the first of `answers` and so on, the last one again and again."""

    async def script(server: Server, writer: asyncio.StreamWriter) -> None:
        writer.write(answers[min(len(server.heads), len(answers)) - 1])
        await writer.drain()

    return script


def closing_after(answer: bytes) -> Callable[[Server, asyncio.StreamWriter], Awaitable[None]]:
    async def script(server: Server, writer: asyncio.StreamWriter) -> None:
        if answer:
            writer.write(answer)
            await writer.drain()
        writer.close()

    return script


async def reset(server: Server, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def silent(server: Server, writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


def request(method: str = "POST", path: str = "/orders?sig=a%2Fb%20c", body: bytes = b'{"q":1}') -> HttpRequest:
    return HttpRequest(method, path, {"X-Key": "k"}, b"" if method in ("GET", "DELETE") else body)


async def test_a_request_arrives_byte_for_byte_and_the_connection_is_kept() -> None:
    async with serving(answering(OK)) as (server, transport):
        response = await transport.send(request(), timeout_s=2)
        for _ in range(3):
            assert await transport.send(request(), timeout_s=2) == response
        assert (response.status, response.body) == (200, b"ok")
        assert [response.headers.get(name) for name in ("content-length", "x-seen", "x-other")] == ["2", "Yes", None]
        assert server.connections == 1
        assert server.heads[0].startswith(b"POST /api/orders?sig=a%2Fb%20c HTTP/1.1\r\n")
        assert b"X-Key: k\r\n" in server.heads[0]
        assert b"User-Agent: quantd\r\n" in server.heads[0]
        assert b"content-type" not in server.heads[0].lower()
        assert server.bodies[0] == b'{"q":1}'


async def test_a_connection_that_was_idle_for_too_long_is_not_used_again() -> None:
    async with serving(answering(OK), idle_s=0.05) as (server, transport):
        await transport.send(request(), timeout_s=2)
        await asyncio.sleep(0.1)
        await transport.send(request(), timeout_s=2)
        assert server.connections == 2


async def test_a_large_chunked_compressed_answer_is_read_whole() -> None:
    text = b"0123456789" * 50_000
    packed = gzip.compress(text, 1)
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in (packed[i : i + 700] for i in range(0, len(packed), 700)))
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n\r\n"
    async with serving(answering(head + chunks + b"0\r\n\r\n")) as (_, transport):
        assert (await transport.send(request("GET"), timeout_s=2)).body == text


@pytest.mark.parametrize("method", METHODS)
async def test_a_refused_connection_is_not_sent(method: str) -> None:
    async with serving(answering(OK)) as (server, transport):
        other = AiohttpTransport(f"http://127.0.0.1:{server.port}")
    with pytest.raises(NotSent):
        await other.send(request(method), timeout_s=2)
    await other.close()
    with pytest.raises(NotSent, match="closed"):
        await transport.send(request(method), timeout_s=2)


async def test_an_unknown_name_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)  # a real question would leave this machine
    transport = AiohttpTransport("http://quantd.invalid")
    with pytest.raises(NotSent):
        await transport.send(request(), timeout_s=4)
    await transport.close()


async def test_tls_that_cannot_be_agreed_is_not_sent() -> None:
    async with serving(closing_after(b"")) as (server, _):
        transport = AiohttpTransport(f"https://127.0.0.1:{server.port}")
        with pytest.raises(NotSent):
            await transport.send(request(), timeout_s=2)
        assert server.bodies == []
        await transport.close()


async def test_a_request_that_gets_no_free_connection_is_not_sent() -> None:
    async with serving(silent, connections_max=1, connect_timeout_s=0.05) as (server, transport):
        async with asyncio.TaskGroup() as group:
            first = group.create_task(outcome_of(transport.send(request(), timeout_s=0.5)))
            await server.seen.wait()
            second = group.create_task(outcome_of(transport.send(request(), timeout_s=0.4)))
        assert (first.result(), second.result()) == ("ReplyLost", "NotSent")
        assert len(server.heads) == 1


async def outcome_of(sending: Awaitable[HttpResponse]) -> str:
    try:
        return str((await sending).status)
    except (NotSent, ReplyLost) as error:
        return type(error).__name__


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "script",
    [
        pytest.param(reset, id="reset before the headers"),
        pytest.param(closing_after(b""), id="closed before the headers"),
        pytest.param(closing_after(b"HTTP/1.1 200 OK\r\nContent-Le"), id="closed within the headers"),
        pytest.param(closing_after(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal"), id="body cut short"),
        pytest.param(
            closing_after(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe"), id="chunk cut short"
        ),
        pytest.param(answering(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), id="not HTTP"),
        pytest.param(answering(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"), id="garbled length"),
        pytest.param(
            answering(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope"), id="garbled gzip"
        ),
        pytest.param(silent, id="no answer in time"),
    ],
)
async def test_a_failure_after_the_bytes_left_is_a_lost_reply_and_nothing_is_sent_twice(
    method: str, script: Callable[[Server, asyncio.StreamWriter], Awaitable[None]]
) -> None:
    async with serving(script) as (server, transport):
        with pytest.raises(ReplyLost):
            await transport.send(request(method), timeout_s=0.25)
        assert len(server.heads) == 1


@pytest.mark.parametrize("method", METHODS)
async def test_a_kept_connection_that_dies_under_a_request_is_not_tried_again(method: str) -> None:
    """aiohttp repeats idempotent methods here by itself; the venue may have done the first one."""

    async def script(server: Server, writer: asyncio.StreamWriter) -> None:
        if len(server.heads) == 2:
            writer.transport.abort()
        else:
            writer.write(OK)
            await writer.drain()

    async with serving(script) as (server, transport):
        await transport.send(request(method), timeout_s=2)
        with pytest.raises(ReplyLost):
            await transport.send(request(method), timeout_s=2)
        assert len(server.heads) == 2
        assert (await transport.send(request(method), timeout_s=2)).status == 200


async def test_an_answer_above_the_cap_is_lost_and_its_connection_dropped() -> None:
    big = b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + b"x" * 300_000
    async with serving(answering(big, OK), body_max=100_000) as (server, transport):
        with pytest.raises(ReplyLost, match="larger than 100000"):
            await transport.send(request(), timeout_s=2)
        assert (await transport.send(request(), timeout_s=2)).body == b"ok"
        assert server.connections == 2


async def test_a_redirect_is_followed_for_reads_within_the_host_only() -> None:
    moved = b"HTTP/1.1 307 Moved\r\nLocation: /api/v2\r\nContent-Length: 0\r\n\r\n"
    away = b"HTTP/1.1 302 Moved\r\nLocation: http://localhost:1/steal\r\nContent-Length: 0\r\n\r\n"
    async with serving(answering(moved, OK)) as (server, transport):
        assert (await transport.send(request("GET"), timeout_s=2)).status == 200
        assert server.heads[1].startswith(b"GET /api/v2 ")
        assert b"X-Key: k\r\n" in server.heads[1]
    for method, answer, status in (("POST", moved, 307), ("DELETE", moved, 307), ("GET", away, 302)):
        async with serving(answering(answer, OK)) as (server, transport):
            assert (await transport.send(request(method), timeout_s=2)).status == status
            assert len(server.heads) == 1


async def test_an_endless_redirect_ends() -> None:
    loop = b"HTTP/1.1 301 Moved\r\nLocation: /api/again\r\nContent-Length: 0\r\n\r\n"
    async with serving(answering(loop)) as (server, transport):
        assert (await transport.send(request("GET"), timeout_s=2)).status == 301
        assert len(server.heads) == 4


async def test_messages_do_not_quote_the_query() -> None:
    for script in (answering(b"SSH-2.0\r\n\r\n"), silent, reset):
        async with serving(script) as (_, transport):
            with pytest.raises(ReplyLost) as lost:
                await transport.send(request(path="/orders?signature=secret"), timeout_s=1.0)
            assert "secret" not in str(lost.value)


@pytest.mark.parametrize("url", ["ftp://host", "http://", "http://host/?a=b", "host"])
def test_a_base_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="base URL"):
        AiohttpTransport(url)


def test_verification_cannot_be_switched_off() -> None:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with pytest.raises(ValueError, match="verify"):
        AiohttpTransport("https://host", tls=context)


async def test_a_path_that_is_none_is_a_fault_of_the_caller() -> None:
    async with serving(answering(OK)) as (_, transport):
        with pytest.raises(ValueError, match="path"):
            await transport.send(HttpRequest("GET", "orders"), timeout_s=1)


@pytest.mark.parametrize("body", [b"", b"{}"])
@pytest.mark.parametrize("named", [None, "application/json"])
async def test_a_request_carries_the_type_that_it_names_and_none_that_it_does_not(
    body: bytes, named: str | None
) -> None:
    headers = {} if named is None else {"Content-Type": named}
    async with serving(answering(OK)) as (server, transport):
        await transport.send(HttpRequest("POST", "/x", headers, body), timeout_s=5)
    lines = [line for line in server.heads[0].lower().split(b"\r\n") if line.startswith(b"content-type")]
    assert lines == ([] if named is None else [b"content-type: application/json"])
