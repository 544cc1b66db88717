"""An entry of `type: paper` under `venues`: simulated execution on a venue's data, on synthetic or on recorded data.

Used by the configuration loader and the composition root. Opens nothing.
"""

from decimal import Decimal
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from quantd.venues.settings import ReconcilePolicy, VenueSettings


class SyntheticInstrument(BaseModel):
    """One instrument of the synthetic market."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    symbol: str = Field(pattern=r"^[A-Z0-9]+[-_/][A-Z0-9]+$", examples=["BTC-USDT"])
    """Base and quote joined by `-`, `_` or `/`, such as `BTC-USDT`."""
    price: Decimal = Field(gt=0)
    """Price at the start."""
    tick: Decimal = Field(default=Decimal("0.01"), gt=0)
    """Price step."""
    lot: Decimal = Field(default=Decimal("0.0001"), gt=0)
    """Quantity step."""
    min_notional: Decimal | None = Field(default=None, gt=0)
    """Least value of an order, in the quote currency."""
    volatility: float = Field(default=0.6, ge=0, le=100, allow_inf_nan=False)
    """Standard deviation of a year's returns in calm phases: 0.6 is 60 %. Wild phases move three times as far, and trends come
    on top."""
    drift: float = Field(default=0.0, ge=-100, le=100, allow_inf_nan=False)
    """Mean return of a year, compounded as time goes: 0.1 is 10 %, and 10.5 % after a whole year."""
    spread_bps: Decimal = Field(default=Decimal(2), gt=0, le=1_000)
    """Usual distance of best bid and best ask, in basis points of the price."""
    depth: int = Field(default=10, ge=1, le=500)
    """Levels a side in the book."""
    level_quantity: Decimal = Field(default=Decimal(1), gt=0)
    """Usual quantity at each level."""
    margin_rate: Decimal = Field(default=Decimal("0.05"), gt=0, le=1)
    """Share of a position's value that a margin account must hold."""

    @property
    def currencies(self) -> tuple[str, str]:
        """Base and quote currency, read from the symbol."""
        base, quote = self.symbol.replace("_", "-").replace("/", "-").split("-")
        return base, quote


class SyntheticData(BaseModel):
    """A seeded market that nobody trades in but us."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    instruments: tuple[SyntheticInstrument, ...] = Field(min_length=1)
    """What can be traded."""
    seed: int = Field(default=1, ge=0)
    """Equal seeds give equal prices."""
    speed: float = Field(default=1.0, gt=0, le=1_000_000, allow_inf_nan=False)
    """Seconds of market time that pass in a second: prices move as if time ran this fast. A backtest runs in market time, and
    leaves it out."""
    regime_every_s: float = Field(default=300.0, gt=0, allow_inf_nan=False)
    """Mean market seconds between calm, trending and wild phases."""

    @model_validator(mode="after")
    def _each_symbol_once(self) -> Self:
        symbols = [instrument.symbol for instrument in self.instruments]
        twice = sorted({symbol for symbol in symbols if symbols.count(symbol) > 1})
        if twice:
            raise ValueError(f"each symbol once, not {', '.join(twice)} again")
        return self


class RecordedData(BaseModel):
    """Files of quotes or bars, played back with today's time on them."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    files: dict[str, Path] = Field(min_length=1)
    """File by symbol: CSV, plain or gzip, or Parquet with the extra."""
    speed: float = Field(default=1.0, gt=0, le=1_000_000, allow_inf_nan=False)
    """Recorded seconds that pass in a second; 1 where strategies want bars and the file holds bars."""
    spread_bps: Decimal = Field(default=Decimal(2), ge=0, le=1_000)
    """Distance of bid and ask where the file has bars, in basis points: a market order pays half of it."""
    tick: Decimal = Field(default=Decimal("0.01"), gt=0)
    """Price step of all files. One that would move the recorded prices by more than a basis point is refused."""
    lot: Decimal = Field(default=Decimal("0.0001"), gt=0)
    """Quantity step."""
    stamp: Literal["open", "close"] = "open"
    """Which end of a bar its time in the files names."""


class PaperData(BaseModel):
    """Where prices come from: the name of another venue, or one of the two sections."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
    scalar_key: ClassVar[str] = "venue"
    """The key that a plain text in place of the section stands for: `data: oanda`."""

    venue: str | None = None
    """Another entry under `venues`; `data: NAME` is short for it."""
    synthetic: SyntheticData | None = None
    """A made-up market."""
    recorded: RecordedData | None = None
    """Files played back."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(source is not None for source in (self.venue, self.synthetic, self.recorded)) != 1:
            raise ValueError("exactly one of a venue's name, `synthetic` and `recorded`")
        return self


class PaperSettings(VenueSettings):
    """A venue without a venue: orders are executed by the simulated exchange."""

    type: Literal["paper"] = "paper"
    """Always `paper`."""
    data: PaperData
    """Where prices come from."""
    balances: dict[str, Decimal] = Field(min_length=1)
    """Amount of each asset in the account at the first start."""
    account: Literal["spot", "margin"] = "spot"
    """Kind of account: assets that are owned, or positions on margin. Where the data tell no margin rate, 0.05 holds."""
    positions: Literal["netting", "hedging"] = "netting"
    """On margin: one position for each instrument, or one for each trade."""
    protection: Literal["engine", "venue"] = "engine"
    """Who holds stops and targets: the engine, or, on margin, the simulated exchange, as venues do where they hang on a
    trade or position."""
    maker_fee_bps: Decimal = Field(default=Decimal(2), ge=-100, le=10_000)
    """Fee of an order that waited in the book, in basis points of its value; below 0 is a rebate."""
    taker_fee_bps: Decimal = Field(default=Decimal(5), ge=0, le=10_000)
    """Fee of an order that took from the book, in basis points of its value."""
    latency_s: float = Field(default=0.05, ge=0, le=60, allow_inf_nan=False)
    """Seconds from the sending of an order to its arrival at the simulated exchange."""

    @model_validator(mode="after")
    def _lots_only_on_margin(self) -> Self:
        if self.protection == "venue" and self.account != "margin":
            raise ValueError(
                "`protection: venue` needs `account: margin`: what is owned on spot has no lots to hang on"
            )
        return self

    reconcile: ReconcilePolicy = "adopt"
    """At a start with differences: `adopt` what the venue has, `close` it, `ignore` it, or `refuse` to trade there."""
