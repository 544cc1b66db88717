"""Scheduled accumulation: buys a fixed quantity whenever a calendar line comes due."""

from decimal import Decimal
from typing import Any

from quantd import Denied, InstrumentId, Market, Strategy, param


class Accumulate(Strategy):
    """Buys `quantity` at each time of `cron`, and never sells.

    Each purchase is a target: what it holds plus one quantity. A passing refusal (a stale price, a venue that is just
    reconnecting) is tried again for a while, and a restart in the middle of it does not buy twice. A time that the
    daemon slept through is made up for once.
    """

    cron: str = param("0 9 * * mon UTC", doc="five cron fields and a time zone")
    quantity: Decimal = param(Decimal("0.01"), gt=0, doc="of each purchase")
    times: int = param(0, ge=0, doc="purchases after which it stops; 0: never")
    needs = {Market}

    def setup(self) -> None:
        self.quotes()
        self.timer("buy", cron=self.cron)
        self.purchases = 0
        """Purchases begun so far, restarts included."""

    def on_timer(self, name: str) -> None:
        if self.times and self.purchases >= self.times:
            return
        self.purchases += 1
        held = self.position(self.instrument).quantity
        self.target(self.instrument, held + self.quantity, why=f"purchase {self.purchases}")

    def on_denied(self, denied: Denied, instrument: InstrumentId) -> None:
        # The next time comes by itself; someone should know that this one was missed.
        self.log("purchase_missed", code=denied.code.value, limit=denied.limit, observed=denied.observed)

    def save(self) -> Any:
        return {"purchases": self.purchases}

    def load(self, state: Any, version: int) -> None:
        self.purchases = state["purchases"]
