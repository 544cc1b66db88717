"""A close that is told before what opened its lot: the lot is not taken for one of the other side."""

from decimal import Decimal

import msgspec
import pytest

from quantd.domain.facts import FillRecorded
from quantd.domain.fills import Fill
from quantd.domain.lots import Lot
from quantd.domain.orders import ClientOrderId, Side
from quantd.engine.lots import Lots
from quantd.engine.orders import OrderBlotter
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


@pytest.mark.parametrize(("parts", "left"), [((3, 3), 4), ((4, 6), 0)])
def test_all_that_was_closed_early_is_taken_off_not_the_first_part_alone(parts: tuple[int, int], left: int) -> None:
    lots = Lots()
    for number, quantity in enumerate(parts):
        lots.filled(told(f"exit{number}", Side.SELL, quantity, "-1.5"), "")
    lots.filled(told("entry", Side.BUY, 10, "0"), "")
    assert [(one.lot.side, one.lot.quantity) for one in lots.all()] == ([(Side.BUY, D(left))] if left else [])


@pytest.mark.parametrize("closed", [7, 12])
def test_what_was_closed_early_is_taken_off_every_part_of_the_opening(closed: int) -> None:
    lots = Lots()
    lots.filled(told("exit", Side.SELL, closed, "-1.5"), "")
    for filled in (5, 10, 15):
        fact = told("entry", Side.BUY, 5, "0")
        lots.filled(msgspec.structs.replace(fact, cumulative=D(filled)), "")
    assert [(one.lot.quantity, one.entry) for one in lots.all()] == [(D(15 - closed), "entry")]


def test_a_foreign_lot_that_was_shown_and_went_is_not_opened_again_by_its_late_opening() -> None:
    """What it held when it went says nothing of what had been closed of it before."""
    lots, nobody = Lots(), OrderBlotter()
    lots.replace([Lot("7", BTC, Side.BUY, D(4), D(100))], 1, (), nobody)
    lots.replace([], 2, (), nobody)
    lots.filled(msgspec.structs.replace(told("foreign", Side.BUY, 10, "0"), strategy=""), "")
    assert lots.all() == ()


@pytest.mark.parametrize(("closed", "left"), [(3, 7), (10, 0)])
def test_a_foreign_close_that_is_told_first_leaves_the_lot_to_the_strategy_that_opened_it(
    closed: int, left: int
) -> None:
    lots = Lots()
    lots.filled(msgspec.structs.replace(told("foreign", Side.SELL, closed, "-1.5"), strategy=""), "")
    lots.filled(told("entry", Side.BUY, 10, "0"), "")
    assert [(one.strategy, one.lot.quantity) for one in lots.all()] == ([("s1", D(left))] if left else [])
    known = lots.get("7")
    assert known is not None
    assert (known.strategy, known.entry) == ("s1", "entry")
