"""A whole running simulator: prices, webhooks to the daemon's own listener, the connector over loopback, the end."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from quantd.clock import SystemClock
from quantd.control.webhooks import WebhookListener
from quantd.domain.commands import Submit
from quantd.domain.instruments import FeeSchedule
from quantd.domain.market import Quote
from quantd.domain.orders import ClientOrderId, OrderKind, OrderSpec, Side
from quantd.domain.outcomes import Accepted
from quantd.errors import ConfigError
from quantd.feeds.replay import ReplayFeed
from quantd.simulators.courier import WebhookCourier
from quantd.simulators.faults import FaultScript
from quantd.simulators.ionloop.options import MarketRules, Setup
from quantd.simulators.ionloop.venue import IonloopVenue
from quantd.simulators.prices import replayed
from quantd.simulators.server import SimulatorServer
from quantd.simulators.session import Session
from quantd.testing.observer import RecordingObserver
from quantd.venues.budget import RateBudget
from quantd.venues.http import VenueHttp
from quantd.venues.ionloop.connector import IonloopConnector
from quantd.venues.ionloop.limits import LIMITS
from quantd.venues.ionloop.options import IonloopOptions
from quantd.venues.ionloop.webhooks import WebhookReceiver
from quantd.venues.transport import AiohttpTransport

SECRET = "sim-webhook-secret"
INSTRUMENT = MarketRules().instrument()


async def until(condition: Callable[[], object]) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - counters of other parts have no event to wait for
            await asyncio.sleep(0.01)


@asynccontextmanager
async def running(session: Session) -> AsyncIterator[None]:
    """Run a session beside the test, and end it in order."""
    async with asyncio.TaskGroup() as group:
        group.create_task(session.run())
        await session.started.wait()
        try:
            yield
        finally:
            session.stop()


def bars(path: Path, minutes: int) -> Path:
    rows = [f"2022-01-01T00:{minute:02}:00Z,100,120,90,110,1" for minute in range(minutes)]
    path.write_text("\n".join(["timestamp,open,high,low,close,volume", *rows]) + "\n")
    return path


async def test_connector_venue_and_listener_work_together_over_sockets(tmp_path: Path) -> None:
    clock, observer = SystemClock(), RecordingObserver()
    # The bars leap by a third: without a band every price is taken at any moment.
    markets = (MarketRules(price_band=None),)
    venue = IonloopVenue(Setup(markets=markets, webhook_http=True, webhook_secret=SECRET), clock=clock)
    feed = ReplayFeed(replayed(bars(tmp_path / "bars.csv", 30), INSTRUMENT), clock, speed=600)
    server = SimulatorServer(venue, FaultScript(clock=clock))
    session = Session(venue, server, clock=clock, feeds=[feed], on_market=venue.on_market)
    bodies: list[bytes] = []
    receiver = WebhookReceiver("ionloop", SECRET, clock=clock, observer=observer, deliver=bodies.append)
    listener = WebhookListener("127.0.0.1", 0, receivers={"ionloop": receiver.receive}, body_limit=65_536)
    await listener.start()
    async with running(session):
        http = VenueHttp(
            "ionloop", AiohttpTransport(server.url), RateBudget("ionloop", LIMITS, clock=clock, observer=observer),
            clock, observer,
        )  # fmt: skip
        connector = IonloopConnector(
            http, IonloopOptions(api_key="sim-key", fees=FeeSchedule()), observer=observer, known_venue_ids=lambda _: ()
        )
        await connector.start()
        (instrument,) = await connector.instruments(["BTC-USDT"])
        url = f"http://127.0.0.1:{listener.port}/webhooks/ionloop"
        await connector.create_webhook(url, ("order.filled", "order.created"), SECRET)
        await until(lambda: venue.quotes > 4)
        (quote,) = await connector.quotes([instrument])
        assert 89 < quote.bid < quote.ask < 121
        spec = OrderSpec(instrument.id, Side.BUY, instrument.quantity(1), OrderKind.LIMIT, instrument.quantity(120))
        command = Submit(ClientOrderId("qj1-1-1"), 1, spec, clock.now_ns() + 2_000_000_000, 0)
        outcome = await connector.submit(command)
        assert isinstance(outcome, Accepted), outcome
        await until(lambda: len(bodies) == 2)
        assert {msgspec.json.decode(body)["type"] for body in bodies} == {"order.created", "order.filled"}
        assert venue.counters()["webhooks"]["delivered"] == 2
        assert venue.counters()["rate_limited"]["total"] == 0
        await connector.close()
    await listener.stop()


async def test_a_notice_reaches_a_listener_that_starts_late() -> None:
    clock = SystemClock()
    venue = IonloopVenue(Setup(webhook_http=True), clock=clock)
    venue.on_market(Quote(INSTRUMENT.id, 100.0, 101.0, 0))
    bodies: list[bytes] = []
    receiver = WebhookReceiver("ionloop", SECRET, clock=clock, observer=RecordingObserver(), deliver=bodies.append)

    def listener(port: int) -> WebhookListener:
        return WebhookListener("127.0.0.1", port, receivers={"ionloop": receiver.receive}, body_limit=65_536)

    first = listener(0)
    await first.start()
    port = first.port
    await first.stop()
    url = f"http://127.0.0.1:{port}/webhooks/ionloop"
    venue.webhooks.register("main", {"url": url, "events": ["account.updated"], "secret": SECRET})
    venue.webhooks.emit("main", "account.updated", {}, clock.now_ns())
    async with asyncio.TaskGroup() as group:
        courier = group.create_task(WebhookCourier(venue, clock, timeout_s=1).run())
        await until(lambda: venue.webhooks.failed_attempts == 1)
        second = listener(port)
        await second.start()
        await until(lambda: venue.webhooks.delivered == 1)
        courier.cancel()
        await second.stop()
    assert len(bodies) == 1


async def test_a_file_that_breaks_off_ends_the_session_with_its_name_and_row(tmp_path: Path) -> None:
    path = bars(tmp_path / "bars.csv", 3)
    path.write_text(path.read_text() + "2022-01-01T00:03:00Z,100,oops\n")
    clock = SystemClock()
    venue = IonloopVenue(Setup(), clock=clock)
    feed = ReplayFeed(replayed(path, INSTRUMENT), clock, speed=6000)
    server = SimulatorServer(venue, FaultScript(clock=clock))
    session = Session(venue, server, clock=clock, feeds=[feed], on_market=venue.on_market)
    with pytest.raises(ExceptionGroup) as caught:
        await session.run()
    assert caught.group_contains(ConfigError, match=r"bars\.csv: row 5")
