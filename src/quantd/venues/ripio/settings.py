"""An entry of `type: ripio` under `venues`.

Used by the configuration loader and the composition root. Opens nothing.
"""

from decimal import Decimal
from pathlib import Path
from typing import ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator

from quantd.venues.addresses import http_address, is_on_this_machine, is_safe, place_of
from quantd.venues.settings import RateOverride, RealMoneySettings, fingerprint

STREAM = "wss://ws.ripiotrade.co"
"""The venue's stream (documented for the older host; the documents of the present gateway name no other)."""


class RipioSettings(RealMoneySettings):
    """The Ripio Trade spot exchange, or a simulator at an address of your own. The venue has no sandbox."""

    required_secrets: ClassVar[tuple[str, ...]] = ("api_token", "api_secret")

    type: Literal["ripio"] = "ripio"
    """Always `ripio`."""
    base_url: str = "https://api.ripio.com"
    """Address of the gateway without a path; https, or http on this machine."""
    path_prefix: str = Field(default="/trade", pattern=r"^(/[A-Za-z0-9._-]+)*$")
    """The gateway's part of every path. It is signed: `/trade` on the present gateway, `/v4` on api.ripiotrade.co."""
    stream: bool = True
    """Follow books and our own orders on the venue's websocket too; without it, and whenever it is down, they are polled."""
    stream_url: str | None = None
    """Address of the websocket; the venue's own without it, and none where `base_url` is on this machine."""
    armed: Literal["live"] | None = None
    """`live` allows orders that move real money; any address that is not this machine does not start without it."""
    api_token: SecretStr | None = Field(default=None, min_length=1)
    """The API token, by the environment only. Give it the permission Buy/Sell and no other."""
    api_token_file: Path | None = None
    """File that holds the API token and nothing else."""
    api_secret: SecretStr | None = Field(default=None, min_length=1)
    """The secret that signs requests, by the environment only."""
    api_secret_file: Path | None = None
    """File that holds the secret and nothing else."""
    tolerance_ms: int = Field(default=5_000, ge=500, le=60_000)
    """Milliseconds after its signing for which a request is valid; a longer time also lengthens every search for a lost one."""
    documents_approved: bool = True
    """Whether the venue has approved the user's documents: without it, it allows 1 request a second and not 3.5."""
    rates: dict[Literal["second", "day", "public"], RateOverride] = Field(default={})
    """Rate budgets by name that differ from the connector's own."""
    home_currency: str = Field(default="BRL", pattern=r"^[A-Z0-9]{2,10}$")
    """Currency in which the account is funded."""
    maker_fee_bps: Decimal = Field(default=Decimal(25), ge=0, le=1_000)
    """Fee of an order that waited in the book, in basis points of what it receives, where the venue does not tell it."""
    taker_fee_bps: Decimal = Field(default=Decimal(50), ge=0, le=1_000)
    """Fee of an order that took from the book, in basis points of what it receives."""
    orders_every_s: float = Field(default=2.0, gt=0, allow_inf_nan=False)
    """Seconds between two looks at our working orders; each draws on 3 requests a second that everything shares."""
    account_every_s: float = Field(default=10.0, gt=0, allow_inf_nan=False)
    """Seconds between two snapshots of the account, of two requests at least; fills ask for one besides."""
    status_every_s: float = Field(default=60.0, gt=0, allow_inf_nan=False)
    """Seconds between two looks at which pairs are enabled."""

    _safe_address = field_validator("base_url")(http_address)

    @field_validator("stream_url")
    @classmethod
    def _safe_stream(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if not is_safe(urlsplit(value), "ws"):
            raise ValueError("wss://HOST[:PORT], or ws:// on this machine, without user")
        return value

    @property
    def stream_address(self) -> str | None:
        """The address of the websocket, None where there is to be none."""
        if not self.stream:
            return None
        return self.stream_url or (None if self.is_local else STREAM)

    @property
    def is_production(self) -> bool:
        """Whether orders at this venue move real money: anywhere but on this machine."""
        return not self.is_local

    @property
    def is_local(self) -> bool:
        """Whether the address is on this machine: a simulator."""
        return is_on_this_machine(self.base_url)

    @property
    def reaches(self) -> tuple[str, str]:
        """Whose token it is: the venue has several gateways to one account."""
        return f"ripio/{place_of(self.base_url) if self.is_local else ''}", fingerprint(self.api_token)
