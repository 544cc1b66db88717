"""An entry of `type: oanda` under `venues`.

Used by the configuration loader and the composition root. Opens nothing.
"""

from pathlib import Path
from typing import ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from quantd.venues.settings import RateOverride, VenueSettings

HOSTS = {"practice": "https://api-fxpractice.oanda.com", "live": "https://api-fxtrade.oanda.com"}
"""Requests, by environment; a token and an account belong to one of them."""
STREAM_HOSTS = {"practice": "https://stream-fxpractice.oanda.com", "live": "https://stream-fxtrade.oanda.com"}
"""Streams, by environment."""

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class OandaSettings(VenueSettings):
    """An OANDA v20 account: practice, live, or a simulator at an address of your own."""

    required_secrets: ClassVar[tuple[str, ...]] = ("token",)

    type: Literal["oanda"] = "oanda"
    """Always `oanda`."""
    environment: Literal["practice", "live", "custom"] = "practice"
    """Which host: `practice`, `live` (needs `armed`), or `custom` with a `base_url`."""
    base_url: str | None = None
    """Address of the API with `environment: custom`, without a path; https, or http on this machine."""
    stream_url: str | None = None
    """Address of the streams with `environment: custom`; without it there are polls only."""
    streams: bool = True
    """Follow the venue's streams of prices and transactions beside the polls."""
    account: str = Field(pattern=r"^\d+(-\d+){3}$", examples=["101-001-1234567-001"])
    """The account's id, four numbers joined by `-`; one without `-` is a legacy account, which this API cannot reach."""
    token: SecretStr | None = Field(default=None, min_length=1)
    """The access token, by the environment only."""
    token_file: Path | None = None
    """File that holds the access token and nothing else."""
    armed: Literal["live"] | None = None
    """`live` allows orders that move real money; `environment: live` does not start without it."""
    positions: Literal["netting", "hedging"] = "netting"
    """What the account is expected to be, for checks before the venue tells: one side of an instrument, or both."""
    currency: str = Field(default="USD", pattern=r"^[A-Z]{3}$")
    """The account's home currency, likewise."""
    first_in_first_out: bool = False
    """The account must close its oldest trade first, as US accounts must; the API does not tell it."""
    rates: dict[Literal["requests"], RateOverride] = Field(default={})
    """Rate budgets by name that differ from the connector's own; they count by address, for all daemons behind it."""

    @field_validator("base_url", "stream_url")
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
        if self.environment != "custom" and self.stream_url is not None:
            raise ValueError(f"no `stream_url` with `environment: {self.environment}`; `custom` takes one")
        return self

    @property
    def is_production(self) -> bool:
        """Whether orders at this venue move real money: live, or any host that is not this machine or practice."""
        if self.environment == "custom":
            return not self.is_local and self.address != HOSTS["practice"]
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

    @property
    def stream_address(self) -> str | None:
        """The address of the streams; None where there are none or they are not wanted."""
        if not self.streams:
            return None
        return self.stream_url if self.environment == "custom" else STREAM_HOSTS[self.environment]
