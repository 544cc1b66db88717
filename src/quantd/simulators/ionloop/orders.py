"""The order desk: creates, looks up, lists and cancels, and tells the world what the exchange did.

Used by the venue. It keeps the venue's own picture of each order, fed by the exchange's reports alone.
"""

from collections import Counter, deque
from collections.abc import Iterable
from decimal import Decimal

from quantd.domain.fills import Fill
from quantd.domain.numbers import ZERO
from quantd.domain.orders import OrderState
from quantd.domain.reports import OrderReport
from quantd.exchange import Exchange, ExchangeReport, NewOrder, Placed, Refused
from quantd.simulators.ionloop.envelope import NS_PER_S, Problem, instant, plain
from quantd.simulators.ionloop.ledger import Ledger
from quantd.simulators.ionloop.markets import Markets
from quantd.simulators.ionloop.options import ApiKey, Switches
from quantd.simulators.ionloop.routes import Asked
from quantd.simulators.ionloop.terms import Terms, read_page, read_terms
from quantd.simulators.ionloop.webhooks import Webhooks
from quantd.simulators.venue import Json

PAGE_SIZE = 50
_STATES = ("open", "filled", "cancelled")
_REFUSALS = {
    "insufficient_balance": "INSUFFICIENT_BALANCE",
    "market_closed": "MARKET_CLOSED",
    "market_halted": "MARKET_CLOSED",
    "post_only_market": "MARKET_CLOSED",
    "delisted": "NOT_FOUND",
    "bad_quantity": "VALIDATION_ERROR",
    "bad_price": "VALIDATION_ERROR",
    "below_minimum": "VALIDATION_ERROR",
}
"""The venue's code by the exchange's; all others are ORDER_REJECTED."""


class VenueOrder:
    """One order as the venue shows it."""

    __slots__ = (
        "account",
        "average",
        "cancel_at_ns",
        "created_at_ns",
        "fees",
        "filled",
        "fills",
        "id",
        "key",
        "status",
        "terms",
        "updated_at_ns",
    )  # fmt: skip

    def __init__(self, order_id: str, account: str, terms: Terms, now_ns: int) -> None:
        self.id = order_id
        self.account = account
        self.terms = terms
        self.created_at_ns = self.updated_at_ns = now_ns
        self.key = ""
        """Its Idempotency-Key."""
        self.status = "open"
        self.filled = ZERO
        self.average: Decimal | None = None
        self.fees: tuple[tuple[str, Decimal], ...] = ()
        self.fills: list[Fill] = []
        self.cancel_at_ns: int | None = None
        """When a cancel that was answered takes effect."""

    def take(self, report: OrderReport, now_ns: int) -> None:
        """Follow the exchange."""
        self.filled = report.filled_quantity
        self.average = report.average_price
        self.fees = report.fees or ()
        self.fills += report.fills
        self.updated_at_ns = now_ns
        if report.state is OrderState.FILLED:
            self.status = "filled"
        elif report.state not in (OrderState.WORKING, OrderState.PARTIALLY_FILLED):
            self.status = "cancelled"


class OrderDesk:
    """All orders of all accounts."""

    def __init__(
        self, exchange: Exchange, markets: Markets, webhooks: Webhooks, ledger: Ledger, *, switches: Switches
    ) -> None:
        self._exchange = exchange
        self._markets = markets
        self._webhooks = webhooks
        self._ledger = ledger
        self._switches = switches
        self.orders: dict[str, VenueOrder] = {}
        self._open: dict[str, VenueOrder] = {}
        self._cancelling: list[VenueOrder] = []
        self._keys: set[tuple[str, str]] = set()
        self._recent: deque[tuple[int, tuple[object, ...], str]] = deque()
        self.violations: Counter[str] = Counter()
        """What a client did that it should not."""
        self.counts: Counter[str] = Counter()

    # --- routes -----------------------------------------------------------------------------------------------------

    def create(self, asked: Asked, key: ApiKey, now_ns: int) -> Json:
        """Answer route 5.

        Raises:
            Problem: the order is not taken.
        """
        if self._switches.trading_blocked:
            raise Problem("FORBIDDEN", "Account may not trade")
        terms = read_terms(asked, self._markets, self._switches, self.violations)
        market = terms.market
        if market.word != "online" or self._switches.matching_engine == "down":
            raise Problem("MARKET_CLOSED", f"{market.rules.symbol} is {market.word}")
        answer = self._exchange.submit(key.account, NewOrder("", terms.spec), now_ns)
        if isinstance(answer, Refused):
            self.counts[f"refused_{answer.code}"] += 1
            raise Problem(_REFUSALS.get(answer.code, "ORDER_REJECTED"), f"{answer.code}: {answer.detail}")
        order = self._placed(answer, asked, key, terms, now_ns)
        if self._switches.fill_at_once:
            self.follow(self._exchange.requote(market.instrument.id, now_ns), now_ns)
        return self.shown(order)

    def _placed(self, answer: Placed, asked: Asked, key: ApiKey, terms: Terms, now_ns: int) -> VenueOrder:
        order = VenueOrder(answer.venue_order_id, key.account, terms, now_ns)
        order.key = asked.headers.get("idempotency-key", "")
        self._watch(order, now_ns)
        self.orders[order.id] = self._open[order.id] = order
        self.counts["created"] += 1
        terms.market.sequence += 1
        self._webhooks.emit(key.account, "order.created", _notice(order), now_ns)
        return order

    def _watch(self, order: VenueOrder, now_ns: int) -> None:
        """Hold against a client what looks like one intent placed twice."""
        spec = order.terms.spec
        terms = (order.account, spec.instrument, spec.side, spec.quantity, spec.price)
        while self._recent and self._recent[0][0] <= now_ns - NS_PER_S:
            self._recent.popleft()
        same = [key for _, other, key in self._recent if other == terms]
        if not order.key:
            self.violations["create_without_key"] += 1
            if same:
                self.violations["duplicate_order"] += 1
        elif (order.account, order.key) in self._keys:
            self.violations["duplicate_under_one_key"] += 1
        self._keys.add((order.account, order.key))
        self._recent.append((now_ns, terms, order.key))

    def find(self, order_id: str, key: ApiKey, now_ns: int) -> VenueOrder:
        """Return an order of the key's account.

        Raises:
            Problem: there is none, or it is another account's, or it cannot be seen yet.
        """
        order = self.orders.get(order_id)
        if order is None or order.account != key.account or not self._is_visible(order, now_ns):
            raise Problem("NOT_FOUND", f"Unknown order {order_id[:64]}")
        return order

    def _is_visible(self, order: VenueOrder, now_ns: int) -> bool:
        return now_ns >= order.created_at_ns + round(self._switches.look_up_lag_s * NS_PER_S)

    def listed(self, asked: Asked, key: ApiKey, now_ns: int) -> Json:
        """Answer route 6.

        Raises:
            Problem: a filter or a page is none.
        """
        wanted = asked.query.get("status", ",".join(_STATES)).split(",")
        if any(state not in _STATES for state in wanted):
            raise Problem("VALIDATION_ERROR", f"status must be some of {', '.join(_STATES)}")
        page, size = read_page(asked, PAGE_SIZE)
        symbol = asked.query.get("symbol")
        if symbol is not None:
            self._markets.find(symbol)
        pool = self._open if wanted == ["open"] else self.orders
        rows = [
            order for order in reversed(pool.values())
            if order.account == key.account and order.status in wanted
            and symbol in (None, order.terms.market.rules.symbol) and self._is_visible(order, now_ns)
        ]  # fmt: skip
        return {
            "items": [_row(order) for order in rows[(page - 1) * size : page * size]],
            "page": page,
            "pageSize": size,
        }

    def cancel(self, order_id: str, key: ApiKey, now_ns: int) -> Json:
        """Answer route 8.

        Raises:
            Problem: there is no such order, or it has ended.
        """
        if self._switches.trading_blocked:
            raise Problem("FORBIDDEN", "Account may not trade")
        order = self.find(order_id, key, now_ns)
        if order.status != "open" or order.cancel_at_ns is not None:
            self.counts["cancelled_too_late"] += 1
            raise Problem("ORDER_REJECTED", f"Already terminal: {order.status}")
        self.counts["cancels"] += 1
        lag_ns = round(self._switches.cancel_lag_s * NS_PER_S)
        if lag_ns:
            order.cancel_at_ns = now_ns + lag_ns
            self._cancelling.append(order)
        else:
            self._take_out(order, now_ns)
        return {"id": order.id, "status": "cancelled", "cancelledAt": self.time(now_ns)}

    def _take_out(self, order: VenueOrder, now_ns: int) -> None:
        answer = self._exchange.cancel(order.account, order.id, now_ns)
        if isinstance(answer, Refused):
            return  # it was filled before the engine came to the cancel
        self.follow([ExchangeReport(order.account, answer.report)], now_ns)

    def advance(self, now_ns: int) -> None:
        """Let the cancels take effect whose time has come."""
        for order in [order for order in self._cancelling if (order.cancel_at_ns or 0) <= now_ns]:
            self._cancelling.remove(order)
            if order.status == "open":
                self._take_out(order, now_ns)

    # --- what the exchange did --------------------------------------------------------------------------------------

    def follow(self, reports: Iterable[ExchangeReport], now_ns: int) -> None:
        """Take in what the exchange reports, write the ledger and tell by webhook."""
        for told in reports:
            order = self.orders[told.report.venue_order_id]
            order.take(told.report, now_ns)
            order.terms.market.sequence += 1
            for fill in told.report.fills:
                self._trade(order, fill, now_ns)
            if order.status == "open":
                self._webhooks.emit(order.account, "order.updated", _notice(order), now_ns)
            else:
                self._end(order, now_ns)

    def _trade(self, order: VenueOrder, fill: Fill, now_ns: int) -> None:
        symbol = order.terms.market.rules.symbol
        fee = sum((amount for _, amount in fill.fees), ZERO)
        self.counts["fills"] += 1
        order.terms.market.note_trade(fill.quantity, now_ns)
        told = {
            "tradeId": fill.id, "orderId": order.id, "symbol": symbol, "side": order.terms.spec.side.value,
            "quantity": plain(fill.quantity), "price": plain(fill.price), "fee": plain(fee),
        }  # fmt: skip
        self._webhooks.emit(order.account, "trade.executed", told, now_ns)
        if self._switches.transaction_per_fill:
            self._ledger.trade(order.account, symbol, fill.quantity, fee, now_ns)

    def _end(self, order: VenueOrder, now_ns: int) -> None:
        del self._open[order.id]
        self.counts[order.status] += 1
        if order.filled and not self._switches.transaction_per_fill:
            fee = sum((amount for _, amount in order.fees), ZERO)
            self._ledger.trade(order.account, order.terms.market.rules.symbol, order.filled, fee, now_ns)
        self._webhooks.emit(order.account, f"order.{order.status}", _notice(order), now_ns)

    # --- how it is shown --------------------------------------------------------------------------------------------

    def time(self, at_ns: int) -> str:
        """Return a time as the venue's clock shows it."""
        return instant(at_ns + round(self._switches.clock_skew_s * NS_PER_S))

    def shown(self, order: VenueOrder) -> Json:
        """Return an order as create and get answer it."""
        return {
            "id": order.id, "symbol": order.terms.market.rules.symbol, "side": order.terms.spec.side.value,
            "type": "limit", "status": order.status, "quantity": order.terms.quantity,
            "filledQuantity": plain(order.filled), "price": order.terms.price,
            "createdAt": self.time(order.created_at_ns),
        }  # fmt: skip

    def state(self) -> list[Json]:
        """Return all orders exactly."""
        return [
            {
                **self.shown(order),
                "account": order.account,
                "idempotencyKey": order.key,
                "createdAtNs": order.created_at_ns,
                "updatedAtNs": order.updated_at_ns,
                "averagePrice": None if order.average is None else plain(order.average),
                "fees": {asset: plain(amount) for asset, amount in order.fees},
                "fills": [
                    {
                        "id": fill.id, "quantity": plain(fill.quantity), "price": plain(fill.price),
                        "fees": {asset: plain(amount) for asset, amount in fill.fees},
                        "liquidity": fill.liquidity.value, "occurredAtNs": fill.occurred_at_ns,
                    }
                    for fill in order.fills
                ],
            }
            for order in self.orders.values()
        ]  # fmt: skip

    @property
    def working(self) -> int:
        """How many orders are open."""
        return len(self._open)


def _row(order: VenueOrder) -> Json:
    """Return an order as lists show it: neither price nor type nor time."""
    return {
        "id": order.id, "symbol": order.terms.market.rules.symbol, "side": order.terms.spec.side.value,
        "status": order.status, "quantity": order.terms.quantity, "filledQuantity": plain(order.filled),
    }  # fmt: skip


def _notice(order: VenueOrder) -> Json:
    """Return what a webhook tells of an order."""
    told = {
        "orderId": order.id, "symbol": order.terms.market.rules.symbol, "status": order.status,
        "filledQuantity": plain(order.filled),
    }  # fmt: skip
    if order.average is not None:
        told["averagePrice"] = plain(order.average)
    return told
