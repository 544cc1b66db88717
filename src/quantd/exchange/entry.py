"""Order entry: what a venue checks before it takes an order, and how accepted orders find their place.

Used by `Exchange`. Every answer is a value; a refusal changes nothing. Nothing is matched here.
"""

from collections.abc import Mapping
from decimal import Decimal

from quantd.domain.instruments import Instrument, InstrumentId, MarketStatus
from quantd.domain.numbers import on_step
from quantd.domain.orders import OrderKind, OrderSpec, TimeInForce
from quantd.exchange.accounts import AccountBook
from quantd.exchange.execution import Execution
from quantd.exchange.margin import MarginAccount
from quantd.exchange.market import MarketState
from quantd.exchange.orders import AT_ONCE, ExchangeOrder, new_order
from quantd.exchange.requests import Amended, Cancelled, NewOrder, OrderChange, Placed, Refused
from quantd.exchange.rules import ExchangeRules, SelfTrade

_OPEN = MarketStatus.OPEN
_MARKET = OrderKind.MARKET
_GTD = TimeInForce.GTD
_DAY = TimeInForce.DAY
_ALLOW = SelfTrade.ALLOW
_DAY_NS = 86_400_000_000_000
_NEEDS_PRICE = frozenset({OrderKind.LIMIT, OrderKind.STOP_LIMIT})
_NEEDS_TRIGGER = frozenset({OrderKind.STOP, OrderKind.STOP_LIMIT})
_CLOSED = {
    MarketStatus.CLOSED: "market_closed", MarketStatus.HALTED: "market_halted", MarketStatus.DELISTED: "delisted",
}  # fmt: skip


class OrderEntry:
    """Takes, changes and cancels orders."""

    def __init__(self, markets: Mapping[InstrumentId, MarketState], execution: Execution, rules: ExchangeRules) -> None:
        self._markets = markets
        self._execution = execution
        self._rules = rules

    def submit(self, account: AccountBook, request: NewOrder, now_ns: int) -> Placed | Refused:
        """Take a new order, or say why not."""
        spec = request.spec
        market = self._markets.get(spec.instrument)
        if market is None:
            return Refused("unknown_instrument", spec.instrument)
        client_id = request.client_order_id
        if client_id and client_id in account.by_client_id and self._rules.unique_client_order_ids:
            return Refused("duplicate_client_order_id", client_id)
        refusal = self._check(spec, market, now_ns)
        if refusal is not None:
            return refusal
        order = new_order(account, "", request, now_ns)
        code = self._check_status(order, market) or self._check_crossing(order, market)
        if code:
            return Refused(code, spec.instrument)
        code = account.admit(order, market, self._reference(order, market))
        if code:
            return Refused(code, spec.instrument)
        return self.place(order, market, now_ns)

    def place_forced(self, account: AccountBook, request: NewOrder, now_ns: int) -> ExchangeOrder:
        """Place an order of the exchange's own; it is due at once and passes no check."""
        market = self._markets[request.spec.instrument]
        order = new_order(account, "", request, now_ns)
        order.origin = "margin_call"
        self.place(order, market, now_ns)
        order.arrives_at_ns = now_ns
        self._execution.touch(order)
        return order

    def place(self, order: ExchangeOrder, market: MarketState, now_ns: int) -> Placed:
        """Give an admitted order its id and its place."""
        execution = self._execution
        order.id = execution.next_order_id()
        order.sequence = execution.next_sequence()
        order.arrives_at_ns = now_ns + self._rules.latency_ns
        if order.expires_at_ns is None and order.spec.time_in_force is _DAY:
            order.expires_at_ns = (now_ns // _DAY_NS + 1) * _DAY_NS
        order.account.add(order)
        self._settle_down(order, market)
        return Placed(order.id, order.report(now_ns))

    def _settle_down(self, order: ExchangeOrder, market: MarketState) -> None:
        """Let an order stand where it cannot trade now, else wait for the next event."""
        if order.price is None and not order.waits_for_trigger:
            market.arrive(order)
            market.busy = True
        else:
            stands = not self._rules.latency_ns and not order.at_once
            if stands and (order.waits_for_trigger or not self._is_marketable(order, market)):
                market.stand(order)
            else:
                market.arrive(order)
            market.refresh()
        if order.expires_at_ns is not None and order.expires_at_ns < market.next_expiry:
            market.next_expiry = order.expires_at_ns

    def _is_marketable(self, order: ExchangeOrder, market: MarketState) -> bool:
        """Tell whether a limit could trade at once with the market or a resting order."""
        limit = order.price
        assert limit is not None
        if market.event is None and not order.spec.post_only:
            return True
        for best in (market.best(order.is_buy), market.best_resting(order.is_buy)):
            if best is not None and (best <= limit if order.is_buy else best >= limit):
                return True
        return False

    def _reference(self, order: ExchangeOrder, market: MarketState) -> Decimal | None:
        """Return the price at which an order is reserved: its limit, its trigger, else the market's."""
        if order.price is not None:
            return order.price
        if order.trigger is not None:
            return order.trigger
        return market.reference(order.is_buy)

    # --- checks -----------------------------------------------------------------------------------------------------

    def _check(self, spec: OrderSpec, market: MarketState, now_ns: int) -> Refused | None:
        """Hold the terms against the instrument's rules."""
        instrument = market.instrument
        quantity = spec.quantity
        if quantity <= 0 or not on_step(quantity, instrument.lot):
            return Refused("bad_quantity", f"{quantity} is no positive multiple of {instrument.lot}")
        if instrument.min_quantity is not None and quantity < instrument.min_quantity:
            return Refused("below_minimum", f"{quantity}, at least {instrument.min_quantity}")
        if instrument.max_quantity is not None and quantity > instrument.max_quantity:
            return Refused("above_maximum", f"{quantity}, at most {instrument.max_quantity}")
        if spec.price is not None or spec.trigger is not None or spec.kind is not _MARKET:
            refusal = _check_prices(spec, market)
            if refusal is not None:
                return refusal
        if spec.post_only and (spec.kind is not OrderKind.LIMIT or spec.time_in_force in AT_ONCE):
            return Refused("unsupported", "post-only needs a limit that may rest")
        if spec.time_in_force is _GTD and spec.expires_at_ns is None:
            return Refused("bad_expiry", "good till date needs a date")
        if spec.expires_at_ns is not None and spec.expires_at_ns <= now_ns:
            return Refused("bad_expiry", "the expiry has passed")
        if instrument.min_notional is None and instrument.max_notional is None:
            return None
        return _check_notional(spec, market)

    def _check_status(self, order: ExchangeOrder, market: MarketState) -> str:
        """Return why the market's status does not admit an order."""
        status = market.status
        if status is _OPEN:
            return ""
        if status in _CLOSED:
            waits = self._rules.accept_when_closed and status is not MarketStatus.DELISTED
            return "" if waits and order.kind is not OrderKind.MARKET and not order.at_once else _CLOSED[status]
        if status is MarketStatus.POST_ONLY:
            return "" if order.spec.post_only else "post_only_market"
        if order.closes_only:
            return ""
        account = order.account
        if isinstance(account, MarginAccount):
            return "" if account.reducible(order) >= order.quantity else "reduce_only_market"
        return "reduce_only_market" if order.is_buy else ""

    def _check_crossing(self, order: ExchangeOrder, market: MarketState) -> str:
        """Return why an order may not cross: it is post-only, or it would meet its own account's."""
        if order.spec.post_only and self._is_marketable(order, market):
            return "would_cross"
        if self._rules.self_trade is _ALLOW or order.waits_for_trigger:
            return ""
        resting = market.sell_limits if order.is_buy else market.buy_limits
        opposite = [entry[2] for entry in resting] + [
            other for other in market.arrivals if other.is_buy is not order.is_buy
        ]
        for other in opposite:
            if other.account is order.account and other is not order and _cross(order.price, other.price, order.is_buy):
                return "self_trade"
        return ""

    # --- changes ----------------------------------------------------------------------------------------------------

    def _open_order(self, account: AccountBook, order_id: str) -> ExchangeOrder | Refused:
        order = account.open.get(order_id)
        if order is not None:
            return order
        return Refused("order_ended" if order_id in account.ended else "no_such_order", order_id)

    def cancel(self, account: AccountBook, order_id: str, now_ns: int) -> Cancelled | Refused:
        """Cancel a working order; an exit of a lot leaves the lot's protection with it."""
        order = self._open_order(account, order_id)
        if isinstance(order, Refused):
            return order
        market = self._markets[order.instrument]
        self._execution.cancel(order, market, "client", now_ns)
        self._execution.forget(order)
        if isinstance(account, MarginAccount) and order.lot in account.lots:
            account.drop_exit(account.lots[order.lot], order)
        market.refresh()
        return Cancelled(order.report(now_ns))

    def amend(self, account: AccountBook, order_id: str, change: OrderChange, now_ns: int) -> Amended | Refused:
        """Change a working order. A new price, trigger or a larger quantity loses the place in time."""
        order = self._open_order(account, order_id)
        if isinstance(order, Refused):
            return order
        market = self._markets[order.instrument]
        terms = _changed(order, change)
        if terms.quantity <= order.filled:
            return Refused("bad_quantity", f"{terms.quantity}, {order.filled} filled")
        if order.origin != "client" or order.kind is OrderKind.MARKET or (order.triggered and change.trigger):
            return Refused("unsupported", f"a {order.kind.value} order of {order.origin}")
        refusal = self._check(terms, market, now_ns)
        if refusal is not None:
            return refusal
        before = (order.quantity, order.price, order.trigger, order.expires_at_ns)
        moves = terms.price != order.price or terms.trigger != order.trigger or terms.quantity > order.quantity
        waited = order.place is market.arrivals
        market.remove(order)
        order.quantity, order.price = terms.quantity, terms.price
        order.trigger, order.expires_at_ns = terms.trigger, terms.expires_at_ns
        code = self._check_crossing(order, market) or account.readmit(order, market, before[:2])
        if code:
            order.quantity, order.price, order.trigger, order.expires_at_ns = before
        elif moves:
            order.sequence = self._execution.next_sequence()
            order.arrives_at_ns = now_ns + self._rules.latency_ns
        if moves and not code:
            self._settle_down(order, market)
        elif waited:
            market.arrive(order)
        else:
            market.stand(order)
        market.find_expiry()
        market.refresh()
        if code:
            return Refused(code, order_id)
        order.updated_at_ns = now_ns
        return Amended(order.report(now_ns))


def _cross(price: Decimal | None, other: Decimal | None, is_buy: bool) -> bool:
    """Tell whether a limit meets an opposite one; an order without a price meets all."""
    if price is None or other is None:
        return True
    return price >= other if is_buy else price <= other


def _changed(order: ExchangeOrder, change: OrderChange) -> OrderSpec:
    spec = order.spec
    return OrderSpec(
        spec.instrument, spec.side,
        order.quantity if change.quantity is None else change.quantity, spec.kind,
        order.price if change.price is None else change.price,
        order.trigger if change.trigger is None else change.trigger,
        spec.time_in_force, spec.post_only, spec.reduce_only, spec.effect,
        order.expires_at_ns if change.expires_at_ns is None else change.expires_at_ns,
    )  # fmt: skip


def _is_price(value: Decimal | None, instrument: Instrument) -> bool:
    return value is not None and value > 0 and on_step(value, instrument.tick(value))


def _check_prices(spec: OrderSpec, market: MarketState) -> Refused | None:
    """Check price and trigger: there where the kind needs them, on a tick, within the band."""
    instrument = market.instrument
    if (spec.kind in _NEEDS_PRICE) is not (spec.price is not None) or (
        spec.price is not None and not _is_price(spec.price, instrument)
    ):
        return Refused("bad_price", f"{spec.price} for a {spec.kind.value} order")
    if (spec.kind in _NEEDS_TRIGGER) is not (spec.trigger is not None) or (
        spec.trigger is not None and not _is_price(spec.trigger, instrument)
    ):
        return Refused("bad_trigger", f"{spec.trigger} for a {spec.kind.value} order")
    reference = market.mid()
    if instrument.price_band is not None and spec.price is not None and reference is not None:
        distance = abs(spec.price - reference)
        if distance > reference * instrument.price_band:
            return Refused("price_band", f"{spec.price} is more than {instrument.price_band} from {reference}")
    return None


def _check_notional(spec: OrderSpec, market: MarketState) -> Refused | None:
    """Check the worth at the order's price, else at the mid; what closes may be small."""
    instrument = market.instrument
    price = spec.price if spec.price is not None else spec.trigger if spec.trigger is not None else market.mid()
    if price is None:
        return None
    notional = instrument.notional(spec.quantity, price)
    if instrument.min_notional is not None and notional < instrument.min_notional:
        return Refused("below_min_notional", f"{notional}, at least {instrument.min_notional}")
    if instrument.max_notional is not None and notional > instrument.max_notional:
        return Refused("above_max_notional", f"{notional}, at most {instrument.max_notional}")
    return None
