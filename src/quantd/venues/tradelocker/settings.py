"""An entry of `type: tradelocker` under `venues`.

Used by the configuration loader and the composition root. Opens nothing.
"""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, SecretStr

from quantd.venues.addresses import place_of
from quantd.venues.settings import HostedSettings, RateOverride


class TradeLockerSettings(HostedSettings):
    """One account at a broker that runs TradeLocker: demo, live, or a simulator at an address of your own."""

    required_secrets: ClassVar[tuple[str, ...]] = ("password",)
    hosts: ClassVar[Mapping[str, str]] = {
        "demo": "https://demo.tradelocker.com",
        "live": "https://live.tradelocker.com",
    }
    play: ClassVar[str] = "demo"

    type: Literal["tradelocker"] = "tradelocker"
    """Always `tradelocker`."""
    environment: Literal["demo", "live", "custom"] = "demo"
    """`custom` takes `base_url`."""
    base_url: str | None = None
    """Address with `environment: custom`, without `/backend-api`; https, or http on this machine."""
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
    """Commission for each lot that trades, in the account's currency; the API does not tell it."""
    rates: dict[Literal["sessions", "reads_at_start", "deletes"], RateOverride] = Field(default={})
    """Rate budgets that differ from the connector's own, of what the server's table does not list."""
    orders_every_s: float = Field(default=1.5, ge=1, allow_inf_nan=False)
    """Seconds between two looks at our working orders; servers allow one a second."""
    account_every_s: float = Field(default=5.0, ge=2, allow_inf_nan=False)
    """Seconds between two snapshots of the account; fills ask for one besides."""

    @property
    def reaches(self) -> tuple[str, str]:
        """Where, and which account."""
        return f"tradelocker/{place_of(self.address)}/{self.server}", self.account
