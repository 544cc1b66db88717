"""What may reach a venue, and what must be there in the end: requests judged as they leave, books against its truth."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from quantd.domain import facts as f
from quantd.domain.events import TradingState
from quantd.domain.orders import OrderKind, OrderSpec
from quantd.engine.portfolio import AccountBalances
from quantd.engine.state import State
from tests.sim.invariants import EXACT, ZERO, Model, require
from tests.sim.scenes.writes import CancelOne, Create, Nameless, Terms, Writes


class Wire:
    """Looks at each request that leaves: nothing reaches the venue that is not on disk, no id carries two orders."""

    def __init__(self) -> None:
        self._written: set[tuple[str, int]] = set()
        self._cancels: defaultdict[str, int] = defaultdict(int)
        self._ids: dict[str, str] = {}
        self._exits: set[str] = set()
        self._bodies: dict[str, bytes] = {}
        self._operations: defaultdict[str, int] = defaultdict(int)
        self._wanted: defaultdict[Terms, list[str]] = defaultdict(list)
        """Orders that were to leave, by what they are."""
        self._placed: Counter[Terms] = Counter()
        """How many requests without a name have left."""

    def durable(self, facts: Iterable[f.Fact]) -> None:
        """Facts are on disk from now on."""
        for fact in facts:
            match fact:
                case f.OrderIntended():
                    if not fact.held:
                        self._written.add((fact.client_order_id, 1))
                        self._wanted[_terms(fact.spec)].append(fact.client_order_id)
                    self._operations[fact.client_order_id] = 0 if fact.held else 1
                    self._judge(fact.client_order_id, is_exit=fact.exit)
                case f.OrderReleased():
                    self._judge(fact.client_order_id, is_exit=bool(fact.exit))
                    self._operations[fact.client_order_id] += 1
                    self._written.add((fact.client_order_id, self._operations[fact.client_order_id]))
                    self._wanted[_terms(fact.spec)].append(fact.client_order_id)
                case f.AmendIntended() | f.CancelIntended():
                    self._operations[fact.client_order_id] = max(self._operations[fact.client_order_id], fact.operation)
                    if fact.operation:
                        self._cancels[fact.client_order_id] += 1
                case f.OrderAcknowledged():
                    self._ids[fact.venue_order_id] = fact.client_order_id
                case f.ExternalOrderSeen():
                    self._ids[fact.venue_order_id] = fact.client_order_id

    def _judge(self, order_id: str, *, is_exit: bool) -> None:
        """Take note of what an order does: what was to open when it was placed may reduce when it is released."""
        if is_exit:
            self._exits.add(order_id)
        else:
            self._exits.discard(order_id)

    def leaving(self, write: Writes | None, standing: TradingState, *, is_failed: bool = False) -> None:
        """Judge what a request writes as it leaves.

        Args:
            write: What leaves; None for reads, and for changes of orders that are there.
            standing: The strictest state that holds for everything.
            is_failed: The journal has failed: cancels may leave without being written.
        """
        match write:
            case Create(order_id, operation, body):
                self._create(order_id, operation, body)
                _may_leave(write, standing, is_exit=order_id in self._exits)
            case Nameless(terms):
                wanted = self._wanted[terms]
                require(self._placed[terms] < len(wanted), "more creates than are on disk:", terms, wanted)
                self._placed[terms] += 1
                _may_leave(write, standing, is_exit=any(one in self._exits for one in wanted))
            case CancelOne(venue_order_id) if not is_failed:
                order = self._ids.get(venue_order_id) or self._by_our_id(venue_order_id)
                require(order is not None, "a cancel of an order that is not ours:", venue_order_id)
                require(self._cancels[order or ""], "a cancel that is not on disk:", venue_order_id)

    def _by_our_id(self, named: str) -> str | None:
        """Return the order that a cancel names by our id, as OANDA takes it where its own was never told: with an at sign."""
        order_id = named.removeprefix("@")
        return order_id if order_id != named and order_id in self._operations else None

    def _create(self, order_id: str, operation: int | None, body: bytes) -> None:
        require(order_id and operation != -1, "a create without an id of ours:", order_id, operation)
        last = self._operations[order_id] if operation is None else operation
        require((order_id, last) in self._written, "a create that is not on disk:", order_id, operation)
        key = f"{order_id}-{last}"
        before = self._bodies.setdefault(key, body)
        require(before == body, "one id for two orders:", key, before, body)

    def forget_after_restore(self, facts: Iterable[f.Fact]) -> None:
        """A backup was restored: only what is in it is on disk; ids that left once stay used."""
        bodies = self._bodies
        self.__init__()  # type: ignore[misc] # all but the bodies starts anew
        self._bodies = bodies
        self.durable(facts)
        self._placed = Counter({terms: len(wanted) for terms, wanted in self._wanted.items()})


def _terms(spec: OrderSpec) -> Terms:
    return Terms(spec.side.name, spec.quantity, None if spec.kind is OrderKind.MARKET else spec.price)


def _may_leave(write: Writes, standing: TradingState, *, is_exit: bool) -> None:
    require(standing is not TradingState.HALTED, "a create leaves while halted:", write)
    require(is_exit or standing is not TradingState.REDUCING, "an entry leaves while reducing:", write)


def orders_at_venue(truth: Mapping[str, Any]) -> None:
    """At most one order for each idempotency key and each client order id, dead or alive.

    Raises:
        Violation: naming the twins.
    """
    seen: dict[str, str] = {}
    for order in truth["orders"]:
        client_order_id = order["idempotencyKey"].rpartition("-")[0]
        twin = seen.setdefault(client_order_id, order["id"])
        require(twin == order["id"], "two orders of one intent:", client_order_id, twin, order["id"])


def same_as_venue(
    model: Model, state: State, truth: Mapping[str, Any], *, venue: str = "ionloop", account: str = "main"
) -> None:
    """Hold our books against the venue's own truth, to the last digit, once all has come to rest.

    Raises:
        Violation: naming the first difference.
    """
    ours = {venue_id: order for order in model.orders.values() for venue_id in order.venue_ids}
    for theirs in truth["orders"]:
        order = ours.pop(theirs["id"], None)
        if order is None and theirs["status"] == "refused":
            continue  # nobody told us its id before it ended: it never could trade
        require(order is not None, "the venue has an order that we do not know:", theirs)
        assert order is not None
        require(order.filled == Decimal(theirs["filledQuantity"]), "filled:", order.id, order.filled, theirs)
        require(order.is_open == (theirs["status"] == "open"), "state:", order.id, order.state, theirs)
        if order.confirmed and order.filled:
            told = sum((Decimal(one["quantity"]) * Decimal(one["price"]) for one in theirs["fills"]), ZERO)
            require(abs(told + order.sign * order.cash) < EXACT, "money:", order.id, order.cash, told)
    require(not ours, "we have orders that the venue does not:", list(ours))
    for order in model.orders.values():
        require(order.operation is None, "a write was never settled:", order.id, order.operation)
    _same_balances(model, state.portfolio.accounts[venue], truth, account)


def _same_balances(model: Model, known: AccountBalances, truth: Mapping[str, Any], account: str) -> None:
    opening = {asset: Decimal(amount) for asset, amount in truth["opening_balances"][account].items()}
    flows: defaultdict[str, Decimal] = defaultdict(Decimal)
    for row in truth["transactions"]:
        if row["account"] == account and row["type"] in ("deposit", "withdrawal"):
            flows[row["asset"]] += Decimal(row["amount"]) * (1 if row["type"] == "deposit" else -1)
    for asset, balance in truth["balances"][account].items():
        total = Decimal(balance["total"])
        require(known.totals.get(asset, ZERO) == total, "balance of", asset, known.totals.get(asset), total)
        require(known.free(asset) == Decimal(balance["free"]), "free", asset, known.free(asset), balance["free"])
        for instrument, base in model.bases.items():
            if base == asset:
                held = total - opening.get(asset, ZERO) - flows[asset]
                require(model.signed(instrument) == held, "position in", instrument, model.signed(instrument), held)
