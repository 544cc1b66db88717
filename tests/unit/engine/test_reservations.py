"""What an order takes from its account at worst."""

from decimal import Decimal

import pytest

from quantd.domain.events import InstrumentListed
from quantd.domain.instruments import FeeSchedule, Instrument, InstrumentId, TickTier
from quantd.domain.orders import How, Limit, Side, Stop
from quantd.engine.portfolio import AccountBalances
from quantd.engine.reservations import cost_of
from quantd.engine.risk.limits import Limits, RiskSettings
from quantd.engine.risk.wish import Denial, Denied
from quantd.testing.builders import BTC, Rig, make_account, make_instrument


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


@pytest.mark.parametrize(("margin", "need"), [(False, "10057"), (True, "557")])
def test_commission_for_each_unit_is_part_of_what_an_entry_takes(margin: bool, need: str) -> None:
    fees = FeeSchedule(taker=Decimal("0.005"), per_unit=Decimal("3.5"))
    rules = make_instrument(fees=fees, margin_rate=Decimal("0.05"))
    account = AccountBalances("paper")
    account.account = make_account(margin=margin)
    taken = cost_of(rules, account, Side.BUY, Decimal(2), Decimal(5_000), exit=False)
    assert taken == (rules.quote, Decimal(need))
    if margin:
        assert cost_of(rules, account, Side.SELL, Decimal(2), Decimal(5_000), exit=True) == (rules.quote, Decimal(0))


@pytest.mark.parametrize(("asset", "commission"), [("USD", "7"), ("BTC", "35000"), ("EUR", "0")])
def test_commission_in_another_currency_is_never_taken_for_so_much_of_the_quote(asset: str, commission: str) -> None:
    """In the base currency it is worth the price; of a third one no rate stands in the journal."""
    fees = FeeSchedule(per_unit=Decimal("3.5"), per_unit_asset=asset)
    rules = make_instrument(fees=fees, margin_rate=Decimal("0.05"))
    account = AccountBalances("paper")
    account.account = make_account(margin=True)
    taken = cost_of(rules, account, Side.BUY, Decimal(2), Decimal(5_000), exit=False)
    assert taken == ("USD", 500 + Decimal(commission))


def test_new_rules_of_an_instrument_change_what_its_open_orders_reserve() -> None:
    rig = Rig(instruments=[make_instrument(margin_rate=Decimal("0.05"))], margin=True)
    order = rig.do(lambda s: s.buy(BTC, 10, Limit(100)))
    rig.accept(order)
    account = rig.state.portfolio.account("paper")
    assert account.reserved == {"USD": 50}
    rig.handle(InstrumentListed(make_instrument(margin_rate=Decimal("0.5")), rig.now_ns))
    assert account.reserved == {"USD": 500}


@pytest.mark.parametrize("how", [Limit(100), Limit(105), Stop(140)])
def test_an_inverse_contract_counts_at_the_lower_price_on_both_sides(how: How) -> None:
    risk = RiskSettings(base_currency="USD", order=Limits(max_order_notional=Decimal(1_000)))
    rules = make_instrument(InstrumentId("paper:XBT-USD"), base="BTC", inverse=True, margin_rate=Decimal("0.01"))
    rig = Rig(instruments=[rules, make_instrument()], margin=True, balances={"BTC": 1_000}, risk=risk)
    denied = rig.do(lambda s: s.buy(rules.id, 1_001, how))
    assert isinstance(denied, Denied)
    assert denied.code is Denial.ORDER_NOTIONAL
    assert not isinstance(rig.do(lambda s: s.buy(rules.id, 1_000, how)), Denied)
