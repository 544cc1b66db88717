"""A strategy that writes all the time, each order with a size of its own; copied into a strategies folder by tests."""

import random
from decimal import Decimal
from typing import ClassVar

from quantd import Limit, Market, Quote, Strategy, param


class Churner(Strategy):
    """Enters on both sides near the market, amends, cancels, and now and then crosses the spread.

    No two orders have one size, so that each can be told from any other by its terms.
    """

    writes: int = param(4, ge=1, le=50, doc="orders at each quote")
    scale: Decimal = param(Decimal(1), gt=0, doc="of all sizes")
    step: Decimal = param(Decimal("0.000001"), gt=0, doc="of all sizes")
    keeps: int = param(8, ge=1, le=200, doc="orders that may work at once")
    closes: bool = param(False, doc="sell what is held by market orders, where nothing else closes a lot")
    needs: ClassVar = {Market, Limit}

    def setup(self) -> None:
        for one in self.instruments:
            self.quotes(one)

    def on_quote(self, quote: Quote) -> None:
        now_ms = round(self.now.timestamp() * 1000)
        rng = random.Random(now_ms)
        working = self.orders(quote.instrument)
        for order in working[: max(1, len(working) - self.keeps)]:
            if rng.random() < 0.3 and order.price is not None:
                self.amend(order, order.quantity, order.price)
            else:
                self.cancel(order)
        for number in range(self.writes):
            size = Decimal("0.002") + Decimal((now_ms * 7 + number) % 4_000) / 1_000_000
            quantity = size * self.scale // self.step * self.step
            away = rng.uniform(-1e-4, 6e-4)
            if rng.random() < 0.15:
                self.buy(quote.instrument, quantity, Market())
            elif rng.random() < 0.5:
                self.buy(quote.instrument, quantity, Limit(quote.mid * (1 - away)))
            elif not self.closes:
                self.sell(quote.instrument, quantity, Limit(quote.mid * (1 + away)))
            elif not number and (held := self.position(quote.instrument).quantity) > 0:
                self.sell(quote.instrument, min(quantity, held), Market())
