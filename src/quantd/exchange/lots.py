"""Lots and positions of a margin account: quantities and exact costs, from which profit comes.

Changed by `MarginAccount` only.
"""

from decimal import Decimal

from quantd.domain.lots import Lot, LotProtection
from quantd.domain.numbers import ZERO
from quantd.domain.orders import Role, Side
from quantd.exchange.market import MarketState
from quantd.exchange.orders import ExchangeOrder


class MarginLot:
    """One lot. Invariants: quantity > 0 while it is open; cost is the exact worth of it at its open prices."""

    __slots__ = (
        "cost", "exits", "financing", "id", "instrument", "is_long", "opened_at_ns", "opened_by", "opening_quantity",
        "protection", "quantity", "realised", "tag",
    )  # fmt: skip

    def __init__(self, lot_id: str, instrument: str, is_long: bool, opened_by: str, opened_at_ns: int) -> None:
        self.id = lot_id
        self.instrument = instrument
        self.is_long = is_long
        self.opened_by = opened_by
        self.opened_at_ns = opened_at_ns
        self.quantity = ZERO
        self.opening_quantity = ZERO
        """All that was ever added."""
        self.cost = ZERO
        """Worth of the quantity at its open prices, in the currency of `Instrument.notional`."""
        self.realised = ZERO
        self.financing = ZERO
        self.tag = ""
        self.protection = LotProtection()
        self.exits: dict[Role, ExchangeOrder] = {}

    def protection_without(self, role: Role) -> LotProtection:
        """Return the protection less one exit."""
        held = self.protection
        return LotProtection(
            stop=None if role is Role.STOP else held.stop,
            take=None if role is Role.TARGET else held.take,
            trail=None if role is Role.TRAIL else held.trail,
        )


class Position:
    """An account's lots of one instrument, oldest first, with their sums by side."""

    __slots__ = ("long", "long_cost", "lots", "market", "short", "short_cost")

    def __init__(self, market: MarketState) -> None:
        self.market = market
        self.lots: dict[str, MarginLot] = {}
        self.long = ZERO
        self.long_cost = ZERO
        self.short = ZERO
        self.short_cost = ZERO

    @property
    def larger(self) -> Decimal:
        """The quantity of the larger side: the one that uses margin."""
        return max(self.long, self.short)

    def profit(self, is_long: bool, cost: Decimal, worth: Decimal) -> Decimal:
        """Return the profit of what cost `cost` and is worth `worth`, before conversion."""
        gains = is_long is not self.market.instrument.inverse
        return worth - cost if gains else cost - worth

    def increase(self, lot: MarginLot, quantity: Decimal, worth: Decimal) -> None:
        """Add to a lot, which may be new."""
        self.lots[lot.id] = lot
        lot.quantity += quantity
        lot.opening_quantity += quantity
        lot.cost += worth
        self._add(lot.is_long, quantity, worth)

    def reduce(self, lot: MarginLot, quantity: Decimal, worth: Decimal) -> Decimal:
        """Take from a lot what is worth `worth` now; return the profit, before conversion."""
        whole = quantity == lot.quantity
        cost = lot.cost if whole else lot.cost * quantity / lot.quantity
        lot.quantity -= quantity
        lot.cost -= cost
        self._add(lot.is_long, -quantity, -cost)
        if whole:
            del self.lots[lot.id]
        return self.profit(lot.is_long, cost, worth)

    def _add(self, is_long: bool, quantity: Decimal, cost: Decimal) -> None:
        if is_long:
            self.long += quantity
            self.long_cost += cost
        else:
            self.short += quantity
            self.short_cost += cost

    def open_price(self, lot: MarginLot) -> Decimal:
        """Return the average open price of a lot."""
        instrument = self.market.instrument
        units = lot.quantity * instrument.units_per_quantity
        return units / lot.cost if instrument.inverse else lot.cost / units

    def show(self, lot: MarginLot) -> Lot:
        """Return the domain's view of a lot."""
        side = Side.BUY if lot.is_long else Side.SELL
        return Lot(
            lot.id, self.market.instrument.id, side, lot.quantity, self.open_price(lot), lot.protection, lot.tag,
            lot.opened_at_ns,
        )  # fmt: skip
