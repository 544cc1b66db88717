"""What a simulated Hummingbot API server is made of, and what can be changed while it runs.

Defaults of the switches are what was seen on the real server; each trap can be switched on alone.
"""

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from quantd.domain.instruments import FeeSchedule, Instrument, TickTier, instrument_id
from quantd.domain.numbers import ZERO
from quantd.exchange import DepthRules

VENUE = "hummingbot"
DEPTH = DepthRules(levels=50, size=0.5, growth=1.05, step_ticks=10)
"""Of the synthetic book, unless told otherwise."""
PASS_S = 300.0
"""Seconds between two passes over balances and orders, the server's ACCOUNT_UPDATE_INTERVAL of 5 minutes."""


class PairRules(msgspec.Struct, frozen=True):
    """One trading pair of the connector."""

    pair: str = "BTC-USDT"
    tick: Decimal = Decimal("0.01")
    lot: Decimal = Decimal("0.00001")
    min_order_size: Decimal = Decimal("0.00001")
    min_notional: Decimal = Decimal(5)
    fee: Decimal = Decimal("0.001")
    """Of both sides, in quote."""

    @property
    def base(self) -> str:
        """The asset that is traded."""
        return self.pair.partition("-")[0]

    @property
    def quote(self) -> str:
        """The asset that it is paid with."""
        return self.pair.partition("-")[2]

    def instrument(self) -> Instrument:
        """Return the pair in the exchange's words."""
        return Instrument(
            id=instrument_id(VENUE, self.pair),
            base=self.base,
            quote=self.quote,
            ticks=(TickTier(ZERO, self.tick),),
            lot=self.lot,
            min_quantity=self.min_order_size,
            min_notional=self.min_notional,
            fees=FeeSchedule(self.fee, self.fee, "quote"),
        )


class Setup(msgspec.Struct, frozen=True):
    """A simulated server at its start: one account with the keys of one exchange."""

    account: str = "master_account"
    connector: str = "binance"
    username: str = "admin"
    password: str = "admin"  # the real server's default; a simulator on loopback guards nothing
    pairs: tuple[PairRules, ...] = (PairRules(),)
    balances: Mapping[str, Decimal] = msgspec.field(default_factory=lambda: {"USDT": Decimal(100_000)})
    depth: DepthRules = DEPTH
    latency_s: float = 0.0
    """From the exchange's acknowledgement until an order meets the market."""
    seed: int = 0

    def __repr__(self) -> str:
        """Leave the password out."""
        return f"Setup(account={self.account!r}, connector={self.connector!r})"


class Switches(msgspec.Struct, forbid_unknown_fields=True):
    """What can be changed while it runs."""

    ack_delay_s: float = 0.02
    """From the 201 until the exchange has the order."""
    slow_placement_s: float = 0.0
    """How much longer a placement takes to the exchange than a cancel: one that overtakes it finds no order."""
    queue_per_10s: int = 100
    """Placements and cancels that reach the exchange in any 10 s; more wait as SUBMITTED."""
    reject_with: str = ""
    """Error text with which the exchange refuses every order from now on."""
    fail_but_live: bool = False
    """Whether orders are told FAILED (Server disconnected) though the exchange has them."""
    muted_stream: bool = False
    """Whether fills and ends are seen at the 5-minute passes only."""
    lost_fills: bool = False
    """Whether the database loses fills: FILLED with an amount of 0 and no trade."""
    stray_fills: bool = False
    """Whether what trades in full leaves memory and stays OPEN in the database, without a trade."""
    blank_active: bool = False
    """Whether the list of active orders leaves the connector out, as after add-credential."""
    exchange_down: bool = False
    """Whether the server cannot reach the exchange for its trading rules: a 404, as for a connector that it does not know."""
    database_down: bool = False
    """Whether searches and trades answer 200 with nothing."""
    keyset_cursor: bool = False
    """Whether searches page by a cursor that works (servers since September 2026)."""
    cached_portfolio: bool = False
    """Whether a refresh fails silently and the balances of the last pass are told."""
    blank_portfolio: bool = False
    """Whether a refresh fails with 200 and no row."""
    clock_skew_s: float = 0.0
    """Added to every time that is shown."""
