"""Budgets as the venue documents them, and lists that are whole or say that they are not."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from quantd.testing.loop import run_virtual
from quantd.venues.budget import Bucket, Window, with_models
from quantd.venues.ripio import wire
from quantd.venues.ripio.limits import limits_of
from quantd.venues.ripio.orders import next_page
from quantd.venues.ripio.paging import PAGES_MAX, read_pages


def test_the_documented_limits_of_both_kinds_of_user() -> None:
    approved = {limit.name: limit.model for limit in limits_of(documents_approved=True)}
    assert (approved["second"], approved["day"]) == (Window(3, 1.0), Window(302_400, 86_400.0))
    other = {limit.name: limit.model for limit in limits_of(documents_approved=False)}
    assert (other["second"], other["day"]) == (Window(1, 1.0), Window(86_400, 86_400.0))


def test_an_override_counts_before_either() -> None:
    own = {
        limit.name: limit.model
        for limit in with_models(limits_of(documents_approved=False), {"second": Bucket(10.0, 10)})
    }
    assert own["second"] == Bucket(10.0, 10)
    with pytest.raises(ValueError, match="expected some of day, public, second"):
        with_models(limits_of(documents_approved=True), {"minute": Bucket(1.0, 1)})


class Row(msgspec.Struct, frozen=True):
    id: str
    seen: int = 0


def pages(*told: tuple[Sequence[Row], dict[str, str] | None]) -> tuple[dict[str, Row], bool, list[dict[str, str]]]:
    asked: list[dict[str, str]] = []

    async def fetch(following: dict[str, str]) -> tuple[Sequence[Row], dict[str, str] | None]:
        asked.append(following)
        return told[min(len(asked), len(told)) - 1]

    async def main(_: Any) -> tuple[dict[str, Row], bool]:
        return await read_pages(fetch)

    rows, complete = run_virtual(main)
    return rows, complete, asked


def test_the_cursor_is_followed_to_its_end_and_rows_that_moved_are_one() -> None:
    rows, complete, asked = pages(([Row("a"), Row("B")], {"c": "1"}), ([Row("b", 1), Row("c")], {"c": "2"}), ([], None))
    assert complete
    assert asked == [{}, {"c": "1"}, {"c": "2"}]
    assert {name: row.seen for name, row in rows.items()} == {"A": 0, "B": 1, "C": 0}


def test_a_cursor_that_leads_back_leaves_the_list_unfinished() -> None:
    rows, complete, asked = pages(([Row("a")], {"c": "1"}), ([Row("b")], {"c": "1"}))
    assert not complete
    assert set(rows) == {"A", "B"}
    assert len(asked) == 2


def test_a_list_without_an_end_is_given_up() -> None:
    endless: list[tuple[Sequence[Row], dict[str, str] | None]] = [
        ([Row(str(number))], {"c": str(number)}) for number in range(PAGES_MAX + 5)
    ]
    rows, complete, _ = pages(*endless)
    assert not complete
    assert len(rows) == PAGES_MAX
    last = [*endless[: PAGES_MAX - 1], ([Row("z")], None)]
    assert pages(*last)[1], "one that ends with the last page is whole"


def test_where_a_list_has_no_cursor_its_pages_are_counted() -> None:
    read = wire.reader(wire.OrderPage)
    row = '{"id":"A","pair":"P","side":"buy","status":"open","executed_amount":0}'
    counted = '"pagination":{"current_page":%d,"total_pages":2,"page_size":1,"registers_count":2}'
    assert next_page(read(f'{{"orders":[{row}],{counted % 1},"nc":null}}'.encode())) == {"current_page": "2"}
    assert next_page(read(f'{{"orders":[{row}],{counted % 1},"nc":"x"}}'.encode())) == {"c": "x"}
    assert next_page(read(f'{{"orders":[{row}],{counted % 2}}}'.encode())) is None
    assert next_page(read(f'{{"orders":[],{counted % 1}}}'.encode())) is None
    assert next_page(read(f'{{"orders":[{row}]}}'.encode())) is None
