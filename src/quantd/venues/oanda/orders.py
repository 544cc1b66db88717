"""What the account's log says of each order, followed through its replacements: from entries to reports; no I/O.

An order's number is that of the entry that created it. A replacement or reissue is a new order with a new number, and to
the engine the same one: a `Chain` joins them. Entries may come twice and in any order of their sources (an answer to a
write, then the log): what is known is not counted again.
"""

from collections import OrderedDict
from collections.abc import Iterable
from decimal import Decimal

from quantd.domain.fills import Fill
from quantd.domain.instruments import instrument_id
from quantd.domain.numbers import ZERO
from quantd.domain.orders import ENDS, ClientOrderId, OrderKind, OrderSpec, OrderState
from quantd.domain.reports import OrderReport
from quantd.venues.oanda import translate, wire
from quantd.venues.oanda.formats import instant_ns, reason_of, side_of

CREATES = {
    "MARKET_ORDER": OrderKind.MARKET,
    "LIMIT_ORDER": OrderKind.LIMIT,
    "STOP_ORDER": OrderKind.STOP,
    "MARKET_IF_TOUCHED_ORDER": None,
    "FIXED_PRICE_ORDER": None,
}
"""Entries that create an order with units of its own; orders that hang on a trade are the account's matter."""
_TRADES = ("MARKET_ORDER", "LIMIT_ORDER", "STOP_ORDER", "MARKET_IF_TOUCHED_ORDER")
"""How the reasons of fills begin that are of such orders, and not of one that hangs on a trade."""
_KEPT_MAX = 10_000


class Chain:
    """One order of the engine's: the first number and those that replaced it."""

    __slots__ = ("client_order_id", "created", "ended_at_ns", "fills", "ids", "in_doubt", "reason", "state", "units")

    def __init__(self, entry: wire.Transaction) -> None:
        self.created = entry
        """The newest creating entry: its terms hold."""
        self.client_order_id = entry.ours
        self.ids = [entry.id]
        self.fills: dict[str, Fill] = {}
        self.units = abs(entry.units or ZERO)
        """Those that the order is for in all, what its predecessors filled included."""
        self.state = OrderState.WORKING
        self.reason = ""
        self.ended_at_ns: int | None = None
        self.in_doubt = False
        """Filled in part, and the log does not say what became of the rest."""

    @property
    def filled(self) -> Decimal:
        """Quantity, all numbers together."""
        return sum((fill.quantity for fill in self.fills.values()), ZERO)

    @property
    def is_open(self) -> bool:
        """Whether more can come of it."""
        return self.state not in ENDS

    def has_terms(self, spec: OrderSpec) -> bool:
        """Whether an amendment to `spec` was made: the venue issues the rest of a partly filled order under a new number too."""
        price = spec.trigger if spec.kind is OrderKind.STOP else spec.price
        return self.units == spec.quantity and self.created.price == price


class OrderBook:
    """All orders that entries told of, by every number and by our id.

    Args:
        venue: Its key in the configuration.
        expected_home: The account's currency as the configuration has it.
    """

    def __init__(self, venue: str, expected_home: str) -> None:
        self._venue = venue
        self._expected_home = expected_home
        self._chains: OrderedDict[str, Chain] = OrderedDict()
        """By every number."""
        self._ours: dict[str, list[Chain]] = {}
        self._expected: OrderedDict[str, None] = OrderedDict()
        """Ids of ours that this process has sent or was asked for."""
        self.home = ""
        """The account's currency, once the venue has told it; whoever reads the log asks for it first."""

    def find(self, order_id: str) -> Chain | None:
        """Return the chain that a number belongs to."""
        return self._chains.get(order_id)

    def by_client_id(self, client_order_id: str) -> list[Chain]:
        """Return all chains under one id of ours; the venue does not keep it unique."""
        return self._ours.get(client_order_id, [])

    def expect(self, client_order_id: str) -> None:
        """Note that an id is the engine's: orders under it are no strangers, whoever asks."""
        self._expected[client_order_id] = None
        if len(self._expected) > _KEPT_MAX:
            self._expected.popitem(last=False)

    def is_expected(self, chain: Chain) -> bool:
        """Whether an order is one that this process has sent or was asked for."""
        return chain.client_order_id in self._expected

    def bind(self, order_id: str, client_order_id: str) -> None:
        """Note that an order without a client id is ours: the close of a trade, whose request can carry none."""
        self.expect(client_order_id)
        chain = self._chains.get(order_id)
        if chain is not None and not chain.client_order_id:
            self._name(chain, client_order_id)

    def closes_of(self, trade: str) -> list[Chain]:
        """Return the orders that were made to close a trade, oldest first."""
        found = {id(chain): chain for chain in self._chains.values() if _closes(chain, trade)}
        return list(found.values())

    def lacks(self, entry: wire.Transaction) -> str:
        """Return the number of an order that an entry goes on with and that is not known here, or nothing."""
        if entry.type in CREATES and entry.replaces_order_id not in self._chains:
            return entry.replaces_order_id
        trades = entry.type == "ORDER_FILL" and entry.reason.startswith(_TRADES)
        return entry.order_id if trades and entry.order_id not in self._chains else ""

    def apply(self, entries: Iterable[wire.Transaction]) -> None:
        """Take in entries, each as often as it may come."""
        for entry in entries:
            if entry.type in CREATES:
                self._create(entry)
            elif entry.type == "ORDER_FILL":
                self._fill(entry)
            elif entry.type == "ORDER_CANCEL":
                self._cancel(entry)
            elif entry.type.endswith("_ORDER_REJECT"):
                self._reject(entry)

    def _create(self, entry: wire.Transaction) -> None:
        if entry.id in self._chains:
            return
        before = self._chains.get(entry.replaces_order_id) if entry.replaces_order_id else self._reissued(entry)
        if before is None:
            self._new(entry)
            return
        before.ids.append(entry.id)
        before.created = entry
        before.units = before.filled + abs(entry.units or ZERO)
        before.state = OrderState.PARTIALLY_FILLED if before.fills else OrderState.WORKING
        before.reason, before.in_doubt = "", False
        self._chains[entry.id] = before
        if not before.client_order_id and entry.ours:
            self._name(before, entry.ours)

    def _reject(self, entry: wire.Transaction) -> None:
        """An order of ours that was refused; or the rest of one, or its replacement, which leaves the first as it is."""
        before = self._chains.get(entry.intended_replaces_order_id)
        if before is not None and before.in_doubt:
            self._end(before, OrderState.CANCELLED, entry.reject_reason, entry)
        elif not entry.intended_replaces_order_id and entry.ours and entry.id not in self._chains:
            self._end(self._new(entry), OrderState.REJECTED, entry.reject_reason, entry)

    def _reissued(self, entry: wire.Transaction) -> Chain | None:
        """Return the order whose rest an entry goes on with, where it does not name it."""
        if not entry.ours or entry.reason not in ("REPLACEMENT", "ORDER_FILL", "REISSUE"):
            return None
        return next((one for one in reversed(self.by_client_id(entry.ours)) if one.in_doubt), None)

    def _new(self, entry: wire.Transaction) -> Chain:
        chain = self._chains[entry.id] = Chain(entry)
        if chain.client_order_id:
            self._name(chain, chain.client_order_id)
        self._forget()
        return chain

    def _name(self, chain: Chain, client_order_id: str) -> None:
        chain.client_order_id = client_order_id
        self._ours.setdefault(client_order_id, []).append(chain)

    def _fill(self, entry: wire.Transaction) -> None:
        chain = self._chains.get(entry.order_id)
        if chain is None:
            return
        known = len(chain.fills)
        for fill in translate.fills_of(entry, self.home or self._expected_home):
            chain.fills.setdefault(fill.id, fill)
        if len(chain.fills) == known:
            return
        if chain.filled >= chain.units:
            self._end(chain, OrderState.FILLED, "", entry)
            chain.in_doubt = False
        elif chain.is_open:
            chain.state, chain.in_doubt = OrderState.PARTIALLY_FILLED, True

    def _cancel(self, entry: wire.Transaction) -> None:
        chain = self._chains.get(entry.order_id)
        if chain is None or entry.order_id != chain.ids[-1] or not chain.is_open:
            return
        if entry.replaced_by_order_id:
            return  # it goes on under another number, whose entry follows
        state = OrderState.EXPIRED if entry.reason == "TIME_IN_FORCE_EXPIRED" else OrderState.CANCELLED
        if state is OrderState.EXPIRED and chain.created.time_in_force in ("IOC", "FOK"):
            state = OrderState.CANCELLED
        self._end(chain, state, entry.reason, entry)

    def settle(self, chain: Chain, order: wire.Order) -> None:
        """Take the venue's word for what became of the rest of an order that was filled in part."""
        chain.in_doubt = False
        if order.state in ("FILLED", "CANCELLED") and not order.replaced_by_order_id and chain.is_open:
            chain.state, chain.reason = OrderState.CANCELLED, "rest_not_filled"

    def _end(self, chain: Chain, state: OrderState, reason: str, entry: wire.Transaction) -> None:
        chain.state, chain.reason, chain.in_doubt = state, reason_of(reason), False
        chain.ended_at_ns = instant_ns(entry.time)

    def _forget(self) -> None:
        """Drop the oldest that have ended."""
        while len(self._chains) > _KEPT_MAX:
            order_id = next((one for one, chain in self._chains.items() if not chain.is_open), None)
            if order_id is None:
                return
            chain = self._chains.pop(order_id)
            self._ours.pop(chain.client_order_id, None)

    def report(self, chain: Chain, received_at_ns: int) -> OrderReport:
        """Return what is known of an order, by its newest number and cumulative."""
        terms = chain.created
        kind = CREATES.get(terms.type)
        limit = kind is OrderKind.LIMIT or (kind is None and terms.type in CREATES)
        return OrderReport(
            instrument_id(self._venue, terms.instrument),
            chain.ids[-1],
            chain.state,
            chain.filled,
            received_at_ns,
            client_order_id=ClientOrderId(chain.client_order_id) if chain.client_order_id else None,
            side=side_of(terms.units) if terms.units else None,
            quantity=chain.units or None,
            price=terms.price if limit else None,
            fills=tuple(chain.fills.values()),
            occurred_at_ns=chain.ended_at_ns or instant_ns(terms.time),
            created_at_ns=instant_ns(terms.time),
            reason=chain.reason,
            kind=kind,
            trigger=terms.price if kind is OrderKind.STOP else None,
        )


def _closes(chain: Chain, trade: str) -> bool:
    close = chain.created.trade_close
    return close is not None and close.trade_id == trade
