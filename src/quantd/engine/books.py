"""One strategy's holding of one instrument, and the sum of all such holdings.

Quantities, costs and profits are exact; floats are for reading.
"""

from decimal import Decimal

from quantd.domain.instruments import Instrument
from quantd.domain.numbers import ZERO


class Holding:
    """A quantity of one instrument at its average cost, and what closing parts of it has earned."""

    __slots__ = ("cost", "instrument", "quantity", "realised")

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.quantity = ZERO
        """Signed; negative is short."""
        self.cost = ZERO
        """Signed worth of the open quantity at its entry prices, in the settlement currency."""
        self.realised = ZERO
        """Profit of what was closed, in the settlement currency."""

    def trade(self, signed: Decimal, price: Decimal, opened_at: Decimal | None = None) -> None:
        """Book a signed quantity at a price: average cost, a flip opens anew at the flip price.

        `opened_at` is the open price of what is closed, where it is known: then the average does not count.
        """
        worth = self.instrument.worth
        old = self.quantity
        if not old or (old > 0) == (signed > 0):
            self.quantity = old + signed
            self.cost += worth(signed, price)
            return
        if abs(signed) >= abs(old):
            self.realised += worth(old, price) - self.cost
            self.quantity = old + signed
            self.cost = worth(self.quantity, price)
            return
        closed_cost = self.cost * (-signed / old) if opened_at is None else worth(-signed, opened_at)
        self.realised += worth(-signed, price) - closed_cost
        self.quantity = old + signed
        self.cost -= closed_cost

    def correct(self, signed: Decimal, before: Decimal, after: Decimal) -> Decimal:
        """Let a trade that was booked have had another price; return what was realised by that.

        What is open is taken to be of this trade as far as it goes, and has cost the other price; the rest is realised.
        """
        held, worth = self.quantity, self.instrument.worth
        opened = min(abs(held), abs(signed)).copy_sign(signed) if held and (held > 0) == (signed > 0) else ZERO
        self.cost += worth(opened, after) - worth(opened, before)
        realised = worth(signed - opened, before) - worth(signed - opened, after)
        self.realised += realised
        return realised

    def unrealised(self, price: Decimal) -> Decimal:
        """Return the profit of the open quantity at `price`, in the settlement currency."""
        return self.instrument.worth(self.quantity, price) - self.cost


class Book(Holding):
    """One strategy's holding of one instrument: its own fills only; `realised` is less all fees in its currency."""

    __slots__ = ("buys", "costs", "open_buys", "open_sells", "sells", "strategy")

    def __init__(self, strategy: str, instrument: Instrument) -> None:
        super().__init__(instrument)
        self.strategy = strategy
        self.costs: dict[str, Decimal] = {}
        """Fees and financing in other currencies by asset: no part of `realised`, as no rate is exact for ever.

        Profit that the venue has exchanged stands here as paid in the currency of settlement and received in the other.
        """
        self.buys = ZERO
        """Remaining quantity of all open buy orders, worst case."""
        self.sells = ZERO
        self.open_buys = 0
        """Number of open buy orders."""
        self.open_sells = 0

    @property
    def worst_long(self) -> Decimal:
        """The quantity if every buy were filled and no sell."""
        return self.quantity + self.buys

    @property
    def worst_short(self) -> Decimal:
        """The quantity if every sell were filled and no buy."""
        return self.quantity - self.sells

    @property
    def average_price(self) -> Decimal | None:
        """Average entry price of the open quantity, None when flat."""
        if not self.quantity:
            return None
        units = self.quantity * self.instrument.units_per_quantity
        return abs(units / self.cost) if self.instrument.inverse else abs(self.cost / units)

    def pay(self, asset: str, amount: Decimal) -> None:
        """Take what was paid beside the price: a fee, financing; what is negative was received."""
        if asset == self.instrument.settlement_currency:
            self.realised -= amount
        else:
            self._count(asset, amount)

    def exchange(self, realised: Decimal, earned: tuple[str, Decimal]) -> None:
        """Note that a venue has exchanged what was realised for (currency, amount): no later rate moves it any more."""
        self._count(self.instrument.settlement_currency, realised)
        self._count(earned[0], -earned[1])

    def _count(self, asset: str, amount: Decimal) -> None:
        total = self.costs.get(asset, ZERO) + amount
        if total:
            self.costs[asset] = total
        else:
            self.costs.pop(asset, None)

    @property
    def has_result(self) -> bool:
        """Whether anything is held, or was ever earned or paid."""
        return bool(self.quantity or self.realised or self.costs)

    def profit_float(self, price: float) -> float:
        """Return realised plus unrealised profit at `price`, for reading and as a first look."""
        realised = float(self.realised)
        if not self.quantity:
            return realised
        units = float(self.quantity) * float(self.instrument.units_per_quantity)
        return realised + (-units / price if self.instrument.inverse else units * price) - float(self.cost)


class Net(Holding):
    """All books of one instrument together, EXTERNAL included, as a venue holds them that knows one position.

    Where two books are on opposite sides, such a venue has closed one against the other: its `cost` and `realised`
    are not the sums of the books'. The two profits together are.
    """

    __slots__ = ("buys", "sells", "unknown")

    def __init__(self, instrument: Instrument) -> None:
        super().__init__(instrument)
        self.buys = ZERO
        self.sells = ZERO
        self.unknown = 0
        """Operations whose outcome is unknown: new exposure is refused while there are any."""

    @property
    def worst(self) -> Decimal:
        """The largest quantity, long or short, that may come of it."""
        return max(abs(self.quantity + self.buys), abs(self.quantity - self.sells))
