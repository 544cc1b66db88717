"""The stream: how things stand each second, for few readers at once who read, until the daemon stops."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import aiohttp
import msgspec
import pytest

from quantd.control import views
from quantd.control.recent import POINTS_MAX, Glance, History, Recent
from quantd.control.streaming import STREAMS_MAX
from quantd.domain.facts import RequestDenied
from quantd.domain.orders import Side
from tests.component.control.house import PLANTED_KEY, TOKENS, House

TOKEN = {"Authorization": f"Bearer {TOKENS['reader'][0]}"}


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
        yield session


async def event(answer: aiohttp.ClientResponse) -> Glance:
    """The next event, which must be of the form that the document names."""
    line = await answer.content.readline()
    assert line.startswith(b"data: "), line
    assert await answer.content.readline() == b"\n"
    return msgspec.json.decode(line[6:], type=Glance)


async def test_each_event_tells_how_things_stand(house: House, session: aiohttp.ClientSession) -> None:
    async with session.get(f"{house.address}/v1/stream", headers=TOKEN) as answer:
        assert answer.content_type == "text/event-stream"
        first = await event(answer)
        assert not first.status.latches
        await house.ask("POST", "/v1/halt", {"why": "drill"})
        while not (second := await event(answer)).status.latches:
            pass
        assert [(one.scope, one.state, one.why) for one in second.status.latches] == [("all", "halted", "drill")]


async def test_a_stream_outlasts_the_deadlines_of_a_request_while_it_is_read(tmp_path: Path) -> None:
    house = House(tmp_path, request_timeout_s=1.0)  # cut off after 3 s otherwise
    await house.listener.start()
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{house.address}/v1/stream", headers=TOKEN) as answer,
    ):
        began = asyncio.get_running_loop().time()
        while asyncio.get_running_loop().time() < began + 4.0:
            await event(answer)
        began = asyncio.get_running_loop().time()
        await house.listener.stop()
        assert await answer.content.read() == b"", "it ends in order"
        assert asyncio.get_running_loop().time() - began < 1.0, "a stream does not hold up the end of the daemon"
    house.store.close()


async def test_there_are_only_so_many_streams_and_one_that_ends_makes_room(
    house: House, session: aiohttp.ClientSession
) -> None:
    opened = [await session.get(f"{house.address}/v1/stream", headers=TOKEN) for _ in range(STREAMS_MAX)]
    assert {one.status for one in opened} == {200}
    status, problem = await house.ask("GET", "/v1/stream", by="reader")
    assert (status, problem["code"]) == (429, "too_many_streams")
    opened[0].close()
    async with asyncio.timeout(5):
        while (again := await session.get(f"{house.address}/v1/stream", headers=TOKEN)).status == 429:
            continue  # that it ended is noticed with its next event
    assert again.status == 200
    again.close()
    for one in opened:
        one.close()


async def test_a_reader_who_does_not_read_is_cut_off(tmp_path: Path) -> None:
    house = House(tmp_path, request_timeout_s=1.0)
    house.reasons = ["x" * 8_000_000]  # more than the buffers of both sides take
    await house.listener.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", house.listener.port, limit=1024)
    writer.write(
        f"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nAuthorization: {TOKEN['Authorization']}\r\n\r\n".encode()
    )
    await asyncio.sleep(4.5)
    house.reasons = []
    async with asyncio.timeout(5):
        told = await reader.read()
    assert not told.endswith(b"0\r\n\r\n"), "cut off, not ended"
    writer.close()
    assert (await house.ask("GET", "/v1/status"))[0] == 200
    await house.listener.stop()
    house.store.close()


async def test_a_secret_is_taken_out_of_every_event(house: House, session: aiohttp.ClientSession) -> None:
    house.reasons = [f"no connection with {PLANTED_KEY}"]
    async with session.get(f"{house.address}/v1/stream", headers=TOKEN) as answer:
        for _ in range(2):
            assert (await event(answer)).status.reasons == ("no connection with [redacted]",)


async def test_the_history_holds_points_at_even_intervals_and_no_more_than_an_hour(house: House) -> None:
    recent = Recent(house.access)
    for _ in range(POINTS_MAX + 5):
        house.clock.set(house.clock.now_ns() + 5_000_000_000)
        recent.look()
    kept = recent.history()
    assert len(kept.at_ns) == len(kept.equity) == POINTS_MAX
    assert {after - before for before, after in zip(kept.at_ns, kept.at_ns[1:], strict=False)} == {5_000_000_000}
    assert kept.at_ns[-1] == house.clock.now_ns()
    assert all(len(one.prices) == POINTS_MAX for one in kept.prices)


async def test_the_history_is_answered_as_the_document_says(house: House) -> None:
    status, told = await house.ask("GET", "/v1/history", by="reader")
    assert status == 200
    assert msgspec.convert(told, History, strict=False).at_ns, "the listener keeps a point from its start on"


async def test_no_equity_is_told_of_an_account_that_was_not_asked_yet(house: House) -> None:
    account = house.rig.state.portfolio.account("paper")
    assert views.equity(house.access) == house.rig.state.equity("paper") != 0
    account.asked_at_ns = 0
    assert views.equity(house.access) is None
    _, told = await house.ask("GET", "/v1/status", by="reader")
    assert (told["equity"], told["venues"][0]["equity"]) == (None, None)


async def test_denials_are_counted_by_reason(house: House) -> None:
    order = {"instrument": "paper:BTC-USD", "side": "buy", "quantity": "100000", "why": "x", "kind": "market"}
    for _ in range(2):
        assert (await house.ask("POST", "/v1/orders", order))[0] == 409
    denied = [one for one in house.rig.facts if isinstance(one, RequestDenied)]
    assert denied[0].side is Side.BUY
    assert denied[0].quantity == Decimal(100000)
    counted = {one.code: one.count for one in house.recent.glance().denials}
    assert sum(counted.values()) == 2
    assert set(counted) == {one.code for one in denied}
