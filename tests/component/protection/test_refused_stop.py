"""The venue refuses the stop: the whole daemon gets out of the position in time, and a scrape tells for how long.

Method: the real daemon in real time on the paper venue with a margin account whose exchange holds exits, with its own
listeners, journal and tasks; one fault is built in: the exchange takes no exits, neither with an entry nor later.
"""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from quantd.app import Daemon
from quantd.clock import SystemClock
from quantd.config import load
from quantd.domain.commands import SetProtection, Submit
from quantd.domain.events import TradingState
from quantd.domain.facts import Fact, OrderIntended, PositionAdjusted
from quantd.domain.orders import Origin
from quantd.domain.outcomes import Accepted, Outcome, Rejected
from quantd.domain.protection_facts import ProtectionOverdue
from quantd.telemetry.metrics import PrometheusObserver
from quantd.venues.paper.connector import PaperConnector

pytestmark = [pytest.mark.timeout(60), pytest.mark.asyncio]

STRATEGY = '''
from decimal import Decimal

from quantd import Protect, Quote, Strategy


class BuyOnce(Strategy):
    """Buys at the first quote, with a stop far away."""

    def setup(self) -> None:
        self.quotes()
        self.bought = False

    def on_quote(self, quote: Quote) -> None:
        if not self.bought:
            self.bought = True
            self.buy(self.instrument, Decimal("0.5"), protect=Protect(stop=quote.bid * 0.8, take=quote.bid * 1.2))
'''
CONFIG = """
journal: {{path: {root}/q.db, state_dir: {root}/state}}
venues:
  paper:
    type: paper
    account: margin
    positions: {positions}
    protection: venue
    balances: {{USD: 100000}}
    latency_s: 0
    orders_every_s: 0.2
    account_every_s: 0.5
    data: {{synthetic: {{seed: 3, instruments: [{{symbol: BTC-USD, price: 100, level_quantity: 5}}]}}}}
risk:
  base_currency: USD
  account: {{max_gross_notional: 50000, max_daily_loss: 5000, max_open_orders: 30}}
protection: {{naked_after_s: {after_s}, when_naked: {policy}}}
strategies:
  - {{id: once, use: once.BuyOnce, instruments: [paper:BTC-USD]}}
strategies_dir: {root}
feeds: {{bar_store: {root}/bars.db}}
health: {{port: 0}}
logging: {{level: error}}
"""


async def _refuse(command: SetProtection) -> Outcome:
    return Rejected("stops_not_accepted", f"lot {command.lot}")


async def _pretend(_command: SetProtection) -> Outcome:
    return Accepted()


def refuses_exits(connector: PaperConnector, monkeypatch: pytest.MonkeyPatch, answer: Any = _refuse) -> None:
    """Have a paper venue take no exits: entries lose theirs on the way, and setting them is refused, or pretended."""
    submit = connector.submit

    async def without(command: Submit) -> Outcome:
        return await submit(msgspec.structs.replace(command, protection=None))

    monkeypatch.setattr(connector, "submit", without)
    monkeypatch.setattr(connector, "set_protection", answer)


class House:
    """A daemon, what it recorded, and its listener."""

    def __init__(self, root: Path, *, positions: str = "netting", after_s: float = 1.0, policy: str = "exit") -> None:
        (root / "once.py").write_text(STRATEGY)
        text = CONFIG.format(root=root, positions=positions, after_s=after_s, policy=policy)
        (root / "q.yaml").write_text(text)
        self.daemon = Daemon(load([root / "q.yaml"], {}), clock=SystemClock(), observer=PrometheusObserver())
        self.daemon.build()
        self.facts: list[Fact] = []
        self.daemon._shared.fact_readers.append(self.facts.extend)

    @property
    def connector(self) -> PaperConnector:
        """The paper venue."""
        connector = self.daemon.venues["paper"].connector
        assert isinstance(connector, PaperConnector)
        return connector

    @property
    def held(self) -> Decimal:
        """What the strategy holds."""
        books = list(self.daemon.engine.state.portfolio.books())
        return sum((book.quantity for book in books), Decimal(0))

    async def until(self, done: Callable[[], bool], what: str, within_s: float = 20.0) -> None:
        """Wait until something holds."""
        for _ in range(round(within_s / 0.02)):
            if done():
                return
            await asyncio.sleep(0.02)
        raise AssertionError(f"not within {within_s} s: {what}")

    async def scrape(self) -> dict[str, float]:
        """Return what one scrape tells, by name with labels."""
        assert self.daemon._listeners is not None
        port = self.daemon._listeners.health.port
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}

    async def run(self, scene: Callable[[], Awaitable[None]]) -> None:
        """Run the daemon through a scene."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.daemon.run())
            try:
                await scene()
            finally:
                self.daemon.stop("the scene is over")


@pytest.mark.parametrize("positions", ["netting", "hedging"])
async def test_a_refused_stop_leads_out_of_the_position_within_the_set_time(
    positions: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(tmp_path, positions=positions, after_s=1.0)
    refuses_exits(house.connector, monkeypatch)

    async def scene() -> None:
        await house.until(lambda: house.held > 0, "the entry")
        await house.until(lambda: house.held == 0, "flat again")
        (overdue,) = [one for one in house.facts if isinstance(one, ProtectionOverdue)]
        assert (overdue.reason, overdue.action) == ("unconfirmed", "exit")
        assert 1.0 <= overdue.seconds < 2.0, "a tick is half a second"
        intended = [one for one in house.facts if isinstance(one, OrderIntended)]
        assert [one.origin for one in intended] == [Origin.STRATEGY, Origin.PROTECTION]
        assert (intended[1].at_ns - intended[0].at_ns) / 1e9 < 3.0, "flat within the set time, a tick and a round trip"
        await house.until(lambda: not house.connector.exchange.lots("paper"), "no lot at the venue")
        assert house.daemon.engine.state.trading_state(["strategy:once"]) is TradingState.REDUCING
        await asyncio.sleep(0.6)
        told = await house.scrape()
        naked = told['quantd_naked_seconds_total{venue="paper",strategy="once",reason="unconfirmed"}']
        assert 1.0 <= naked < 3.0
        assert told['quantd_naked_longest_seconds{strategy="once"}'] == 0
        assert told['quantd_naked_positions_total{strategy="once",reason="unconfirmed",outcome="exit"}'] == 1
        print(f"naked for {naked:.2f} s, told after {overdue.seconds:.2f} s")

    await house.run(scene)


async def test_a_venue_that_says_yes_and_holds_no_stop_leads_out_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(tmp_path, after_s=2.0)
    refuses_exits(house.connector, monkeypatch, _pretend)

    async def scene() -> None:
        await house.until(lambda: house.held > 0, "the entry")
        await house.until(lambda: house.held == 0, "flat again", within_s=6.0)
        (overdue,) = [one for one in house.facts if isinstance(one, ProtectionOverdue)]
        assert (overdue.reason, overdue.action) == ("unconfirmed", "exit")

    await house.run(scene)


async def test_with_alert_alone_the_position_stands_and_the_alert_fires(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(tmp_path, after_s=1.0, policy="alert")
    refuses_exits(house.connector, monkeypatch)

    async def scene() -> None:
        await house.until(lambda: house.held > 0, "the entry")
        await house.until(lambda: any(isinstance(one, ProtectionOverdue) for one in house.facts), "the alert")
        await asyncio.sleep(1.0)
        told = await house.scrape()
        assert told['quantd_naked_positions_total{strategy="once",reason="unconfirmed",outcome="alert"}'] == 1
        assert told['quantd_naked_longest_seconds{strategy="once"}'] > 1.0
        assert house.held > 0

    await house.run(scene)


async def test_where_the_venue_takes_the_stop_it_stands_within_a_second_and_nothing_is_told(tmp_path: Path) -> None:
    house = House(tmp_path, after_s=3.0)

    async def scene() -> None:
        await house.until(lambda: house.held > 0, "the entry")
        await house.until(lambda: bool(house.connector.exchange.lots("paper")), "the lot")
        (lot,) = (await house.connector.snapshot()).lots
        assert None not in (lot.protection.stop, lot.protection.take)
        await asyncio.sleep(4.0)
        assert house.held > 0
        assert not [one for one in house.facts if isinstance(one, ProtectionOverdue)]
        told = await house.scrape()
        naked = told['quantd_naked_seconds_total{venue="paper",strategy="once",reason="unconfirmed"}']
        assert naked < 2.0, "until the first snapshot after the entry"
        assert told['quantd_naked_longest_seconds{strategy="once"}'] == 0
        print(f"unconfirmed for {naked:.2f} s")

    await house.run(scene)


async def test_a_paper_position_and_its_stop_are_back_after_a_restart(tmp_path: Path) -> None:
    house = House(tmp_path, after_s=3.0)

    async def scene() -> None:
        await house.until(lambda: house.held > 0, "the entry")
        await asyncio.sleep(1.5)

    await house.run(scene)
    before = house.held
    (lot,) = (await house.connector.snapshot()).lots
    again = House(tmp_path, after_s=3.0)

    async def after() -> None:
        await again.until(lambda: again.daemon.engine.desks["once"].is_started, "the strategy")
        await again.until(lambda: bool(again.connector.exchange.lots("paper")), "the lot")
        await asyncio.sleep(2.5)
        shown = [one for one in (await again.connector.snapshot()).lots if one.venue_id == lot.venue_id]
        assert [(one.quantity, one.open_price) for one in shown] == [(lot.quantity, lot.open_price)]
        assert shown[0].protection == lot.protection
        assert again.daemon.engine.state.lots["paper"].all()[0].strategy == "once"
        assert not [one for one in again.facts if isinstance(one, PositionAdjusted)]

    await again.run(after)
    assert before > 0
