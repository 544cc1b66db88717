"""The equity curve of accounts whose worth no single price in the base currency tells."""

import random
from collections.abc import Sequence
from decimal import Decimal
from itertools import chain

import pytest

from quantd import Bar, InstrumentId, Strategy
from quantd.backtest import Backtest, SimulatedVenue
from quantd.backtest.result import drawdown
from quantd.domain.cash import AccountKind
from quantd.domain.instruments import TickTier
from quantd.engine.context import EngineSettings, StrategySetup
from quantd.engine.core import Engine
from quantd.engine.risk.limits import RiskSettings
from quantd.exchange import AccountSetup, Exchange
from quantd.testing.builders import make_account, make_capabilities, make_instrument
from tests.unit.backtest.rig import WIDE, bars

USD_JPY, BTC_USD, ETH_BTC = map(InstrumentId, ("paper:USD-JPY", "paper:BTC-USD", "paper:ETH-BTC"))


class Hold(Strategy):
    """Buys at its first bar and holds."""

    def __init__(self, instrument: InstrumentId, quantity: int) -> None:
        super().__init__()
        self.held, self.quantity = instrument, quantity

    def setup(self) -> None:
        self.bars(self.held)

    def on_bar(self, bar: Bar) -> None:
        self.target(bar.instrument, self.quantity)


def held(
    strategy: Hold, closes: dict[InstrumentId, Sequence[float]], balances: dict[str, Decimal], kind: AccountKind
) -> Backtest:
    """Run a strategy that holds one of several instruments on an account in USD."""
    margin = Decimal("0.02") if kind is AccountKind.MARGIN else None
    ticks = (TickTier(Decimal(0), Decimal("0.0001")),)
    listed = tuple(make_instrument(one, ticks=ticks, margin_rate=margin) for one in closes)
    engine = Engine(
        EngineSettings(journal_id="t", epoch=1),
        RiskSettings(base_currency="USD", order=WIDE),
        [(StrategySetup(id="hold", instruments=tuple(closes)), strategy, WIDE)],
        make_random=random.Random,
        log=lambda strategy: lambda event, **fields: None,
    )
    engine.declare()
    exchange = Exchange(listed, {"1": AccountSetup(kind=kind, balances=balances)})
    venue = SimulatedVenue(make_account(margin=margin is not None), make_capabilities(), exchange, listed)
    by_instrument = [bars(prices, instrument=one) for one, prices in closes.items()]
    return Backtest(engine, [venue], chain.from_iterable(zip(*by_instrument, strict=True))).run()


@pytest.mark.parametrize(
    ("strategy", "closes", "balances", "kind", "worths"),
    [
        (
            Hold(USD_JPY, 100_000),
            {USD_JPY: [100.0, 100.0, 110.0, 125.0]},
            {"USD": Decimal(10_000)},
            AccountKind.MARGIN,
            [10_000, 10_000, 10_000 + 1_000_000 / 110, 10_000 + 2_500_000 / 125],
        ),
        (
            Hold(ETH_BTC, 100),
            {BTC_USD: [20_000.0] * 4, ETH_BTC: [0.05, 0.05, 0.06, 0.03]},
            {"BTC": Decimal(10)},
            AccountKind.SPOT,
            [200_000, 200_000, 220_000, 160_000],
        ),
    ],
)
def test_curve_follows_the_price_of_what_is_held_also_where_its_worth_takes_a_rate(
    strategy: Hold,
    closes: dict[InstrumentId, Sequence[float]],
    balances: dict[str, Decimal],
    kind: AccountKind,
    worths: list[float],
) -> None:
    run = held(strategy, closes, balances, kind)
    at_bars = dict(zip(run.equity.times, run.equity.values, strict=True))  # the last event of each minute
    assert list(at_bars.values()) == pytest.approx(worths)
    exact = run.engine.state.equity("paper")
    assert exact is not None
    assert run.equity.values[-1] == pytest.approx(float(exact))


class Hedge(Hold):
    """Holds as much of one as it is short of another."""

    def on_bar(self, bar: Bar) -> None:
        self.target(self.instruments[0], self.quantity)
        self.target(self.instruments[1], -self.quantity)


def test_a_hedge_loses_nothing_between_two_prices_of_one_time() -> None:
    fall = [100.0, 100.0, 100.0, 60.0, 60.0]
    closes: dict[InstrumentId, Sequence[float]] = {InstrumentId("paper:A-USD"): fall, InstrumentId("paper:B-USD"): fall}
    strategy = Hedge(next(iter(closes)), 100)
    run = held(strategy, closes, {"USD": Decimal(10_000)}, AccountKind.MARGIN)
    assert [book.quantity for book in run.engine.state.portfolio.books()] == [100, -100]
    assert len(run.equity.times) == len(set(run.equity.times)) == 5
    assert drawdown(run.equity.values) == pytest.approx(0.0, abs=0.001)
