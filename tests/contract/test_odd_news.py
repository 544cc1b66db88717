"""What venues send unasked, with an odd value in each place of it: nothing falls over, and nothing is left behind."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

from quantd.domain.events import Event
from quantd.domain.market import Quote
from quantd.domain.orders import OrderState
from quantd.domain.reports import OrderReport
from quantd.domain.soundness import flaw_of_report
from quantd.feeds.quality import flaw_of_quote
from quantd.runtime.vouched import sound_only
from tests.component.ionloop.rig import Rig, run
from tests.component.ionloop.test_connector_webhooks import notice
from tests.component.oanda.scripted_venue import PRICE
from tests.component.oanda.test_streams import HEARTBEAT, ScriptedLines, played
from tests.component.ripio.bench import Bench, on_bench
from tests.component.ripio.test_stream import BOOK, book, status, streaming
from tests.contract.odd_answers import ODD, changed, places


def odd(message: Any) -> Iterator[bytes]:
    """Yield a message with each odd value in each of its places."""
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    for path in places(json.loads(body)):
        for value in ODD:
            yield changed(body, path, value)


def test_odd_prices_and_hints_of_oanda_harm_no_stream() -> None:
    lines = ScriptedLines([*odd(PRICE), PRICE])
    emitted, _, _ = played(lines, stream="prices", for_s=9)
    assert len(lines.requests) == 1, "the stream was lost"
    passed = [one for one in emitted if isinstance(one, Quote) and flaw_of_quote(one) is None]
    assert {(one.bid, one.ask) for one in passed[-1:]} == {(1.0999, 1.1)}
    grown = {"type": "ORDER_FILL", "id": "6"}
    lines = ScriptedLines([*odd(HEARTBEAT | {"lastTransactionID": "5"}), *odd(grown), grown])
    _, hints, _ = played(lines, stream="transactions", for_s=9)
    assert hints
    assert len(lines.requests) == 1, "the stream was lost"


def test_odd_webhooks_of_ionloop_spoil_no_order() -> None:
    async def body(rig: Rig) -> None:
        await rig.connector.submit(rig.submit(quantity="0.01"))
        events: list[Event] = []
        emit = sound_only(events.append)
        for payload in odd(notice("ord_1", "0.004", "64990.5")):
            try:
                told = rig.connector.webhook(payload)
            except (ValueError, RecursionError):
                continue  # the receiver has refused it before
            for event in told:
                emit(event)
        assert events
        assert all(isinstance(one, OrderReport) and not flaw_of_report(one) for one in events)
        (report,) = rig.connector.webhook(notice("ord_1", "0.01", "64990.5"))
        assert isinstance(report, OrderReport)
        assert not flaw_of_report(report)
        assert report.state is OrderState.FILLED

    run(body)


def test_odd_frames_of_ripio_harm_neither_the_stream_nor_its_orders() -> None:
    async def act(bench: Bench) -> None:
        async with streaming(bench) as (lines, events):
            (line,) = lines.opened
            command = bench.submit()
            report = await bench.place(command)
            news = status(command, report.venue_order_id, status="executed_partially", executed_amount="0.001")
            trade = {
                "id": "T-1", "pair_code": "BTC_BRL", "side": "buy", "amount": 0.001, "price": 340000, "fee": "0.000005",
                "fee_currency": "BTC", "taker_or_maker": "maker", "maker_order_id": report.venue_order_id.lower(),
                "taker_order_id": "OTHER", "timestamp": 1_600_000_000_500,
            }  # fmt: skip
            bodies = ((BOOK, book()), ("user_trades", {"user_id": 7, "trade": trade}), ("order_status", news))
            for topic, body in bodies:
                frame = {"id": 7, "topic": topic, "timestamp": 1_600_000_000_000, "body": body}
                for number, text in enumerate(odd(frame)):
                    line.put(text.replace(b"T-1", f"T-{number}".encode()))
                    await asyncio.sleep(0)
            await asyncio.sleep(10)
            assert len(lines.opened) == 1, "the connection was lost"
            assert all(isinstance(one, OrderReport) for one in events)
            line.tell("order_status", news)
            await asyncio.sleep(1)
            last = events[-1]
            assert isinstance(last, OrderReport)
            assert not flaw_of_report(last)

    on_bench(act)
