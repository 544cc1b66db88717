"""Streams beside the polls: prices become quotes, the log's growth a hint; loss, silence and refusals stop nothing."""

import asyncio
import json
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from quantd.clock import LoopClock
from quantd.domain.events import Event
from quantd.domain.instruments import Instrument
from quantd.domain.market import Quote
from quantd.ports import HttpRequest, HttpResponse, NotSent, ReplyLost
from quantd.testing.loop import run_virtual
from quantd.testing.observer import RecordingObserver
from quantd.venues.oanda.streams import Streams
from quantd.venues.oanda.translate import instrument
from tests.component.oanda.scripted_venue import ACCOUNT, PRICE, TOKEN
from tests.unit.venues_oanda.test_translate import rules

RULES: Instrument = instrument("oanda", rules(), None, "USD")
HEARTBEAT: dict[str, Any] = {"type": "HEARTBEAT", "time": "2020-09-13T12:26:45.000000000Z"}
Act = list[Any] | Exception | HttpResponse


class ScriptedLines:
    """Streams as a list of connections, each of them lines, an answer that is none, or a failure; then silence."""

    def __init__(self, *connections: Act) -> None:
        self.connections = list(connections)
        self.requests: list[HttpRequest] = []
        self.at_s: list[float] = []

    async def follow(self, request: HttpRequest, on_line: Callable[[bytes], None], *, silence_s: float) -> HttpResponse:
        """Play the next connection."""
        self.requests.append(request)
        self.at_s.append(asyncio.get_running_loop().time())
        act = self.connections.pop(0) if self.connections else []
        if isinstance(act, HttpResponse):
            return act
        if isinstance(act, Exception):
            raise act
        for line in act:
            on_line(line if isinstance(line, bytes) else json.dumps(line).encode())
        await asyncio.sleep(silence_s)
        raise ReplyLost("silent")


def played(
    lines: ScriptedLines, *, stream: str, known: int = 5, for_s: float = 60.0
) -> tuple[list[Event], int, RecordingObserver]:
    """Run one of the streams over the script; return what it emitted and how often it hinted."""
    emitted: list[Event] = []
    hints: list[int] = []
    observer = RecordingObserver()

    async def main(clock: LoopClock) -> None:
        streams = Streams("oanda", TOKEN, ACCOUNT, lines=lines, clock=clock, random=random.Random(1), observer=observer)
        work = (
            streams.prices([RULES], emitted.append)
            if stream == "prices"
            else streams.transactions(lambda: known, lambda: hints.append(1))
        )
        with suppress(TimeoutError):
            async with asyncio.timeout(for_s):
                await work

    run_virtual(main)
    return emitted, len(hints), observer


def test_a_price_becomes_a_quote_and_everything_else_is_passed_over() -> None:
    others = [
        HEARTBEAT, {"type": "OF_TOMORROW"}, PRICE | {"instrument": "USD_JPY"}, PRICE | {"bids": []}, b"{broken", b"[]", b"\xff",
    ]  # fmt: skip
    lines = ScriptedLines([*others, PRICE | {"aFieldFromTomorrow": 1}])
    (quote,), _, _ = played(lines, stream="prices", for_s=5)
    assert isinstance(quote, Quote)
    assert (quote.instrument, quote.bid, quote.ask) == ("oanda:EUR_USD", 1.0999, 1.1)
    assert quote.occurred_at_ns == 1_600_000_000_000_000_000
    assert lines.requests[0].path == f"/v3/accounts/{ACCOUNT}/pricing/stream?instruments=EUR_USD"


def test_the_log_s_growth_is_a_hint_and_what_is_known_is_none() -> None:
    lines = ScriptedLines(
        [
            {"id": "5", "type": "LIMIT_ORDER"},
            HEARTBEAT | {"lastTransactionID": "5"},
            {"id": "6"},
            HEARTBEAT | {"lastTransactionID": "7"},
            {},
        ]
    )
    _, hints, _ = played(lines, stream="transactions", for_s=5)
    assert hints == 2


def test_a_stream_that_is_lost_or_silent_is_opened_again_with_growing_pauses() -> None:
    lines = ScriptedLines(NotSent("no"), ReplyLost("cut"), NotSent("no"), NotSent("no"), [PRICE], [PRICE])
    emitted, _, observer = played(lines, stream="prices", for_s=40)
    assert len(emitted) == 2
    pauses = [later - before for before, later in zip(lines.at_s, lines.at_s[1:], strict=False)]
    assert all(pause >= 0.5 for pause in pauses), "at most two connections a second"
    assert pauses[3] >= 4, "1, 2, 4, 8 s, each between half and one and a half of it"
    assert 10.5 <= pauses[4] < 12, "silence ends it after 10 s, and what was up is tried again at once"
    assert observer.gauged("quantd_feed_up", venue="oanda", endpoint="pricing_stream") == 0.0
    labels = {"venue": "oanda", "endpoint": "pricing_stream"}
    assert observer.counted("quantd_stream_connections_total", **labels) == len(lines.at_s)
    assert observer.counted("quantd_stream_losses_total", **labels) == 2, "one that never came up was not lost"
    _, _, observer = played(ScriptedLines([PRICE]), stream="prices", for_s=5)
    assert observer.gauged("quantd_feed_up", venue="oanda", endpoint="pricing_stream") == 1.0


def test_what_is_refused_is_not_asked_for_again_at_once() -> None:
    refused = HttpResponse(401, {}, b'{"errorMessage":"Insufficient authorization to perform request."}')
    lines = ScriptedLines(*[refused] * 9)
    played(lines, stream="prices", for_s=600)
    assert len(lines.requests) <= 5
    busy = ScriptedLines(HttpResponse(503, {}, b""), [PRICE])
    emitted, _, _ = played(busy, stream="prices", for_s=10)
    assert emitted, "an outage is tried again soon"
