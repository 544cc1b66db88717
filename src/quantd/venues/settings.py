"""Keys that every entry under `venues` may have. Each venue's own settings derive from `VenueSettings`.

Used by the venues' settings, the configuration loader and the composition root. Opens nothing.
"""

from decimal import Decimal
from typing import ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

ReconcilePolicy = Literal["adopt", "close", "ignore", "refuse"]
"""What is done about differences between our books and the venue."""


class RateOverride(BaseModel):
    """Another size for one of the venue's rate budgets: either a bucket (rate, burst) or a window (limit, seconds)."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    rate: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Requests per second that a bucket regains."""
    burst: int | None = Field(default=None, ge=1)
    """Requests that a full bucket allows at once."""
    limit: int | None = Field(default=None, ge=1)
    """Requests in any window."""
    seconds: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Length of the window in seconds."""

    @model_validator(mode="after")
    def _one_model(self) -> Self:
        bucket = (self.rate is not None, self.burst is not None)
        window = (self.limit is not None, self.seconds is not None)
        if (all(bucket), any(window)) != (True, False) and (all(window), any(bucket)) != (True, False):
            raise ValueError("either `rate` and `burst` (a bucket) or `limit` and `seconds` (a window)")
        return self


class VenueSettings(BaseModel):
    """What every venue has in common."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    required_secrets: ClassVar[tuple[str, ...]] = ()
    """Fields of type `SecretStr` without which there is no trading; given by variable or by file."""

    type: str
    """Which connector: `paper`, `ionloop`, or the name that a plugin registers."""
    reconcile: ReconcilePolicy = "refuse"
    """Differences to the venue: `adopt` what it has, `close` it, `ignore` it, or `refuse` to trade there."""
    reconcile_instruments: dict[str, ReconcilePolicy] = Field(default_factory=dict)
    """Another answer for single instruments, by the venue's symbol."""
    timeout_s: float = Field(default=10.0, gt=0, le=120, allow_inf_nan=False)
    """Seconds that one request may take."""
    max_slippage_bps: Decimal = Field(default=Decimal(50), gt=0, le=10_000)
    """Basis points beyond the touch at which a market order is capped where the venue has limit orders only."""
    quotes_every_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Seconds between two polls of a quote; `feeds.quote_every_s` without it."""
    book_every_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Seconds between two polls of an order book; `feeds.book_every_s` without it."""
    orders_every_s: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """Seconds between two looks at our working orders."""
    account_every_s: float = Field(default=5.0, gt=0, allow_inf_nan=False)
    """Seconds between two snapshots of the account; fills ask for one besides."""
    status_every_s: float = Field(default=15.0, gt=0, allow_inf_nan=False)
    """Seconds between two looks at the state of the venue and its markets."""

    @property
    def is_production(self) -> bool:
        """Whether orders at this venue move real money."""
        return False

    @property
    def is_local(self) -> bool:
        """Whether the address is on this machine: a simulator, or a server of one's own."""
        return False

    @property
    def is_armed(self) -> bool:
        """Whether the owner has allowed orders that move real money."""
        return False
