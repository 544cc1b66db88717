"""Streams over loopback: whole lines however the bytes are cut, silence and ends that are told, answers that are none."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from quantd.ports import HttpRequest, NotSent, ReplyLost
from quantd.venues.lines import AiohttpLines

Play = Callable[[web.StreamResponse], Awaitable[None]]


@asynccontextmanager
async def served(play: Play, status: int = 200) -> AsyncIterator[AiohttpLines]:
    async def stream(request: web.Request) -> web.StreamResponse:
        assert request.headers["Authorization"] == "Bearer x"
        response = web.StreamResponse(status=status)
        await response.prepare(request)
        await play(response)
        return response

    app = web.Application()
    app.router.add_get("/stream", stream)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield AiohttpLines(f"http://127.0.0.1:{runner.addresses[0][1]}")
    finally:
        await runner.cleanup()


REQUEST = HttpRequest("GET", "/stream?a=%2C", {"Authorization": "Bearer x"})


async def test_lines_come_whole_and_what_breaks_off_is_no_line() -> None:
    async def play(response: web.StreamResponse) -> None:
        for part in (b'{"a"', b":1}\n\n{", b'"b":2}\n{"c":3}\n{"broken'):
            await response.write(part)

    seen: list[bytes] = []
    async with served(play) as lines:
        with pytest.raises(ReplyLost):
            await lines.follow(REQUEST, seen.append, silence_s=5)
    assert seen == [b'{"a":1}', b'{"b":2}', b'{"c":3}']


async def test_silence_is_a_loss() -> None:
    async def play(response: web.StreamResponse) -> None:
        await response.write(b"one\n")
        await asyncio.sleep(5)

    seen: list[bytes] = []
    async with served(play) as lines:
        with pytest.raises(ReplyLost):
            await lines.follow(REQUEST, seen.append, silence_s=0.1)
    assert seen == [b"one"]


async def test_an_answer_that_is_no_stream_is_returned() -> None:
    async def play(response: web.StreamResponse) -> None:
        await response.write(b'{"errorMessage":"no"}')

    async with served(play, status=401) as lines:
        answer = await lines.follow(REQUEST, lambda line: None, silence_s=5)
    assert (answer.status, answer.body) == (401, b'{"errorMessage":"no"}')


async def test_no_connection_is_told_as_such() -> None:
    with pytest.raises(NotSent):
        await AiohttpLines("http://127.0.0.1:1").follow(REQUEST, lambda line: None, silence_s=1)
