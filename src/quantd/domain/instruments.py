"""What can be traded and under which rules.

Connectors make `Instrument`s from a venue's answers; the engine snaps and checks against them. Rules change while the
daemon runs: a new version arrives as an event.
"""

from decimal import Decimal
from enum import Enum
from functools import cache
from typing import NewType

import msgspec

from quantd.domain.numbers import ONE, ZERO, Rounding, snap_float, snap_tolerant

InstrumentId = NewType("InstrumentId", str)
"""``venue:SYMBOL``, e.g. ``ionloop:BTC-USDT``; the venue part is the key in the configuration."""


def instrument_id(venue: str, symbol: str) -> InstrumentId:
    """Return the id of what a venue calls by a symbol of its own."""
    return InstrumentId(f"{venue}:{symbol}")


def symbol_of(instrument: str) -> str:
    """Return the venue's symbol in an instrument's id."""
    return instrument.partition(":")[2]


class MarketStatus(Enum):
    """What a market accepts now. Freshness and time without protection count only while it is open."""

    OPEN = "open"
    CLOSED = "closed"
    HALTED = "halted"
    REDUCE_ONLY = "reduce_only"
    POST_ONLY = "post_only"
    DELISTED = "delisted"


class QuantityUnit(Enum):
    """What one unit of order quantity means."""

    BASE = "base"
    """Quantities are amounts of the base asset (spot crypto)."""
    UNITS = "units"
    """Quantities are signed-away units of the base currency (OANDA)."""
    LOTS = "lots"
    """Quantities are lots of `units_per_quantity` base units (TradeLocker)."""


class TickTier(msgspec.Struct, frozen=True):
    """The price step that holds from a price upwards."""

    from_price: Decimal
    tick: Decimal


class FeeSchedule(msgspec.Struct, frozen=True):
    """Fees as fractions of notional, taken in `asset`."""

    maker: Decimal = ZERO
    taker: Decimal = ZERO
    asset: str = "quote"
    """``quote``, ``base``, ``received`` (what the trade brings in) or ``settlement``."""
    per_unit: Decimal = ZERO
    """Commission for each unit of quantity, in `per_unit_asset`."""
    per_unit_asset: str = ""
    """Currency of that commission, mostly the account's own; the settlement currency when empty."""


class Session(msgspec.Struct, frozen=True):
    """Weekly opening hours, as a venue states them."""

    time_zone: str
    opens: tuple[tuple[int, int], ...]
    """(from, to) in minutes since Monday 00:00 local time; the end is exclusive."""
    closed_on: tuple[str, ...] = ()
    """Local dates without trading (holidays), ISO."""


@cache
def _venue_of(id: str) -> str:
    return id.partition(":")[0]


class Instrument(msgspec.Struct, frozen=True):
    """One tradable thing at one venue, with the rules that its orders must meet."""

    id: InstrumentId
    base: str
    quote: str
    ticks: tuple[TickTier, ...]
    """Price steps by tier, ascending; the first starts at zero."""
    lot: Decimal
    """Quantity step."""
    settlement: str = ""
    """Currency in which profit is settled; when empty the quote, or the base of an inverse contract."""
    quantity_unit: QuantityUnit = QuantityUnit.BASE
    units_per_quantity: Decimal = ONE
    """Base units in one unit of quantity (contract size)."""
    inverse: bool = False
    """Quantity counts quote currency and settlement is in base (inverse contracts)."""
    min_quantity: Decimal | None = None
    max_quantity: Decimal | None = None
    min_notional: Decimal | None = None
    max_notional: Decimal | None = None
    margin_rate: Decimal | None = None
    """Initial margin as a fraction of notional; none on spot."""
    price_band: Decimal | None = None
    """Largest distance from the reference price that the venue accepts, as a fraction."""
    fees: FeeSchedule = FeeSchedule()
    session: Session | None = None
    status: MarketStatus = MarketStatus.OPEN
    version: int = 1
    max_position: Decimal | None = None
    """Largest position that the venue allows an account, each side."""
    min_trail: Decimal | None = None
    """Least distance of a trailing stop that the venue holds, in price."""
    max_trail: Decimal | None = None

    @property
    def venue(self) -> str:
        """The venue's key in the configuration."""
        return _venue_of(self.id)

    @property
    def symbol(self) -> str:
        """The venue's own name of the instrument."""
        return symbol_of(self.id)

    @property
    def settlement_currency(self) -> str:
        """The currency that profit is counted in before conversion."""
        return self.settlement or (self.base if self.inverse else self.quote)

    @property
    def commission_currency(self) -> str:
        """The currency of the commission for each unit."""
        return self.fees.per_unit_asset or self.settlement_currency

    def tick(self, price: Decimal) -> Decimal:
        """Return the price step that holds at `price`."""
        ticks = self.ticks
        step = ticks[0].tick
        if len(ticks) > 1:
            for tier in ticks:
                if price >= tier.from_price:
                    step = tier.tick
        return step

    def price(self, value: Decimal | float, rounding: Rounding) -> Decimal:
        """Return `value` on a tick; `rounding` is FLOOR for buyers, CEILING for sellers, NEAREST for references.

        Raises:
            ValueError: when `value` is not finite.
        """
        if not isinstance(value, Decimal):
            step = self.ticks[0].tick if len(self.ticks) == 1 else self.tick(Decimal(repr(float(value))))
            return snap_float(float(value), step, rounding)
        return snap_tolerant(value, self.tick(value), rounding)

    def quantity(self, value: Decimal | float) -> Decimal:
        """Return `value` on a lot, rounded toward zero.

        Raises:
            ValueError: when `value` is not finite.
        """
        if isinstance(value, int):
            value = Decimal(value)
        elif not isinstance(value, Decimal):
            return snap_float(float(value), self.lot, Rounding.DOWN)
        return value if not value % self.lot else snap_tolerant(value, self.lot, Rounding.DOWN)

    def notional(self, quantity: Decimal, price: Decimal) -> Decimal:
        """Return the worth of `quantity` at `price`, in the quote currency (in base for inverse contracts).

        At a price of 0, which stands for one that nobody names, it is nothing for both.
        """
        if self.inverse:
            return quantity * self.units_per_quantity / price if price else ZERO
        return quantity * price * self.units_per_quantity

    def worth(self, quantity: Decimal, price: Decimal) -> Decimal:
        """Return what holding `quantity` (signed) counts at `price`, so that profit is a difference of two of these.

        In the settlement currency; an inverse contract's counts below zero, and rises with the price all the same.
        """
        if self.inverse:
            return -quantity * self.units_per_quantity / price if price else ZERO
        return quantity * price * self.units_per_quantity
