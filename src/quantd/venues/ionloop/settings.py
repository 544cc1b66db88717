"""An entry of `type: ionloop` under `venues`.

Used by the configuration loader and the composition root. Opens nothing.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator

from quantd.venues.addresses import place_of
from quantd.venues.settings import HostedSettings, RateOverride, fingerprint


class IonloopPaths(BaseModel):
    """Every path that the connector asks for. The venue documents only some of them; override one that differs."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    markets: str = "/v1/markets"
    """All markets; documented."""
    market: str = "/v1/markets/{symbol}"
    """Trading rules of one market; inferred."""
    ticker: str = "/v1/markets/{symbol}/ticker"
    """Best prices of one market; documented."""
    order_book: str = "/v1/markets/{symbol}/orderbook"
    """Order book of one market; inferred, the least certain of all."""
    orders: str = "/v1/orders"
    """Create (documented) and list (inferred) orders."""
    order: str = "/v1/orders/{id}"
    """Get and cancel one order; documented."""
    portfolio: str = "/v1/portfolio"
    """Balances; documented."""
    wallets: str = "/v1/wallets"
    """Balances by wallet; inferred."""
    transactions: str = "/v1/transactions"
    """Trades, fees and transfers; inferred."""
    webhooks: str = "/v1/webhooks"
    """Registration of a webhook; documented."""
    status: str = "/v1/status"
    """State of the venue; inferred."""

    @field_validator("*")
    @classmethod
    def _same_placeholders(cls, value: str, info: ValidationInfo) -> str:
        default = str(cls.model_fields[str(info.field_name)].default)
        wanted = re.findall(r"{\w+}", default)
        if not value.startswith("/") or re.findall(r"{[^}]*}?", value) != wanted or "?" in value:
            with_them = f" with {' and '.join(wanted)} in it" if wanted else " without placeholders"
            raise ValueError(f"a path that starts with /{with_them}, such as {default}")
        return value


class IonloopSettings(HostedSettings):
    """The ionloop.trade spot exchange: sandbox, production, or a simulator at an address of your own."""

    required_secrets: ClassVar[tuple[str, ...]] = ("api_key",)
    hosts: ClassVar[Mapping[str, str]] = {
        "production": "https://api.ionloop.trade",
        "sandbox": "https://api-sandbox.ionloop.trade",
    }
    play: ClassVar[str] = "sandbox"

    type: Literal["ionloop"] = "ionloop"
    """Always `ionloop`."""
    environment: Literal["sandbox", "production", "custom"] = "sandbox"
    """Which host: the venue's `sandbox`, `production` (needs `armed`), or `custom` with a `base_url`."""
    api_key: SecretStr | None = Field(default=None, min_length=1)
    """The API key, by the environment only."""
    api_key_file: Path | None = None
    """File that holds the API key and nothing else."""
    webhook_secret: SecretStr | None = Field(default=None, min_length=1)
    """The secret that signs webhooks, by the environment only; without one, webhooks are not accepted."""
    webhook_secret_file: Path | None = None
    """File that holds the secret that signs webhooks."""
    register_webhook: bool = False
    """Register the webhook by the API when the daemon starts, rather than by hand in the venue's console."""
    idempotency: bool = False
    """Resend a submit of unknown outcome under its Idempotency-Key. Only after the venue was seen to honour the key."""
    paths: IonloopPaths = IonloopPaths()
    """Paths of the API that differ from the defaults."""
    rates: dict[Literal["key", "orders", "status", "public"], RateOverride] = Field(default={})
    """Rate budgets by name that differ from the connector's own."""
    maker_fee_bps: Decimal = Field(default=Decimal(10), ge=0, le=10_000)
    """Fee of an order that waited in the book, in basis points of its value; the API does not tell it."""
    taker_fee_bps: Decimal = Field(default=Decimal(10), ge=0, le=10_000)
    """Fee of an order that took from the book, in basis points of its value."""
    quotes_every_s: float | None = Field(default=None, ge=1, allow_inf_nan=False)
    """Seconds between two polls of a quote; the venue throttles below 1."""
    status_every_s: float = Field(default=15.0, ge=15, allow_inf_nan=False)
    """Seconds between two looks at the state of the venue, which asks for at least 15."""

    @property
    def reaches(self) -> tuple[str, str]:
        """Where, and which account: the venue names none, and an account may have several keys, which looks like several."""
        return f"ionloop/{place_of(self.address)}", fingerprint(self.api_key)
