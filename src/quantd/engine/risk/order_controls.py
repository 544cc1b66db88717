"""Controls of the single order: 1 to 10 of the list. Asked on every new order and every amendment."""

from collections import deque
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from quantd.domain.capabilities import Capabilities, Key, NoIdentity
from quantd.domain.instruments import InstrumentId, MarketStatus
from quantd.domain.numbers import BPS, on_step
from quantd.domain.orders import Effect, OperationKind, OrderKind, OrderSpec, Side
from quantd.engine.orders import LiveOrder
from quantd.engine.risk.gate import CancelWindow, Control, Scoped, Stateless
from quantd.engine.risk.limits import Limits
from quantd.engine.risk.wish import Denial, Denied, Wish


class WellFormed(Stateless):
    """Control 1: finite, positive, on tick and lot, within the instrument's own bounds."""

    number = 1
    guards_exits = True

    def check(self, wish: Wish) -> Denied | None:
        """See the class."""
        spec, rules = wish.spec, wish.instrument
        quantity = spec.quantity
        if not quantity.is_finite() or quantity <= 0:
            return wish.deny(Denial.MALFORMED, 1, "order", "a quantity above 0", quantity)
        if not on_step(quantity, rules.lot):
            return wish.deny(Denial.MALFORMED, 1, "order", f"a multiple of lot {rules.lot}", quantity)
        if rules.min_quantity is not None and quantity < rules.min_quantity:
            return wish.deny(Denial.MALFORMED, 1, "order", f"quantity >= {rules.min_quantity}", quantity)
        if rules.max_quantity is not None and quantity > rules.max_quantity:
            return wish.deny(Denial.MALFORMED, 1, "order", f"quantity <= {rules.max_quantity}", quantity)
        for price in (spec.price, spec.trigger):
            if price is None:
                continue
            if not price.is_finite() or price <= 0 or not on_step(price, rules.tick(price)):
                return wish.deny(Denial.MALFORMED, 1, "order", "a price above 0 on a tick", price)
        if wish.amends is not None and quantity < wish.amends.filled:
            return wish.deny(Denial.MALFORMED, 1, "order", f"quantity >= filled {wish.amends.filled}", quantity)
        return self._notional(wish)

    def _notional(self, wish: Wish) -> Denied | None:
        rules = wish.instrument
        named = wish.named_price
        if (rules.min_notional is None and rules.max_notional is None) or named is None or named <= 0:
            return None
        notional = rules.notional(wish.spec.quantity, named)
        if rules.min_notional is not None and notional < rules.min_notional:
            return wish.deny(Denial.MALFORMED, 1, "order", f"notional >= {rules.min_notional}", notional)
        if rules.max_notional is not None and notional > rules.max_notional:
            return wish.deny(Denial.MALFORMED, 1, "order", f"notional <= {rules.max_notional}", notional)
        return None


class OrderQuantity(Stateless):
    """Control 2: no uncommonly large quantity."""

    number = 2

    def __init__(self, scope: str, limit: Decimal) -> None:
        self._scope = scope
        self._limit = limit

    def check(self, wish: Wish) -> Denied | None:
        """See the class."""
        if wish.spec.quantity > self._limit:
            return wish.deny(Denial.ORDER_QUANTITY, 2, self._scope, self._limit, wish.spec.quantity)
        return None


class OrderNotional(Stateless):
    """Control 3: no uncommonly large value, in the base currency."""

    number = 3

    def __init__(self, scope: str, limit: Decimal) -> None:
        self._scope = scope
        self._limit = limit

    def check(self, wish: Wish) -> Denied | None:
        """See the class."""
        if wish.unit_value is None:
            return wish.deny(Denial.RATE_MISSING, 3, self._scope, self._limit, "no price or rate")
        value = wish.spec.quantity * wish.unit_value
        if value > self._limit:
            return wish.deny(Denial.ORDER_NOTIONAL, 3, self._scope, self._limit, value)
        return None


class PriceCollar(Stateless):
    """Control 4: no price far from the reference; the side that waits may be given more room."""

    number = 4

    def __init__(self, scope: str, active_bps: Decimal | None, passive_bps: Decimal | None) -> None:
        self._scope = scope
        self._active = active_bps
        self._passive = passive_bps

    def check(self, wish: Wish) -> Denied | None:
        """See the class."""
        reference = wish.reference
        if reference is None:
            return wish.deny(Denial.REFERENCE, 5, self._scope, "a reference price", "none")
        buying, trigger = wish.spec.side is Side.BUY, wish.spec.trigger
        price = estimated_price(wish)
        beyond = price - reference if buying else reference - price
        waits = beyond < 0
        if trigger is not None and (trigger > reference if buying else trigger < reference):
            waits = True
            past = price - trigger if buying else trigger - price  # what it may give away once it is triggered
            if self._active is not None and past > trigger * self._active * BPS:
                return wish.deny(Denial.PRICE_COLLAR, 4, self._scope, f"{self._active} bps", past / trigger / BPS)
        limit = self._passive if waits else self._active
        if limit is not None and abs(beyond) > reference * limit * BPS:
            return wish.deny(Denial.PRICE_COLLAR, 4, self._scope, f"{limit} bps", abs(beyond) / reference / BPS)
        return None


def estimated_price(wish: Wish) -> Decimal:
    """Return the price at which an order would trade: its limit, its trigger, or the touch that it takes."""
    spec, mark = wish.spec, wish.mark
    if spec.price is not None:
        return spec.price
    if spec.trigger is not None:
        return spec.trigger
    touch = mark.ask if spec.side is Side.BUY else mark.bid
    return Decimal(repr(touch))


class Reference(Stateless):
    """Control 5: the reference exists, is fresh, not crossed and has not jumped. Without it: denied."""

    number = 5

    def __init__(self, scope: str, max_age_s: float | None, max_jump_pct: Decimal | None) -> None:
        self._scope = scope
        self._max_age_ns = None if max_age_s is None else int(max_age_s * 1e9)
        self._max_jump = None if max_jump_pct is None else float(max_jump_pct) / 100

    def check(self, wish: Wish) -> Denied | None:
        """See the class."""
        mark = wish.mark
        if not mark.last > 0 or not mark.bid > 0 or not mark.ask > 0:
            return wish.deny(Denial.REFERENCE, 5, self._scope, "a two-sided price", "none")
        if mark.bid > mark.ask:
            return wish.deny(Denial.REFERENCE, 5, self._scope, "bid <= ask", f"{mark.bid} > {mark.ask}")
        if self._max_age_ns is not None and wish.now_ns - mark.at_ns > self._max_age_ns:
            age_s = (wish.now_ns - mark.at_ns) / 1e9
            return wish.deny(Denial.REFERENCE, 5, self._scope, f"{self._max_age_ns / 1e9} s", f"{age_s:.3f} s")
        if self._max_jump is not None and abs(mark.jump) > self._max_jump:
            return wish.deny(Denial.REFERENCE, 5, self._scope, f"{self._max_jump:.2%}", f"{mark.jump:.2%}")
        return None


class OrderType(Stateless):
    """Control 6: only types and times in force that are allowed, only in a market that takes them."""

    number = 6

    def __init__(self, limits: Iterable[tuple[str, Limits]]) -> None:
        self._limits = tuple(limits)

    def check(self, wish: Wish) -> Denied | None:
        """See the class."""
        spec, status = wish.spec, wish.mark.status
        if status is not MarketStatus.OPEN:
            waits = status is MarketStatus.POST_ONLY and spec.kind is OrderKind.LIMIT and spec.post_only
            if not waits:
                return wish.deny(Denial.SESSION, 6, f"instrument:{wish.instrument.id}", "open", status.value)
        for scope, limits in self._limits:
            if limits.order_types is not None and spec.kind not in limits.order_types:
                allowed = ", ".join(kind.value for kind in limits.order_types)
                return wish.deny(Denial.ORDER_TYPE, 6, scope, allowed, spec.kind.value)
            if limits.time_in_force is not None and spec.time_in_force not in limits.time_in_force:
                allowed = ", ".join(tif.value for tif in limits.time_in_force)
                return wish.deny(Denial.ORDER_TYPE, 6, scope, allowed, spec.time_in_force.value)
        return None


class Permission(Stateless):
    """Control 7: this strategy may open here, on this side."""

    number = 7

    def __init__(self, scope: str, limits: Limits) -> None:
        self._scope = scope
        self._limits = limits

    def check(self, wish: Wish) -> Denied | None:
        """See the class."""
        limits, side = self._limits, wish.spec.side
        if limits.restricted is not None and wish.instrument.id in limits.restricted:
            return wish.deny(Denial.PERMISSION, 7, self._scope, "not restricted", wish.instrument.id)
        if limits.sides is not None and side not in limits.sides:
            return wish.deny(Denial.PERMISSION, 7, self._scope, ", ".join(s.value for s in limits.sides), side.value)
        if limits.long_only and side is Side.SELL and wish.book.worst_short - wish.added < 0:
            return wish.deny(Denial.PERMISSION, 7, self._scope, "long only", wish.book.worst_short - wish.added)
        return None


class ReduceOnly(Stateless):
    """Control 8: what is flagged as reducing may neither open nor flip, all working exits counted."""

    number = 8
    guards_exits = True

    def check(self, wish: Wish) -> Denied | None:
        """See the class."""
        spec = wish.spec
        if (spec.reduce_only or spec.effect is Effect.CLOSE) and not wish.exit:
            held = wish.book.quantity
            working = wish.book.sells if spec.side is Side.SELL else wish.book.buys
            return wish.deny(Denial.REDUCE_ONLY, 8, "order", f"held {held}, exits working {working}", spec.quantity)
        return None


Terms = tuple[str, InstrumentId, Side, Decimal, OrderKind, Decimal | None]


def terms_of(strategy: str, spec: OrderSpec) -> Terms:
    """Return what makes two wishes the same."""
    return (strategy, spec.instrument, spec.side, spec.quantity, spec.kind, spec.price)


class Duplicate:
    """Control 9: the same wish of the same strategy twice in a short window."""

    number = 9
    guards_exits = False
    cancels: CancelWindow | None = None

    def __init__(self, scope: str, window_s: float) -> None:
        self._scope = scope
        self._window_ns = int(window_s * 1e9)
        self._seen: deque[tuple[int, Terms]] = deque()

    def check(self, wish: Wish) -> Denied | None:
        """See the class."""
        if wish.operation is not OperationKind.SUBMIT:
            return None
        seen = self._seen
        while seen and seen[0][0] + self._window_ns <= wish.now_ns:
            seen.popleft()
        terms = terms_of(wish.strategy, wish.spec)
        for at_ns, known in seen:
            if known == terms:
                age_s = (wish.now_ns - at_ns) / 1e9
                return wish.deny(Denial.DUPLICATE, 9, self._scope, f"{self._window_ns / 1e9} s", f"{age_s} s")
        return None

    def passed(self, wish: Wish) -> None:
        """Remember it."""
        if wish.operation is OperationKind.SUBMIT:
            self._seen.append((wish.now_ns, terms_of(wish.strategy, wish.spec)))

    def restored(self, order: LiveOrder) -> None:
        """Remember an order that a fold brought back."""
        self._seen.append((order.intended_at_ns, terms_of(order.strategy, order.spec)))


class Twin(Stateless):
    """Control 9, at venues that list nothing of ours: no two submits in flight that could not be told apart.

    A key stands in no list: once it is too old to be used again, its order is looked for by its terms, too.
    """

    number = 9
    guards_exits = True

    def __init__(self, capabilities: dict[str, Capabilities]) -> None:
        self._capabilities = capabilities

    def check(self, wish: Wish) -> Denied | None:
        """See the class."""
        known = self._capabilities.get(wish.instrument.venue)
        if known is None or not isinstance(known.identity, NoIdentity | Key):
            return None
        for order in wish.state.orders.open_orders(wish.instrument.id):
            if order is wish.amends or order.operation is None or order.operation.kind is not OperationKind.SUBMIT:
                continue
            if terms_of("", order.spec) == terms_of("", wish.spec):
                return wish.deny(Denial.BUSY, 9, "order", "no twin in flight", order.client_order_id)
        return None


class SelfMatch(Stateless):
    """Control 10: never trade with ourselves. For exits the resting order is always the one that goes."""

    number = 10
    guards_exits = True

    def __init__(self, scope: str, mode: str) -> None:
        self._scope = scope
        self._mode = mode

    def check(self, wish: Wish) -> Denied | None:
        """See the class."""
        for order in wish.state.orders.open_orders(wish.instrument.id):
            if order.spec.side is wish.spec.side or order.held or order is wish.amends:
                continue
            if wish.exit and order.is_unknown:
                continue  # nobody can cancel it, or say when it ends: no unknown outcome stops an exit
            if _crosses(wish, order):
                if self._mode == "cancel_oldest" or wish.exit:
                    wish.to_cancel.append(order)
                code = Denial.BUSY if wish.to_cancel else Denial.SELF_MATCH
                return wish.deny(code, 10, self._scope, self._mode, order.client_order_id)
        return None


def _crosses(wish: Wish, resting: LiveOrder) -> bool:
    mine, other = wish.spec.price, resting.spec.price
    if wish.spec.trigger is not None:
        return False
    if mine is None and other is not None and wish.exit:
        # An exit at market is not held up by an order of ours that lies behind the best price: it is not reached.
        touch = wish.mark.touch(wish.spec.side is Side.BUY)
        mine = touch if touch > 0 else None
    if mine is None or other is None:
        return True
    return mine >= other if wish.spec.side is Side.BUY else mine <= other


def order_controls(instrument: InstrumentId, scoped: Scoped) -> Iterable[Control]:
    """Make the controls of the single order for one (strategy, instrument), the cheapest and most telling first."""
    yield WellFormed()
    yield ReduceOnly()
    yield from (Reference(scope, limits.max_quote_age_s, None) for scope, limits in scoped("max_quote_age_s"))
    yield from (Reference(scope, None, limits.max_jump_pct) for scope, limits in scoped("max_jump_pct"))
    yield OrderType([*scoped("order_types"), *scoped("time_in_force")])
    for name in ("restricted", "sides", "long_only"):
        yield from (Permission(scope, limits) for scope, limits in scoped(name))
    for make, name in _BY_LIMIT:
        yield from (make(scope, getattr(limits, name)) for scope, limits in scoped(name))
    modes = scoped("self_match")
    if modes:
        # The innermost scope that says anything decides, before what holds for every order: a strategy may prefer to
        # give way.
        scope, limits = modes[1] if len(modes) > 1 else modes[0]
        yield SelfMatch(scope, limits.self_match or "deny")


_BY_LIMIT: tuple[tuple[Callable[[str, Any], Control], str], ...] = (
    (OrderQuantity, "max_order_quantity"),
    (OrderNotional, "max_order_notional"),
    (lambda scope, bps: PriceCollar(scope, bps, None), "price_collar_bps"),
    (lambda scope, bps: PriceCollar(scope, None, bps), "passive_collar_bps"),
    (Duplicate, "duplicate_window_s"),
)
