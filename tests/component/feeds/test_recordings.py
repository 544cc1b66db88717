"""Recorded bars played back by a paper venue: the bars that strategies get, and what `quantd check` refuses."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from quantd.app import Daemon
from quantd.app.check import check
from quantd.app.feeds import Wants
from quantd.cli.check import run_check
from quantd.clock import LoopClock, SystemClock
from quantd.config import ConfigProblems, load
from quantd.domain.events import Event
from quantd.domain.instruments import InstrumentId
from quantd.domain.market import Bar, Book, Quote, StatusChanged
from quantd.feeds.bars import BarBuilder, bars_from_quotes
from quantd.feeds.recorded import read_market
from quantd.ports import Emit
from quantd.telemetry.metrics import PrometheusObserver
from quantd.testing.loop import run_virtual
from quantd.venues.paper.connector import PaperConnector
from quantd.venues.paper.settings import PaperSettings
from tests.component.feeds.building import feed_builder

S = 1_000_000_000
MINUTES = 20
HOUR = 1_600_002_000
STRATEGY = """
from quantd import Strategy


class Watcher(Strategy):
    def setup(self):
        self.bars()
"""


def recorded(folder: Path, *, columns: str = "open,high,low,close") -> Path:
    """Write twenty minutes, of which the fifth of the third five dips to 90."""
    rows = [f"timestamp,{columns}"]
    for minute in range(MINUTES):
        low = 90 if minute == 14 else 100
        prices = f"100,100,{low},100" if columns.startswith("open") else "100,101"
        rows.append(f"{HOUR + 60 * minute},{prices}")
    path = folder / "bars.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


class WatchedVenue(PaperConnector):
    """Notes what moves its market."""

    moved: Counter[int]

    def on_market(self, event: Quote | Bar | Book | StatusChanged, emit: Emit) -> None:
        self.moved[event.interval_ns // S if isinstance(event, Bar) else 0] += 1
        super().on_market(event, emit)


def played(path: Path, lengths: set[int]) -> tuple[list[Bar], Counter[int]]:
    """Play a file to its end; return the bars that arrive, and how many of which length moved the market."""
    balances: Any = {"USD": 100_000, "BTC": 1}
    data: Any = {"recorded": {"files": {"BTC-USD": path}}}
    venue = PaperSettings(data=data, balances=balances)
    emitted: list[Event] = []

    async def main(clock: LoopClock) -> Counter[int]:
        await asyncio.sleep(17)  # inside a minute, as clocks stand
        connector = WatchedVenue("paper", venue, clock)
        connector.moved = Counter()
        await connector.start()
        (rules,) = await connector.instruments(["BTC-USD"])
        builder = feed_builder(emitted.append, clock)
        tasks = dict(builder.venue(venue, connector, [rules], Wants((rules.id,), {rules.id: lengths}, {})))
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(tasks[name]()) for name in ("replay paper", "bar builder paper")]
            await asyncio.sleep(60 * MINUTES + 5)
            assert not [one for one in running if one.done()]
            for one in running:
                one.cancel()
        return connector.moved

    moved = run_virtual(main)
    return [event for event in emitted if isinstance(event, Bar)], moved


def test_recorded_bars_are_joined_into_the_longer_ones_that_strategies_want(tmp_path: Path) -> None:
    bars, _ = played(recorded(tmp_path), {60, 300})
    assert Counter(bar.interval_ns // S for bar in bars) == {60: 20, 300: 4}
    fives = [bar for bar in bars if bar.interval_ns == 300 * S]
    assert [bar.low for bar in fives] == [100, 100, 90, 100]
    for five in fives:
        before = bars[bars.index(five) - 1]
        assert (before.closed_at_ns, before.received_at_ns) == (five.closed_at_ns, five.received_at_ns)


def test_a_joined_bar_whose_last_parts_are_missing_comes_after_its_close_and_not_with_the_next_part(
    tmp_path: Path,
) -> None:
    path = recorded(tmp_path)
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:9] + lines[13:]) + "\n")  # the ninth to the twelfth minute
    bars, moved = played(path, {300})
    fives = [bar for bar in bars if bar.interval_ns == 300 * S]
    assert [(bar.received_at_ns - bar.closed_at_ns) / S for bar in fives] == [0, 0.25, 0, 0]
    assert moved == {60: MINUTES - 4}


def test_bars_of_recorded_quotes_are_those_of_a_backtest_whenever_they_are_played_back(tmp_path: Path) -> None:
    """Built while they were played, they began where our minute did, 17 s into that of the data: other bars, other decisions."""
    path = tmp_path / "quotes.csv"
    rows = [f"{HOUR + 7 * number},{100 + number},{101 + number}" for number in range(60 * MINUTES // 7)]
    path.write_text("\n".join(["timestamp,bid,ask", *rows]) + "\n")
    bars, moved = played(path, {60, 300})
    instrument = InstrumentId("paper:BTC-USD")
    quotes = read_market(path, instrument)
    made = bars_from_quotes(quotes, [BarBuilder(instrument, 60), BarBuilder(instrument, 300)])
    expected = [one for one in made if isinstance(one, Bar) and one.complete]
    assert len(expected) > MINUTES
    assert [(one.open, one.high, one.low, one.close) for one in bars] == [
        (one.open, one.high, one.low, one.close) for one in expected
    ]
    assert [one.closed_at_ns - bars[0].closed_at_ns for one in bars] == [
        one.closed_at_ns - expected[0].closed_at_ns for one in expected
    ]
    assert all(one.received_at_ns == one.closed_at_ns for one in bars)
    assert moved == {0: len(rows)}


def test_joined_bars_do_not_move_the_market_a_second_time(tmp_path: Path) -> None:
    bars, moved = played(recorded(tmp_path), {300})
    assert len(bars) == MINUTES + 4
    assert moved == {60: MINUTES}


@pytest.mark.parametrize(("columns", "speed", "every", "told"), [
    ("open,high,low,close", 1, "5m", ""),
    ("open,high,low,close", 10, "1m", "venues.paper.data.recorded.speed: found 10"),
    ("open,high,low,close", 1, "90s", "strategies.one.bars: found bars of 90 s of paper:BTC-USD, recorded in bars of 60 s"),
    ("bid,ask", 10, "90s", ""),
    ("bid,ask", "1, tick: 3", "90s", "venues.paper.data.recorded.tick: found 3, and prices such as 100.0 in bars.csv"),
])  # fmt: skip
def test_recorded_bars_that_cannot_serve_a_strategy_are_refused_by_check(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    columns: str,
    speed: int | str,
    every: str,
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    recorded(tmp_path, columns=columns)
    (tmp_path / "watcher.py").write_text(STRATEGY)
    (tmp_path / "q.yaml").write_text(f"""
journal: {{path: var/q.db, state_dir: var/state}}
venues:
  paper:
    type: paper
    data: {{recorded: {{speed: {speed}, files: {{BTC-USD: bars.csv}}}}}}
    balances: {{USD: 100000}}
risk: {{base_currency: USD, account: {{max_gross_notional: 50000, max_daily_loss: 500, max_open_orders: 10}}}}
strategies_dir: .
strategies: [{{id: one, use: watcher.Watcher, instruments: [paper:BTC-USD], bars: {every}}}]
""")
    code = run_check([tmp_path / "q.yaml"], {}, lambda settings: check(settings, fast=True))
    out = capsys.readouterr()
    assert (code, told in out.err) == (2 if told else 0, True), out


@pytest.mark.parametrize(
    "data", ["recorded: {files: {BTC-USD: bars.csv}}", "synthetic: {instruments: [{symbol: BTC-USD, price: 100}]}"]
)
def test_an_instrument_of_which_a_paper_venue_has_no_data_is_refused_with_the_nearest_that_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: str
) -> None:
    """The daemon started, and its venue was never ready; `quantd check` found nothing."""
    monkeypatch.chdir(tmp_path)
    recorded(tmp_path)
    (tmp_path / "watcher.py").write_text(STRATEGY)
    (tmp_path / "q.yaml").write_text(f"""
venues: {{paper: {{type: paper, data: {{{data}}}, balances: {{USD: 100000}}}}}}
risk: {{base_currency: USD}}
strategies_dir: .
strategies:
  - id: one
    use: watcher.Watcher
    instruments: [paper:BCT-USD]
    bars: 5m
""")
    settings = load([tmp_path / "q.yaml"], {})
    told = (
        r"q\.yaml:8:\d+: strategies\.one\.instruments: found BCT-USD, of which paper has no data, "
        r"expected BTC-USD; did you mean BTC-USD\?"
    )
    with pytest.raises(ConfigProblems, match=told):
        list(check(settings, fast=True))
    with pytest.raises(ConfigProblems, match=told):
        Daemon(settings, clock=SystemClock(), observer=PrometheusObserver()).build()
    assert not (tmp_path / "var").exists(), "nothing was opened"
