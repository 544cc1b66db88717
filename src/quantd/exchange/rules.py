"""How a simulated exchange and its accounts behave: plain values given at construction.

The backtest, the paper connector and the venue simulators fill them; nothing here has behaviour.
"""

from collections.abc import Mapping
from decimal import Decimal
from enum import Enum

import msgspec

from quantd.domain.cash import AccountKind, PositionMode
from quantd.domain.instruments import FeeSchedule


class SelfTrade(Enum):
    """What happens when an account would trade with itself."""

    ALLOW = "allow"
    """On margin accounts a taker that meets its own account's order loses the rest all the same."""
    REFUSE = "refuse"
    """A crossing order is refused at entry; a stop that would cross when it triggers loses the rest."""


class DepthRules(msgspec.Struct, frozen=True):
    """Synthetic depth around a quote: what stands behind the best prices."""

    levels: int = 20
    """Levels a side."""
    size: float = 1.0
    """Mean quantity at the best level, in the instrument's quantity unit; a quote's own size goes before it."""
    growth: float = 1.15
    """Factor of mean quantity from level to level."""
    step_ticks: int = 1
    """Distance of levels, in ticks."""


class AccountSetup(msgspec.Struct, frozen=True):
    """One account at its opening."""

    kind: AccountKind = AccountKind.SPOT
    mode: PositionMode = PositionMode.NETTING
    home_currency: str = "USD"
    balances: Mapping[str, Decimal] = {}
    """Opening totals by asset; a margin account uses its home currency's only."""
    first_in_first_out: bool = False
    """A lot may be closed only when no older one of its instrument, side and size is open."""
    lot_per_trade: bool = False
    """A netting account keeps a lot for each opening fill and reduces the oldest first; one lot otherwise."""
    margin_rate: Decimal | None = None
    """The account's own rate: the stricter of this and the instrument's holds."""
    close_out_level: Decimal = Decimal("0.5")
    """All lots are closed when equity falls to this multiple of the margin used; 0 never."""


class ExchangeRules(msgspec.Struct, frozen=True):
    """The exchange's behaviour. Times in nanoseconds, fractions as Decimal, basis points as float."""

    latency_ns: int = 0
    """From acceptance until an order takes part: on the first event at or after it."""
    slippage_bps: float = 0.0
    """Added against every market and triggered stop order that meets the market, then put on a tick."""
    spread_bps: float = 0.0
    """Distance of bid and ask around a bar's prices: what takes from a bar pays half of it. Quotes have their own."""
    impact_bps: float = 0.0
    """Added in proportion to the share of the visible volume that an order takes; needs sizes or bar volume."""
    volume_cap: float | None = None
    """Largest share of a bar's volume that all orders together may take; the rest waits for the next bar."""
    bar_delay_ns: int = 2_000_000_000
    """An order that arrives this long (and at most a twentieth of the bar) after a bar's open still counts from its open,
    for bars are told a moment after they closed. Of a bar that began earlier only the close counts."""
    touch_fills: bool = True
    """Whether a bar that only touches a limit fills it; otherwise it must trade through."""
    depth: DepthRules | None = None
    """Synthetic depth behind quotes; without it a quote is one level (of unlimited size where it tells none)."""
    fees: FeeSchedule | None = None
    """Replaces the instruments' schedules."""
    market_reserve: Decimal = Decimal("0.01")
    """Share above the ask that a spot market or stop buy locks, for the price may move before it fills."""
    asset_steps: Mapping[str, Decimal] = {}
    """Settlement precision by asset: fees are rounded down, margin profit to the nearest. Nothing else is rounded."""
    self_trade: SelfTrade = SelfTrade.ALLOW
    accept_when_closed: bool = False
    """Whether a closed or halted market takes limit and stop orders, to hold them until it opens."""
    unique_client_order_ids: bool = True
    """Whether a client order id that is still known is refused."""
    order_prefix: str = "o"
    """Orders are numbered ``o1, o2, ...``."""
    trade_prefix: str = "t"
    lot_prefix: str = "l"
    keep_history: bool = True
    """Whether trades, ledger and all ended orders are kept; without it the last `ended_max` orders only."""
    ended_max: int = 1000
    seed: int = 0
    """Of the synthetic depth."""
