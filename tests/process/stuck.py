"""A strategy that sits in its callback for ever, for the process tests; copied into their strategies folder."""

import hashlib
import time
from decimal import Decimal
from pathlib import Path
from typing import ClassVar

from quantd import Bar, Limit, Quote, Strategy, param


class Stuck(Strategy):
    """Places buy orders far below the market, and sits still in one of several ways once it is told to."""

    count: int = param(1, ge=0, doc="orders at each instrument")
    how: str = param("no", choices=("spin", "sleep", "hash", "no"), doc="what it does for ever")
    at_bar: int = param(
        0, ge=0, doc="the bar from which it orders; the first object sits still then; with 0, on quotes"
    )
    needs: ClassVar = {Limit}

    def setup(self) -> None:
        if self.at_bar:
            self.bars()
        self.seen = 0

    def on_bar(self, bar: Bar) -> None:
        self.seen += 1
        if self.at_bar and self.seen >= self.at_bar and not self.orders(bar.instrument):
            self.buy(bar.instrument, Decimal("0.01"), Limit(bar.close * 0.99))
            if not Path("sat").exists():
                Path("sat").touch()
                self.sit()

    def on_quote(self, quote: Quote) -> None:
        if not self.at_bar:
            here = len(self.orders(quote.instrument))
            for number in range(here, min(self.count, here + 50)):
                self.buy(quote.instrument, Decimal("0.001"), Limit(quote.bid * (0.98 - number * 0.00001)))
            if Path("go").exists():
                self.sit()

    def sit(self) -> None:
        self.log("sits", how=self.how)
        if self.how == "hash":
            hashlib.pbkdf2_hmac("sha256", b"key", b"salt", 400_000_000)
        while self.how == "spin":
            pass
        if self.how == "sleep":
            time.sleep(30)
