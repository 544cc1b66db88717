"""The simulated exchange: matching, fees, accounts, margin; as pure as the engine.

Used by the backtest, the paper venue and the simulators. An order never fills on the event that caused it.
"""
