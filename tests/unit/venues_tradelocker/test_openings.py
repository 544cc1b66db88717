"""What an order has opened, as fills tell it after its row was read."""

from decimal import Decimal
from typing import Any, cast

from quantd.domain.orders import Side
from quantd.venues.tradelocker.closings import Closings
from quantd.venues.tradelocker.translate import ExecutionRow, OrderRow, PositionRow

D = Decimal


def row(filled: int) -> OrderRow:
    return OrderRow(
        id="1", instrument="206", quantity=D(3), side=Side.BUY, kind=None, status="partiallyfilled", filled=D(filled),
        average=D(100), price=None, trigger=None, created_ns=1, modified_ns=1, position="p2", tag="q1", final=False,
    )  # fmt: skip


def executions(**positions: int) -> list[ExecutionRow]:
    return [ExecutionRow(f"e{one}", "1", D(quantity), D(100), 1, one) for one, quantity in positions.items()]


def seen(closings: Closings) -> dict[str, tuple[PositionRow, Decimal]]:
    return {lot: (one.position, one.total) for lot, one in closings._seen.items()}


def test_fills_that_tell_all_correct_what_the_row_alone_made_believe() -> None:
    """The row was read by a look after its first part was closed, before any fill was: all of it seemed to be of the last."""
    closings = Closings(cast(Any, None), cast(Any, None))
    closings.opened(row(2))
    closings.opened(row(2), executions(p1=1, p2=1))
    found = seen(closings)
    assert {lot: (position.quantity, total) for lot, (position, total) in found.items()} == {
        "p1": (D(1), D(1)),
        "p2": (D(1), D(1)),
    }


def test_fills_that_tell_a_part_take_nothing_back() -> None:
    closings = Closings(cast(Any, None), cast(Any, None))
    closings.opened(row(2), executions(p1=1, p2=1))
    closings.opened(row(3), executions(p2=1))
    assert {lot: total for lot, (_, total) in seen(closings).items()} == {"p1": D(1), "p2": D(2)}
