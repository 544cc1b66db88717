"""The common work in basana: its dispatcher and its simulated exchange, asynchronous handlers, Decimal.

Run: python benchmarks/backtest_basana.py BARS.csv
"""

from __future__ import annotations

import asyncio
import csv
import datetime
import sys
import time
from collections import deque
from decimal import Decimal

import basana
from basana.backtesting import exchange, fees, liquidity
from work import CASH, EDGE, FAST, FEE, SLOW, Row

PAIR = basana.Pair("BTC", "USD")
MINUTE = datetime.timedelta(minutes=1)
ONE = Decimal(1)


class Mean:
    """A moving average in constant time."""

    def __init__(self, length: int) -> None:
        self.window: deque[float] = deque([0.0] * length, length)
        self.length = length
        self.total = 0.0

    def add(self, value: float) -> float:
        """Take a value in and return the mean."""
        self.total += value - self.window[0]
        self.window.append(value)
        return self.total / self.length


class Cross:
    """Long one unit while the fast mean is above the slow one."""

    def __init__(self, venue: exchange.Exchange) -> None:
        self.venue = venue
        self.fast, self.slow = Mean(FAST), Mean(SLOW)
        self.seen = 0
        self.is_long = False

    async def on_bar(self, event: basana.BarEvent) -> None:
        """Compare the means."""
        close = float(event.bar.close)
        gap = self.fast.add(close) - self.slow.add(close)
        self.seen += 1
        if self.seen < SLOW:
            return
        if gap > EDGE and not self.is_long:
            self.is_long = True
            await self.venue.create_market_order(basana.OrderOperation.BUY, PAIR, ONE)
        elif gap < -EDGE and self.is_long:
            self.is_long = False
            await self.venue.create_market_order(basana.OrderOperation.SELL, PAIR, ONE)


def load(path: str) -> tuple[basana.FifoQueueEventSource, int, Decimal]:
    """Return the source of bars, how many there are, and the last close."""
    source, count, close = basana.FifoQueueEventSource(), 0, Decimal(0)
    with open(path, encoding="ascii") as file:
        rows = csv.reader(file)
        next(rows)
        for stamp, *fields in rows:
            begin = datetime.datetime.fromtimestamp(int(stamp), datetime.UTC)
            prices = [Decimal(field) for field in fields]
            source.push(basana.BarEvent(begin + MINUTE, basana.Bar(begin, PAIR, *prices, MINUTE)))
            count, close = count + 1, prices[3]
    return source, count, close


async def run(path: str) -> None:
    """Load, run, report."""
    dispatcher = basana.backtesting_dispatcher()
    source, count, close = load(path)
    venue = exchange.Exchange(
        dispatcher,
        {"USD": Decimal(CASH)},
        fee_strategy=fees.Percentage(Decimal(FEE) * 100),
        liquidity_strategy_factory=liquidity.InfiniteLiquidity,
        default_pair_info=basana.PairInfo(base_precision=3, quote_precision=4),
    )
    venue.add_bar_source(source)
    venue.subscribe_to_bar_events(PAIR, Cross(venue).on_bar)
    began = time.perf_counter()
    await dispatcher.run()
    took = time.perf_counter() - began
    balances = await venue.get_balances()
    held = balances["BTC"].total if "BTC" in balances else 0
    fills = sum(bool(order.amount_filled) for order in await venue.get_orders())
    Row("basana", count, took, fills, float(balances["USD"].total + held * close)).tell()


if __name__ == "__main__":
    asyncio.run(run(*sys.argv[1:]))
