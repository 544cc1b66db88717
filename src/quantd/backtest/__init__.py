"""The backtest: drives `Engine.handle` and `Exchange.handle` over history, and reports.

Used by the command line and by tests. A plain loop: no asyncio, no queue, no reading of system time.
"""
