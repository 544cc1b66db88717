"""What a fault script does to a stream on its way, whatever the stream is made of.

Used by `lines` and `sockets`: one rule as the stream opens, then one for each part of it. It knows neither a venue nor a
protocol.
"""

import asyncio
from collections.abc import AsyncIterator, Container, Iterable
from typing import Final, TypeVar

from aiohttp import web

from quantd.simulators.faults import Action, FaultRule, FaultScript

LOST: Final = (Action.DROP_BEFORE, Action.DROP_AFTER)
REFUSED: Final = (Action.ERROR, Action.ERROR_AFTER, Action.THROTTLE)
_HELD: Final = (Action.DELAY, Action.DELAY_AFTER)

_Part = TypeVar("_Part", bytes, str)


def is_lost(rule: FaultRule | None) -> bool:
    """Whether a stream is not opened at all, and nobody answers."""
    return rule is not None and rule.action in LOST


async def hold(rule: FaultRule | None) -> None:
    """Wait if the stream, or the part of it, is held up."""
    if rule is not None and rule.action in _HELD:
        await asyncio.sleep(rule.delay_s)


def hang_up(request: web.Request) -> web.Response:
    """Break the connection off, and return a response that goes nowhere."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def on_their_way(
    parts: Iterable[_Part], faults: FaultScript, *, route: str, garbage: _Part, breaking: Container[Action]
) -> AsyncIterator[tuple[_Part, bool]]:
    """Yield what arrives of each part, and whether the connection breaks with it; nothing comes after that.

    Args:
        parts: As they leave the venue.
        faults: Is asked once for each.
        route: What its rules call a part.
        garbage: What arrives of a part that is spoilt.
        breaking: The actions that break the connection.
    """
    for part in parts:
        rule = faults.decide(route)
        if rule is None:
            yield part, False
            continue
        if rule.action in LOST:
            continue
        if rule.action in breaking:
            yield part[: len(part) // 2], True
            return
        await hold(rule)
        if rule.action is Action.GARBAGE:
            yield garbage, False
        elif rule.action is Action.TRUNCATE:
            yield part[: len(part) // 2], False
        else:
            yield part, False
        if rule.action is Action.DUPLICATE:
            yield part, False


async def until_news(news: asyncio.Event, patience_s: float) -> None:
    """Wait until there is news, or for a while; then there is none."""
    try:
        async with asyncio.timeout(patience_s):
            await news.wait()
    except TimeoutError:
        pass
    news.clear()
