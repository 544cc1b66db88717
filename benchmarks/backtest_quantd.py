"""quantd's backtest on the common work: gate, in-memory journal and equity on, the same engine as live.

Run: python benchmarks/backtest_quantd.py BARS.csv [--profile]
"""

from __future__ import annotations

import random
import sys
import time
from decimal import Decimal

from work import CASH, EDGE, FEE, Row

from quantd import SMA, Bar, Instrument, InstrumentId, Strategy
from quantd.backtest import Backtest, SimulatedVenue, summarise
from quantd.domain.cash import Account, AccountKind, PositionMode
from quantd.domain.instruments import FeeSchedule, TickTier
from quantd.domain.numbers import use_exact_arithmetic
from quantd.engine.context import EngineSettings, StrategySetup
from quantd.engine.core import Engine
from quantd.engine.risk.limits import Limits, RiskSettings
from quantd.exchange import AccountSetup, Exchange, ExchangeRules
from quantd.feeds.recorded import read_market
from quantd.venues.paper.rules import CAPABILITIES

BTC = InstrumentId("sim:BTC-USD")


class Cross(Strategy):
    """Long one unit while the mean of 10 closes is above the mean of 30."""

    def setup(self) -> None:
        """Follow both means."""
        bars = self.bars()
        self.fast, self.slow = bars.track(SMA(10)), bars.track(SMA(30))
        self.is_long = False

    def on_bar(self, bar: Bar) -> None:
        """Compare them."""
        gap = self.fast.value - self.slow.value
        if gap > EDGE:
            if not self.is_long:
                self.is_long = True
                self.target(bar.instrument, 1)
        elif gap < -EDGE and self.is_long:
            self.is_long = False
            self.target(bar.instrument, 0)


def build(events: list[Bar]) -> Backtest:
    """Return the run: one spot account, a strategy, and limits that a careful owner would set."""
    instrument = Instrument(
        BTC,
        base="BTC",
        quote="USD",
        ticks=(TickTier(Decimal(0), Decimal("0.01")),),
        lot=Decimal("0.001"),
        fees=FeeSchedule(maker=Decimal(FEE), taker=Decimal(FEE)),
    )
    risk = RiskSettings(
        base_currency="USD",
        order=Limits(
            max_order_notional=Decimal(10_000), price_collar_bps=Decimal(100), max_quote_age_s=60.0, self_match="deny"
        ),
        account=Limits(max_gross_notional=Decimal(50_000), max_open_orders=10),
    )
    engine = Engine(
        EngineSettings(journal_id="0", epoch=1),
        risk,
        [(StrategySetup(id="cross", instruments=(BTC,)), Cross(), Limits(max_position=Decimal(2), long_only=True))],
        make_random=random.Random,
        log=lambda strategy: lambda event, **fields: None,
    )
    account = Account("sim", "1", AccountKind.SPOT, PositionMode.NETTING, "USD")
    exchange = Exchange(
        [instrument],
        {"1": AccountSetup(balances={"USD": Decimal(CASH)})},
        rules=ExchangeRules(keep_history=False),
    )
    engine.declare()
    return Backtest(engine, [SimulatedVenue(account, CAPABILITIES, exchange, (instrument,))], events)


def main(path: str, *options: str) -> None:
    """Load, run, report."""
    use_exact_arithmetic()
    began = time.perf_counter()
    bars = list(read_market(path, BTC))
    loaded = time.perf_counter()
    backtest = build(bars)
    if "--profile" in options:
        import cProfile
        import pstats

        profile = cProfile.Profile()
        profile.runcall(backtest.run)
        pstats.Stats(profile).sort_stats("tottime").print_stats(45)
        return
    started = time.perf_counter()
    backtest.run()
    took = time.perf_counter() - started
    result = summarise(backtest)
    summed = time.perf_counter() - started - took
    Row("quantd", len(bars), took, result.fills, result.closing_equity).tell(
        load_s=round(loaded - began, 3), summary_s=round(summed, 3), facts=result.facts
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
