"""Orders, trades and positions as OANDA tells them, with what ties them to the exchange.

Changed by the booking and the desks only. `shown` of an order is its JSON object; a trade's is made when it is asked
for, since it moves with the price.
"""

from decimal import Decimal

import msgspec

from quantd.domain.numbers import ZERO
from quantd.simulators.oanda.log import TransactionLog
from quantd.simulators.oanda.options import AccountRules, InstrumentRules, Setup
from quantd.simulators.venue import Json

TAKE_PROFIT, STOP_LOSS, TRAILING = "TAKE_PROFIT", "STOP_LOSS", "TRAILING_STOP_LOSS"
MEMBERS = {TAKE_PROFIT: "takeProfit", STOP_LOSS: "stopLoss", TRAILING: "trailingStopLoss"}
"""How requests and answers name what guards a trade."""


class OrderRecord(msgspec.Struct, eq=False):
    """One order. Its id is that of the transaction that created it."""

    id: int
    type: str
    rules: InstrumentRules
    shown: Json
    created_ns: int
    units: Decimal = ZERO
    """Signed; 0 for what guards a trade."""
    exchange_id: str = ""
    """Empty where the exchange never had it."""
    state: str = "PENDING"
    trade: int = 0
    """The trade that it guards."""
    expires_ns: int | None = None
    """Of what guards a trade; the exchange ends the others by itself."""

    @property
    def client_id(self) -> str:
        """The client's id, empty without one."""
        return str(self.shown.get("clientExtensions", {}).get("id", ""))

    def settle(self, state: str, changes: Json) -> None:
        """End it."""
        self.state = state
        self.shown["state"] = state
        self.shown |= changes


class TradeRecord(msgspec.Struct, eq=False):
    """One trade. Its id is that of the fill that opened it."""

    id: int
    lot: str
    rules: InstrumentRules
    opened_ns: int
    initial_units: Decimal
    """Signed."""
    open_price: Decimal
    initial_margin: Decimal
    units: Decimal
    """What is open, signed; 0 when closed."""
    extensions: Json
    realized: Decimal = ZERO
    financing: Decimal = ZERO
    closed_units: Decimal = ZERO
    """Unsigned."""
    closed_worth: Decimal = ZERO
    closing_ids: list[str] = []
    closed_ns: int | None = None
    guards: dict[str, OrderRecord] = {}
    """The pending orders that guard it, by type."""

    @property
    def is_long(self) -> bool:
        """Whether it was bought."""
        return self.initial_units > 0

    @property
    def is_open(self) -> bool:
        """Whether something of it is left."""
        return self.closed_ns is None

    @property
    def client_id(self) -> str:
        """The client's id, empty without one."""
        return str(self.extensions.get("id", ""))


class SideSums(msgspec.Struct):
    """What one side of a position has brought so far."""

    pl: Decimal = ZERO
    financing: Decimal = ZERO


class PositionSums(msgspec.Struct):
    """What an instrument has brought so far."""

    rules: InstrumentRules
    long: SideSums
    short: SideSums
    commission: Decimal = ZERO


class Account:
    """All that is known of one account.

    Args:
        rules: How it is set up.
        setup: The environment.
        now_ns: When it is opened.
    """

    def __init__(self, rules: AccountRules, setup: Setup, now_ns: int) -> None:
        self.rules = rules
        self.id = rules.id
        self.log = TransactionLog(rules.id, setup.user_id)
        self.created_ns = now_ns
        self.alias = rules.alias
        self.orders: dict[int, OrderRecord] = {}
        self.pending: dict[int, OrderRecord] = {}
        self.by_exchange: dict[str, OrderRecord] = {}
        self.trades: dict[int, TradeRecord] = {}
        self.open_trades: dict[int, TradeRecord] = {}
        self.by_lot: dict[str, TradeRecord] = {}
        self.positions: dict[str, PositionSums] = {}
        """By instrument's name; every one that was ever traded."""
        self.balance = ZERO
        self.pl = ZERO
        self.financing = ZERO
        self.commission = ZERO
        self.last_fill_ns = 0
        self.seen_trades = 0
        """Number of the exchange's trades that are in the log."""
        self.guards_expire = False
        """Whether a guard may have an end."""

    def add(self, order: OrderRecord) -> OrderRecord:
        """Take in a new order that stands."""
        self.orders[order.id] = order
        self.pending[order.id] = order
        self.guards_expire = self.guards_expire or order.expires_ns is not None
        if order.exchange_id:
            self.by_exchange[order.exchange_id] = order
        return order

    def end(self, order: OrderRecord, state: str, changes: Json) -> None:
        """Take an order out of the pending ones."""
        order.settle(state, changes)
        self.pending.pop(order.id, None)
        trade = self.trades.get(order.trade)
        if trade is not None and trade.guards.get(order.type) is order:
            del trade.guards[order.type]

    def position(self, rules: InstrumentRules) -> PositionSums:
        """Return the sums of an instrument, new ones at its first trade."""
        if rules.name not in self.positions:
            self.positions[rules.name] = PositionSums(rules, SideSums(), SideSums())
        return self.positions[rules.name]

    def find_order(self, specifier: str) -> OrderRecord | None:
        """Return an order by id, or a pending one by the client's ``@id``: finished ones are not found by that."""
        if specifier.startswith("@"):
            found = [one for one in self.pending.values() if one.client_id == specifier[1:]]
            return found[-1] if found else None
        return self.orders.get(int(specifier)) if specifier.isascii() and specifier.isdigit() else None

    def find_trade(self, specifier: str) -> TradeRecord | None:
        """Return a trade by id, or an open one by the client's ``@id``."""
        if specifier.startswith("@"):
            found = [one for one in self.open_trades.values() if one.client_id == specifier[1:]]
            return found[-1] if found else None
        return self.trades.get(int(specifier)) if specifier.isascii() and specifier.isdigit() else None
