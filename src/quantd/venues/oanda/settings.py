"""An entry of `type: oanda` under `venues`.

Used by the configuration loader and the composition root. Opens nothing.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from quantd.venues.addresses import http_address, place_of
from quantd.venues.settings import HostedSettings, RateOverride

STREAM_HOSTS = {"practice": "https://stream-fxpractice.oanda.com", "live": "https://stream-fxtrade.oanda.com"}
"""Streams, by environment."""


class OandaSettings(HostedSettings):
    """An OANDA v20 account: practice, live, or a simulator at an address of your own."""

    required_secrets: ClassVar[tuple[str, ...]] = ("token",)
    hosts: ClassVar[Mapping[str, str]] = {
        "practice": "https://api-fxpractice.oanda.com",
        "live": "https://api-fxtrade.oanda.com",
    }
    play: ClassVar[str] = "practice"

    type: Literal["oanda"] = "oanda"
    """Always `oanda`."""
    environment: Literal["practice", "live", "custom"] = "practice"
    """Which host: `practice`, `live` (needs `armed`), or `custom` with a `base_url`."""
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
    positions: Literal["netting", "hedging"] = "netting"
    """What the account is expected to be, for checks before the venue tells: one side of an instrument, or both."""
    currency: str = Field(default="USD", pattern=r"^[A-Z]{3}$")
    """The account's home currency, likewise."""
    first_in_first_out: bool = False
    """The account must close its oldest trade first, as US accounts must; the API does not tell it."""
    rates: dict[Literal["requests"], RateOverride] = Field(default={})
    """Rate budgets by name that differ from the connector's own; they count by address, for all daemons behind it."""

    _safe_stream = field_validator("stream_url")(http_address)

    @model_validator(mode="after")
    def _streams_given_where_allowed(self) -> Self:
        if self.environment != "custom" and self.stream_url is not None:
            raise ValueError(f"no `stream_url` with `environment: {self.environment}`; `custom` takes one")
        return self

    @property
    def stream_address(self) -> str | None:
        """The address of the streams; None where there are none or they are not wanted."""
        if not self.streams:
            return None
        return self.stream_url if self.environment == "custom" else STREAM_HOSTS[self.environment]

    @property
    def reaches(self) -> tuple[str, str]:
        """Where, and which account."""
        return f"oanda/{place_of(self.address)}", self.account
