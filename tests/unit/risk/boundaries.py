"""The boundary of every limit, as data: what lies below it, at it and above it, for new orders and for amendments.

`CASES` is read by the boundary tests and by the check that a disabled control does not go unnoticed. Quantities and
prices are text; the market is at 100, the lot 0.001, the tick 0.01.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Any

from quantd.domain.market import Quote
from quantd.domain.orders import Limit, Market, Side
from quantd.engine.orders import Order
from quantd.engine.risk import exposure, flow, order_controls
from quantd.engine.risk.limits import Limits, RateLimit, RiskSettings
from quantd.engine.risk.wish import Denial, Denied
from quantd.testing.builders import BTC, SECOND_NS, Rig, make_instrument

D = Decimal
Answer = Order | Denied
SCOPES = ("order", "strategy:s1", f"instrument:{BTC}", "venue:paper", "account")


def rig_with(scope: str, limits: Limits, **rig: Any) -> Rig:
    """Return a rig in which these limits stand in one scope."""
    kind = scope.partition(":")[0]
    plain: dict[str, Any] = {"base_currency": "USD"}
    if kind == "order":
        return Rig(risk=RiskSettings(**plain, order=limits), **rig)
    if kind == "strategy":
        return Rig(risk=RiskSettings(**plain), limits={"s1": limits}, **rig)
    if kind == "instrument":
        return Rig(risk=RiskSettings(**plain, instruments={BTC: limits}), **rig)
    if kind == "venue":
        return Rig(risk=RiskSettings(**plain, venues={"paper": limits}), **rig)
    return Rig(risk=RiskSettings(**plain, account=limits), **rig)


def place(rig: Rig, side: Side, quantity: str, price: str | None, strategy: str = "s1", **how: Any) -> Answer:
    """Send an order at a limit, or at market without a price."""
    wanted = Market(**how) if price is None else Limit(D(price), **how)

    def script(strategy: Any) -> Any:
        return (strategy.buy if side is Side.BUY else strategy.sell)(BTC, D(quantity), wanted)

    answer: Answer = rig.do(script, strategy)
    return answer


def resting(rig: Rig, side: Side, quantity: str, price: str, **how: Any) -> Order:
    """Place an order that the venue accepts."""
    order = place(rig, side, quantity, price, **how)
    assert isinstance(order, Order), f"the order before the amendment was denied: {order}"
    rig.accept(order)
    return order


@dataclass(frozen=True)
class Case:
    """One limit in one scope."""

    name: str
    control: type
    code: Denial
    rig: Callable[[], Rig]
    levels: tuple[str, str, str]
    """Below, at and above the limit: quantities, prices or seconds, as `new` and `amend` read them."""
    new: Callable[[Rig, str], Answer]
    amend: Callable[[Rig, str], Answer] | None = None
    """None where the control has no say in amendments."""
    scope: str | None = None
    """What the denial names, None where it is not checked."""

    def __str__(self) -> str:
        """Name the case in the test's id."""
        return self.name


@dataclass
class _Cases:
    """Collects cases."""

    found: list[Case] = field(default_factory=list)

    def add(self, name: str, control: type, code: Denial, **rest: Any) -> None:
        self.found.append(Case(name, control, code, **rest))


cases = _Cases()


def by_quantity(side: Side = Side.BUY, price: str | None = "100") -> Callable[[Rig, str], Answer]:
    """Return a new order whose quantity is the level."""
    return lambda rig, level: place(rig, side, level, price)


def by_price(side: Side, quantity: str = "1") -> Callable[[Rig, str], Answer]:
    """Return a new order whose price is the level."""
    return lambda rig, level: place(rig, side, quantity, level)


def grown(side: Side = Side.BUY, *, start: str = "0.5", price: str = "100") -> Callable[[Rig, str], Answer]:
    """Return an amendment to the level, from a smaller quantity."""

    def amend(rig: Rig, level: str) -> Answer:
        order = resting(rig, side, start, price)
        answer: Answer = rig.do(lambda s: s.amend(order, quantity=D(level)))
        return answer

    return amend


def moved(side: Side, start: str) -> Callable[[Rig, str], Answer]:
    """Return an amendment of the price to the level."""

    def amend(rig: Rig, level: str) -> Answer:
        order = resting(rig, side, "1", start)
        answer: Answer = rig.do(lambda s: s.amend(order, price=D(level)))
        return answer

    return amend


def with_limits(scope: str, rig: Any = None, /, **limits: Any) -> Callable[[], Rig]:
    """Return how to make a rig with these limits in one scope."""
    return lambda: rig_with(scope, Limits(**limits), **(rig or {}))


AROUND_5 = ("4.999", "5", "5.001")
BUY, SELL = Side.BUY, Side.SELL

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

# -- 15: open orders -------------------------------------------------------------------------------------------------
for scope in SCOPES[1:]:
    cases.add(
        f"open-orders-{scope}",
        exposure.OpenOrders,
        Denial.OPEN_ORDERS,
        rig=with_limits(scope, max_open_orders=3),
        levels=("2", "3", "4"),
        new=nth_order,
        scope=scope,
    )


def beside_one_open(act: Callable[[Rig, str], Answer]) -> Callable[[Rig, str], Answer]:
    """Return what happens while an order of 2 at 100 is open."""

    def acted(rig: Rig, level: str) -> Answer:
        resting(rig, BUY, "2", "100")
        return act(rig, str(D(level) - 2))

    return acted


for scope in SCOPES[1:]:
    cases.add(
        f"open-notional-{scope}",
        exposure.OpenNotional,
        Denial.OPEN_NOTIONAL,
        rig=with_limits(scope, max_open_notional=D(500)),
        levels=AROUND_5,
        new=beside_one_open(by_quantity()),
        amend=beside_one_open(grown()),
        scope=scope,
    )

# -- 16: position ----------------------------------------------------------------------------------------------------


def beside(held: str, working: str, side: Side, act: Callable[[Rig, str], Answer]) -> Callable[[Rig, str], Answer]:
    """Return what happens to a position of `held` with `working` on the way, the level being the worst case."""

    def acted(rig: Rig, level: str) -> Answer:
        signed = D(held) if side is BUY else -D(held)
        rig.hold(signed)
        resting(rig, side, working, "100")
        return act(rig, str(D(level) - D(held) - D(working)))

    return acted


for scope in ("strategy:s1", f"instrument:{BTC}"):
    for limit, side in (
        ("max_position", BUY),
        ("max_position", SELL),
        ("max_long", BUY),
        ("max_short", SELL),
    ):
        cases.add(
            f"{limit}-{side.value}-{scope}",
            exposure.MaxPosition,
            Denial.POSITION,
            rig=with_limits(scope, **{limit: D(5)}),
            levels=AROUND_5,
            new=beside("2", "1", side, by_quantity(side)),
            amend=beside("2", "1", side, grown(side)),
            scope=scope,
        )

# -- 17: portfolio ---------------------------------------------------------------------------------------------------
EQUITY_1000 = {"margin": True, "balances": {"USD": 1_000}, "instruments": [make_instrument(margin_rate=D("0.01"))]}
for limit, value, code, scopes in (
    ("max_gross_notional", D(500), Denial.GROSS, SCOPES[1:]),
    ("max_net_notional", D(500), Denial.NET, SCOPES[1:]),
    ("max_leverage", D("0.5"), Denial.LEVERAGE, SCOPES[3:]),
    ("max_share", D("0.5"), Denial.CONCENTRATION, SCOPES[3:]),
    ("capital", D(500), Denial.CAPITAL, SCOPES[1:2]),
):
    for scope in scopes:
        for side in (BUY, SELL):
            cases.add(
                f"{limit}-{side.value}-{scope}",
                exposure.Exposure,
                code,
                rig=with_limits(scope, EQUITY_1000, **{limit: value}),
                levels=AROUND_5,
                new=beside("2", "1", side, by_quantity(side)),
                amend=beside("2", "1", side, grown(side)),
                scope=scope,
            )

# -- 18: balance -----------------------------------------------------------------------------------------------------
SPOT_500: dict[str, Any] = {"balances": {"USD": 500, "BTC": 5}}
cases.add(
    "free-quote-on-spot",
    exposure.FreeBalance,
    Denial.BALANCE,
    rig=lambda: Rig(**SPOT_500),
    levels=AROUND_5,
    new=by_quantity(),
    amend=grown(),
    scope="venue:paper",
)
cases.add(
    "free-base-on-spot",
    exposure.FreeBalance,
    Denial.BALANCE,
    rig=lambda: Rig(**SPOT_500),
    levels=AROUND_5,
    new=by_quantity(SELL),
    amend=grown(SELL),
    scope="venue:paper",
)
cases.add(
    "free-quote-counts-what-is-reserved",
    exposure.FreeBalance,
    Denial.BALANCE,
    rig=lambda: Rig(**SPOT_500),
    levels=AROUND_5,
    new=beside_one_open(by_quantity()),
    amend=beside_one_open(grown()),
    scope="venue:paper",
)
for side in (BUY, SELL):
    cases.add(
        f"free-margin-{side.value}",
        exposure.FreeBalance,
        Denial.BALANCE,
        rig=lambda: Rig(margin=True, balances={"USD": 50}, instruments=[make_instrument(margin_rate=D("0.1"))]),
        levels=AROUND_5,
        new=beside("2", "1", side, by_quantity(side)),
        amend=beside("2", "1", side, grown(side)),
        scope="venue:paper",
    )
for scope in SCOPES[3:]:
    cases.add(
        f"reserve-spot-{scope}",
        exposure.FreeBalance,
        Denial.BALANCE,
        rig=with_limits(scope, {"balances": {"USD": 800, "BTC": 5}}, reserve=D(300)),
        levels=AROUND_5,
        new=by_quantity(),
        amend=grown(),
        scope=scope,
    )
    for side in (BUY, SELL):
        cases.add(
            f"reserve-margin-{side.value}-{scope}",
            exposure.FreeBalance,
            Denial.BALANCE,
            rig=with_limits(
                scope,
                {
                    "margin": True,
                    "balances": {"USD": 800},
                    "instruments": [make_instrument(margin_rate=D(1))],
                },
                reserve=D(300),
            ),
            levels=AROUND_5,
            new=by_quantity(side),
            amend=grown(side),
            scope=scope,
        )

CASES = tuple(cases.found)
