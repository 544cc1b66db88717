"""What a venue says of an account and of rules, held against what can be."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from quantd.domain.cash import Balance, CashFlow, CashFlowKind
from quantd.domain.fills import Fill
from quantd.domain.instruments import FeeSchedule, Instrument, InstrumentId, TickTier
from quantd.domain.lots import Lot, LotProtection
from quantd.domain.numbers import ZERO, is_sound
from quantd.domain.orders import OrderState, Side
from quantd.domain.reports import AccountSnapshot, OrderReport
from quantd.domain.soundness import flaw_of_flow, flaw_of_instrument, flaw_of_report, flaw_of_snapshot

D = Decimal
BTC = InstrumentId("sim:BTC-USD")
NAN, HUGE = D("NaN"), D("1E+999999")
NEVER = 2**63
FILL = Fill("t1", D(1), D(100), fees=(("USD", D("-0.1")),), occurred_at_ns=1)
REPORT = OrderReport(
    BTC, "v1", OrderState.FILLED, D(1), 5, quantity=D(1), price=D(100), average_price=D(100), fills=(FILL,),
    fees=(("USD", D("0.1")),), occurred_at_ns=1, created_at_ns=1,
)  # fmt: skip
BALANCE = Balance("USD", D(-5), D(-5), ZERO)
LOT = Lot("7", BTC, Side.BUY, D(1), D(100), LotProtection(stop=D(90)), opened_at_ns=1)
FLOW = CashFlow("sim", "f1", CashFlowKind.DEPOSIT, "USD", D(-1), 1)
SNAPSHOT = AccountSnapshot("sim", 1, 2, 2, (BALANCE,), (LOT,), (REPORT,), equity=D(-1), flows=(FLOW,))
RULES = Instrument(
    BTC, "BTC", "USD", (TickTier(ZERO, D("0.1")), TickTier(D(10), D(1))), D("0.001"), min_quantity=D("0.001"),
    max_quantity=D(5), min_notional=D(1), max_notional=D(9), margin_rate=D("0.1"), min_trail=D(1), max_trail=D(2),
    fees=FeeSchedule(D("-0.0001"), D("0.001")),
)  # fmt: skip


def but(value: Any, **changes: Any) -> Any:
    return msgspec.structs.replace(value, **changes)


def test_what_can_be_has_no_flaw() -> None:
    assert flaw_of_report(REPORT) == flaw_of_snapshot(SNAPSHOT) == flaw_of_flow(FLOW) == flaw_of_instrument(RULES) == ""
    nothing_yet = OrderReport(BTC, "v1", OrderState.WORKING, ZERO, 5, average_price=ZERO)
    assert flaw_of_report(nothing_yet) == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"filled_quantity": D(-1)}, {"filled_quantity": NAN}, {"filled_quantity": ZERO}, {"quantity": HUGE},
        {"price": D(-1)}, {"trigger": NAN}, {"average_price": ZERO}, {"fees": (("USD", NAN),)},
        {"occurred_at_ns": NEVER}, {"created_at_ns": -1}, {"venue_order_id": ""},
        {"fills": (but(FILL, price=ZERO),)}, {"fills": (but(FILL, quantity=D(-1)),)},
        {"fills": (but(FILL, fees=(("USD", HUGE),)),)}, {"fills": (but(FILL, settled=("USD", NAN)),)},
        {"fills": (but(FILL, occurred_at_ns=NEVER),)}, {"fills": (but(FILL, fees=(("", D(1)),)),)},
        {"fills": (but(FILL, settled=("", D(1))),)},
    ],
)  # fmt: skip
def test_a_report_that_cannot_be_is_told_by_its_flaw(changes: dict[str, Any]) -> None:
    assert flaw_of_report(but(REPORT, **changes))
    assert flaw_of_snapshot(but(SNAPSHOT, orders=(but(REPORT, **changes),)))


@pytest.mark.parametrize(
    "changes",
    [
        {"balances": (but(BALANCE, total=NAN),)}, {"balances": (but(BALANCE, locked=HUGE),)},
        {"balances": (BALANCE, BALANCE)}, {"lots": (LOT, LOT)}, {"lots": (but(LOT, quantity=ZERO),)},
        {"lots": (but(LOT, open_price=ZERO),)}, {"lots": (but(LOT, protection=LotProtection(take=D(-1))),)},
        {"lots": (but(LOT, opened_at_ns=NEVER),)}, {"lots": (but(LOT, venue_id=""),)}, {"equity": NAN},
        {"margin_used": HUGE}, {"flows": (but(FLOW, amount=NAN),)}, {"flows": (but(FLOW, occurred_at_ns=NEVER),)},
        {"flows": (but(FLOW, id=""),)},
    ],
)  # fmt: skip
def test_an_account_that_cannot_be_is_told_by_its_flaw(changes: dict[str, Any]) -> None:
    assert flaw_of_snapshot(but(SNAPSHOT, **changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"lot": ZERO}, {"lot": D("1e-19")}, {"lot": NAN}, {"ticks": ()}, {"ticks": (TickTier(ZERO, ZERO),)},
        {"ticks": (TickTier(D(1), D(1)),)}, {"ticks": RULES.ticks[::-1]}, {"base": ""}, {"quote": ""},
        {"min_quantity": D(6)}, {"max_quantity": ZERO}, {"min_notional": D(10)}, {"min_notional": D(-1)},
        {"margin_rate": ZERO}, {"price_band": D(-1)}, {"min_trail": D(3)}, {"units_per_quantity": ZERO},
        {"fees": FeeSchedule(ZERO, D(1))}, {"fees": FeeSchedule(NAN)}, {"fees": FeeSchedule(per_unit=HUGE)},
        {"max_position": ZERO},
    ],
)  # fmt: skip
def test_rules_that_cannot_be_are_told_by_their_flaw(changes: dict[str, Any]) -> None:
    assert flaw_of_instrument(but(RULES, **changes)).startswith(BTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", True), ("0E+32", True), ("-999999999999999999999", True), ("1e21", False), ("0E+999999999", False), ("0E-999999999", False),
        ("1e-256", True), ("1e-257", False), ("sNaN", False), ("-Infinity", False),
        ("0.1000000000000000055511151231257827021181583404541015625", True),
    ],
)  # fmt: skip
def test_a_number_is_sound_that_sums_and_products_can_be_made_of(text: str, expected: bool) -> None:
    assert is_sound(D(text)) is expected
