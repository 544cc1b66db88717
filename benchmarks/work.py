"""The common work of the backtest benchmarks, and how each of them reports.

Moving averages of 10 and 30 closes; long one unit while the fast one is above the slow one by more than `EDGE`, flat
below it by more than `EDGE`; market orders, a fee of one basis point, a million to begin with.
"""

from __future__ import annotations

import json
import resource
import time

FAST, SLOW, EDGE = 10, 30, 1e-4
FEE = "0.0001"
CASH = 1_000_000
FILLS_100K, EQUITY_100K = 3_772, 999_730.86
"""What everybody must come to at 100,000 bars."""


class Row:
    """One measurement."""

    def __init__(self, name: str, bars: int, run_s: float, fills: int, equity: float) -> None:
        self.name = name
        self.bars = bars
        self.run_s = run_s
        self.fills = fills
        self.equity = equity

    def tell(self, **more: object) -> None:
        """Print it as one line of JSON."""
        row = {
            "name": self.name,
            "bars": self.bars,
            "run_s": round(self.run_s, 5),
            "fills": self.fills,
            "equity": round(float(self.equity), 2),
            "rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
            "cpu_s": round(time.process_time(), 2),
        }
        print("ROW " + json.dumps(row | more), flush=True)
