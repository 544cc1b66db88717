"""What a configuration comes to in a backtest: one strategy, one instrument, bars written by hand."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from quantd.app.backtest import Options, Plan, plan_backtest
from quantd.backtest import Backtest, summarise
from quantd.config.loader import load
from quantd.errors import ConfigError
from quantd.feeds.recorded import Stamp

FROM_S = 1_600_002_000
CONFIG = """
strategies_dir: {home}/strategies
journal: {{path: {home}/journal.db, state_dir: {home}/state}}
venues:
  v: {venue}
risk:
  base_currency: USD
  account: {{max_gross_notional: 900000000, max_daily_loss: 900000000, max_open_orders: 10}}
strategies:
  - {{id: s, use: s.S, instruments: ["{instrument}"], bars: {step_s}s}}
"""
ONCE = """
from quantd import Limit, Market, Protect, Strategy

class S(Strategy):
    needs = {{Market, Limit, Protect}}

    def setup(self):
        self.bars()
        self.count = 0

    def on_bar(self, bar):
        self.count += 1
        if self.count == 1:
            {action}
"""
Prices = tuple[float, float, float, float]
CALM: Prices = (100.0, 101.0, 99.0, 100.0)


def paper(**settings: object) -> str:
    """Return a paper section on the recorded bars, without latency, fees and spread unless `settings` say so."""
    given = {"latency_s": 0, "maker_fee_bps": 0, "taker_fee_bps": 0, "spread_bps": 0} | settings
    data = f"files: {{BTC-USD: bars.csv}}, lot: 0.001, spread_bps: {given.pop('spread_bps')}"
    rest = ", ".join(f"{key}: {value}" for key, value in given.items())
    return f"{{type: paper, data: {{recorded: {{{data}}}}}, balances: {{USD: 100000}}, {rest}}}"


OANDA = "{type: oanda, environment: practice, account: 101-004-1234567-001}"
TOKEN = {"QUANTD__VENUES__V__TOKEN": "x"}


class Rig:
    """Writes and plans backtests in a folder."""

    def __init__(self, home: Path) -> None:
        self.home = home
        (home / "strategies").mkdir()

    def plan(
        self, action: str, prices: Sequence[Prices], venue: str, *, step_s: int = 60, instrument: str = "v:BTC-USD"
    ) -> Plan:
        """Return the plan of a strategy that does `action` at its first bar."""
        (self.home / "strategies" / "s.py").write_text(ONCE.format(action=action))
        rows = [f"{FROM_S + step_s * number},{','.join(map(str, one))},5" for number, one in enumerate(prices)]
        data = self.home / "bars.csv"
        data.write_text("\n".join(["time,open,high,low,close,volume", *rows]) + "\n")
        path = self.home / "quantd.yaml"
        path.write_text(CONFIG.format(home=self.home, venue=venue, instrument=instrument, step_s=step_s))
        return plan_backtest(load([path], TOKEN if venue == OANDA else {}), Options(data={instrument: data}))


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def deals(run: Backtest) -> list[tuple[str, float]]:
    """Return (side, price) of each fill."""
    return [(one.side.value, float(one.fill.price)) for one in run.fills]


@pytest.mark.parametrize("step_s", [5, 15, 60, 3600])
@pytest.mark.parametrize("exits", ["stop=50", "trail=50"])
def test_position_whose_exits_the_venue_holds_stands_as_long_as_no_price_reaches_them(
    rig: Rig, exits: str, step_s: int
) -> None:
    action = f"self.target(bar.instrument, 1, protect=Protect({exits}))"
    plan = rig.plan(action, [CALM] * 12, paper(account="margin", protection="venue"), step_s=step_s)
    run = plan.backtest.run()
    assert deals(run) == [("buy", 100.0)]
    assert not summarise(run).latched
    least = 2 * step_s + 5
    assert f"the data are bars of {step_s} s: a position may stand {least} s without its stop" in plan.notes


def test_account_of_a_margin_venue_holds_margin_and_the_assumed_rules_are_told(rig: Rig) -> None:
    rates = [(price,) * 4 for price in (1.1, 1.1, 1.1, 1.09, 1.05)]
    action = "self.target(bar.instrument, 50_000_000)"
    plan = rig.plan(action, rates, OANDA, instrument="v:EUR_USD")
    run = plan.backtest.run()
    assert deals(run) == []  # 55 million on 100,000
    assert (
        "assumed of v:EUR_USD: tick 0.01, lot 0.0001, a quantity of 1 is 1 EUR, fees 0 (maker) and 0 (taker) basis points, "
        "margin rate 0.05"
    ) in plan.notes


def test_recorded_bars_are_traded_at_the_spread_of_their_section(rig: Rig) -> None:
    plan = rig.plan("self.target(bar.instrument, 1)", [CALM] * 3, paper(spread_bps=100))
    assert deals(plan.backtest.run()) == [("buy", 100.5)]


@pytest.mark.parametrize(
    ("venue", "fills", "told"),
    [
        (paper(), [("buy", 100.0), ("sell", 85.0)], True),
        (paper(account="margin", protection="venue"), [("buy", 100.0), ("sell", 95.0)], False),
    ],
)
def test_exits_that_the_engine_holds_act_on_the_close_of_a_bar_and_the_command_says_so(
    rig: Rig, venue: str, fills: list[tuple[str, float]], told: bool
) -> None:
    action = "self.target(bar.instrument, 1, protect=Protect(stop=95))"
    fall: Prices = (100.0, 100.0, 80.0, 85.0)
    plan = rig.plan(action, [CALM, CALM, fall, (85.0, 86.0, 84.0, 85.0), CALM], venue)
    assert deals(plan.backtest.run()) == fills
    note = "strategy s: the engine holds stops and targets for v; they see each bar's close alone and fill at the next open"
    assert (note in plan.notes) is told


def test_prices_that_the_price_step_would_move_are_refused(rig: Rig) -> None:
    rates = [(price,) * 4 for price in (1.1216, 1.1217, 1.1219)]
    with pytest.raises(
        ConfigError, match=r"bars\.csv: found prices such as 1\.1216, and a price step of 0\.01 for v:BTC"
    ):
        rig.plan("self.target(bar.instrument, 1)", rates, paper())


def test_prices_a_little_beside_the_price_step_are_rounded_and_the_command_says_so(rig: Rig) -> None:
    rates = [(price,) * 4 for price in (2000.125, 2000.375, 2000.125)]
    plan = rig.plan("self.target(bar.instrument, 1)", rates, paper())
    assert f"prices of {rig.home}/bars.csv lie between the price steps of 0.01: they are rounded to them" in plan.notes


@pytest.mark.parametrize(
    ("recorded", "option", "first"), [("open", None, 0), ("close", None, -60), ("open", "close", -60)]
)
def test_the_time_of_a_bar_may_be_its_close(rig: Rig, recorded: str, option: str | None, first: int) -> None:
    venue = paper().replace("lot: 0.001", f"lot: 0.001, stamp: {recorded}")
    rig.plan("self.target(bar.instrument, 1)", [CALM] * 3, venue)
    options = Options(data={"": rig.home / "bars.csv"}, stamp=None if option is None else Stamp(option))
    run = plan_backtest(load([rig.home / "quantd.yaml"], {}), options).backtest.run()
    assert run.started_at_ns // 1_000_000_000 == FROM_S + first
