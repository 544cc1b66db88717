"""Streams of simulated venues, as answers without an end: over the shell's port, and in memory for virtual time.

Used by the shell and by tests behind the port for streams. A fault rule on the route of a stream meets it as it is opened;
one on the route ``line`` meets each line on its way: lost (``drop_*``), held up with all that follow (``delay*``), told twice
(``duplicate``), spoilt (``garbage``), or broken off in the middle with the connection (``truncate``, ``error*``,
``throttle``). It knows no venue's lines.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Protocol, runtime_checkable

from aiohttp import web

from quantd.ports import HttpRequest, HttpResponse, NotSent, ReplyLost
from quantd.simulators.faults import Action, FaultRule, FaultScript
from quantd.simulators.passage import REFUSED, hang_up, hold, is_lost, on_their_way, until_news

TICK_S = 0.25
"""How long a stream may be unlooked at: what time alone brings comes so late at most."""
_BROKEN = (*REFUSED, Action.TRUNCATE)
_GARBAGE = b"\x00\xff<<not what you asked for>>\n"


class LineSource(Protocol):
    """One stream on the venue's side. Never waits, never does I/O."""

    def take(self) -> list[bytes]:
        """Do what time brings, and hand out the whole lines that are to be sent now."""

    def close(self) -> None:
        """Take note that nobody listens any more."""


@runtime_checkable
class Followed(Protocol):
    """A venue that has streams."""

    streams: frozenset[str]
    """The operations that are streams."""

    def operation(self, request: HttpRequest) -> str:
        """Return the name of a request's route."""

    def follow(self, request: HttpRequest, wake: Callable[[], None]) -> LineSource | HttpResponse:
        """Open a stream, or return why not; `wake` is called when it has something to say."""

    def failure(self, status: int, retry_after_s: float | None = None) -> HttpResponse:
        """Return a failure that no processing led to."""


def _refusal(venue: Followed, rule: FaultRule | None) -> HttpResponse | None:
    if rule is None or rule.action not in REFUSED:
        return None
    return venue.failure(429 if rule.action is Action.THROTTLE else rule.status, rule.retry_after_s)


def _on_their_way(lines: Iterable[bytes], faults: FaultScript) -> AsyncIterator[tuple[bytes, bool]]:
    return on_their_way(lines, faults, route="line", garbage=_GARBAGE, breaking=_BROKEN)


class LineServer:
    """Carries a venue's streams over the shell's port."""

    def __init__(self, venue: object, faults: FaultScript) -> None:
        self._venue = venue
        self._faults = faults
        self._awake: set[asyncio.Event] = set()
        self._closed = False

    def wants(self, asked: HttpRequest) -> bool:
        """Tell whether a request asks for a stream."""
        return isinstance(self._venue, Followed) and self._venue.operation(asked) in self._venue.streams

    async def carry(self, request: web.Request, asked: HttpRequest) -> web.StreamResponse:
        """Carry one stream to its end."""
        assert isinstance(self._venue, Followed)
        rule = self._faults.decide(self._venue.operation(asked))
        if is_lost(rule):
            return hang_up(request)
        await hold(rule)
        news = asyncio.Event()
        opened = _refusal(self._venue, rule) or self._venue.follow(asked, news.set)
        if isinstance(opened, HttpResponse):
            return web.Response(status=opened.status, body=opened.body, headers=opened.headers)
        wire = web.StreamResponse(headers={"content-type": "application/octet-stream"})
        wire.enable_chunked_encoding()
        await wire.prepare(request)
        self._awake.add(news)
        try:
            await self._send(request, wire, opened, news)
        finally:
            self._awake.discard(news)
            opened.close()
        return wire

    async def _send(
        self, request: web.Request, wire: web.StreamResponse, source: LineSource, news: asyncio.Event
    ) -> None:
        while not self._closed and request.transport is not None and not request.transport.is_closing():
            async for part, breaks in _on_their_way(source.take(), self._faults):
                try:
                    await wire.write(part)
                except ConnectionError:  # the client is gone
                    return
                if breaks and request.transport is not None:
                    request.transport.close()
                    return
            await until_news(news, TICK_S)

    def close(self) -> None:
        """End all streams."""
        self._closed = True
        for news in self._awake:
            news.set()


class MemoryLines:
    """A client's end of a venue's streams in this process.

    Args:
        venue: Is followed.
        faults: What goes wrong on the way.
    """

    def __init__(self, venue: Followed, faults: FaultScript) -> None:
        self._venue = venue
        self._faults = faults

    async def follow(self, request: HttpRequest, on_line: Callable[[bytes], None], *, silence_s: float) -> HttpResponse:
        """Call `on_line` with each whole line, for as long as they come; return an answer that is no stream.

        Raises:
            NotSent: no connection.
            ReplyLost: the stream broke off, or said nothing for `silence_s` seconds.
        """
        rule = self._faults.decide(self._venue.operation(request))
        if is_lost(rule):
            raise NotSent("refused by the simulated venue")
        await hold(rule)
        news = asyncio.Event()
        opened = _refusal(self._venue, rule) or self._venue.follow(request, news.set)
        if isinstance(opened, HttpResponse):
            return opened
        loop = asyncio.get_running_loop()
        heard = loop.time()
        try:
            while loop.time() - heard < silence_s:
                async for part, breaks in _on_their_way(opened.take(), self._faults):
                    if breaks:
                        raise ReplyLost("the stream breaks off")
                    heard = loop.time()
                    on_line(part.rstrip(b"\n"))
                await until_news(news, TICK_S)
        finally:
            opened.close()
        raise ReplyLost(f"nothing came for {silence_s} s")
