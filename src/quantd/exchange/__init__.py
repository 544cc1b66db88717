"""The simulated exchange: matching, fees, accounts and margin, as pure as the engine.

The backtest, the paper connector and every venue simulator stand on it. It never reads a clock or draws chance.
"""

from quantd.exchange.exchange import Exchange
from quantd.exchange.requests import Amended, Cancelled, NewOrder, OrderChange, Placed, ProtectionSet, Refused
from quantd.exchange.rules import AccountSetup, DepthRules, ExchangeRules, SelfTrade
from quantd.exchange.views import ExchangeReport, LedgerEntry, LedgerReason, LotView, MarginView, OrderView, Trade

__all__ = [
    "AccountSetup", "Amended", "Cancelled", "DepthRules", "Exchange", "ExchangeReport", "ExchangeRules",
    "LedgerEntry", "LedgerReason", "LotView", "MarginView", "NewOrder", "OrderChange", "OrderView", "Placed",
    "ProtectionSet", "Refused", "SelfTrade", "Trade",
]  # fmt: skip
