"""The common work in backtesting.py, averages by `self.I` as its guide has them.

Run: python benchmarks/backtest_backtesting.py BARS.csv
"""

from __future__ import annotations

import sys
import time
import warnings

from work import CASH, EDGE, FAST, FEE, SLOW, Row

warnings.filterwarnings("ignore")
import pandas as pd
from backtesting import Backtest, Strategy


def mean(values: object, length: int) -> pd.Series:
    """Return a rolling mean."""
    return pd.Series(values).rolling(length).mean()


class Cross(Strategy):
    """Long one unit while the fast mean is above the slow one."""

    def init(self) -> None:
        """Make both means."""
        self.fast = self.I(mean, self.data.Close, FAST)
        self.slow = self.I(mean, self.data.Close, SLOW)

    def next(self) -> None:
        """Compare them."""
        gap = self.fast[-1] - self.slow[-1]
        if gap > EDGE and not self.position:
            self.buy(size=1)
        elif gap < -EDGE and self.position:
            self.position.close()


def main(path: str) -> None:
    """Load, run, report."""
    frame = pd.read_csv(path)
    frame.index = pd.to_datetime(frame.pop("ts"), unit="s")
    frame.columns = ["Open", "High", "Low", "Close", "Volume"]
    backtest = Backtest(frame, Cross, cash=CASH, commission=float(FEE), finalize_trades=False)
    began = time.perf_counter()
    stats = backtest.run()
    took = time.perf_counter() - began
    Row("backtesting.py", len(frame), took, 2 * int(stats["# Trades"]), stats["Equity Final [$]"]).tell()


if __name__ == "__main__":
    main(*sys.argv[1:])
