"""What a simulated TradeLocker is made of, and what can be changed while it runs.

Rate limits and general limits are those of a configuration answer that was seen in 2025; they differ by server, which
is why clients read them.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec

from quantd.domain.cash import PositionMode
from quantd.domain.instruments import FeeSchedule, Instrument, QuantityUnit, TickTier, instrument_id
from quantd.domain.numbers import ONE, ZERO
from quantd.exchange import DepthRules

VENUE = "tradelocker"
DEPTH = DepthRules(levels=10, size=5.0, growth=1.1, step_ticks=5)
"""Of the synthetic book, unless told otherwise; quantities are lots."""


class RateLimit(msgspec.Struct, frozen=True, rename="camel"):
    """At most `limit` requests in each `interval_num` of `measure`."""

    rate_limit_type: str
    limit: int
    measure: str = "SECONDS"
    interval_num: int = 1


RATE_LIMITS: tuple[RateLimit, ...] = (
    RateLimit("GET_ACCOUNTS", 2),
    RateLimit("GET_EXECUTIONS", 2),
    RateLimit("GET_INSTRUMENTS", 2),
    RateLimit("GET_ORDERS", 1),
    RateLimit("GET_ORDERS_HISTORY", 1),
    RateLimit("GET_POSITIONS", 1),
    RateLimit("GET_ACCOUNTS_STATE", 4, "SECONDS", 2),
    RateLimit("GET_INSTRUMENT_DETAILS", 2),
    RateLimit("GET_TRADE_SESSIONS", 2),
    RateLimit("GET_SESSION_STATUSES", 2),
    RateLimit("PLACE_ORDER", 5),
    RateLimit("MODIFY_ORDER", 5),
    RateLimit("MODIFY_POSITION", 5),
    RateLimit("DAILY_BAR", 5),
    RateLimit("TRADES", 5),
    RateLimit("QUOTES", 10),
    RateLimit("DEPTH", 10),
    RateLimit("QUOTES_HISTORY", 60, "MINUTES"),
)


class InstrumentRules(msgspec.Struct, frozen=True):
    """One instrument. Ids are the server's own and mean nothing elsewhere."""

    base: str = "BTC"
    quote: str = "USD"
    suffix: str = ""
    """Of the broker, behind the name: ``.R``."""
    tradable_id: int = 206
    id: int = 236
    """The other number; no route takes it."""
    trade_route: int = 9912
    info_routes: tuple[int, ...] = (452,)
    type: str = "CRYPTO"
    lot_size: Decimal = ONE
    """Units in one lot."""
    lot_step: Decimal = Decimal("0.01")
    min_lot: Decimal = Decimal("0.01")
    max_lot: Decimal | None = None
    leverage: Decimal = Decimal(20)
    commission: Decimal = ZERO
    """For each lot that trades, in the account's currency; taken from the balance and told by no row."""
    ticks: tuple[TickTier, ...] = (TickTier(ZERO, Decimal("0.01")),)
    session_id: int = 1547
    session_status_id: int = 20

    @property
    def name(self) -> str:
        """The name as the broker lists it."""
        return f"{self.base}{self.quote}{self.suffix}"

    def instrument(self, home: str = "") -> Instrument:
        """Return it in the exchange's words; commission is charged in `home`."""
        return Instrument(
            id=instrument_id(VENUE, self.name),
            base=self.base,
            quote=self.quote,
            ticks=self.ticks,
            lot=self.lot_step,
            quantity_unit=QuantityUnit.LOTS,
            units_per_quantity=self.lot_size,
            min_quantity=self.min_lot,
            max_quantity=self.max_lot,
            margin_rate=ONE / self.leverage,
            fees=FeeSchedule(per_unit=self.commission, per_unit_asset=home),
        )


def numbered(symbols: Sequence[str]) -> tuple[InstrumentRules, ...]:
    """Return instruments named BASE-QUOTE, each with ids and routes of its own."""
    found = []
    for count, symbol in enumerate(symbols):
        base, _, quote = symbol.partition("-")
        found.append(
            InstrumentRules(
                base=base, quote=quote, tradable_id=206 + count, id=636 + count, trade_route=9912 + count,
                info_routes=(452 + count,), session_id=1547 + count, session_status_id=20 + count,
            )
        )  # fmt: skip
    return tuple(found)


class AccountRules(msgspec.Struct, frozen=True):
    """One account of the user."""

    id: str = "1000001"
    acc_num: int = 60
    """What the header ``accNum`` names; not a count from one."""
    currency: str = "USD"
    balance: Decimal = Decimal(100_000)
    mode: PositionMode = PositionMode.HEDGING


class Setup(msgspec.Struct, frozen=True):
    """A simulated server at its start: one user with some accounts."""

    email: str = "quant@example.com"
    password: str = "simulated"  # a simulator on loopback guards nothing
    server: str = "SIM"
    accounts: tuple[AccountRules, ...] = (AccountRules(),)
    instruments: tuple[InstrumentRules, ...] = (InstrumentRules(),)
    rate_limits: tuple[RateLimit, ...] = RATE_LIMITS
    limits: Mapping[str, int] = msgspec.field(
        default_factory=lambda: {"QUOTES_HISTORY_BARS": 50_000, "MAX_ORDERS_COUNT_IN_HISTORY": 10_000}
    )
    depth: DepthRules = DEPTH
    latency_s: float = 0.0
    """From an order's acceptance to the market."""
    seed: int = 0

    def __repr__(self) -> str:
        """Leave the password out."""
        return f"Setup(server={self.server!r}, accounts={[one.id for one in self.accounts]!r})"


class Switches(msgspec.Struct, forbid_unknown_fields=True):
    """What can be changed while it runs."""

    enforce_limits: bool = True
    """Whether the rate limits of the configuration answer count; per account and type."""
    edge_limits: bool = False
    """Whether what is one too many is answered as the edge does: text, with its code 1015."""
    access_s: float = 3600.0
    """Life of an access token; not documented."""
    refresh_s: float = 7 * 86_400.0
    no_content: bool = False
    """Whether cancels, changes and closes are answered by a bare 204."""
    ignore_changes: bool = False
    """Whether a change of an order is answered as done and not made."""
    fill_at_once: bool = True
    """Whether a market order meets the present price within its own request."""
    close_in_two: bool = False
    """Whether a close is made by two orders: documented are an IOC and then a GTC, how they show is assumed."""
    look_up_lag_s: float = 0.0
    """From a write until lists show a new order, and the position that it opened."""
    list_refused: bool = False
    """Whether a refused create is listed in the history all the same."""
    dead_info_routes: int = 0
    """How many of each instrument's INFO routes, from the last on, answer with an error."""
    tells_next_bar: bool = True
    """Whether an empty range names the time of the next bar behind it (``nb``)."""
    more_columns: bool = False
    """Whether each list has a column more, in front, that no document names."""
    status_words: str = "documented"
    """``documented``, or ``upper`` for the capitals of the concept page."""
