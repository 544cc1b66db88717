"""What people see of the engine: counts of its facts, gauges of its state, use of its limits, times of its parts."""

import time
from decimal import Decimal

import msgspec
import pytest

from quantd.clock import SystemClock
from quantd.domain.events import HaltOrdered, OperationResolved, TradingState
from quantd.domain.facts import FillCorrected, OrderMoved
from quantd.domain.fills import Fill, Quality
from quantd.domain.orders import ClientOrderId, Limit, OrderState, Trigger
from quantd.domain.outcomes import NotFound, Unknown
from quantd.engine.risk.limits import Limits, RiskSettings
from quantd.runtime.limit_use import LimitUse
from quantd.runtime.stopwatch import GATE_SAMPLE, Stopwatch
from quantd.runtime.watcher import Watcher
from quantd.telemetry.metrics import PrometheusObserver
from quantd.testing.builders import BTC, Rig
from quantd.testing.observer import RecordingObserver

RISK = RiskSettings(
    base_currency="USD",
    account=Limits(
        max_gross_notional=Decimal(10_000),
        max_net_notional=Decimal(20_000),
        max_leverage=Decimal(2),
        max_open_orders=8,
        max_open_notional=Decimal(1_000),
        max_daily_loss=Decimal(100),
        max_drawdown=Decimal(200),
    ),
    instruments={BTC: Limits(max_long=Decimal(40), max_short=Decimal(0))},
)
OWN = {"s1": Limits(max_position=Decimal(20), capital=Decimal(4_000))}


@pytest.fixture
def rig() -> Rig:
    """An engine with limits in every scope, at a price of 100."""
    return Rig(risk=RISK, limits=OWN)


def place(rig: Rig, quantity: int, price: float) -> ClientOrderId:
    """Place a bid of s1 that rests at the venue."""
    order = rig.do(lambda s: s.buy(BTC, quantity, Limit(price)))
    rig.accept(order)
    return ClientOrderId(order.id)


def fill(rig: Rig, order_id: str, quantity: int, price: int, quality: Quality = Quality.CONFIRMED) -> None:
    """Let the venue report a fill of the whole order."""
    one = Fill(f"t-{order_id}", Decimal(quantity), Decimal(price), quality)
    rig.handle(rig.report_of(order_id, state=OrderState.FILLED, fills=(one,), filled_quantity=Decimal(quantity)))


def uses(rig: Rig) -> RecordingObserver:
    """Sample the use of all limits."""
    observer = RecordingObserver()
    LimitUse(rig.engine).sample(observer)
    return observer


def test_limits_are_used_by_positions_and_by_what_is_ordered(rig: Rig) -> None:
    fill(rig, place(rig, 10, 100), 10, 100)
    place(rig, 5, 99)
    seen = uses(rig)

    def used(limit: str, scope: str) -> float | None:
        return seen.gauged("quantd_limit_use_ratio", limit=limit, scope=scope)

    assert used("max_gross_notional", "account") == pytest.approx(1_500 / 10_000)
    assert used("max_net_notional", "account") == pytest.approx(1_500 / 20_000)
    assert used("max_open_orders", "account") == pytest.approx(1 / 8)
    assert used("max_open_notional", "account") == pytest.approx(495 / 1_000)
    assert used("max_long", f"instrument:{BTC}") == pytest.approx(15 / 40)
    assert used("max_short", f"instrument:{BTC}") is None, "nothing is a share of a limit of zero"
    assert used("max_position", "strategy:s1") == pytest.approx(15 / 20)
    assert used("capital", "strategy:s1") == pytest.approx(1_500 / 4_000)
    leverage = used("max_leverage", "account")
    assert leverage is not None
    assert 0 < leverage < 0.01
    assert seen.gauged(
        "quantd_exposure_notional", scope="account", currency="USD", kind="worst_gross"
    ) == pytest.approx(1_500)


def test_losses_use_their_limits_and_show_as_drawdown(rig: Rig) -> None:
    observer = RecordingObserver()
    watcher = Watcher(rig.engine, observer, SystemClock())
    fill(rig, place(rig, 10, 100), 10, 100)
    watcher.sample()
    assert observer.gauged("quantd_drawdown_ratio", scope="account") == 0
    rig.quote(95)
    watcher.sample()
    assert observer.gauged("quantd_limit_use_ratio", limit="max_daily_loss", scope="account") == pytest.approx(0.5)
    assert observer.gauged("quantd_limit_use_ratio", limit="max_drawdown", scope="account") == pytest.approx(0.25)
    equity = rig.state.equity("paper")
    assert equity is not None
    assert observer.gauged("quantd_drawdown_ratio", scope="account") == pytest.approx(50 / float(equity + 50))


def test_estimated_fills_await_their_correction_over_a_restart(rig: Rig) -> None:
    fill(rig, place(rig, 2, 100), 2, 100, Quality.ESTIMATED)
    observer = RecordingObserver()
    watcher = Watcher(rig.engine, observer, SystemClock())
    watcher.sample()
    assert observer.gauged("quantd_fills_awaiting_correction", venue="paper") == 1
    (order,) = [one for one in rig.state.orders.all_orders() if one.fills]
    (before,) = order.fills.values()
    after = msgspec.structs.replace(before, price=Decimal("99.5"), quality=Quality.CONFIRMED)
    watcher.facts([FillCorrected(order.client_order_id, "s1", BTC, order.spec.side, before, after, rig.now_ns)])
    watcher.sample()
    assert observer.gauged("quantd_fills_awaiting_correction", venue="paper") == 0
    assert observer.counted("quantd_fill_corrections_total", venue="paper") == 1


def test_facts_are_counted_with_their_notional_and_reopened_orders_with_their_venue(rig: Rig) -> None:
    observer = RecordingObserver()
    watcher = Watcher(rig.engine, observer, SystemClock())
    first = place(rig, 2, 100)
    fill(rig, first, 2, 100)
    watcher.facts(rig.facts)
    watcher.facts([OrderMoved(first, Trigger.REOPEN, rig.now_ns)])
    assert observer.counted("quantd_filled_notional_total", venue="paper", strategy="s1", currency="USD") == 200
    assert observer.counted("quantd_orders_reopened_total", venue="paper") == 1


def test_a_halt_is_counted_by_its_control_and_a_person_s_without_a_name(rig: Rig) -> None:
    observer = RecordingObserver()
    watcher = Watcher(rig.engine, observer, SystemClock())
    for scope, by in (("venue:paper", "ann"), ("strategy:s1", "loss_limit")):
        rig.handle(HaltOrdered(scope, TradingState.REDUCING, by, "drill", 1, rig.now_ns))
    watcher.facts(rig.facts)
    watcher.sample()
    assert observer.counted("quantd_halts_total", reason="operator") == 1
    assert observer.counted("quantd_halts_total", reason="loss_limit") == 1
    assert observer.gauged("quantd_trading_state", scope="venue:paper") == 1
    assert observer.gauged("quantd_trading_state", scope="account") == 0


def test_a_halted_instrument_shows_as_halted_after_a_restart_too(rig: Rig) -> None:
    rig.handle(HaltOrdered(f"instrument:{BTC}", TradingState.HALTED, "resolution", "two orders fit", 1, rig.now_ns))
    observer = RecordingObserver()
    Watcher(Rig(risk=RISK, limits=OWN, facts=rig.facts, price=None).engine, observer, SystemClock()).sample()
    assert observer.gauged("quantd_trading_state", scope=f"instrument:{BTC}") == 2, "QuantdHalted asks for this"


def test_what_a_flat_book_earned_counts_before_its_market_shows_a_price(rig: Rig) -> None:
    fill(rig, place(rig, 10, 100), 10, 100)
    order = rig.do(lambda s: s.sell(BTC, 10, Limit(101)))
    rig.accept(order)
    fill(rig, order.id, 10, 101)
    observer = RecordingObserver()
    Watcher(Rig(risk=RISK, limits=OWN, facts=rig.facts, price=None).engine, observer, SystemClock()).sample()
    for scope in ("account", "strategy:s1"):
        assert observer.gauged("quantd_profit", scope=scope, currency="USD", kind="realized") == 10


def test_open_orders_count_as_the_gate_counts_them_while_an_amendment_is_on_its_way(rig: Rig) -> None:
    order = rig.do(lambda s: s.buy(BTC, 5, Limit(90)))
    rig.accept(order)
    rig.do(lambda s: s.amend(order, price=100))
    assert uses(rig).gauged("quantd_limit_use_ratio", limit="max_open_notional", scope="account") == pytest.approx(0.5)


def test_looking_makes_no_books(rig: Rig) -> None:
    rig = Rig(risk=RISK, limits={one: Limits(capital=Decimal(4_000)) for one in ("s1", "s2")})
    fill(rig, place(rig, 10, 100), 10, 100)
    before = [(book.strategy, book.instrument.id) for book in rig.state.portfolio.books()]
    uses(rig)
    assert [(book.strategy, book.instrument.id) for book in rig.state.portfolio.books()] == before


def test_hooks_and_the_gate_are_timed_by_samples(rig: Rig) -> None:
    observer = RecordingObserver()
    Stopwatch(SystemClock(), observer).attach(rig.engine)
    for _ in range(2 * GATE_SAMPLE):
        rig.do(lambda s: s.buy(BTC, 1_000, Limit(100)))
    assert len(observer.observed("quantd_gate_seconds")) == 2
    assert len(observer.observed("quantd_strategy_callback_seconds", strategy="s1", hook="on_job")) >= 1


def test_timing_costs_the_order_path_little(rig: Rig) -> None:
    """The mean over many calls, so that one slow moment of the machine does not decide."""
    stopwatch = Stopwatch(SystemClock(), PrometheusObserver())
    check = len
    rounds = 20_000
    best = min(_seconds(lambda: stopwatch.gate(check, ()), rounds) for _ in range(3))  # type: ignore[arg-type] # any call
    assert best / rounds < 5e-6


def _seconds(call: object, rounds: int) -> float:
    assert callable(call)
    began = time.perf_counter()
    for _ in range(rounds):
        call()
    return time.perf_counter() - began


def test_the_seconds_unknown_go_on_over_a_restart(rig: Rig) -> None:
    order = rig.do(lambda s: s.buy(BTC, 1, Limit(99)))
    rig.answer(order, Unknown("timeout"))
    live = rig.live(order)
    assert live.operation is not None
    observer = RecordingObserver()
    watcher = Watcher(rig.engine, observer, SystemClock())
    rig.wait(30)
    told = len(rig.facts)
    rig.handle(OperationResolved(live.client_order_id, live.operation.number, NotFound(), rig.now_ns))
    watcher.facts(rig.facts[told:])
    assert observer.counted("quantd_unknown_seconds_total", venue="paper") == 30
