"""What a trade costs, and what an order may cost at worst: exact, in the asset that the schedule names.

Accounts use it to charge and to reserve. It never rounds but to a settlement precision that was given.
"""

from collections.abc import Mapping
from decimal import ROUND_DOWN, Decimal

from quantd.domain.instruments import FeeSchedule, Instrument
from quantd.domain.numbers import ONE, ZERO

Fees = tuple[tuple[str, Decimal], ...]
"""(asset, amount); positive amounts are costs."""


class FeeModel:
    """One instrument's fees."""

    __slots__ = (
        "_base", "_commission_in", "_fee_in", "_instrument", "_maker", "_money", "_per_unit", "_plain", "_steps", "_taker",
        "_units",
    )  # fmt: skip

    def __init__(self, instrument: Instrument, override: FeeSchedule | None, steps: Mapping[str, Decimal]) -> None:
        schedule = override or instrument.fees
        self._instrument = instrument
        self._base = instrument.base
        # Inverse contracts count their worth in the base asset.
        self._money = instrument.base if instrument.inverse else instrument.quote
        self._units = instrument.units_per_quantity
        self._commission_in = schedule.per_unit_asset or instrument.settlement_currency
        self._maker = schedule.maker
        self._taker = schedule.taker
        self._per_unit = schedule.per_unit
        self._steps = steps
        named = {"quote": self._money, "base": instrument.base, "settlement": instrument.settlement_currency}
        if schedule.asset == "received":
            self._fee_in = {True: instrument.base, False: self._money}
        else:
            asset = named[schedule.asset]
            self._fee_in = {True: asset, False: asset}
        rate = max(self._maker, self._taker, ZERO)
        # What a buy and a sell lock for each unit of worth and of quantity, where the fee is in quote or base: the
        # common case, and on the path of every order.
        self._plain: tuple[Decimal, tuple[tuple[str, Decimal]]] | None = None
        if not self._per_unit and not instrument.inverse and set(self._fee_in.values()) <= {self._base, self._money}:
            buy = self._units * (ONE + rate if self._fee_in[True] == self._money else ONE)
            sell = self._units * (ONE + rate if self._fee_in[False] == self._base else ONE)
            self._plain = (buy, ((self._base, sell),))

    @property
    def per_unit(self) -> Decimal:
        """Commission for each unit of quantity."""
        return self._per_unit

    def charge(self, is_buy: bool, quantity: Decimal, price: Decimal, maker: bool) -> Fees:
        """Return the fees of one execution; rounded down where the asset has a settlement precision."""
        rate = self._maker if maker else self._taker
        per_unit = self._per_unit
        if not rate and not per_unit:
            return ()
        asset = self._fee_in[is_buy]
        amount = ZERO
        if rate:
            if asset == self._base and asset != self._money:
                amount = quantity * self._units * rate
            else:
                amount = self._instrument.notional(quantity, price) * rate
        fees: Fees = ((asset, amount),)
        if not per_unit and not self._steps:
            return fees
        if per_unit:
            commission = quantity * per_unit
            fees = ((asset, amount + commission),) if asset == self._commission_in else (
                *(fees if amount else ()), (self._commission_in, commission),
            )  # fmt: skip
        if self._steps:
            fees = tuple((name, self._rounded(name, value)) for name, value in fees)
        return fees

    def _rounded(self, asset: str, amount: Decimal) -> Decimal:
        step = self._steps.get(asset)
        if step is None:
            return amount
        return (amount / step).to_integral_value(ROUND_DOWN) * step

    def needs(self, is_buy: bool, price: Decimal) -> Fees:
        """Return what one unit of quantity must have locked on a spot account, worst case, by asset.

        A fee that the trade's own proceeds cover needs nothing.
        """
        plain = self._plain
        if plain is not None:
            return ((self._money, price * plain[0]),) if is_buy else plain[1]
        rate = max(self._maker, self._taker, ZERO)
        fee_asset = self._fee_in[is_buy]
        worth = price * self._units
        paid, received = (self._money, self._base) if is_buy else (self._base, self._money)
        proceeds = self._units if is_buy else worth
        amounts = {paid: worth if is_buy else self._units}
        if rate and fee_asset == paid:
            amounts[paid] *= ONE + rate
        elif rate and fee_asset == received:
            proceeds *= ONE - rate
        elif rate:
            amounts[fee_asset] = worth * rate
        if self._per_unit > 0:
            short = self._per_unit - proceeds if self._commission_in == received else self._per_unit
            if short > 0:
                amounts[self._commission_in] = amounts.get(self._commission_in, ZERO) + short
        return tuple(amounts.items())
