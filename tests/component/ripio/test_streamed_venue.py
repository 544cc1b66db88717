"""The stream against the simulated venue, in memory and with faults on its frames: never a wrong price, never a wrong fill."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest

from quantd.domain.events import Event
from quantd.domain.orders import OrderState
from quantd.domain.reports import OrderReport
from quantd.simulators.faults import Action, FaultRule
from quantd.simulators.sockets import MemorySocket
from quantd.venues.ripio.socket import SocketLost
from tests.component.ripio.bench import Bench, on_bench


class SimulatedSocket:
    """A connection to the simulated venue, with the errors that the stream knows."""

    def __init__(self, bench: Bench) -> None:
        try:
            self._line = MemorySocket(bench.venue, bench.faults)
        except ConnectionError as error:
            raise SocketLost(str(error)) from error

    async def send(self, text: bytes) -> None:
        try:
            await self._line.send(text)
        except ConnectionError as error:
            raise SocketLost(str(error)) from error

    async def receive(self, timeout_s: float) -> bytes:
        try:
            return await self._line.receive(timeout_s)
        except (ConnectionError, TimeoutError) as error:
            raise SocketLost(str(error)) from error

    async def close(self) -> None:
        await self._line.close()


@asynccontextmanager
async def streaming(bench: Bench) -> AsyncIterator[list[Event]]:
    """Run the stream of a bench beside the block."""
    events: list[Event] = []

    async def connect() -> SimulatedSocket:
        return SimulatedSocket(bench)

    bench.connector = bench.connect(connect)
    await bench.connector.start()
    assert bench.connector.stream is not None
    task = asyncio.get_running_loop().create_task(bench.connector.stream.run(["BTC_BRL"], events.append))
    await asyncio.sleep(2)
    try:
        yield events
    finally:
        task.cancel()
        await asyncio.wait([task])


FAULTS = (
    None,
    FaultRule(Action.DROP_BEFORE, "frame", every=4),
    FaultRule(Action.DUPLICATE, "frame", every=3),
    FaultRule(Action.GARBAGE, "frame", every=5),
    FaultRule(Action.TRUNCATE, "frame", every=5),
    FaultRule(Action.ERROR, "frame", every=11),
    FaultRule(Action.DELAY, "frame", every=4, delay_s=0.4),
    FaultRule(Action.ERROR, "stream"),
)


@pytest.mark.parametrize(
    "rule", FAULTS, ids=lambda rule: "none" if rule is None else f"{rule.action.value}-{rule.route}"
)
@pytest.mark.parametrize(
    "switches", [{}, {"text_amounts": True}, {"wrong_hashes": True}, {"lose_frames": True}], ids=str
)
def test_whatever_happens_to_frames_no_price_is_told_that_the_market_did_not_have(
    rule: FaultRule | None, switches: dict[str, bool]
) -> None:
    async def act(bench: Bench) -> None:
        if rule is not None:
            bench.faults.add([rule])
        async with streaming(bench):
            bench.venue.adjust(switches)
            for step in range(40):
                bid = Decimal(350_000 + 10 * step)
                bench.move(bid, bid + 60)
                await asyncio.sleep(1)
                (quote,) = await bench.connector.quotes([bench.instrument])
                behind = (float(bid) - quote.bid) / 10
                assert quote.ask - quote.bid == 60
                # A frame that was lost or held up shows with the next one, and a book that is quiet is not trusted long.
                assert 0 <= behind <= 6
                if rule is None and not switches.get("lose_frames"):
                    assert behind == 0
        spared = bench.paths().count("/ticker/BTC_BRL")
        if rule is None and not switches.keys() & {"wrong_hashes", "lose_frames"}:
            assert spared == 0, "all quotes came by the stream"
        if switches.get("wrong_hashes"):
            assert bench.anomalies("checksum_differs") < 15, "a checksum that never fits is no storm"

    on_bench(act)


@pytest.mark.parametrize(
    "rule", FAULTS, ids=lambda rule: "none" if rule is None else f"{rule.action.value}-{rule.route}"
)
@pytest.mark.parametrize("text", [False, True])
def test_fills_are_told_once_and_exactly_by_stream_and_polls_together(rule: FaultRule | None, text: bool) -> None:
    async def act(bench: Bench) -> None:
        bench.switches.text_amounts = text
        if rule is not None:
            bench.faults.add([rule])
        async with streaming(bench) as events:
            for number in range(6):
                command = bench.submit(str(349_000 - number), quantity="0.006")
                report = await bench.place(command)
                bench.move(Decimal(348_900 - number), Decimal(348_990 - number))
                await asyncio.sleep(1)
                streamed = [one for one in events if isinstance(one, OrderReport)]
                polled = await bench.connector.order_reports([bench.ref(command, report)])
                told = [one for one in (*streamed, *polled) if one.venue_order_id == report.venue_order_id]
                last = max(told, key=lambda one: one.filled_quantity)
                truth = bench.venue.desk.orders[report.venue_order_id]
                assert last.filled_quantity == truth.filled == sum(fill.quantity for fill in last.fills)
                assert last.fees == tuple(fee for fee in truth.fees if fee[1])
                assert all(one.filled_quantity <= truth.filled for one in told)
                ended = OrderState.FILLED if truth.filled == command.spec.quantity else OrderState.PARTIALLY_FILLED
                assert last.state is ended
                if rule is None:
                    assert any(one.filled_quantity == truth.filled for one in streamed)
                bench.move()
                await asyncio.sleep(3)

    on_bench(act)
