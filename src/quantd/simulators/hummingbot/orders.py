"""The server's orders: scheduled first, sent to the exchange later, followed by events, written to a database.

201 means that a task was scheduled. What the exchange makes of it shows in the lists: `active` is the connector's
memory, `search` the database. Both err as the real ones do where a switch says so.
"""

from collections import Counter, deque
from collections.abc import Callable
from decimal import Decimal

from quantd.domain.fills import Fill
from quantd.domain.numbers import ZERO, Rounding, snap
from quantd.domain.orders import OrderKind, OrderSpec, OrderState, Side
from quantd.exchange import Exchange, ExchangeReport, NewOrder, Placed, Refused
from quantd.simulators.hummingbot.answers import NS_PER_S, instant, number
from quantd.simulators.hummingbot.options import PASS_S, PairRules, Setup, Switches
from quantd.simulators.venue import Json

ACCOUNT = "main"
_QUEUE_NS = 10 * NS_PER_S
_UNKNOWN_MAX = 4
"""So many answers "unknown order" to cancels mark an order FAILED, whatever becomes of it."""
_ENDS = frozenset({"FILLED", "CANCELLED", "FAILED"})


class ServerOrder:
    """One order as the server keeps it."""

    __slots__ = (
        "amount", "at_exchange", "created_at_ns", "error", "exchange_id", "fees", "fills", "id", "in_database", "kind",
        "price", "recorded_at_ns", "rules", "shown_filled", "side", "status", "strayed", "unknown", "updated_at_ns",
    )  # fmt: skip

    def __init__(self, order_id: str, rules: PairRules, side: Side, kind: str, now_ns: int) -> None:
        self.id = order_id
        self.rules = rules
        self.side = side
        self.kind = kind
        self.amount = ZERO
        self.price: Decimal | None = None
        self.status = "SUBMITTED"
        self.exchange_id = ""
        self.at_exchange = False
        """Whether the exchange has it, whatever the server believes."""
        self.fills: list[Fill] = []
        self.fees = ZERO
        self.shown_filled = ZERO
        self.error = ""
        self.unknown = 0
        """Cancels that the exchange answered with "unknown order"."""
        self.strayed = False
        """Whether memory has lost it though the database holds it for open."""
        self.in_database = False
        self.created_at_ns = self.updated_at_ns = self.recorded_at_ns = now_ns

    @property
    def ended(self) -> bool:
        """Whether the server holds it for ended."""
        return self.status in _ENDS


class OrderDesk:
    """Places, cancels and follows."""

    def __init__(self, exchange: Exchange, setup: Setup, switches: Switches, *, started_at_ns: int, tag: str) -> None:
        self._exchange = exchange
        self._setup = setup
        self._switches = switches
        self._tag = tag
        self._tasks: deque[tuple[int, Callable[[int], None]]] = deque()
        self._slow: deque[tuple[int, Callable[[int], None]]] = deque()
        """Placements that others overtake."""
        self._sent: deque[int] = deque()
        """When something reached the exchange, for the queue."""
        self._told: deque[ExchangeReport] = deque()
        """What the exchange said and the server has not heard yet."""
        self._started_at_ns = started_at_ns
        self.passed_at_ns = started_at_ns
        """When balances and orders were last gone over."""
        self.orders: dict[str, ServerOrder] = {}
        self._by_exchange_id: dict[str, ServerOrder] = {}
        self.counts: Counter[str] = Counter()

    # --- what clients ask -------------------------------------------------------------------------------------------

    def schedule(self, rules: PairRules, spec: OrderSpec, kind: str, now_ns: int) -> str:
        """Take an order into the queue and return its id; nothing has reached the exchange yet."""
        self.counts["scheduled"] += 1
        side = "B" if spec.side is Side.BUY else "S"
        letters = f"{rules.base[0]}{rules.base[-1]}{rules.quote[0]}{rules.quote[-1]}"
        order_id = f"x-{self._tag}{side}{letters}{self.counts['scheduled']:06x}"
        order = ServerOrder(order_id, rules, spec.side, kind, now_ns)
        order.amount, order.price = spec.quantity, spec.price
        self.orders[order_id] = order
        slow_s = self._switches.slow_placement_s
        tasks = self._slow if slow_s else self._tasks
        _later(tasks, now_ns, self._switches.ack_delay_s + slow_s, lambda at_ns: self._send(order, spec, at_ns))
        return order_id

    def request_cancel(self, order_id: str, now_ns: int) -> bool:
        """Schedule a cancel; False when the order is not tracked in memory."""
        order = self.orders.get(order_id)
        if order is None or order.ended or order.strayed:
            return False
        self.counts["cancels"] += 1
        _later(self._tasks, now_ns, self._switches.ack_delay_s, lambda at_ns: self._cancel(order, at_ns))
        return True

    # --- time -------------------------------------------------------------------------------------------------------

    def advance(self, now_ns: int) -> None:
        """Do what is due: send what waits as far as the queue allows, and pass over everything now and then."""
        for tasks in (self._slow, self._tasks):
            self._do(tasks, now_ns)
        if now_ns - self.passed_at_ns >= PASS_S * NS_PER_S:
            self.passed_at_ns = now_ns
            self._hear(now_ns)

    def _do(self, tasks: deque[tuple[int, Callable[[int], None]]], now_ns: int) -> None:
        while tasks and tasks[0][0] <= now_ns:
            due_ns = tasks[0][0]
            while self._sent and self._sent[0] <= now_ns - _QUEUE_NS:
                self._sent.popleft()
            if len(self._sent) >= self._switches.queue_per_10s:
                break
            self._sent.append(max(due_ns, now_ns))
            tasks.popleft()[1](now_ns)

    def follow(self, reports: list[ExchangeReport], now_ns: int) -> None:
        """Take in what the exchange says by its stream; a muted one is heard at the next pass."""
        self._told.extend(reports)
        if not self._switches.muted_stream:
            self._hear(now_ns)

    def _hear(self, now_ns: int) -> None:
        while self._told:
            report = self._told.popleft().report
            order = self._by_exchange_id.get(report.venue_order_id)
            if order is None or order.status == "FAILED":
                continue  # a failed row is never looked at again
            self._take(order, report.state, report.fills, now_ns)

    def _take(self, order: ServerOrder, state: OrderState, fills: tuple[Fill, ...], now_ns: int) -> None:
        if self._switches.stray_fills and state is OrderState.FILLED:
            order.strayed = True
            return
        if not self._switches.lost_fills:
            order.fills += fills
            order.shown_filled += sum((fill.quantity for fill in fills), ZERO)
            order.fees += sum((amount for fill in fills for _, amount in fill.fees), ZERO)
        self.counts["fills"] += len(fills)
        order.updated_at_ns = now_ns
        if state is OrderState.FILLED:
            order.status = "FILLED"
        elif order.ended:
            pass  # fills that were heard after the cancel's own answer
        elif state is OrderState.PARTIALLY_FILLED:
            order.status = "PARTIALLY_FILLED"
        elif state is not OrderState.WORKING:
            order.status = "CANCELLED"

    # --- the exchange's side ----------------------------------------------------------------------------------------

    def _send(self, order: ServerOrder, spec: OrderSpec, now_ns: int) -> None:
        if self._switches.reject_with:
            self._fail(order, self._switches.reject_with, now_ns)
            return
        placed = self._exchange.submit(ACCOUNT, NewOrder(order.id, spec), now_ns)
        match placed:
            case Refused(code, detail):
                url = "https://api.exchange.example/order"
                self._fail(
                    order,
                    f"Error executing request POST {url}. HTTP status is 400. Error: {code}: {detail}",
                    now_ns,
                )
            case Placed():
                order.at_exchange = True
                order.exchange_id = placed.venue_order_id
                self._by_exchange_id[order.exchange_id] = order
                self.counts["placed"] += 1
                if order.ended:
                    return  # a failed row is never looked at again
                if self._switches.fail_but_live:
                    self._fail(order, "Server disconnected", now_ns)
                    return
                order.status = "OPEN"
                order.in_database = True
                order.recorded_at_ns = order.updated_at_ns = now_ns
                self._take(order, placed.report.state, placed.report.fills, now_ns)

    def _fail(self, order: ServerOrder, error: str, now_ns: int) -> None:
        order.status, order.error, order.in_database = "FAILED", error, True
        order.recorded_at_ns = order.updated_at_ns = now_ns
        self.counts["failed"] += 1

    def _cancel(self, order: ServerOrder, now_ns: int) -> None:
        if order.ended:
            return
        if not order.at_exchange:  # the exchange does not know it yet: the cancel has no effect
            order.unknown += 1
            if order.unknown >= _UNKNOWN_MAX:
                self._fail(order, "Order failed: MarketOrderFailureEvent", now_ns)
            return
        gone = self._exchange.cancel(ACCOUNT, order.exchange_id, now_ns)
        if not isinstance(gone, Refused):
            self._take(order, OrderState.CANCELLED, gone.report.fills, now_ns)

    # --- lists ------------------------------------------------------------------------------------------------------

    def active(self) -> list[ServerOrder]:
        """Return what the connector's memory holds for open, sorted by id."""
        if self._switches.blank_active:
            return []
        return sorted(
            (one for one in self.orders.values() if not one.ended and not one.strayed), key=lambda order: order.id
        )

    def recorded(self) -> list[ServerOrder]:
        """Return the database's orders, newest first."""
        if self._switches.database_down:
            return []
        rows = [order for order in self.orders.values() if order.in_database]
        return sorted(rows, key=lambda order: (order.recorded_at_ns, order.id), reverse=True)

    def row(self, order: ServerOrder, *, from_memory: bool, skew_ns: int) -> Json:
        """Return an order as a list shows it."""
        refused = order.status == "FAILED" and not from_memory
        last = order.fills[-1].price if order.fills else None
        created_ns = self.passed_at_ns if from_memory else order.recorded_at_ns
        return {
            "order_id": order.id,
            "account_name": self._setup.account,
            "connector_name": self._setup.connector,
            "trading_pair": "UNKNOWN" if refused else order.rules.pair,
            "trade_type": "UNKNOWN" if refused else order.side.name,
            "order_type": "UNKNOWN" if refused else order.kind,
            "amount": 0.0 if refused else number(order.amount),
            "price": None if refused or order.price is None else number(order.price),
            "status": order.status,
            "filled_amount": number(order.shown_filled),
            "average_fill_price": None if from_memory or last is None else number(last),
            "fee_paid": None if from_memory or not order.fees else number(order.fees),
            "fee_currency": None if from_memory or not order.fees else order.rules.quote,
            "created_at": instant(created_ns + skew_ns),
            "updated_at": instant(order.updated_at_ns + skew_ns),
            "exchange_order_id": order.exchange_id or None,
            "error_message": None if from_memory else order.error or None,
        }

    def trade_rows(self, skew_ns: int) -> list[Json]:
        """Return the database's trades, newest first; their times are those of the last pass."""
        if self._switches.database_down:
            return []
        rows = [
            {
                "trade_id": f"{order.id}_{fill.id}",
                "order_id": order.id,
                "account_name": self._setup.account,
                "connector_name": self._setup.connector,
                "trading_pair": order.rules.pair,
                "trade_type": order.side.name,
                "amount": number(fill.quantity),
                "price": number(fill.price),
                "fee_paid": number(sum((amount for _, amount in fill.fees), ZERO)),
                "fee_currency": order.rules.quote if fill.fees else None,
                "timestamp": instant(self.passed_at_ns + skew_ns),
            }
            for order in self.orders.values()
            for fill in order.fills
        ]
        return rows[::-1]

    def truth(self, order: ServerOrder) -> Json:
        """Return an order as the exchange holds it, whatever the server believes."""
        view = self._exchange.order(ACCOUNT, order.exchange_id)
        assert view is not None, f"the exchange has forgotten {order.exchange_id}"
        status = {OrderState.FILLED: "filled", OrderState.CANCELLED: "cancelled"}.get(view.state, "open")
        return {
            "id": order.id, "idempotencyKey": order.id, "status": status, "believed": order.status,
            "quantity": f"{order.amount:f}", "filledQuantity": f"{view.filled_quantity:f}",
            "fills": [{"quantity": f"{fill.quantity:f}", "price": f"{fill.price:f}"} for fill in view.fills],
        }  # fmt: skip

    @property
    def working(self) -> int:
        """How many orders the exchange holds."""
        return len(self._exchange.orders(ACCOUNT, working=True))


def _later(
    tasks: deque[tuple[int, Callable[[int], None]]], now_ns: int, delay_s: float, act: Callable[[int], None]
) -> None:
    due_ns = now_ns + round(delay_s * NS_PER_S)
    tasks.append((max(due_ns, tasks[-1][0]) if tasks else due_ns, act))


def quantised(rules: PairRules, amount: Decimal, price: Decimal | None) -> tuple[Decimal, Decimal | None]:
    """Return amount and price as the connector floors them, both sides alike."""
    floored = snap(amount, rules.lot, Rounding.DOWN)
    return floored, None if price is None else snap(price, rules.tick, Rounding.FLOOR)


def spec_of(rules: PairRules, side: Side, kind: str, amount: Decimal, price: Decimal | None) -> OrderSpec:
    """Return the terms for the exchange."""
    instrument = rules.instrument().id
    if kind == "MARKET":
        return OrderSpec(instrument, side, amount, OrderKind.MARKET)
    return OrderSpec(instrument, side, amount, OrderKind.LIMIT, price, post_only=kind == "LIMIT_MAKER")
