"""A strategy that always does the same, so that what goes wrong is the fault; copied into a strategies folder by tests."""

from decimal import Decimal
from pathlib import Path
from typing import ClassVar

from quantd import Limit, Market, Protect, Quote, Strategy, param


class Steady(Strategy):
    """Holds a position, and each second places orders far below the market anew."""

    holds: Decimal = param(Decimal("0.02"), ge=0, doc="bought once, and again when it is gone")
    orders_each: int = param(1, ge=0, le=20, doc="orders placed each second, after those before were cancelled")
    quantity: Decimal = param(Decimal("0.001"), gt=0, doc="of each of these orders")
    stop_away: float = param(0.0, ge=0, doc="distance of the position's stop, as a fraction of the price; 0 for none")
    needs: ClassVar = {Market, Limit}

    def setup(self) -> None:
        for one in self.instruments:
            self.quotes(one)
        self.timer("tick", every_s=1)
        self.exits: Protect | None = None
        self.placed = 0
        self.last: Quote | None = None

    def on_quote(self, quote: Quote) -> None:
        while Path("go").exists():
            pass
        self.last = quote
        if self.stop_away and self.exits is None:
            self.exits = Protect(stop=quote.mid * (1 - self.stop_away))
        if self.holds and not self.position(quote.instrument).quantity:
            self.target(quote.instrument, self.holds, protect=self.exits)  # pursued, also if a fault meets its order

    def on_timer(self, name: str) -> None:
        """Place anew what waits, also while no quotes come."""
        if self.last is None:
            return
        for order in self.orders(self.last.instrument):
            self.cancel(order)
        for _ in range(self.orders_each):
            # No two of a minute have the same terms: one whose answer is lost can be told from the others.
            self.placed += 1
            self.buy(self.last.instrument, self.quantity, Limit(self.last.bid * (0.98 - self.placed % 200 * 0.00001)))
