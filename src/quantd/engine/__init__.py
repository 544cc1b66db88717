"""The deterministic core: events in, facts and commands out.

Driven by the runner and by the backtest. No I/O, no clock, no chance: the same events give the same commands.
"""
