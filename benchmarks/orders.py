"""The same resting limit order through our connectors and through the venues' own clients.

Used by `clients.py`, which times them, and by the test that both sides ask for the same. Measures nothing.
"""

from __future__ import annotations

import itertools
from decimal import Decimal
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from quantd.clock import SystemClock
from quantd.domain.commands import Submit
from quantd.domain.instruments import FeeSchedule, InstrumentId
from quantd.domain.orders import ClientOrderId, OrderKind, OrderSpec, Side
from quantd.domain.outcomes import Accepted, Scheduled
from quantd.ports import Connector
from quantd.telemetry.metrics import PrometheusObserver
from quantd.venues.budget import Bucket, Limit, RateBudget, with_models
from quantd.venues.http import VenueHttp
from quantd.venues.hummingbot import limits as hummingbot_limits
from quantd.venues.hummingbot.connector import HummingbotConnector
from quantd.venues.hummingbot.options import HummingbotOptions
from quantd.venues.oanda import limits as oanda_limits
from quantd.venues.oanda.connector import OandaConnector
from quantd.venues.oanda.options import OandaOptions
from quantd.venues.transport import AiohttpTransport

ACCOUNT, TOKEN = "101-004-1234567-001", "simulated-token"  # the simulator's
OANDA_SPEC = OrderSpec(
    InstrumentId("oanda:EUR_USD"), Side.BUY, Decimal(100), OrderKind.LIMIT, Decimal("1.05")
)  # fmt: skip
HUMMINGBOT_SPEC = OrderSpec(
    InstrumentId("hummingbot:BTC-USDT"), Side.BUY, Decimal("0.01"), OrderKind.LIMIT, Decimal(60_000)
)  # fmt: skip
WIDE = Bucket(1e6, 100_000)
"""A limit that never makes anybody wait."""
NUMBERS = itertools.count(1)


def command(spec: OrderSpec) -> Submit:
    """Return the next order."""
    return Submit(ClientOrderId(f"qbench-1-{next(NUMBERS)}"), 1, spec, 1 << 62, 0)


def http(name: str, url: str, limits: tuple[Limit, ...], observer: PrometheusObserver) -> VenueHttp:
    """Return a connector's line, with limits that never make it wait."""
    clock = SystemClock()
    budget = RateBudget(name, limits, clock=clock, observer=observer)
    line = VenueHttp(name, AiohttpTransport(url, connections_max=100), budget, clock, observer)
    line.last_look = lambda lane: None
    return line


def oanda_connector(url: str) -> OandaConnector:
    """Return our connector to OANDA."""
    observer = PrometheusObserver()
    line = http("oanda", url, with_models(oanda_limits.LIMITS, {"requests": WIDE}), observer)
    return OandaConnector(line, OandaOptions(TOKEN, ACCOUNT), observer=observer, known_venue_ids=lambda instrument: ())


def hummingbot_connector(url: str) -> HummingbotConnector:
    """Return our connector to the Hummingbot API."""
    observer = PrometheusObserver()
    line = http("hummingbot", url, with_models(hummingbot_limits.LIMITS, {"orders": WIDE, "reads": WIDE}), observer)
    options = HummingbotOptions("admin", "admin", "master_account", "binance", FeeSchedule())
    return HummingbotConnector(line, options, observer=observer, known_venue_ids=lambda instrument: ())


async def submit(connector: Connector, spec: OrderSpec) -> None:
    """Place an order through a connector of ours."""
    outcome = await connector.submit(command(spec))
    assert isinstance(outcome, Accepted | Scheduled), outcome


def v20_context(url: str) -> Any:
    """Return a session of OANDA's own client."""
    at = urlsplit(url)
    return import_module("v20").Context(at.hostname, at.port, ssl=False, token=TOKEN)


def place_by_v20(context: Any) -> None:
    """Place an order through OANDA's own client."""
    client_id = f"qbench-1-{next(NUMBERS)}"
    told = context.order.limit(
        ACCOUNT, instrument="EUR_USD", units="100", price="1.05", timeInForce="GTC", positionFill="DEFAULT",
        clientExtensions={"id": client_id}, tradeClientExtensions={"tag": client_id},
    )  # fmt: skip
    assert told.status == 201, told.raw_body
    assert told.get("orderCreateTransaction").id, told.raw_body


def hummingbot_api_client(url: str) -> Any:
    """Return the Hummingbot API's own client, to be entered."""
    return import_module("hummingbot_api_client").HummingbotAPIClient(url, "admin", "admin")


async def place_by_client(client: Any) -> None:
    """Place an order through the Hummingbot API's own client."""
    told = await client.trading.place_order(
        "master_account", "binance", "BTC-USDT", "BUY", 0.01, order_type="LIMIT", price=60_000
    )  # fmt: skip
    assert told["status"] == "submitted", told
