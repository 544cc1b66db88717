"""Boundaries of the single order and of messages in time: controls 1 to 11."""

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

from quantd.domain.market import Quote
from quantd.domain.orders import Side
from quantd.engine.orders import Order
from quantd.engine.risk import flow, order_controls, rate_age
from quantd.engine.risk.limits import Limits, RateLimit
from quantd.engine.risk.wish import Denial
from quantd.testing.builders import BTC, SECOND_NS, Rig, make_instrument
from tests.unit.risk.cases import (
    AROUND_5,
    BUY,
    SCOPES,
    SELL,
    Answer,
    Cases,
    D,
    by_price,
    by_quantity,
    grown,
    moved,
    place,
    resting,
    with_limits,
)

cases = Cases()


# -- 1: the instrument's own bounds ---------------------------------------------------------------------------------
for bound, levels in (
    ({"max_quantity": D(5)}, AROUND_5),
    ({"min_quantity": D(5)}, ("5.001", "5", "4.999")),
    ({"max_notional": D(500)}, AROUND_5),
    ({"min_notional": D(500)}, ("5.001", "5", "4.999")),
):
    name = next(iter(bound))
    start = "6" if name.startswith("min") else "0.5"

    def listed(bound: dict[str, Any] = bound) -> Rig:
        return Rig(instruments=[make_instrument(**bound)])

    cases.add(
        f"instrument-{name}",
        order_controls.WellFormed,
        Denial.MALFORMED,
        rig=listed,
        levels=levels,
        new=by_quantity(),
        amend=grown(start=start),
        scope="order",
    )

# -- 2, 3: quantity and value of one order ---------------------------------------------------------------------------
for scope in ("order", "strategy:s1", f"instrument:{BTC}"):
    cases.add(
        f"order-quantity-{scope}",
        order_controls.OrderQuantity,
        Denial.ORDER_QUANTITY,
        rig=with_limits(scope, max_order_quantity=D(5)),
        levels=AROUND_5,
        new=by_quantity(),
        amend=grown(),
        scope=scope,
    )
for scope in SCOPES:
    cases.add(
        f"order-notional-{scope}",
        order_controls.OrderNotional,
        Denial.ORDER_NOTIONAL,
        rig=with_limits(scope, max_order_notional=D(500)),
        levels=AROUND_5,
        new=by_quantity(),
        amend=grown(),
        scope=scope,
    )
cases.add(
    "order-notional-sell-below-the-market-counts-at-the-market",
    order_controls.OrderNotional,
    Denial.ORDER_NOTIONAL,
    rig=with_limits("account", max_order_notional=D(500)),
    levels=AROUND_5,
    new=by_quantity(SELL, "99"),
    amend=grown(SELL, price="99"),
)
cases.add(
    "order-notional-price-raised",
    order_controls.OrderNotional,
    Denial.ORDER_NOTIONAL,
    rig=with_limits("account", max_order_notional=D(101)),
    levels=("100.99", "101", "101.01"),
    new=by_price(BUY),
    amend=moved(BUY, "90"),
)

# -- 4: price collar -------------------------------------------------------------------------------------------------
for scope in SCOPES:
    for side, levels in ((BUY, ("100.99", "101", "101.01")), (SELL, ("99.01", "99", "98.99"))):
        cases.add(
            f"collar-{side.value}-{scope}",
            order_controls.PriceCollar,
            Denial.PRICE_COLLAR,
            rig=with_limits(scope, price_collar_bps=D(100)),
            levels=levels,
            new=by_price(side),
            amend=moved(side, "100"),
            scope=scope,
        )
for side, levels in ((BUY, ("90.01", "90", "89.99")), (SELL, ("109.99", "110", "110.01"))):
    cases.add(
        f"passive-collar-{side.value}",
        order_controls.PriceCollar,
        Denial.PRICE_COLLAR,
        rig=with_limits("account", passive_collar_bps=D(1_000)),
        levels=levels,
        new=by_price(side),
        amend=moved(side, "100"),
        scope="account",
    )

# -- 5: reference ----------------------------------------------------------------------------------------------------


def aged(act: Callable[[Rig], Answer]) -> Callable[[Rig, str], Answer]:
    """Return what happens when the quote is as many nanoseconds old as the level says."""

    def after(rig: Rig, level: str) -> Answer:
        rig.now_ns += int(level)
        return act(rig)

    return after


def amended_when_aged(rig: Rig, level: str) -> Answer:
    """Amend when the quote is that old."""
    order = resting(rig, BUY, "1", "100")
    rig.now_ns += int(level)
    answer: Answer = rig.do(lambda s: s.amend(order, quantity=D(2)))
    return answer


def jumped(rig: Rig, level: str) -> None:
    """Quote the level."""
    rig.handle(Quote(BTC, float(level), float(level), rig.now_ns))


def new_after_jump(rig: Rig, level: str) -> Answer:
    """Place after a jump."""
    jumped(rig, level)
    return place(rig, BUY, "1", level)


def amend_after_jump(rig: Rig, level: str) -> Answer:
    """Amend after a jump."""
    order = resting(rig, BUY, "1", "100")
    jumped(rig, level)
    answer: Answer = rig.do(lambda s: s.amend(order, quantity=D(2)))
    return answer


for scope in SCOPES:
    cases.add(
        f"quote-age-{scope}",
        order_controls.Reference,
        Denial.REFERENCE,
        rig=with_limits(scope, max_quote_age_s=10.0),
        levels=(str(10 * SECOND_NS - 1), str(10 * SECOND_NS), str(10 * SECOND_NS + 1)),
        new=aged(lambda rig: place(rig, BUY, "1", "100")),
        amend=amended_when_aged,
        scope=scope,
    )
    cases.add(
        f"jump-{scope}",
        order_controls.Reference,
        Denial.REFERENCE,
        rig=with_limits(scope, {"defaults": Limits()}, max_jump_pct=D(25)),
        levels=("124.99", "125", "125.01"),
        new=new_after_jump,
        amend=amend_after_jump,
        scope=scope,
    )

# -- 5: rates --------------------------------------------------------------------------------------------------------


def rate_aged(rig: Rig, level: str) -> None:
    """Let the rate of EUR be as many nanoseconds old as the level says; all else is fresh."""
    rig.quote(1.1, instrument=EURO)
    rig.now_ns += int(level)
    rig.quote(100)
    rig.quote(100, instrument=ETHER)


def new_by_aged_rate(rig: Rig, level: str) -> Answer:
    """Place beside an exposure in euros."""
    rig.hold(1, instrument=ETHER)
    rate_aged(rig, level)
    return place(rig, BUY, "1", "100")


def amended_by_aged_rate(rig: Rig, level: str) -> Answer:
    """Amend beside an exposure in euros."""
    rig.hold(1, instrument=ETHER)
    order = resting(rig, BUY, "1", "100")
    rate_aged(rig, level)
    answer: Answer = rig.do(lambda s: s.amend(order, quantity=D(2)))
    return answer


EURO, ETHER = "paper:EUR-USD", "paper:ETH-EUR"
for scope in SCOPES:
    valued: dict[str, Any] = {
        "instruments": [make_instrument(), make_instrument(ETHER), make_instrument(EURO)],
        "balances": {"USD": 1_000_000, "EUR": 1_000_000, "BTC": 10, "ETH": 10},
    }
    cases.add(
        f"rate-age-{scope}",
        rate_age.RateAge,
        Denial.RATE_STALE,
        rig=with_limits(scope, valued, max_rate_age_s=10.0, max_order_notional=D(1_000_000)),
        levels=(str(10 * SECOND_NS - 1), str(10 * SECOND_NS), str(10 * SECOND_NS + 1)),
        new=new_by_aged_rate,
        amend=amended_by_aged_rate,
        scope=scope,
    )

# -- 7, 8: what a strategy may sell ----------------------------------------------------------------------------------


def holding(quantity: str, make: Callable[[], Rig]) -> Callable[[], Rig]:
    """Return a rig in which s1 holds so much."""

    def made() -> Rig:
        rig = make()
        rig.hold(quantity)
        return rig

    return made


for scope in SCOPES:
    cases.add(
        f"long-only-{scope}",
        order_controls.Permission,
        Denial.PERMISSION,
        rig=holding("5", with_limits(scope, long_only=True)),
        levels=AROUND_5,
        new=by_quantity(SELL),
        amend=grown(SELL),
        scope=scope,
    )


def reduce_beside_another(rig: Rig, level: str) -> Answer:
    """Reduce while another exit of 1 works."""
    resting(rig, SELL, "1", "110")
    return place(rig, SELL, level, "105", reduce_only=True)


def amend_beside_another(rig: Rig, level: str) -> Answer:
    """Amend one exit while another of 1 works."""
    resting(rig, SELL, "1", "110")
    order = resting(rig, SELL, "0.5", "105", reduce_only=True)
    answer: Answer = rig.do(lambda s: s.amend(order, quantity=D(level)))
    return answer


cases.add(
    "reduce-only-counts-working-exits",
    order_controls.ReduceOnly,
    Denial.REDUCE_ONLY,
    rig=holding("6", Rig),
    levels=AROUND_5,
    new=reduce_beside_another,
    amend=amend_beside_another,
    scope="order",
)

# -- 9: duplicates ---------------------------------------------------------------------------------------------------


def again_after(rig: Rig, level: str) -> Answer:
    """Repeat an order after so many nanoseconds."""
    resting(rig, BUY, "1", "99")
    rig.now_ns += int(level)
    return place(rig, BUY, "1", "99")


for scope in SCOPES:
    cases.add(
        f"duplicate-{scope}",
        order_controls.Duplicate,
        Denial.DUPLICATE,
        rig=with_limits(scope, duplicate_window_s=5.0),
        levels=(str(5 * SECOND_NS + 1), str(5 * SECOND_NS), str(5 * SECOND_NS - 1)),
        new=again_after,
        scope=scope,
    )

# -- 10: self match --------------------------------------------------------------------------------------------------


def against_own(rig: Rig, level: str) -> Answer:
    """Buy at the level while another strategy's offer rests at 101."""
    rig.accept(rig.live(place_ok(rig, SELL, "1", "101", "s2")))
    return place(rig, BUY, "1", level)


def place_ok(rig: Rig, side: Side, quantity: str, price: str, strategy: str = "s1") -> Order:
    """Place what must pass."""
    order = place(rig, side, quantity, price, strategy)
    assert isinstance(order, Order), f"denied: {order}"
    return order


def moved_against_own(rig: Rig, level: str) -> Answer:
    """Amend a bid to the level while another strategy's offer rests at 101."""
    rig.accept(place_ok(rig, SELL, "1", "101", "s2"))
    order = resting(rig, BUY, "1", "95")
    answer: Answer = rig.do(lambda s: s.amend(order, price=D(level)))
    return answer


for scope in SCOPES:
    cases.add(
        f"self-match-{scope}",
        order_controls.SelfMatch,
        Denial.SELF_MATCH,
        rig=with_limits(scope, {"defaults": Limits()}, self_match="deny"),
        levels=("100.98", "100.99", "101"),
        new=against_own,
        amend=moved_against_own,
        scope=scope,
    )

# -- 11: messages in time --------------------------------------------------------------------------------------------


def nth_order(rig: Rig, level: str) -> Answer:
    """Return the answer to the n-th order within the window."""
    answers = [place(rig, BUY, "1", f"9{number}") for number in range(int(level))]
    return answers[-1]


def _amend(strategy: Any, order: Order, quantity: Decimal) -> Any:
    return strategy.amend(order, quantity=quantity)


def nth_amendment(rig: Rig, level: str) -> Answer:
    """Return the answer to the n-th amendment within the window."""
    order = resting(rig, BUY, "1", "90")
    answers: list[Answer] = []
    for number in range(int(level)):
        answers.append(rig.do(partial(_amend, order=order, quantity=D(2 + number))))
        if rig.live(order).operation is not None:
            rig.accept(order)
    return answers[-1]


for scope in ("strategy:s1", "venue:paper", "account"):
    rate = RateLimit(count=3, per_s=1.0)
    cases.add(
        f"message-rate-{scope}",
        flow.MessageRate,
        Denial.MESSAGE_RATE,
        rig=with_limits(scope, submit_rate=rate, amend_rate=rate),
        levels=("2", "3", "4"),
        new=nth_order,
        amend=nth_amendment,
        scope=scope,
    )
