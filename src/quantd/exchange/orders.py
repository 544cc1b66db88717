"""An order in the simulated exchange: mutable, owned by its account, shown as frozen views and reports.

Only `Execution`, the matching and the entry of orders change it.
"""

from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec

from quantd.domain.fills import Fill
from quantd.domain.instruments import InstrumentId
from quantd.domain.lots import LotProtection
from quantd.domain.numbers import ZERO
from quantd.domain.orders import ClientOrderId, Effect, OrderKind, OrderSpec, OrderState, Role, Side, TimeInForce
from quantd.domain.reports import OrderReport
from quantd.exchange.fees import Fees
from quantd.exchange.requests import NewOrder
from quantd.exchange.views import OrderView

if TYPE_CHECKING:
    from quantd.exchange.accounts import AccountBook

_IOC = TimeInForce.IOC
_FOK = TimeInForce.FOK
AT_ONCE = frozenset({_IOC, _FOK})
_BUY = Side.BUY
_CLOSE = Effect.CLOSE
_ENTRY = Role.ENTRY
_CLOSING = Role.CLOSE

Entry = tuple[Decimal, int, "ExchangeOrder"]
"""How a sorted side holds an order: (price key, sequence, order)."""


class ExchangeOrder(msgspec.Struct, eq=False):
    """One order. Invariants: 0 <= filled <= quantity; locked amounts are zero once it ended.

    A mutable Struct because it is made on the path of every order; compared by identity. Made by `new_order`.
    """

    account: "AccountBook"
    id: str
    client_order_id: ClientOrderId | None
    spec: OrderSpec
    instrument: InstrumentId
    is_buy: bool
    kind: OrderKind
    quantity: Decimal
    price: Decimal | None
    trigger: Decimal | None
    closes_only: bool
    protection: LotProtection | None
    tag: str
    lot: str
    role: Role
    expires_at_ns: int | None
    accepted_at_ns: int
    updated_at_ns: int
    arrives_at_ns: int
    """When it takes part at its present price: the latency after it was accepted, or amended."""
    state: OrderState = OrderState.WORKING
    origin: str = "client"
    opened_lot: str = ""
    filled: Decimal = ZERO
    cost: Decimal = ZERO
    """Sum of price times quantity."""
    fees: Fees = ()
    """Cumulative."""
    fills: list[Fill] = []
    fresh: list[Fill] = []
    """Executions that no report has told yet."""
    ended_at_ns: int | None = None
    sequence: int = 0
    """Time priority; a new one with every change of price or growth."""
    place: list[Entry] | list["ExchangeOrder"] | None = None
    """The market's list that holds it."""
    triggered: bool = False
    trail: Decimal | None = None
    """Distance of a trailing stop."""
    reason: str = ""
    needs: Fees = ()
    """Spot: (asset, amount to lock for one unit of quantity)."""
    locked: list[Decimal] = []
    """Spot: what is locked now, beside `needs`."""

    @property
    def remaining(self) -> Decimal:
        """What is still to be filled."""
        return self.quantity - self.filled

    @property
    def is_open(self) -> bool:
        """Whether it may still fill."""
        return self.ended_at_ns is None

    @property
    def key(self) -> Decimal:
        """Sort key of its side: best first for limits, first to trigger first for stops."""
        if self.waits_for_trigger:
            assert self.trigger is not None
            return self.trigger if self.is_buy else -self.trigger
        assert self.price is not None
        return -self.price if self.is_buy else self.price

    @property
    def waits_for_trigger(self) -> bool:
        """Whether it is a stop whose price has not been reached."""
        return self.trigger is not None and not self.triggered

    @property
    def at_once(self) -> bool:
        """Whether what does not fill at once is cancelled."""
        tif = self.spec.time_in_force
        return tif is _IOC or tif is _FOK

    @property
    def average_price(self) -> Decimal | None:
        """Average price of what was filled."""
        return self.cost / self.filled if self.filled else None

    def terms(self) -> OrderSpec:
        """Return the terms as they are now."""
        spec = self.spec
        unchanged = self.quantity == spec.quantity and self.price == spec.price and self.trigger == spec.trigger
        if unchanged and self.expires_at_ns == spec.expires_at_ns:
            return spec
        return OrderSpec(
            spec.instrument, spec.side, self.quantity, spec.kind, self.price, self.trigger, spec.time_in_force,
            spec.post_only, spec.reduce_only, spec.effect, self.expires_at_ns,
        )  # fmt: skip

    def report(self, now_ns: int) -> OrderReport:
        """Return what a venue would say of it; hands out the fills that were not yet told."""
        fresh = self.fresh
        fills: tuple[Fill, ...] = ()
        if fresh:
            fills = tuple(fresh)
            fresh.clear()
        filled = self.filled
        return OrderReport(
            self.instrument, self.id, self.state, filled, now_ns,
            self.client_order_id,
            self.spec.side, self.quantity, self.price, self.cost / filled if filled else None,
            fills, self.fees, self.updated_at_ns, self.accepted_at_ns, self.reason,
            None if self.trail is not None else self.kind, self.trigger, self.lot,
        )  # fmt: skip

    def view(self) -> OrderView:
        """Return a frozen picture of it."""
        return OrderView(
            account=self.account.id, venue_order_id=self.id, client_order_id=self.client_order_id or "",
            spec=self.terms(),
            state=self.state, filled_quantity=self.filled, average_price=self.average_price,
            fees=self.fees, fills=tuple(self.fills), accepted_at_ns=self.accepted_at_ns,
            updated_at_ns=self.updated_at_ns, ended_at_ns=self.ended_at_ns, reason=self.reason, role=self.role,
            origin=self.origin, lot=self.lot or self.opened_lot, tag=self.tag, triggered=self.triggered,
            protection=self.protection,
        )  # fmt: skip


def new_order(account: "AccountBook", order_id: str, request: NewOrder, now_ns: int) -> ExchangeOrder:
    """Return the order that a request asks for; it is not yet known to anyone."""
    spec = request.spec
    lot = request.lot
    client_order_id = request.client_order_id
    return ExchangeOrder(
        account, order_id, ClientOrderId(client_order_id) if client_order_id else None, spec, spec.instrument,
        spec.side is _BUY, spec.kind, spec.quantity, spec.price, spec.trigger,
        spec.reduce_only or spec.effect is _CLOSE or bool(lot), request.protection, request.tag, lot,
        _CLOSING if lot else _ENTRY, spec.expires_at_ns, now_ns, now_ns, now_ns,
    )  # fmt: skip


def add_fees(total: Fees, more: Fees) -> Fees:
    """Return cumulative fees with more of them, by asset."""
    if not total:
        return more
    if len(total) == 1 and len(more) == 1 and total[0][0] == more[0][0]:
        return ((total[0][0], total[0][1] + more[0][1]),)
    sums = dict(total)
    for asset, amount in more:
        sums[asset] = sums.get(asset, ZERO) + amount
    return tuple(sums.items())
