"""The moving-average cross on the generated bars of the benchmarks: what every engine comes to there."""

import random
from collections.abc import Iterator
from decimal import Decimal

from benchmarks.data import bars as columns
from benchmarks.work import EDGE, EQUITY_100K, FILLS_100K
from quantd import SMA, Bar, InstrumentId, Strategy
from quantd.backtest import Backtest, SimulatedVenue, summarise
from quantd.domain.facts import RequestDenied
from quantd.domain.instruments import FeeSchedule
from quantd.engine.context import EngineSettings, StrategySetup
from quantd.engine.core import Engine
from quantd.engine.risk.limits import Limits, RiskSettings
from quantd.exchange import AccountSetup, Exchange, ExchangeRules
from quantd.testing.builders import make_account, make_capabilities, make_instrument

BTC = InstrumentId("paper:BTC-USD")


class Cross(Strategy):
    """Long one unit while the mean of 10 closes is above the mean of 30."""

    def setup(self) -> None:
        bars = self.bars()
        self.fast, self.slow = bars.track(SMA(10)), bars.track(SMA(30))

    def on_bar(self, bar: Bar) -> None:
        gap = self.fast.value - self.slow.value
        if gap > EDGE:
            self.target(bar.instrument, 1)
        elif gap < -EDGE:
            self.target(bar.instrument, 0)


def made(count: int) -> Iterator[Bar]:
    """Yield the first `count` bars."""
    times, *rest = (column[:count].tolist() for column in columns())
    for at_s, opened, high, low, close, volume in zip(times, *rest, strict=True):
        at_ns = at_s * 1_000_000_000
        prices = (opened / 100, high / 100, low / 100, close / 100, float(volume))
        yield Bar(BTC, at_ns, at_ns + 60_000_000_000, *prices, at_ns + 60_000_000_000)


def test_the_cross_gives_the_fills_and_the_equity_that_every_engine_gives() -> None:
    fee = Decimal("0.0001")
    listed = make_instrument(BTC, fees=FeeSchedule(fee, fee))
    limits = Limits(max_order_notional=Decimal(10_000), max_quote_age_s=60.0)
    engine = Engine(
        EngineSettings(journal_id="b", epoch=1),
        RiskSettings(base_currency="USD", order=limits, account=Limits(max_gross_notional=Decimal(50_000))),
        [(StrategySetup(id="cross", instruments=(BTC,)), Cross(), Limits(max_position=Decimal(1), long_only=True))],
        make_random=random.Random,
        log=lambda strategy: lambda event, **fields: None,
    )
    engine.declare()
    exchange = Exchange(
        [listed], {"1": AccountSetup(balances={"USD": Decimal(1_000_000)})}, rules=ExchangeRules(keep_history=False)
    )
    run = Backtest(
        engine, [SimulatedVenue(make_account(), make_capabilities(), exchange, (listed,))], made(100_000)
    ).run()
    result = summarise(run)
    assert result.fills == FILLS_100K
    assert round(result.closing_equity, 2) == EQUITY_100K
    assert result.events == 100_000
    assert len(run.equity.values) == 100_000
    assert result.denials == {}
    assert not any(isinstance(fact, RequestDenied) for fact in run.journal.facts)
    balances = {one.asset: one.total for one in exchange.balances("1")}
    assert engine.state.portfolio.accounts["paper"].totals == balances
