"""How a simulated Ripio Trade is set up, and the switches that change it while it runs.

Filled by the command line and by tests. Holds no behaviour.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Literal

import msgspec

from quantd.domain.instruments import FeeSchedule, Instrument, TickTier, instrument_id
from quantd.domain.numbers import ZERO
from quantd.exchange.rules import DepthRules

VENUE = "ripio"
DEPTH = DepthRules(levels=100, size=0.5, growth=1.02, step_ticks=1)
"""Of the synthetic book, unless told otherwise."""

Permission = Literal["Read", "Buy/Sell", "Cryptocurrency withdrawals"]
"""What a credential may do (documented); any other than Read implies Read."""


class Credential(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A user's API token with its secret."""

    token: str
    secret: str
    account: str = "main"
    permissions: tuple[Permission, ...] = ("Buy/Sell",)

    def __repr__(self) -> str:
        """Leave token and secret out."""
        return f"Credential(account={self.account!r}, permissions={self.permissions!r})"


class PairRules(msgspec.Struct, frozen=True):
    """One pair, ``BASE_QUOTE``."""

    symbol: str = "BTC_BRL"
    amount_tick: Decimal = Decimal("0.00000001")
    price_tick: Decimal = Decimal("0.01")
    min_amount: Decimal = Decimal("0.00001")
    """In base."""
    min_value: Decimal = Decimal(10)
    """In quote."""
    max_price_variation: Decimal | None = Decimal(10)
    """Largest distance of a limit from the best price of the book, either way, in percent."""
    maker_fee: Decimal = Decimal("0.0025")
    """Fraction, of what is received."""
    taker_fee: Decimal = Decimal("0.005")

    @property
    def base(self) -> str:
        """The asset that is traded."""
        return self.symbol.partition("_")[0]

    @property
    def quote(self) -> str:
        """The asset that it is paid with."""
        return self.symbol.partition("_")[2]

    def instrument(self) -> Instrument:
        """Return the pair in the exchange's words."""
        return Instrument(
            id=instrument_id(VENUE, self.symbol),
            base=self.base,
            quote=self.quote,
            ticks=(TickTier(ZERO, self.price_tick),),
            lot=self.amount_tick,
            min_quantity=self.min_amount,
            fees=FeeSchedule(self.maker_fee, self.taker_fee, "received"),
        )


class RateRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits: a bucket that fills by so many a second and holds `burst`, and a count for each UTC day, by user."""

    per_second: float = 3.5
    """Documented for users whose documents are approved; 1 for others."""
    burst: int = 4
    """How many may come at once (assumed)."""
    per_day: int = 302_400
    """Documented for users whose documents are approved; 86,400 for others."""
    public_per_second: float = 1.0
    """By address, on the public routes; documented as reduced, without a number."""
    public_burst: int = 4


UNAPPROVED = RateRules(per_second=1.0, burst=1, per_day=86_400)
"""Documented for users whose documents are not approved."""


class Setup(msgspec.Struct, frozen=True):
    """A simulated Ripio Trade at its opening."""

    pairs: tuple[PairRules, ...] = (PairRules(),)
    credentials: tuple[Credential, ...] = (Credential("sim-token", "sim-secret"),)
    balances: Mapping[str, Mapping[str, Decimal]] = msgspec.field(
        default_factory=lambda: {"main": {"BRL": Decimal(1_000_000)}}
    )
    """By account and asset."""
    precision: Mapping[str, int] = msgspec.field(default_factory=lambda: {"BRL": 2, "ARS": 2, "MXN": 2})
    """Decimals of an asset's fees; 8 for all others."""
    prefix: str = "/trade"
    """Of every path; part of what is signed."""
    rates: RateRules = RateRules()
    depth: DepthRules = DEPTH
    latency_s: float = 0.0
    """From acceptance until an order meets the market."""
    seed: int = 0


class Switches(msgspec.Struct, forbid_unknown_fields=True):
    """What can be changed while it runs. Defaults are the stated assumptions."""

    match_at_once: bool = True
    """Whether a create is answered after the order has met the market, perhaps filled; else it waits for a price."""
    refuse_replays: bool = True
    """Whether a signature that was seen within its window is refused with 40100."""
    template_paths: bool = False
    """Whether the signed path has ``{id}`` in place of an id, as one old client signs it."""
    misspelt_tolerance: bool = False
    """Whether ``timstamp-tolerance``, the reference pages' spelling, is honoured."""
    unique_external_ids: bool = False
    """Whether an external_id that is known is refused; else it is taken, and the newest order is found by it."""
    look_up_lag_s: float = 0.0
    """How long a new order is in no list and not found."""
    pending_creation_s: float = 0.0
    """How long a new order that has not traded is shown as pending_creation."""
    trade_lag_s: float = 0.0
    """How long a trade is in no list of trades, though its order shows it."""
    stuck_partials: bool = False
    """Whether what an order that does not rest leaves unfilled is never told: executed_partially, and in no open list."""
    short_create: bool = False
    """Whether a create answers nothing but the id, as older deployments did."""
    default_status: str = ""
    """Statuses that user orders are restricted to when none are asked for: the stray default of the v4 document."""
    trade_pagination: bool = False
    """Whether lists of trades still carry the page numbers that were to vanish on 2026-06-01."""
    nested_balances: bool = False
    """Whether balances are nested one level deeper, as one sample has them."""
    cancel_all_leaves: int = 0
    """How many orders a cancel-all does not get to: 200 with success false."""
    numbered_429: bool = False
    """Whether a 429 carries error_code 42900; else a message alone."""
    code_key: Literal["error_code", "code"] = "error_code"
    """What a failure calls its number."""
    text_codes: bool = False
    """Whether that number is text, as a sister product on the same gateway has it."""
    old_dates: bool = False
    """Whether executions are dated without T and zone, as older samples are."""
    internal_error: Literal[50000, 50001, 50002, 50003] = 50000
    """Number of a 500."""
    maintenance: bool = False
    """Whether everything is answered with 503."""
    trading_blocked: bool = False
    """Whether the user may not trade: 40300 on order writes."""
    public_cache_s: float = 30.0
    """How long a public route repeats its answer."""
    clock_skew_s: float = 0.0
    """Added to the venue's clock: to all that it shows and to what it checks timestamps against."""
    bare_envelope: bool = False
    """Whether answers lack timestamp and error_code, as older samples do."""
    market_paused: bool = False
    """Whether prices stand still, and nothing fills."""
    text_amounts: bool = False
    """Whether the streams write amounts as text."""
    mute_streams: bool = False
    """Whether the streams fall silent without closing."""
    lose_frames: bool = False
    """Whether frames are numbered and then not sent: a gap in every topic's sequence."""
    wrong_hashes: bool = False
    """Whether the streams' books carry a checksum that does not fit them."""
    stream_idle_s: float = 60.0
    """After how long without a frame from the client a connection is closed."""
