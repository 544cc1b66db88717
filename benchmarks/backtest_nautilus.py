"""The common work in nautilus_trader's BacktestEngine, as installed; the averages are the strategy's own.

Run: python benchmarks/backtest_nautilus.py BARS.csv
"""

from __future__ import annotations

import sys
import time
from collections import deque
from decimal import Decimal

import pandas as pd
from nautilus_trader.backtest.engine import BacktestEngine
from nautilus_trader.config import BacktestEngineConfig, LoggingConfig, StrategyConfig
from nautilus_trader.model.currencies import BTC, USDT
from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
from nautilus_trader.model.identifiers import InstrumentId, Symbol, TraderId, Venue
from nautilus_trader.model.instruments import CurrencyPair
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.persistence.wranglers import BarDataWrangler
from nautilus_trader.trading.strategy import Strategy
from work import CASH, EDGE, FAST, FEE, SLOW, Row

VENUE = Venue("SIM")
PAIR = InstrumentId(Symbol("BTCUSDT"), VENUE)
BARS = BarType.from_str("BTCUSDT.SIM-1-MINUTE-LAST-EXTERNAL")
FEE_RATE = Decimal(FEE)


def instrument() -> CurrencyPair:
    """Return the instrument's rules."""
    return CurrencyPair(
        instrument_id=PAIR,
        raw_symbol=Symbol("BTCUSDT"),
        base_currency=BTC,
        quote_currency=USDT,
        price_precision=2,
        size_precision=3,
        price_increment=Price(0.01, 2),
        size_increment=Quantity(0.001, 3),
        lot_size=None,
        max_quantity=Quantity(9000, 3),
        min_quantity=Quantity(0.001, 3),
        max_notional=None,
        min_notional=None,
        max_price=None,
        min_price=None,
        margin_init=Decimal(0),
        margin_maint=Decimal(0),
        maker_fee=FEE_RATE,
        taker_fee=FEE_RATE,
        ts_event=0,
        ts_init=0,
    )


class Cross(Strategy):
    """Long one unit while the fast mean is above the slow one."""

    def __init__(self) -> None:
        super().__init__(StrategyConfig())
        self.windows = [(deque([0.0] * length, length), length) for length in (FAST, SLOW)]
        self.totals = [0.0, 0.0]
        self.seen = self.fills = 0
        self.has_bought = False
        self.one = Quantity(1, 3)

    def on_start(self) -> None:
        """Ask for the bars."""
        self.subscribe_bars(BARS)

    def on_bar(self, bar: Bar) -> None:
        """Compare the means."""
        close = bar.close.as_double()
        means = []
        for at, (window, length) in enumerate(self.windows):
            self.totals[at] += close - window[0]
            window.append(close)
            means.append(self.totals[at] / length)
        self.seen += 1
        if self.seen < SLOW:
            return
        gap = means[0] - means[1]
        if gap > EDGE and not self.has_bought:
            self.has_bought = True
            self.submit_order(self.order_factory.market(PAIR, OrderSide.BUY, self.one))
        elif gap < -EDGE and self.has_bought:
            self.has_bought = False
            self.submit_order(self.order_factory.market(PAIR, OrderSide.SELL, self.one))

    def on_order_filled(self, event: object) -> None:
        """Count."""
        self.fills += 1


def main(path: str) -> None:
    """Load, run, report."""
    rules = instrument()
    frame = pd.read_csv(path)
    frame.index = pd.to_datetime(frame.pop("ts"), unit="s", utc=True)
    frame.index.name = "timestamp"
    data = BarDataWrangler(BARS, rules).process(frame.astype(float))
    engine = BacktestEngine(
        BacktestEngineConfig(
            trader_id=TraderId("T-001"), run_analysis=False, logging=LoggingConfig(bypass_logging=True)
        )
    )
    engine.add_venue(
        venue=VENUE,
        oms_type=OmsType.NETTING,
        account_type=AccountType.CASH,
        base_currency=None,
        starting_balances=[Money(CASH, USDT), Money(0, BTC)],
    )
    engine.add_instrument(rules)
    engine.add_data(data)
    strategy = Cross()
    engine.add_strategy(strategy)
    began = time.perf_counter()
    engine.run()
    took = time.perf_counter() - began
    account = engine.cache.account_for_venue(VENUE)
    money, held = (account.balance_total(one).as_double() for one in (USDT, BTC))
    Row("nautilus_trader", len(data), took, strategy.fills, money + held * data[-1].close.as_double()).tell()


if __name__ == "__main__":
    main(*sys.argv[1:])
