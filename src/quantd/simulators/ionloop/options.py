"""How a simulated ionloop is set up, and the switches that change it while it runs.

Filled by the command line and by tests. Holds no behaviour.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Literal

import msgspec

from quantd.domain.instruments import FeeSchedule, Instrument, TickTier, instrument_id
from quantd.domain.numbers import ZERO
from quantd.exchange.rules import DepthRules

SCOPES = (
    "markets:read", "orders:read", "orders:write", "portfolio:read", "wallet:read", "transactions:read",
    "webhooks:write",
)  # fmt: skip
"""All that a key can be granted."""

VENUE = "ionloop"
DEPTH = DepthRules(levels=50, size=0.5, growth=1.05, step_ticks=10)
"""Of the synthetic book, unless told otherwise."""

MarketWord = Literal["online", "halted", "post_only", "offline", "retired"]
"""Status of a market; a retired one is not found any more."""
PartWord = Literal["operational", "degraded", "down"]


class ApiKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key of the developer console."""

    key: str
    account: str = "main"
    scopes: tuple[str, ...] = SCOPES

    def __repr__(self) -> str:
        """Leave the key out."""
        return f"ApiKey(account={self.account!r}, scopes={self.scopes!r})"


class MarketRules(msgspec.Struct, frozen=True):
    """One market."""

    symbol: str = "BTC-USDT"
    tick_size: Decimal = Decimal("0.01")
    step_size: Decimal = Decimal("0.000001")
    min_notional: Decimal = Decimal(10)
    price_band: Decimal | None = Decimal("0.1")
    """Largest distance of a price from the mid, as a fraction."""
    fee: Decimal = Decimal("0.001")
    """Of both sides, in quote."""

    @property
    def base(self) -> str:
        """The asset that is traded."""
        return self.symbol.partition("-")[0]

    @property
    def quote(self) -> str:
        """The asset that it is paid with."""
        return self.symbol.partition("-")[2]

    def instrument(self) -> Instrument:
        """Return the market in the exchange's words."""
        return Instrument(
            id=instrument_id(VENUE, self.symbol),
            base=self.base,
            quote=self.quote,
            ticks=(TickTier(ZERO, self.tick_size),),
            lot=self.step_size,
            min_quantity=self.step_size,
            min_notional=self.min_notional,
            price_band=self.price_band,
            fees=FeeSchedule(self.fee, self.fee, "quote"),
        )


class RateRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits; windows slide, and what is refused does not count."""

    key_per_minute: int = 1200
    orders_per_second: int = 10
    """On the order routes, for each key."""
    ticker_every_s: float = 1.0
    """For each caller and symbol."""
    status_every_s: float = 15.0
    public_per_minute: int = 60
    """For each address without a key."""
    ban_after: int = 30
    """Refusals in a minute after which an address is banned."""
    ban_s: float = 120.0
    """The first ban; each further one is twice as long, at most three days."""


class Webhook(msgspec.Struct, frozen=True):
    """An address that wants to be told."""

    id: str
    url: str
    events: tuple[str, ...]
    secret: str
    account: str = "main"

    def __repr__(self) -> str:
        """Leave the secret out."""
        return f"Webhook(id={self.id!r}, url={self.url!r})"


class Setup(msgspec.Struct, frozen=True):
    """A simulated ionloop at its opening."""

    markets: tuple[MarketRules, ...] = (MarketRules(),)
    keys: tuple[ApiKey, ...] = (ApiKey("sim-key"),)
    balances: Mapping[str, Mapping[str, Decimal]] = msgspec.field(
        default_factory=lambda: {"main": {"USDT": Decimal(100_000)}}
    )
    """By account and asset: the spot wallet."""
    funding: Mapping[str, Mapping[str, Decimal]] = {}
    """By account and asset: the funding wallet, which orders cannot use."""
    rates: RateRules = RateRules()
    depth: DepthRules = DEPTH
    latency_s: float = 0.0
    """From acceptance until an order meets the market."""
    seed: int = 0
    webhook_http: bool = False
    """Whether webhooks may go to plain http on this machine."""
    webhook_secret: str = ""
    """The console's secret; when set, a registration with another one is refused."""
    webhooks: tuple[Webhook, ...] = ()
    """Registered in the console beforehand."""


class Switches(msgspec.Struct, forbid_unknown_fields=True):
    """What can be changed while it runs. Defaults are the stated assumptions."""

    post_status: Literal[200, 201] = 200
    """HTTP status of a good POST."""
    accept_ioc_fok: bool = False
    """Whether IOC and FOK are taken; else 422."""
    honour_keys: bool = True
    """Whether an Idempotency-Key guards against a second order."""
    store_failures: bool = False
    """Whether a key also remembers 429 and 5xx answers."""
    clamp_depth: bool = False
    """Whether a depth over 500 is cut to it; else 422."""
    transaction_per_fill: bool = False
    """Whether the ledger has a row for each fill; else one for each order once it ended."""
    fill_at_once: bool = False
    """Whether a create is answered after it has met the market, perhaps filled."""
    portfolio_with_funding: bool = False
    """Whether the portfolio adds the funding wallet."""
    api: PartWord = "operational"
    matching_engine: PartWord = "operational"
    withdrawals: PartWord = "operational"
    status_fails: bool = False
    """Whether the status route answers 503 INTERNAL_ERROR."""
    trading_blocked: bool = False
    """Whether the account's state blocks trading: 403 on order writes."""
    clock_skew_s: float = 0.0
    """Added to every time that is shown."""
    stale_market: bool = False
    """Whether ticker and book stand still while the market moves on."""
    market_paused: bool = False
    """Whether prices stand still, and nothing fills."""
    look_up_lag_s: float = 0.0
    """How long a new order is in no list and not found."""
    cancel_lag_s: float = 0.0
    """How long after the answer to a cancel the engine acts; the order may still fill."""
    webhook_delay_s: float = 0.0
    webhook_twice: bool = False
    """Whether every notice is sent twice."""
