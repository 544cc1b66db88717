"""An order in the simulated exchange: mutable, owned by its account, shown as frozen views and reports.

Only `Execution`, the matching and the entry of orders change it.
"""

from decimal import Decimal
from typing import TYPE_CHECKING

from quantd.domain.fills import Fill
from quantd.domain.instruments import InstrumentId
from quantd.domain.numbers import ZERO
from quantd.domain.orders import ClientOrderId, Effect, OrderKind, OrderSpec, OrderState, Role, Side, TimeInForce
from quantd.domain.reports import OrderReport
from quantd.exchange.requests import NewOrder
from quantd.exchange.views import OrderView

if TYPE_CHECKING:
    from quantd.exchange.accounts import AccountBook

Entry = tuple[Decimal, int, "ExchangeOrder"]
"""How a sorted side holds an order: (price key, sequence, order)."""


class ExchangeOrder:
    """One order. Invariants: 0 <= filled <= quantity; locked amounts are zero once it ended."""

    __slots__ = (
        "accepted_at_ns", "account", "arrives_at_ns", "client_order_id", "closes_only", "cost", "ended_at_ns",
        "expires_at_ns", "fees", "filled", "fills", "fresh", "id", "instrument", "is_buy", "kind", "locked", "lot",
        "needs", "opened_lot", "origin", "place", "price", "protection", "quantity", "reason", "role", "sequence",
        "since_ns", "spec", "state", "tag", "trail", "trigger", "triggered", "updated_at_ns",
    )  # fmt: skip

    def __init__(self, account: "AccountBook", order_id: str, request: NewOrder, now_ns: int) -> None:
        spec = request.spec
        self.account = account
        self.id = order_id
        self.client_order_id = request.client_order_id
        self.spec = spec
        self.instrument: InstrumentId = spec.instrument
        self.is_buy = spec.side is Side.BUY
        self.kind = spec.kind
        self.quantity = spec.quantity
        self.price = spec.price
        self.trigger = spec.trigger
        self.closes_only = spec.reduce_only or spec.effect is Effect.CLOSE or bool(request.lot)
        self.protection = request.protection
        self.tag = request.tag
        self.lot = request.lot
        self.opened_lot = ""
        self.role = Role.CLOSE if request.lot else Role.ENTRY
        self.origin = "client"
        self.state = OrderState.WORKING
        self.filled = ZERO
        self.cost = ZERO
        """Sum of price times quantity."""
        self.fees: dict[str, Decimal] = {}
        self.fills: list[Fill] = []
        self.fresh: list[Fill] = []
        """Executions that no report has told yet."""
        self.accepted_at_ns = now_ns
        self.updated_at_ns = now_ns
        self.arrives_at_ns = now_ns
        self.since_ns = now_ns
        """When it got its present price."""
        self.ended_at_ns: int | None = None
        self.expires_at_ns = spec.expires_at_ns
        self.sequence = 0
        """Time priority; a new one with every change of price or growth."""
        self.place: list[Entry] | list[ExchangeOrder] | None = None
        """The market's list that holds it."""
        self.triggered = False
        self.trail: Decimal | None = None
        """Distance of a trailing stop."""
        self.reason = ""
        self.needs: tuple[tuple[str, Decimal], ...] = ()
        """Spot: (asset, amount to lock for one unit of quantity)."""
        self.locked: list[Decimal] = []
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
        return tif is TimeInForce.IOC or tif is TimeInForce.FOK

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
            ClientOrderId(self.client_order_id) if self.client_order_id else None,
            self.spec.side, self.quantity, self.price, self.cost / filled if filled else None,
            fills, tuple(self.fees.items()), self.updated_at_ns, self.accepted_at_ns, self.reason,
        )  # fmt: skip

    def view(self) -> OrderView:
        """Return a frozen picture of it."""
        return OrderView(
            account=self.account.id, venue_order_id=self.id, client_order_id=self.client_order_id, spec=self.terms(),
            state=self.state, filled_quantity=self.filled, average_price=self.average_price,
            fees=tuple(self.fees.items()), fills=tuple(self.fills), accepted_at_ns=self.accepted_at_ns,
            updated_at_ns=self.updated_at_ns, ended_at_ns=self.ended_at_ns, reason=self.reason, role=self.role,
            origin=self.origin, lot=self.lot or self.opened_lot, tag=self.tag, triggered=self.triggered,
            protection=self.protection,
        )  # fmt: skip


MARKET_KINDS = frozenset({OrderKind.MARKET, OrderKind.STOP})
"""Kinds that meet the market without a price of their own."""
