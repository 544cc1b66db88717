"""An entry of `type: tradelocker` under `venues`.

Used by the configuration loader and the composition root. Opens nothing.
"""

from decimal import Decimal
from pathlib import Path
from typing import ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from quantd.venues.settings import RateOverride, VenueSettings

HOSTS = {"demo": "https://demo.tradelocker.com", "live": "https://live.tradelocker.com"}
"""The venue's two environments."""

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class TradeLockerSettings(VenueSettings):
    """One account at a broker that runs TradeLocker: demo, live, or a simulator at an address of your own."""

    required_secrets: ClassVar[tuple[str, ...]] = ("password",)

    type: Literal["tradelocker"] = "tradelocker"
    """Always `tradelocker`."""
    environment: Literal["demo", "live", "custom"] = "demo"
    """`custom` takes `base_url`."""
    base_url: str | None = None
    """Address with `environment: custom`, without `/backend-api`; https, or http on this machine."""
    armed: Literal["live"] | None = None
    """`live` allows orders that move real money; `environment: live` does not start without it."""
    email: str = Field(min_length=3, pattern="@")
    """The user's."""
    password: SecretStr | None = Field(default=None, min_length=1)
    """The user's password, by the environment only."""
    password_file: Path | None = None
    """File that holds the password and nothing else."""
    server: str = Field(min_length=1)
    """Name of the broker's server that is logged in to."""
    account: str = Field(pattern=r"^[0-9A-Za-z-]+$", examples=["1000001"])
    """Id of the account; `accNum`, which requests carry besides, is looked up."""
    developer_key: SecretStr | None = Field(default=None, min_length=1)
    """Key of the venue's developer programme, by the environment only; without one, none is sent."""
    developer_key_file: Path | None = None
    """File that holds the developer key and nothing else."""
    positions: Literal["hedging", "netting"] = "hedging"
    """One position for each order, or one for each instrument; the API does not tell which the account has."""
    protection: Literal["venue", "engine"] = "venue"
    """Who holds stops and targets: the venue, at the position, or the engine."""
    commission_per_lot: Decimal = Field(default=Decimal(0), ge=0)
    """Commission for each lot that trades, in the instrument's settlement currency; the API does not tell it."""
    rates: dict[Literal["sessions", "reads_at_start", "deletes"], RateOverride] = Field(default={})
    """Rate budgets that differ from the connector's own, of what the server's table does not list."""
    orders_every_s: float = Field(default=1.5, ge=1, allow_inf_nan=False)
    """Seconds between two looks at our working orders; servers allow one a second."""
    account_every_s: float = Field(default=5.0, ge=2, allow_inf_nan=False)
    """Seconds between two snapshots of the account; fills ask for one besides."""

    @field_validator("base_url")
    @classmethod
    def _safe_address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        url = urlsplit(value)
        encrypted = url.scheme == "https" or (url.scheme == "http" and url.hostname in _LOOPBACK)
        if not encrypted or not url.hostname or url.username is not None or url.path not in ("", "/") or url.query:
            raise ValueError("https://HOST[:PORT], or http:// on this machine, without user, path or query")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _address_given_where_needed(self) -> Self:
        if self.environment == "custom" and self.base_url is None:
            raise ValueError("`base_url` with `environment: custom`")
        if self.environment != "custom" and self.base_url is not None:
            raise ValueError(f"no `base_url` with `environment: {self.environment}`; `custom` takes one")
        return self

    @property
    def is_production(self) -> bool:
        """Whether orders at this venue move real money: live, or any host but demo's that is not this machine."""
        if self.environment == "custom":
            return not self.is_local and self.address != HOSTS["demo"]
        return self.environment == "live"

    @property
    def is_local(self) -> bool:
        """Whether the address is on this machine: a simulator."""
        return urlsplit(self.address).hostname in _LOOPBACK

    @property
    def is_armed(self) -> bool:
        """Whether the owner has allowed orders that move real money."""
        return self.armed == "live"

    @property
    def address(self) -> str:
        """The address of the API, without a trailing slash."""
        return self.base_url or HOSTS[self.environment]
