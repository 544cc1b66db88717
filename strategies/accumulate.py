"""Scheduled accumulation: buys a fixed quantity whenever a calendar line comes due."""

from decimal import Decimal
from typing import Any

from quantd import Denied, Fill, InstrumentId, Market, Order, Side, Strategy, param


class Accumulate(Strategy):
    """Buys `quantity` at each time of `cron`, and never sells.

    Each purchase is a target: what it holds plus one quantity. A passing refusal (a stale price, a venue that is just
    reconnecting) is tried again for a while, and a restart in the middle of it does not buy twice. A time that the
    daemon slept through is made up for once.
    """

    cron: str = param("0 9 * * mon UTC", doc="five cron fields and a time zone")
    quantity: Decimal = param(Decimal("0.01"), gt=0, doc="of each purchase")
    times: int = param(
        0, ge=0, doc="purchases after which it stops, those that were refused for good not counted; 0: never"
    )
    needs = {Market}

    def setup(self) -> None:
        self.quotes()
        self.timer("buy", cron=self.cron)
        self.purchases = 0
        """Purchases that bought something, restarts included."""
        self.is_due = False
        """Whether the last one that came due has bought nothing yet."""

    def on_timer(self, name: str) -> None:
        if self.times and self.purchases >= self.times:
            return
        self.is_due = True
        held = self.position(self.instrument).quantity
        self.target(self.instrument, held + self.quantity, why=f"purchase {self.purchases + 1}")

    def on_fill(self, order: Order, fill: Fill) -> None:
        if self.is_due and order.side is Side.BUY:
            self.is_due = False
            self.purchases += 1

    def on_denied(self, denied: Denied, instrument: InstrumentId) -> None:
        # The next time comes by itself; someone should know that this one was missed.
        self.log("purchase_missed", code=denied.code.value, limit=denied.limit, observed=denied.observed)

    def save(self) -> Any:
        return {"purchases": self.purchases, "is_due": self.is_due}

    def load(self, state: Any, version: int) -> None:
        self.purchases = state["purchases"]
        self.is_due = state.get("is_due", False)
