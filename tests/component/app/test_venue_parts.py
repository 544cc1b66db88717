"""What a venue has beyond being asked, which `VenueParts` names: any venue may have it, for the daemon knows none by type.

Method: the real daemon in real time on a paper venue whose parts are given a log, a stream, cash flows and webhooks. What each
of them brings is a deposit of its own, which the journal then holds.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path

import aiohttp
import pytest

from quantd.app import Daemon, ledgers
from quantd.clock import SystemClock
from quantd.config import load
from quantd.domain.cash import CashFlow, CashFlowKind
from quantd.domain.events import CashMoved, Event, TradingState
from quantd.domain.facts import CashFlowRecorded, Fact
from quantd.domain.instruments import Instrument, InstrumentId
from quantd.ports import Emit
from quantd.telemetry.metrics import PrometheusObserver
from quantd.venues.parts import LogPlace, Notes, Webhook
from tests.process.harness import free_port

pytestmark = [pytest.mark.timeout(60), pytest.mark.asyncio]

STRATEGY = '''
from quantd import Strategy


class Still(Strategy):
    """Looks at quotes."""

    def setup(self) -> None:
        self.quotes()
'''
CONFIG = """
journal: {{path: {root}/q.db, state_dir: {root}/state}}
venues:
  shop:
    type: paper
    balances: {{USD: 1000}}
    data: {{synthetic: {{seed: 3, instruments: [{{symbol: BTC-USD, price: 100}}]}}}}
risk:
  base_currency: USD
  account: {{max_gross_notional: 50000, max_daily_loss: 5000, max_open_orders: 30}}
strategies:
  - {{id: still, use: still.Still, instruments: [shop:BTC-USD]}}
strategies_dir: {root}
feeds: {{bar_store: {root}/bars.db}}
health: {{port: 0}}
webhooks: {{port: {port}, public_url: "http://127.0.0.1:{port}"}}
logging: {{level: error}}
"""


def deposit(name: str) -> CashFlow:
    """Return a deposit that is told by `name`."""
    return CashFlow("shop", name, CashFlowKind.DEPOSIT, "USD", Decimal(5), 1_700_000_000_000_000_000)


class Receiver:
    """Takes notices that are signed with ``ours``, and remembers how many."""

    def __init__(self, take: Callable[[Iterable[Event]], None]) -> None:
        self.count = 0
        self._take = take

    def receive(self, headers: Mapping[str, str], body: bytes) -> tuple[int, str]:
        """Take one."""
        if headers.get("signature") != "ours":
            return 401, "bad_signature"
        self.count += 1
        self._take((CashMoved(deposit(body.decode()), 1_700_000_000_000_000_000),))
        return 200, "taken"

    def export(self) -> tuple[str, str]:
        """Return the count, which has no parts."""
        return "", str(self.count)

    def restore(self, exported: str) -> None:
        """Go on counting."""
        self.count = int(exported or "0")


class Shop:
    """One run of a daemon, and what its venue has."""

    def __init__(self, root: Path, port: int) -> None:
        (root / "still.py").write_text(STRATEGY)
        (root / "q.yaml").write_text(CONFIG.format(root=root, port=port))
        self.port = port
        self.resumed: list[int] = []
        self.registered: list[str] = []
        self.streamed: list[str] = []
        self.receivers: list[Receiver] = []
        self.remembered: dict[str, str] = {}
        self.facts: list[Fact] = []
        self.daemon = Daemon(load([root / "q.yaml"], {}), clock=SystemClock(), observer=PrometheusObserver())
        self.daemon.build()
        self.daemon._shared.fact_readers.append(self.facts.extend)
        self.daemon.venues["shop"] = self.daemon.venues["shop"]._replace(
            log=LogPlace(self.resumed.append, lambda: 7),
            notes=Notes(self.remembered.update, self.take_notes),
            stream=self.stream,
            cash_flows=self.cash_flows,
            webhook=Webhook(self.receiver, self.register),
        )

    def take_notes(self, write: Callable[[str, str], None]) -> None:
        """Write two parts, one of them twice."""
        for part, text in (("1", "one"), ("2", "two"), ("1", "three")):
            write(part, text)

    async def stream(self, instruments: Sequence[Instrument], emit: Emit) -> None:
        """Tell one thing, then nothing."""
        self.streamed += [one.symbol for one in instruments]
        emit(CashMoved(deposit("streamed"), 1_700_000_000_000_000_000))
        await asyncio.Event().wait()

    async def cash_flows(self, from_ns: int, to_ns: int) -> Sequence[CashFlow]:
        """Return one; the engine books an id once."""
        assert from_ns < to_ns
        return (deposit("listed"),)

    def receiver(self, take: Callable[[Iterable[Event]], None]) -> Receiver:
        """Return what takes notices."""
        self.receivers.append(Receiver(take))
        return self.receivers[-1]

    async def register(self, url: str) -> str:
        """Take note of our address."""
        self.registered.append(url)
        return "hook_1"

    @property
    def booked(self) -> set[str]:
        """Ids of the deposits that the journal holds."""
        return {fact.flow.id for fact in self.facts if isinstance(fact, CashFlowRecorded)}

    async def notify(self, name: str, signature: str) -> int:
        """Post a notice as the venue would; return the answer's status."""
        url = f"http://127.0.0.1:{self.port}/webhooks/shop"
        headers = {"Signature": signature}
        async with aiohttp.ClientSession() as session, session.post(url, data=name, headers=headers) as answer:
            return answer.status

    async def until(self, done: Callable[[], bool], what: str) -> None:
        """Wait until something holds."""
        for _ in range(500):
            if done():
                return
            await asyncio.sleep(0.02)
        raise AssertionError(f"not within 10 s: {what}; cursors {self.daemon.engine.state.cursors}")

    async def run(self, notice: str) -> dict[tuple[str, str], str]:
        """Run until everything has told what it has, and return the journal's cursors."""
        cursors = self.daemon.engine.state.cursors
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.daemon.run())
            try:
                await self.until(lambda: bool(self.streamed), "the stream runs")
                assert await self.notify(notice, "another's") == 401
                assert await self.notify(notice, "ours") == 200
                await self.until(lambda: notice in self.booked, "the notice is booked")
                await self.until(lambda: cursors.get(("shop", "transactions_until")) == "7", "the log's place is kept")
                await self.until(lambda: ("shop", "cash_flows_until") in cursors, "cash flows are read")
                await self.until(lambda: cursors.get(("shop", "note/1")) == "three", "the notes are kept")
                await self.until(lambda: ("shop", "webhook") in cursors, "our address is told")
            finally:
                self.daemon.stop("the scene is over")
        return dict(cursors)


async def test_a_venue_s_log_stream_cash_flows_and_webhooks_are_followed_and_go_on_after_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledgers, "_EVERY_S", 0.05)
    monkeypatch.setattr(ledgers, "_SETTLE_NS", 0)
    port = free_port()
    first = Shop(tmp_path, port)
    cursors = await first.run("first")
    assert first.booked == {"streamed", "listed", "first"}
    assert first.streamed == ["BTC-USD"]
    assert not first.remembered
    assert (first.resumed, first.registered) == ([], [f"http://127.0.0.1:{port}/webhooks/shop"])
    assert int(cursors["shop", "cash_flows_until"]) > 0

    second = Shop(tmp_path, port)
    await second.run("second")
    assert second.resumed == [7]
    assert second.remembered == {"1": "three", "2": "two"}
    assert second.registered == []
    assert second.receivers[0].count == 2
    assert second.booked == {"second"}


async def test_what_a_venue_s_connector_leaves_to_a_person_halts_that_instrument_on_disk(tmp_path: Path) -> None:
    shop = Shop(tmp_path, free_port())
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(shop.daemon.run())
        await shop.until(lambda: bool(shop.streamed), "the stream runs")
        shop.daemon._in_doubt(InstrumentId("shop:BTC-USD"), "what became of x-1")
        latch = shop.daemon._storage.latch
        await shop.until(lambda: bool(latch.read().halts), "the halt is on disk")
        shop.daemon.stop("the scene is over")
    (halt,) = latch.read().halts
    assert (halt.scope, halt.state, halt.why) == ("instrument:shop:BTC-USD", TradingState.HALTED, "what became of x-1")
    assert "instrument:shop:BTC-USD" in shop.daemon.engine.state.latches
