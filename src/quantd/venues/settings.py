"""Keys that every entry under `venues` may have. Each venue's own settings derive from `VenueSettings`.

Used by the venues' settings, the configuration loader and the composition root. Opens nothing.
"""

import hashlib
from collections.abc import Mapping
from decimal import Decimal
from typing import ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from quantd.venues.addresses import http_address, is_on_this_machine

ReconcilePolicy = Literal["adopt", "close", "ignore", "refuse"]
"""What is done about differences between our books and the venue."""


def fingerprint(secret: SecretStr | None) -> str:
    """Return what names an account by its key where nothing else does, and leads nobody to the key."""
    return "" if secret is None else hashlib.sha256(secret.get_secret_value().encode()).hexdigest()[:16]


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
    def marketplace(self) -> str:
        """Where orders of this account meet those of others: equal for two entries whose orders could trade together."""
        return f"{self.type}/{'live' if self.is_production else 'practice'}"

    @property
    def reaches(self) -> tuple[str, str] | None:
        """(where, which account), the same in every configuration that reaches it and in no other: what is locked.

        None where nothing but the entry's own name tells it, as on paper.
        """
        return None

    @property
    def is_local(self) -> bool:
        """Whether the address is on this machine: a simulator, or a server of one's own."""
        return False

    @property
    def is_armed(self) -> bool:
        """Whether the owner has allowed orders that move real money."""
        return False


class RealMoneySettings(VenueSettings):
    """What every venue has in common where orders may move real money."""

    armed: Literal["live"] | None = None
    """`live` allows orders that move real money; a venue whose orders do does not start without it."""

    @property
    def is_armed(self) -> bool:
        """Whether the owner has allowed orders that move real money."""
        return self.armed == "live"


class HostedSettings(RealMoneySettings):
    """A venue with a host for play money and one for real money, or a simulator at an address of one's own."""

    hosts: ClassVar[Mapping[str, str]]
    """Address of the API by environment."""
    play: ClassVar[str]
    """The environment that has no real money."""

    environment: str
    """Which host, or `custom`."""
    base_url: str | None = None
    """Address of the API with `environment: custom`, without a path; https, or http on this machine."""

    _safe_address = field_validator("base_url")(http_address)

    @model_validator(mode="after")
    def _address_given_where_needed(self) -> Self:
        if self.environment == "custom" and self.base_url is None:
            raise ValueError("`base_url` with `environment: custom`")
        if self.environment != "custom" and self.base_url is not None:
            raise ValueError(f"no `base_url` with `environment: {self.environment}`; `custom` takes one")
        return self

    @property
    def is_production(self) -> bool:
        """Whether orders at this venue move real money: anywhere but on this machine and at the host for play money."""
        if self.environment == "custom":
            return not self.is_local and self.address != self.hosts[self.play]
        return self.environment != self.play

    @property
    def is_local(self) -> bool:
        """Whether the address is on this machine: a simulator."""
        return is_on_this_machine(self.address)

    @property
    def address(self) -> str:
        """The address of the API, without a trailing slash."""
        return self.base_url or self.hosts[self.environment]
