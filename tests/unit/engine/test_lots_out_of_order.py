"""A close that is told before what opened its lot: the lot is not taken for one of the other side."""

from decimal import Decimal

import pytest

from quantd.domain.facts import FillRecorded
from quantd.domain.fills import Fill
from quantd.domain.orders import ClientOrderId, Side
from quantd.engine.lots import Lots
from quantd.testing.builders import BTC

D = Decimal


def told(order: str, side: Side, quantity: int, profit: str) -> FillRecorded:
    fill = Fill(f"{order}/7", D(quantity), D(100), lot="7", settled=("USD", D(profit)))
    return FillRecorded(ClientOrderId(order), "s1", BTC, side, fill, D(quantity), 1)


@pytest.mark.parametrize(("closed", "left"), [(3, 7), (10, 0)])
def test_what_was_closed_early_is_taken_off_what_is_opened_later(closed: int, left: int) -> None:
    lots = Lots()
    lots.filled(told("exit", Side.SELL, closed, "-1.5"), "")
    assert lots.all() == ()
    lots.filled(told("entry", Side.BUY, 10, "0"), "")
    assert [(one.lot.side, one.lot.quantity, one.entry) for one in lots.all()] == (
        [(Side.BUY, D(left), "entry")] if left else []
    )
    known = lots.get("7")
    assert known is not None
    assert (known.lot.side, known.strategy, known.entry) == (Side.BUY, "s1", "entry")


def test_what_opens_brings_no_profit_and_is_a_lot_at_once() -> None:
    lots = Lots()
    lots.filled(told("entry", Side.SELL, 4, "0"), "")
    assert [(one.lot.side, one.lot.quantity) for one in lots.all()] == [(Side.SELL, D(4))]
