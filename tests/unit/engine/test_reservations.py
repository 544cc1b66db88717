"""What an order takes from its account at worst."""

from decimal import Decimal

import pytest

from quantd.domain.instruments import FeeSchedule, Instrument, InstrumentId, TickTier
from quantd.domain.orders import Side
from quantd.engine.portfolio import AccountBalances
from quantd.engine.reservations import cost_of


def rules(asset: str) -> Instrument:
    fees = FeeSchedule(Decimal("0.0025"), Decimal("0.005"), asset)
    tiers = (TickTier(Decimal(0), Decimal("0.01")),)
    return Instrument(InstrumentId("x:BTC_BRL"), "BTC", "BRL", tiers, Decimal("0.0001"), fees=fees)


@pytest.mark.parametrize(
    ("asset", "need"),
    [("quote", "10050"), ("received", "10000"), ("base", "10000")],
)
def test_a_buy_needs_room_for_its_fee_only_where_the_fee_is_paid_on_top(asset: str, need: str) -> None:
    account = AccountBalances("x")
    assert cost_of(rules(asset), account, Side.BUY, Decimal(2), Decimal(5_000), exit=False) == ("BRL", Decimal(need))
    assert cost_of(rules(asset), account, Side.SELL, Decimal(2), Decimal(5_000), exit=False) == ("BTC", Decimal(2))
