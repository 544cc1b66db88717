"""The strategy of a session with odd answers: each kind of write once, and all that a strategy reads."""

from decimal import Decimal
from typing import Any

from quantd.domain.market import Quote
from quantd.domain.orders import Limit, Protect
from quantd.engine.strategy import Strategy


class Trader(Strategy):
    """Opens with exits, rests an order, changes and cancels it, sets other exits, closes; one act for each quote."""

    def __init__(self, lot: Decimal) -> None:
        self.lot = lot
        self.acts = 0
        self.resting: Any = None

    def setup(self) -> None:
        """Hear of quotes."""
        self.quotes()

    def on_quote(self, quote: Quote) -> None:
        """Act once."""
        self.acts += 1
        one, bid, ask = self.instrument, quote.bid, quote.ask
        self.equity, self.notional(), self.position(), self.orders()
        if self.acts == 2:
            self.buy(one, self.lot, Limit(ask * 1.002), protect=Protect(stop=bid * 0.95, take=bid * 1.05))
        elif self.acts == 3:
            self.resting = self.buy(one, self.lot, Limit(bid * 0.98))
        elif self.acts == 4 and self.resting:
            self.amend(self.resting, price=bid * 0.975)
        elif self.acts == 5 and self.resting:
            self.cancel(self.resting)
        elif self.acts == 6:
            self.protect(one, Protect(stop=bid * 0.9))
        elif self.acts == 8:
            self.close(one)
