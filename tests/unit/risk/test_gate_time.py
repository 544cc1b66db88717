"""The whole gate has a ceiling: far above what it takes (about 10 us), far below what anybody would wait for."""

import statistics
import time
from decimal import Decimal

from quantd.domain.orders import OrderKind, OrderSpec, Origin, Side
from quantd.engine.risk.controls import DEFAULTS
from quantd.engine.risk.gate import Gate
from quantd.engine.risk.limits import Limits, RiskSettings
from quantd.engine.risk.wish import Wish
from quantd.testing.builders import BTC, Rig
from tests.unit.risk.cases import resting

D = Decimal
CEILING_S = 500e-6

FULL = Limits(
    max_gross_notional=D(50_000),
    max_net_notional=D(50_000),
    max_leverage=D(5),
    max_open_orders=20,
    max_open_notional=D(50_000),
    max_order_notional=D(5_000),
    reserve=D(10),
)


def test_a_decision_with_nearly_every_limit_set_stays_under_the_ceiling() -> None:
    rig = Rig(
        risk=RiskSettings(base_currency="USD", account=FULL, order=Limits(max_order_quantity=D(10))),
        limits={"s1": Limits(max_position=D(5_000), capital=D(40_000))},
        defaults=DEFAULTS,
    )
    for number in range(10):
        resting(rig, Side.BUY, "0.01", str(90 - number))
    state, rules = rig.state, rig.instruments[0]
    gate: Gate = rig.engine.risk.gate
    spec = OrderSpec(BTC, Side.BUY, D(1), OrderKind.LIMIT, D("99.5"))
    wish = Wish(
        state=state,
        strategy="s1",
        spec=spec,
        instrument=rules,
        mark=state.rates.marks[BTC],
        book=state.portfolio.book("s1", BTC),
        net=state.portfolio.nets[BTC],
        account=state.portfolio.account("paper"),
        now_ns=rig.now_ns,
        origin=Origin.STRATEGY,
    )
    rounds = []
    for _ in range(50):
        started = time.perf_counter()
        for _ in range(20):
            assert gate.check(wish) is None
        rounds.append((time.perf_counter() - started) / 20)
    assert statistics.median(rounds) < CEILING_S
