"""A strategy on margin with exits at the venue; copied into a strategies folder by tests."""

import random
from decimal import Decimal
from typing import ClassVar

from quantd import Limit, Market, Protect, Quote, Strategy, param


class Guarded(Strategy):
    """Enters on both sides, at the market and by limits, with a stop and a target near by; now and then it leaves by itself."""

    quantity: Decimal = param(Decimal("0.10"), gt=0)
    away: float = param(0.003, gt=0, doc="distance of the exits, as a fraction of the price")
    held_max: Decimal = param(Decimal("0.60"), gt=0)
    needs: ClassVar = {Market, Limit}

    def setup(self) -> None:
        for one in self.instruments:
            self.quotes(one)

    def on_quote(self, quote: Quote) -> None:
        one = quote.instrument
        rng = random.Random(round(self.now.timestamp() * 1000))
        for order in self.orders(one):
            if rng.random() < 0.4:
                self.cancel(order)
        held = self.position(one).quantity
        draw = rng.random()
        if held and draw < 0.15:
            self.close(one, why="enough")
        elif draw < 0.6 and abs(held) + self.quantity <= self.held_max:
            long = held > 0 if held else rng.random() < 0.5
            sign = 1 if long else -1
            how = Market() if rng.random() < 0.6 else Limit(quote.mid * (1 - sign * 0.0002))
            exits = Protect(stop=quote.mid * (1 - sign * self.away), take=quote.mid * (1 + sign * self.away))
            act = self.buy if long else self.sell
            act(one, self.quantity + Decimal(rng.randrange(5)) / 100, how, protect=exits)
