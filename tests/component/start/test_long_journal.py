"""A journal of a million facts, as years of trading leave it: the daemon that starts on it is up to date in time."""

import time
from collections.abc import Iterator
from decimal import Decimal
from itertools import islice
from pathlib import Path

import pytest

from quantd.app import Daemon
from quantd.app.storage import codec
from quantd.clock import SystemClock
from quantd.config import load
from quantd.domain.cash import Account, AccountKind, Balance, PositionMode
from quantd.domain.facts import (
    AccountRecorded,
    BalancesRecorded,
    Fact,
    FillRecorded,
    InstrumentRecorded,
    OperationSentRecorded,
    OperationSettled,
    OrderAcknowledged,
    OrderIntended,
    RequestDenied,
)
from quantd.domain.fills import Fill, Quality
from quantd.domain.instruments import Instrument, InstrumentId, TickTier
from quantd.domain.orders import OperationKind, OrderKind, OrderSpec, Origin, Role, Side
from quantd.domain.strategy_facts import StrategySaved
from quantd.engine.ids import ClientOrderIds
from quantd.engine.images import dump
from quantd.engine.rates import Rates
from quantd.engine.state import State
from quantd.journal.projections import projections
from quantd.journal.store import Append, JournalStore, TakeSnapshot
from quantd.telemetry.metrics import PrometheusObserver
from quantd.testing.portrait import portrait

START_LIMIT_S = 5.0
RECORDS = 1_000_000
ROOT = Path(__file__).parents[3]
BTC = InstrumentId("paper:BTC-USDT")
QUANTITY, HALF, FEE = Decimal("0.02"), Decimal("0.01"), Decimal("0.013")
STEP_NS = 1_000_000
CONFIG = """
journal: {{path: q.db, state_dir: state}}
venues:
  paper: {{type: paper, balances: {{USDT: 100000}}, data: {{synthetic: {{instruments: [
    {{symbol: BTC-USDT, price: 65000, tick: 0.01, lot: 0.00001}}]}}}}}}
risk: {{base_currency: USDT, account: {{max_gross_notional: 60000, max_daily_loss: 20000, max_open_orders: 40}}}}
strategies:
  - {{id: cross, use: sma_cross.SmaCross, instruments: [paper:BTC-USDT], bars: 1s, params: {{fast: 2, slow: 3}}}}
strategies_dir: {strategies}
feeds: {{bar_store: bars.db}}
"""


def opening(at_ns: int) -> Iterator[Fact]:
    """Yield what a first start records."""
    rules = Instrument(
        BTC, base="BTC", quote="USDT", ticks=(TickTier(Decimal(0), Decimal("0.01")),), lot=Decimal("0.00001")
    )
    yield InstrumentRecorded(rules, at_ns)
    yield AccountRecorded(Account("paper", "paper", AccountKind.SPOT, PositionMode.NETTING, "USDT"), at_ns)
    wealth = tuple(Balance(asset, Decimal(10**9), Decimal(10**9), Decimal(0)) for asset in ("USDT", "BTC"))
    yield BalancesRecorded("paper", wealth, at_ns, at_ns)


def trading(ids: ClientOrderIds, at_ns: int) -> Iterator[Fact]:
    """Yield the facts of orders for ever: each is sent, accepted, filled in two parts; some are denied, states saved."""
    number = 0
    while True:
        number += 1
        side = Side.BUY if number % 2 else Side.SELL
        price = Decimal(65_000) + number % 97
        id = ids.next()
        spec = OrderSpec(BTC, side, QUANTITY, OrderKind.LIMIT, price)
        at_ns += STEP_NS
        yield OrderIntended(
            id, "cross", spec, Origin.STRATEGY, Role.ENTRY, at_ns + 2_000_000_000, at_ns, why="cross up"
        )
        yield OperationSentRecorded(id, 1, at_ns)
        yield OrderAcknowledged(id, f"v-{number}", at_ns)
        yield OperationSettled(id, 1, OperationKind.SUBMIT, "accepted", at_ns)
        for part in (1, 2):
            fill = Fill(f"{id}-{part}", HALF, price, Quality.CONFIRMED, (("USDT", FEE),))
            yield FillRecorded(id, "cross", BTC, side, fill, HALF * part, at_ns)
        if number % 10 == 0:
            yield RequestDenied("cross", BTC, side, QUANTITY, "position", 16, "strategy:cross", "0.1", "0.12", at_ns)
            yield StrategySaved("cross", 1, b'{"bars":%d}' % number, at_ns)


def write(path: Path, records: int, snapshot_every: int) -> State:
    """Write a journal with snapshots by the daemon's rule, none after the last stretch; return the state at its end."""
    store: JournalStore[Fact] = JournalStore.create(
        path, codec(), journal_id="aged1", epoch=1, projections=projections()
    )
    state, encode = State(Rates("USDT")), store.codec.encode
    at_ns = 1_700_000_000_000_000_000
    facts = (fact for source in (opening(at_ns), trading(ClientOrderIds("aged1", 1), at_ns)) for fact in source)
    written = 0
    while written < records:
        batch = list(islice(facts, min(snapshot_every, records - written)))
        for fact in batch:
            state.apply(fact)
        written += len(batch)
        store.write([Append([encode(fact) for fact in batch], batch)])
        if written < records:
            store.write([TakeSnapshot(dump(state))])
        store.checkpoint_if_due()
    store.close()
    return state


def started(directory: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[float, Daemon]:
    """Build the whole daemon on the journal; how long it took."""
    monkeypatch.chdir(directory)
    (directory / "q.yaml").write_text(CONFIG.format(strategies=ROOT / "strategies"))
    settings = load([Path("q.yaml")], {})
    began = time.perf_counter()
    daemon = Daemon(settings, clock=SystemClock(), observer=PrometheusObserver())
    daemon.build()
    return time.perf_counter() - began, daemon


def close(daemon: Daemon) -> None:
    """Give the journal and the locks back without a run."""
    daemon._storage.close()


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_daemon_starts_on_a_million_facts_in_under_five_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = time.perf_counter()
    state = write(tmp_path / "q.db", RECORDS, snapshot_every=10_000)
    written_s = time.perf_counter() - began
    seconds, daemon = started(tmp_path, monkeypatch)
    size = (tmp_path / "q.db").stat().st_size / 1e6
    print(f"\n{RECORDS} facts, {size:.0f} MB, written in {written_s:.0f} s: the daemon is built in {seconds:.2f} s")
    assert portrait(daemon.engine.state) == portrait(state)
    close(daemon)
    assert seconds < START_LIMIT_S


def test_a_start_from_a_snapshot_knows_what_a_fold_of_everything_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small one of the same kind, with fewer records after the snapshot than orders that are remembered."""
    state = write(tmp_path / "q.db", 20_000, snapshot_every=3_000)
    _, daemon = started(tmp_path, monkeypatch)
    assert portrait(daemon.engine.state) == portrait(state)
    close(daemon)
