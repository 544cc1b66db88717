"""Boundaries of what adds up over time and of what the market allows: controls 12, 13, 20 and 24."""

from quantd.engine.risk import throttle
from quantd.engine.risk.wish import Denial
from tests.unit.risk.cases import Cases, with_limits
from tests.unit.risk.order_cases import nth_order

cases = Cases()

# -- 12: repeated execution ------------------------------------------------------------------------------------------
cases.add(
    "fires",
    throttle.RepeatedExecution,
    Denial.REPEATED_EXECUTION,
    rig=with_limits("strategy:s1", max_fires=3),
    levels=("2", "3", "4"),
    new=nth_order,
    scope="strategy:s1",
)
