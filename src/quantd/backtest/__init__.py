"""The backtest: drives `Engine.handle` and `Exchange.handle` over history, and reports.

Used by the command line, the benchmarks and tests. A plain loop: no asyncio, no queue, no reading of system time.
"""

from quantd.backtest.loop import Backtest, BacktestFailed, SimulatedVenue
from quantd.backtest.result import Result, StrategyResult, summarise

__all__ = ["Backtest", "BacktestFailed", "Result", "SimulatedVenue", "StrategyResult", "summarise"]
