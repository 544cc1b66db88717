"""The order desk: creates, amends and cancels, and follows what the exchange did.

Used by the venue and the WebSocket API. It keeps the venue's own picture of each order, fed by the exchange's reports
and trades alone.
"""

from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from typing import Protocol

from quantd.domain.numbers import ZERO
from quantd.domain.orders import OrderKind, OrderSpec
from quantd.exchange import Exchange, ExchangeReport, NewOrder, OrderChange, Refused
from quantd.simulators.ripio.answers import (
    ALREADY_CANCELED,
    ALREADY_EXECUTED,
    BELOW_MINIMUM,
    FORBIDDEN,
    INSUFFICIENT_FUNDS,
    INVALID,
    NOT_FOUND,
    NS_PER_S,
    UNSUPPORTED,
    Problem,
)
from quantd.simulators.ripio.books import Books
from quantd.simulators.ripio.conditional import Conditional, drawn
from quantd.simulators.ripio.ids import uuid_of
from quantd.simulators.ripio.options import Switches
from quantd.simulators.ripio.order import CANCELED, COMPLETE, OPEN, PARTIAL, PENDING, VenueOrder
from quantd.simulators.ripio.pairs import Pair, Pairs
from quantd.simulators.ripio.tape import Tape, Traded
from quantd.simulators.ripio.terms import Terms, breach, check_steps, read_decimal, read_terms
from quantd.simulators.venue import Json

_REFUSALS = {
    "insufficient_balance": (INSUFFICIENT_FUNDS, "Funds insufficient"),
    "below_minimum": (BELOW_MINIMUM, "Minimum amount not reached"),
    "would_cross": (INVALID, "Order would be executed at once"),
    "no_price": (INVALID, "Not enough liquidity"),
    "bad_quantity": (INVALID, "Invalid order quantity"),
    "market_halted": (INVALID, "Pair is disabled"),
}
"""The venue's error by the exchange's; all others are invalid parameters."""
_AMENDABLE = ("limit", "stop_limit", "iceberg")


class Ear(Protocol):
    """Who wants to know what the desk has done."""

    def order_changed(self, order: VenueOrder, now_ns: int) -> None:
        """Take note of an order's new state."""

    def traded(self, traded: Traded, now_ns: int) -> None:
        """Take note of an execution."""

    def funds_moved(self, account: str, now_ns: int) -> None:
        """Take note that an account's balances may have changed."""


class OrderDesk:
    """All orders of all accounts."""

    def __init__(self, exchange: Exchange, pairs: Pairs, tape: Tape, *, switches: Switches, tag: str) -> None:
        self._exchange = exchange
        self.pairs = pairs
        self.tape = tape
        self._switches = switches
        self._tag = tag
        self.conditional = Conditional(exchange)
        self.books = Books(exchange, pairs, self.conditional.hidden)
        self.ear: Ear | None = None
        self.orders: dict[str, VenueOrder] = {}
        self.by_account: dict[str, list[VenueOrder]] = {}
        """In order of creation."""
        self.open: dict[str, VenueOrder] = {}
        self._by_exchange_id: dict[str, VenueOrder] = {}
        self._by_external_id: dict[tuple[str, str], VenueOrder] = {}
        """The newest of each."""
        self._seen_trades: Counter[str] = Counter()
        self.violations: Counter[str] = Counter()
        """What a client did that it should not."""
        self.counts: Counter[str] = Counter()

    # --- creating ---------------------------------------------------------------------------------------------------

    def create(self, body: Json, account: str, now_ns: int) -> Json:
        """Place an order and answer it in the short form.

        Raises:
            Problem: it is not taken.
        """
        self._may_trade()
        terms = read_terms(body, self.pairs, self.violations, now_ns + self.skew)
        if not terms.pair.enabled:
            raise Problem(INVALID, f"Pair {terms.pair.rules.symbol} is disabled")
        self._check_external_id(terms, account)
        self._check_variation(terms)
        spec = self._spec(terms)
        reference = spec.price or spec.trigger or self._best(terms.pair, terms.is_buy) or ZERO
        value = terms.value if terms.value is not None else spec.quantity * reference
        _check_value(terms.pair, value)
        answer = self._exchange.submit(account, NewOrder("", spec), now_ns)
        if isinstance(answer, Refused):
            self.counts[f"refused_{answer.code}"] += 1
            raise _refusal(answer)
        order = self._placed(VenueOrder(terms, account, spec.quantity, value), answer.venue_order_id, now_ns)
        if self._switches.match_at_once:
            self.follow(self._exchange.requote(spec.instrument, now_ns), now_ns)
        return {"id": order.id} if self._switches.short_create else order.created(self.status(order, now_ns), self.skew)

    def _placed(self, order: VenueOrder, exchange_id: str, now_ns: int) -> VenueOrder:
        order.exchange_id = exchange_id
        order.id = uuid_of(self._tag, f"order/{exchange_id}")
        order.place = len(self.orders) + 1
        order.created_at_ns = order.updated_at_ns = now_ns
        self.orders[order.id] = self.open[order.id] = self._by_exchange_id[exchange_id] = order
        self.by_account.setdefault(order.account, []).append(order)
        self.conditional.add(order)
        external_id = order.terms.external_id
        if external_id is None:
            self.violations["create_without_external_id"] += 1
        else:
            self._by_external_id[order.account, external_id] = order
        order.terms.pair.version += 1
        self.counts["created"] += 1
        self._tell(order, now_ns)
        return order

    def _check_external_id(self, terms: Terms, account: str) -> None:
        """Note an external_id that is known: taken all the same, unless the switch says otherwise."""
        if terms.external_id is None or (account, terms.external_id) not in self._by_external_id:
            return
        self.violations["repeated_external_id"] += 1
        if self._switches.unique_external_ids:
            raise Problem(INVALID, "external_id already exists")

    def _check_variation(self, terms: Terms) -> None:
        """Hold a limit against the best prices of the book, either way."""
        percent = terms.pair.rules.max_price_variation
        if percent is None or terms.price is None or terms.type not in ("limit", "iceberg"):
            return
        bid, ask = self._best(terms.pair, False), self._best(terms.pair, True)
        if bid is None or ask is None:
            return
        if not bid * (1 - percent / 100) <= terms.price <= ask * (1 + percent / 100):
            raise Problem(INVALID, f"Price varies by more than {percent:f}% from the best of the book")

    def _best(self, pair: Pair, asks: bool) -> Decimal | None:
        levels = self.books.levels(pair, 1)[asks]
        return levels[0][0] if levels else None

    def _spec(self, terms: Terms) -> OrderSpec:
        """Return the order in the exchange's words."""
        pair = terms.pair
        kind, price, trigger, amount = OrderKind.LIMIT, terms.price, terms.stop_price, terms.amount
        if terms.type in ("market", "ceiling"):
            kind = OrderKind.MARKET
            if amount is None:
                assert terms.value is not None
                amount = self.books.amount_for(pair, terms.is_buy, terms.value)
        elif terms.type == "stop_limit":
            kind = OrderKind.STOP_LIMIT
        elif terms.type == "trailing":
            assert terms.distance is not None
            start = terms.price or self._best(pair, terms.is_buy)
            if start is None:
                raise Problem(INVALID, "Not enough liquidity")
            kind, price, trigger = OrderKind.STOP, None, drawn(start, terms.distance, terms.is_buy)
            if trigger <= 0:
                raise breach(self.violations, "bad_distance", "distance must be less than the price")
        assert amount is not None
        return OrderSpec(
            pair.instrument.id, terms.side, amount, kind, price, trigger, terms.time_in_force, terms.post_only,
            expires_at_ns=None if terms.expires_at_ns is None else terms.expires_at_ns - self.skew,
        )  # fmt: skip

    # --- finding ----------------------------------------------------------------------------------------------------

    def find(self, order_id: str, account: str) -> VenueOrder:
        """Return an account's order by its id, in either case.

        Raises:
            Problem: there is none.
        """
        return _own(self.orders.get(order_id.upper()), account)

    def find_external(self, external_id: str, account: str) -> VenueOrder:
        """Return an account's newest order with an external id.

        Raises:
            Problem: there is none.
        """
        return _own(self._by_external_id.get((account, external_id)), account)

    def is_visible(self, order: VenueOrder, now_ns: int) -> bool:
        """Tell whether lists and look-ups know an order by now."""
        return now_ns >= order.created_at_ns + round(self._switches.look_up_lag_s * NS_PER_S)

    def seen(self, order: VenueOrder, now_ns: int) -> VenueOrder:
        """Return an order that look-ups know by now.

        Raises:
            Problem: they do not yet.
        """
        if not self.is_visible(order, now_ns):
            raise Problem(NOT_FOUND, "Order not found")
        return order

    def status(self, order: VenueOrder, now_ns: int) -> str:
        """Return an order's status as it is shown."""
        if order.status == CANCELED and order.filled and order.at_once and self._switches.stuck_partials:
            return PARTIAL
        pending_ns = round(self._switches.pending_creation_s * NS_PER_S)
        return PENDING if order.status == OPEN and now_ns < order.created_at_ns + pending_ns else order.status

    @property
    def skew(self) -> int:
        """Nanoseconds that are added to every time that is shown."""
        return round(self._switches.clock_skew_s * NS_PER_S)

    # --- cancelling and amending ------------------------------------------------------------------------------------

    def cancel(self, order: VenueOrder, now_ns: int) -> Json:
        """Cancel an order and answer it.

        Raises:
            Problem: it has ended.
        """
        self._may_trade()
        if order.status == CANCELED:
            self.counts["cancelled_too_late"] += 1
            raise Problem(ALREADY_CANCELED, "Order already canceled")
        if order.status == COMPLETE:
            self.counts["cancelled_too_late"] += 1
            raise Problem(ALREADY_EXECUTED, "Order already completely executed")
        self._take_out(order, now_ns)
        return order.canceled(order.status, self.skew)

    def cancel_all(self, symbol: str | None, account: str, now_ns: int) -> list[Json]:
        """Cancel all open orders, or those of a pair; says of each whether it is gone.

        Raises:
            Problem: there are none, or the pair is none.
        """
        self._may_trade()
        pair = self.pairs.find(symbol) if symbol is not None else None
        chosen = [
            order for order in self.open.values()
            if order.account == account and (pair is None or order.terms.pair is pair)
        ]  # fmt: skip
        if not chosen:
            raise Problem(ALREADY_EXECUTED, "No orders to cancel")
        left = {order.id for order in chosen[: self._switches.cancel_all_leaves]}
        for order in chosen:
            if order.id not in left:
                self._take_out(order, now_ns)
        return [
            {"order_id": order.id, "pair_code": order.symbol, "success": order.id not in left} for order in chosen
        ]  # fmt: skip

    def _take_out(self, order: VenueOrder, now_ns: int) -> None:
        self.counts["cancels"] += 1
        answer = self._exchange.cancel(order.account, order.exchange_id, now_ns)
        assert not isinstance(answer, Refused), f"{order.id} is open here and not in the exchange"
        self.follow([ExchangeReport(order.account, answer.report)], now_ns)

    def amend(self, order: VenueOrder, body: Json, now_ns: int) -> None:
        """Change an order's price, its amount or both; the amount is the new total (assumed).

        Raises:
            Problem: it has ended, is of a type without a price, or the new price would execute at once.
        """
        self._may_trade()
        if not order.is_open:
            raise Problem(ALREADY_CANCELED if order.status == CANCELED else ALREADY_EXECUTED, f"Order {order.status}")
        if order.terms.type not in _AMENDABLE:
            raise Problem(UNSUPPORTED, f"A {order.terms.type} order cannot be updated")
        price = read_decimal(body["unit_price"], "unit_price", self.violations) if "unit_price" in body else None
        amount = read_decimal(body["amount"], "amount", self.violations) if "amount" in body else None
        terms = order.terms
        check_steps(
            Terms(terms.pair, terms.type, terms.side, amount or order.amount, price=price,
                  step_amount=terms.step_amount),
            self.violations,
        )  # fmt: skip
        best = self._best(terms.pair, terms.is_buy)
        crosses = price is not None and best is not None and (price >= best if terms.is_buy else price <= best)
        if crosses and terms.type != "stop_limit":
            raise Problem(INVALID, "Order would be executed at once")
        _check_value(terms.pair, (amount or order.amount) * (price or order.price or ZERO))
        answer = self._exchange.amend(order.account, order.exchange_id, OrderChange(amount, price), now_ns)
        if isinstance(answer, Refused):
            raise _refusal(answer)
        order.amount, order.price = amount or order.amount, price or order.price
        order.updated_at_ns = now_ns
        order.terms.pair.version += 1
        self.counts["amended"] += 1
        if self.ear is not None:  # of an amended order no order_status is published (documented)
            self.ear.funds_moved(order.account, now_ns)

    def _may_trade(self) -> None:
        if self._switches.trading_blocked:
            raise Problem(FORBIDDEN, "Forbidden")

    # --- what the exchange did --------------------------------------------------------------------------------------

    def follow(self, reports: Iterable[ExchangeReport], now_ns: int) -> None:
        """Take in what the exchange reports, and tell it."""
        told = list(reports)
        for account in dict.fromkeys(one.account for one in told):
            self._collect(account, now_ns)
        for one in told:
            order = self._by_exchange_id[one.report.venue_order_id]
            order.take(one.report, now_ns)
            order.terms.pair.version += 1
            if not order.is_open:
                del self.open[order.id]
                self.conditional.drop(order)
                self.counts["filled" if order.status == COMPLETE else "cancelled"] += 1
            self._tell(order, now_ns)

    def _collect(self, account: str, now_ns: int) -> None:
        """Take in the trades of an account that have not been seen."""
        for trade in self._exchange.trades(account, self._seen_trades[account]):
            self._seen_trades[account] += 1
            order = self._by_exchange_id[trade.venue_order_id]
            order.add(trade)
            self.counts["fills"] += 1
            traded = self.tape.record(order, trade, self._by_exchange_id.get(trade.against))
            if self.ear is not None:
                self.ear.traded(traded, now_ns)

    def _tell(self, order: VenueOrder, now_ns: int) -> None:
        if self.ear is not None:
            self.ear.order_changed(order, now_ns)
            self.ear.funds_moved(order.account, now_ns)


def _own(order: VenueOrder | None, account: str) -> VenueOrder:
    if order is None or order.account != account:
        raise Problem(NOT_FOUND, "Order not found")
    return order


def _check_value(pair: Pair, value: Decimal) -> None:
    if value < pair.rules.min_value:
        raise Problem(BELOW_MINIMUM, "Minimum value not reached")


def _refusal(refused: Refused) -> Problem:
    code, words = _REFUSALS.get(refused.code, (INVALID, refused.code))
    return Problem(code, f"{words}: {refused.detail}" if refused.detail and code == INVALID else words)
