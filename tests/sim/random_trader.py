"""A strategy that does anything at any time: for simulations, where the world is hostile and so is the author."""

import random
from collections.abc import Callable
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
        places, changes = (self.enter, self.trigger, self.aim), (self.withdraw, self.change)
        quantity = self.quantity * rng.randint(1, 4)
        if self.stops:
            if len(self.orders(quote.instrument)) < 5:
                self.wait(quote, quantity, rng)
        elif rng.random() < 0.7 or not self.orders(quote.instrument):
            rng.choice(places)(quote, quantity, rng)
        else:
            rng.choice(changes)(quote, quantity, rng)

    def _side(self, rng: random.Random) -> tuple[Callable[..., Any], int]:
        return rng.choice(((self.buy, -1), (self.sell, 1)))

    def enter(self, quote: Quote, quantity: Decimal, rng: random.Random) -> None:
        """Send an order that goes out at once, now and then two that nobody can tell apart."""
        send, away = self._side(rng)
        how: Any = Market()
        if rng.random() < 0.7:
            how = Limit(quote.mid * (1 + away * rng.uniform(-5e-4, 15e-4)))
        for _ in range(2 if rng.random() < 0.1 else 1):
            send(quote.instrument, quantity, how, protect=self.exits(quote.mid, rng))

    def trigger(self, quote: Quote, quantity: Decimal, rng: random.Random) -> None:
        """Send a stop near the market."""
        send, away = self._side(rng)
        trigger = quote.mid * (1 - away * rng.uniform(5e-5, 8e-4))
        if rng.random() < 0.7:
            send(quote.instrument, quantity, Stop(trigger, reduce_only=rng.random() < 0.4))
        else:
            send(quote.instrument, quantity, StopLimit(trigger, trigger * (1 - away * 5e-4)))

    def wait(self, quote: Quote, quantity: Decimal, rng: random.Random) -> None:
        """Send a stop that the market will take its time to reach."""
        send, away = self._side(rng)
        send(quote.instrument, quantity, Stop(quote.mid * (1 - away * rng.uniform(5e-4, 2e-3))))

    def aim(self, quote: Quote, quantity: Decimal, rng: random.Random) -> None:
        """Set a target."""
        how = Limit(quote.mid) if rng.random() < 0.3 else Market()
        self.target(quote.instrument, self.quantity * rng.randint(-3, 3), how)

    def withdraw(self, quote: Quote, quantity: Decimal, rng: random.Random) -> None:
        """Cancel an order, sometimes all."""
        if rng.random() < 0.15:
            self.cancel_all(quote.instrument)
        else:
            self.cancel(rng.choice(self.orders(quote.instrument)))

    def change(self, quote: Quote, quantity: Decimal, rng: random.Random) -> None:
        """Amend an order."""
        order = rng.choice(self.orders(quote.instrument))
        self.amend(order, quantity, None if order.price is None else order.price * Decimal("1.0005"))

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
