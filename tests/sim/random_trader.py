"""A strategy that does anything at any time: for simulations, where the world is hostile and so is the author."""

import random
from decimal import Decimal
from typing import Any, ClassVar

from quantd import Limit, Market, Protect, Quote, Stop, StopLimit, Strategy, param


class RandomTrader(Strategy):
    """Draws what to do from its seed and the time, so that a restart does not repeat itself."""

    seed: int = param(1, ge=0)
    quantity: Decimal = param(Decimal("0.004"), gt=0)
    actions: int = param(4, ge=1, le=10, doc="at each quote")
    stops: bool = param(False, doc="whether it only places stops that wait long")
    needs: ClassVar[set[type]] = {Market, Limit, Stop, StopLimit}

    def setup(self) -> None:
        """See quotes."""
        self.quotes()
        self.done = 0

    def on_quote(self, quote: Quote) -> None:
        """Do something."""
        rng = random.Random(self.seed * 1_000_003 + round(self.now.timestamp() * 1_000_000))
        for _ in range(rng.randint(0, self.actions)):
            self.act(quote, rng)
            self.done += 1

    def act(self, quote: Quote, rng: random.Random) -> None:
        """Do one thing."""
        instrument, price = quote.instrument, quote.mid
        quantity = self.quantity * rng.randint(1, 4)
        send = rng.choice((self.buy, self.sell))
        away = (1 if send == self.sell else -1) * price
        working = self.orders(instrument)
        if self.stops:
            if len(working) < 5:
                send(instrument, quantity, Stop(price - away * rng.uniform(5e-4, 2e-3)))
            return
        drawn = rng.random()
        if drawn < 0.25:
            how = Limit(price + away * rng.uniform(-5e-4, 15e-4))
            for _ in range(2 if drawn < 0.04 else 1):  # twins: orders that nobody can tell apart
                send(instrument, quantity, how, protect=self.exits(price, rng))
        elif drawn < 0.35:
            send(instrument, quantity, Market(), protect=self.exits(price, rng))
        elif drawn < 0.5:
            send(instrument, quantity, Stop(price - away * rng.uniform(5e-5, 8e-4), reduce_only=rng.random() < 0.4))
        elif drawn < 0.55:
            trigger = price - away * rng.uniform(5e-5, 8e-4)
            send(instrument, quantity, StopLimit(trigger, trigger - away * 5e-4))
        elif drawn < 0.65:
            self.target(instrument, self.quantity * rng.randint(-3, 3))
        elif drawn < 0.69:
            self.target(instrument, self.quantity * rng.randint(-3, 3), Limit(price))
        elif drawn < 0.8 and working:
            self.cancel(rng.choice(working))
        elif drawn < 0.95 and working:
            order = rng.choice(working)
            self.amend(order, quantity, None if order.price is None else order.price * Decimal("1.0005"))
        elif drawn < 0.97:
            self.cancel_all(instrument)

    def exits(self, price: float, rng: random.Random) -> Protect | None:
        """Ask for protection now and then; the distances suit longs or shorts, as chance will have it."""
        if rng.random() < 0.6:
            return None
        side = rng.choice((1, -1))
        trail = price * 1e-3 if rng.random() < 0.3 else None
        return Protect(stop=price * (1 - side * 1e-3), take=price * (1 + side * 2e-3), trail=trail)

    def save(self) -> Any:
        """Keep the count."""
        return {"done": self.done}

    def load(self, state: Any, version: int) -> None:
        """Take the count back."""
        self.done = state["done"]
