"""What the engine expects a trade to cost is what the simulated exchange charges for it, whatever the schedule and the contract."""

from decimal import Decimal

import pytest

from quantd.domain.instruments import FeeSchedule
from quantd.domain.orders import OrderKind, OrderSpec, Side
from quantd.engine.executions import scheduled_fees
from quantd.exchange.fees import FeeModel
from quantd.testing.builders import BTC, make_instrument

D = Decimal
QUANTITY, PRICE = D("1000"), D("50000")


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("per_unit", [("0", ""), ("0.01", ""), ("0.01", "EUR")])
@pytest.mark.parametrize("asset", ["quote", "base", "received", "settlement"])
def test_the_engine_and_the_exchange_read_a_schedule_alike(
    asset: str, per_unit: tuple[str, str], inverse: bool, side: Side
) -> None:
    schedule = FeeSchedule(D("0.0002"), D("0.0005"), asset, D(per_unit[0]), per_unit[1])
    rules = make_instrument(BTC, inverse=inverse, units_per_quantity=D(10), fees=schedule)
    spec = OrderSpec(BTC, side, QUANTITY, OrderKind.MARKET)
    expected: dict[str, Decimal] = {}
    for currency, amount in scheduled_fees(rules, spec, QUANTITY, PRICE):
        expected[currency] = expected.get(currency, D(0)) + amount
    charged = FeeModel(rules, None, {}).charge(side is Side.BUY, QUANTITY, PRICE, False)
    assert expected == dict(charged)
