"""After a restart, writes of unknown outcome are asked after before the server's table of limits is read."""

import asyncio
from decimal import Decimal

from pydantic import SecretStr

from quantd.clock import LoopClock
from quantd.domain.commands import Submit
from quantd.domain.instruments import InstrumentId
from quantd.domain.orders import ClientOrderId, OrderKind, OrderSpec, Side
from quantd.domain.outcomes import StillUnknown
from quantd.simulators.faults import FaultScript
from quantd.simulators.memory import MemoryTransport
from quantd.simulators.tradelocker.options import Setup
from quantd.simulators.tradelocker.venue import TradeLockerVenue
from quantd.testing.loop import run_virtual
from quantd.testing.observer import RecordingObserver
from quantd.venues.parts import Surroundings
from quantd.venues.tradelocker.assembly import build
from quantd.venues.tradelocker.settings import TradeLockerSettings


def test_several_searches_at_once_stay_within_what_the_server_allows() -> None:
    async def main(clock: LoopClock) -> None:
        venue = TradeLockerVenue(Setup(), clock=clock)
        settings = TradeLockerSettings(
            type="tradelocker", environment="custom", base_url="http://127.0.0.1:1", email="quant@example.com",
            password=SecretStr("simulated"), server="SIM", account="1000001",
        )  # fmt: skip
        around = Surroundings(
            clock=clock,
            observer=RecordingObserver(),
            last_look=lambda write: None,
            known_venue_ids=lambda instrument: (),
            auth_failed=lambda name, reason: None,
            transport=lambda name, address, idle_s: MemoryTransport(venue, FaultScript(clock=clock), latency_s=0.02),
        )
        connector = build("tradelocker", settings, around).connector
        lost = [
            Submit(
                ClientOrderId(f"q1-1-{number}"),
                1,
                OrderSpec(InstrumentId("tradelocker:BTCUSD"), Side.BUY, Decimal("0.1"), OrderKind.LIMIT, Decimal(60_000)),
                clock.now_ns() + 2_000_000_000,
                0,
            )
            for number in range(3)
        ]  # fmt: skip

        async def search(command: Submit) -> None:
            while clock.monotonic_ns() < begun_ns + 5_000_000_000:
                assert isinstance(await connector.resolve(command, clock.now_ns()), StillUnknown)
                await asyncio.sleep(0.01)

        begun_ns = clock.monotonic_ns()
        async with asyncio.TaskGroup() as tasks:
            for command in lost:
                tasks.create_task(search(command))
            await connector.start()
        counters = venue.counters()
        assert counters["requests"]["orders"] >= 5
        assert (counters["rate_limited"]["total"], counters["statuses"].get("403", 0)) == (0, 0)
        assert counters["sessions"]["log_ins"] == 1

    run_virtual(main)
