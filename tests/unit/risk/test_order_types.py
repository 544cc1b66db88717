"""Control 6: type, time in force and phase of the market, as tables."""

from decimal import Decimal
from typing import Any

import pytest

from quantd.domain.capabilities import Support
from quantd.domain.events import StatusChanged
from quantd.domain.instruments import MarketStatus
from quantd.domain.orders import Limit, Market, OrderKind, Side, Stop, StopLimit, TimeInForce
from quantd.engine.orders import Order
from quantd.engine.risk.limits import Limits
from quantd.engine.risk.wish import Denial, Denied
from quantd.testing.builders import BTC, Rig, make_capabilities
from tests.unit.risk.cases import SCOPES, place, resting, rig_with

D = Decimal
BUY, SELL = Side.BUY, Side.SELL


def code(answer: Order | Denied) -> Denial | None:
    """Return why it was denied, None when it passed."""
    return answer.code if isinstance(answer, Denied) else None


# -- 6: type, time in force, session ---------------------------------------------------------------------------------

HOWS: dict[OrderKind, Any] = {
    OrderKind.MARKET: Market(),
    OrderKind.LIMIT: Limit(100),
    OrderKind.STOP: Stop(105),
    OrderKind.STOP_LIMIT: StopLimit(105, 105),
}


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("allowed", list(OrderKind))
@pytest.mark.parametrize("sent", list(OrderKind))
def test_only_allowed_types_pass(scope: str, allowed: OrderKind, sent: OrderKind) -> None:
    rig = rig_with(scope, Limits(order_types=(allowed,)))
    answer = rig.do(lambda s: s.buy(BTC, 1, HOWS[sent]))
    assert code(answer) is (None if sent is allowed else Denial.ORDER_TYPE)


@pytest.mark.parametrize("sent", [TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK, TimeInForce.DAY])
def test_only_allowed_times_in_force_pass(sent: TimeInForce) -> None:
    rig = rig_with("account", Limits(time_in_force=(TimeInForce.GTC, TimeInForce.IOC)))
    answer = rig.do(lambda s: s.buy(BTC, 1, Limit(100, time_in_force=sent)))
    assert (code(answer) is None) == (sent in (TimeInForce.GTC, TimeInForce.IOC))


@pytest.mark.parametrize("status", list(MarketStatus))
@pytest.mark.parametrize("kind", [*OrderKind, "post_only"])
def test_type_by_phase(status: MarketStatus, kind: Any) -> None:
    rig = Rig()
    rig.handle(StatusChanged(BTC, status, rig.now_ns))
    how = Limit(99, post_only=True) if kind == "post_only" else HOWS[kind]
    answer = rig.do(lambda s: s.buy(BTC, 1, how))
    passes = status is MarketStatus.OPEN or (status is MarketStatus.POST_ONLY and kind == "post_only")
    assert code(answer) is (None if passes else Denial.SESSION)


@pytest.mark.parametrize("status", [one for one in MarketStatus if one is not MarketStatus.OPEN])
def test_an_amendment_that_adds_in_a_market_that_is_not_open_is_denied_and_an_exit_passes(status: MarketStatus) -> None:
    rig = Rig()
    rig.hold(2)
    order = resting(rig, BUY, "1", "99")
    rig.handle(StatusChanged(BTC, status, rig.now_ns))
    assert code(rig.do(lambda s: s.amend(order, quantity=2))) is Denial.SESSION
    assert code(place(rig, SELL, "2", "100")) is None


@pytest.mark.parametrize(
    ("how", "changes"),
    [
        (Market(), {"market": Support.REFUSED}),
        (Stop(105), {"stop": Support.REFUSED}),
        (Limit(99, post_only=True), {"post_only": Support.REFUSED}),
        (Limit(99, post_only=True), {"post_only": Support.EMULATED}),
        (Limit(99, time_in_force=TimeInForce.FOK), {"time_in_force": {}}),
        (Limit(99, time_in_force=TimeInForce.FOK), {"time_in_force": {TimeInForce.FOK: Support.EMULATED}}),
        (Limit(99, time_in_force=TimeInForce.DAY), {"time_in_force": {TimeInForce.DAY: Support.EMULATED}}),
    ],
)
def test_what_a_venue_lacks_and_cannot_be_emulated_is_refused(how: Any, changes: dict[str, Any]) -> None:
    rig = Rig(capabilities=make_capabilities(**changes))
    assert code(rig.do(lambda s: s.buy(BTC, 1, how))) is Denial.UNSUPPORTED
    assert rig.commands == []
