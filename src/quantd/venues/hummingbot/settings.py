"""An entry of `type: hummingbot` under `venues`.

Used by the configuration loader and the composition root. Opens nothing.
"""

from decimal import Decimal
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from quantd.venues.addresses import http_address, is_on_this_machine, place_of
from quantd.venues.settings import RateOverride, RealMoneySettings


class HummingbotSettings(RealMoneySettings):
    """A Hummingbot API server of your own, and one exchange's keys in it. Spot only."""

    required_secrets: ClassVar[tuple[str, ...]] = ("password",)

    type: Literal["hummingbot"] = "hummingbot"
    """Always `hummingbot`."""
    base_url: str = "http://127.0.0.1:8000"
    """Address of the server; https, or http on this machine."""
    account: str = Field(default="master_account", pattern=r"^[A-Za-z0-9_-]+$")
    """The server's account, a folder of credentials."""
    connector: str = Field(pattern=r"^[a-z0-9_]+$", examples=["binance"])
    """The exchange as the server calls it, such as `binance`; perpetual ones are not there yet."""
    username: str = Field(default="admin", min_length=1)
    """The server's user."""
    password: SecretStr | None = Field(default=None, min_length=1)
    """Its password, by the environment only."""
    password_file: Path | None = None
    """File that holds the password and nothing else."""
    real_money: bool = True
    """Whether the keys trade real money; `false` only for a simulator or an exchange's own test network."""
    armed: Literal["live"] | None = None
    """`live` allows orders that move real money; without it `real_money` does not start."""
    rates: dict[Literal["orders", "reads"], RateOverride] = Field(default={})
    """Rate budgets by name that differ from the connector's own."""
    maker_fee_bps: Decimal = Field(default=Decimal(10), ge=0, le=10_000)
    """Fee of an order that waited in the book, in basis points of its value, where the server does not tell it."""
    taker_fee_bps: Decimal = Field(default=Decimal(10), ge=0, le=10_000)
    """Fee of an order that took from the book, in basis points of its value."""

    _safe_address = field_validator("base_url")(http_address)

    @model_validator(mode="after")
    def _spot_only(self) -> Self:
        if "_perpetual" in self.connector:
            raise ValueError(f"a spot `connector`: perpetual ones such as {self.connector} are not there yet")
        return self

    @property
    def marketplace(self) -> str:
        """The exchange behind the server."""
        return f"{super().marketplace}/{self.connector}"

    @property
    def is_production(self) -> bool:
        """Whether orders at this venue move real money."""
        return self.real_money

    @property
    def is_local(self) -> bool:
        """Whether it is a simulator on this machine."""
        return not self.real_money and is_on_this_machine(self.base_url)

    @property
    def reaches(self) -> tuple[str, str]:
        """Where, and which account."""
        return f"hummingbot/{place_of(self.base_url)}", f"{self.account}/{self.connector}"
