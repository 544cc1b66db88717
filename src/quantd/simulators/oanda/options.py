"""What a simulated OANDA is made of, and what can be changed while it runs.

The limits are the documented ones; the terms of instruments are those of an answer that was published for EUR_USD, scaled
for others. Used by the venue and by `quantd simulate oanda`.
"""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from quantd.domain.instruments import FeeSchedule, Instrument, InstrumentId, QuantityUnit, TickTier, instrument_id
from quantd.domain.numbers import ONE, ZERO
from quantd.exchange import DepthRules

VENUE = "oanda"
DEPTH = DepthRules(levels=3, size=1_000_000.0, growth=2.0, step_ticks=1)
"""Of the ladder behind a price, unless told otherwise; quantities are units."""
ACCOUNT_STEP = Decimal("0.0001")
"""Of money in the home currency, as USD and EUR accounts show it."""
_METALS = frozenset({"XAU", "XAG", "XPT", "XPD"})


class InstrumentRules(msgspec.Struct, frozen=True):
    """One instrument."""

    base: str = "EUR"
    quote: str = "USD"
    precision: int = 5
    """Digits of a price behind the point (``displayPrecision``)."""
    units_precision: int = 0
    pip_location: int = -4
    minimum: Decimal = ONE
    maximum: Decimal = Decimal(100_000_000)
    maximum_position: Decimal = ZERO
    """0 for no cap."""
    margin_rate: Decimal = Decimal("0.0333")
    least_trail: Decimal = Decimal("0.0005")
    largest_trail: Decimal = ONE
    commission: Decimal = ZERO
    """For each unit that is filled, in the account's currency; where accounts differ, in that of the first."""
    long_rate: Decimal = Decimal("-0.012")
    """Yearly, for holding; a negative one costs."""
    short_rate: Decimal = Decimal("-0.004")

    @property
    def name(self) -> str:
        """The name as the venue lists it."""
        return f"{self.base}_{self.quote}"

    @property
    def type(self) -> str:
        """``CURRENCY`` or ``METAL``."""
        return "METAL" if self.base in _METALS else "CURRENCY"

    @property
    def tick(self) -> Decimal:
        """The price step."""
        return ONE.scaleb(-self.precision)

    @property
    def id(self) -> InstrumentId:
        """The id in the exchange."""
        return instrument_id(VENUE, self.name)

    def instrument(self, home: str = "") -> Instrument:
        """Return it in the exchange's words; commission is charged in `home`."""
        return Instrument(
            id=self.id,
            base=self.base,
            quote=self.quote,
            ticks=(TickTier(ZERO, self.tick),),
            lot=ONE.scaleb(-self.units_precision),
            quantity_unit=QuantityUnit.UNITS,
            min_quantity=self.minimum,
            max_quantity=self.maximum,
            margin_rate=self.margin_rate,
            fees=FeeSchedule(per_unit=self.commission, per_unit_asset=home),
            min_trail=self.least_trail,
            max_trail=self.largest_trail,
            max_position=self.maximum_position or None,
        )


def listed(symbols: Sequence[str], price: float = 1.0) -> tuple[InstrumentRules, ...]:
    """Return instruments named BASE-QUOTE, with steps that suit their quote currency or a price near `price`."""
    found = []
    for symbol in symbols:
        base, _, quote = symbol.partition("-")
        digits = 3 if quote == "JPY" or base in _METALS else 1 if price > 1000 else 5
        pip = ONE.scaleb(1 - digits)
        found.append(
            InstrumentRules(
                base=base, quote=quote, precision=digits, pip_location=1 - digits, least_trail=pip * 5,
                largest_trail=pip * 10_000,
            )
        )  # fmt: skip
    return tuple(found)


def is_account_id(text: str) -> bool:
    """Tell whether a text is an account's id: site, division, user and number."""
    parts = text.split("-")
    return len(parts) == 4 and all(part.isascii() and part.isdigit() for part in parts)


class AccountRules(msgspec.Struct, frozen=True):
    """One account of the token."""

    id: str = "101-004-1234567-001"
    currency: str = "USD"
    balance: Decimal = Decimal(100_000)
    hedging: bool = False
    first_in_first_out: bool = False
    """Whether trades of one instrument and size close oldest first (accounts in the United States)."""
    alias: str = "Primary"
    margin_rate: Decimal | None = None
    """The client's own; the stricter of it and the instrument's holds (assumed)."""


class Setup(msgspec.Struct, frozen=True):
    """A simulated environment at its start: one token with some accounts."""

    token: str = "simulated-token"  # a simulator on loopback guards nothing
    accounts: tuple[AccountRules, ...] = (AccountRules(),)
    instruments: tuple[InstrumentRules, ...] = (InstrumentRules(),)
    user_id: int = 1234567
    depth: DepthRules | None = DEPTH
    """None for one level of any size."""
    latency_s: float = 0.0
    """From an order's acceptance to the market; market orders then wait for a price after it."""
    seed: int = 0

    def __repr__(self) -> str:
        """Leave the token out."""
        return f"Setup(accounts={[one.id for one in self.accounts]!r})"


class Switches(msgspec.Struct, forbid_unknown_fields=True):
    """What can be changed while it runs."""

    enforce_limits: bool = True
    """Whether more than 120 requests in a second are refused; all share one address."""
    redirect_accounts: bool = False
    """Whether the list of accounts is a redirection, as was observed."""
    read_lag_s: float = 0.0
    """From an order's creation until it can be read by its id; 0.25 to 0.5 s was observed."""
    list_lag_s: float = 0.0
    """From a transaction until the reads of the log show it."""
    pending_client_ids_unique: bool = True
    """Whether a pending order's client id is refused to another, as documented."""
    since_id_max: int = 1000
    """Transactions of one answer of ``sinceid``."""
    strict_closeout: bool = True
    """Whether ``ALL`` for a side that is not held refuses the other side too, as was observed."""
    extra_fields: bool = True
    """Whether answers hold the fields that no document names, as was observed."""
    later_fields: bool = True
    """Whether answers hold what was added after the OpenAPI document of 2018."""
    cancels_locked: bool = False
    """Whether accounts are locked for cancels; what guards a trade can then be neither changed nor taken away."""
    unknown_account_404: bool = False
    """Whether an account that is not the token's is a 404, as documented, and not a 403, as was observed."""
    heartbeat_s: float = 5.0
    """Of both streams."""
