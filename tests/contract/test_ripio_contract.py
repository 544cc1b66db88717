"""The table of the Ripio contract is whole, its tests exist, and the simulator shows exactly what it names."""

import ast
from decimal import Decimal
from functools import cache
from pathlib import Path

import pytest

from quantd.simulators.ripio import answers
from quantd.simulators.ripio.connection import PRIVATE_TOPICS, PUBLIC_TOPICS
from quantd.simulators.ripio.routes import ROUTES as SERVED
from quantd.simulators.ripio.terms import REQUIRED
from tests.component.simulators.ripio_desk import Desk
from tests.contract.ripio_rows import ERRORS, ROUTES, SEED, TOPICS, TYPES, Row, page

ROOT = Path(__file__).parents[2]
EVERY = (*SEED, *ROUTES, *TYPES, *ERRORS, *TOPICS)
SAMPLE = {
    "create_date": str, "executed_amount": Decimal, "external_id": str, "id": str, "pair": str, "price": Decimal,
    "remaining_amount": Decimal, "remaining_value": Decimal, "requested_amount": Decimal, "requested_value": Decimal,
    "side": str, "status": str, "total_value": Decimal, "type": str, "update_date": str, "fee": Decimal,
}  # fmt: skip
"""Fields and kinds of an order in the document's own samples."""


def names(rows: tuple[Row, ...], kind: str) -> set[str]:
    return {row.name for row in rows if row.kind == kind}


@cache
def defined_in(file: str) -> set[str]:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize("row", EVERY, ids=lambda row: f"{row.kind} {row.name}")
def test_every_row_s_test_exists(row: Row) -> None:
    assert row.test in defined_in(row.file)


def test_page_is_the_table() -> None:
    told = (ROOT / "docs" / "venues" / "ripio-contract.md").read_text(encoding="utf-8")
    assert told == page(), "python -m tests.contract.ripio_rows > docs/venues/ripio-contract.md"


def test_listing_has_the_document_s_parameters_fields_and_kinds() -> None:
    (listing,) = [route for route in SERVED if route.operation == "user_orders"]
    assert (listing.method, "/trade" + listing.path) == ("GET", "/trade/orders")
    assert set(listing.query) == names(SEED, "parameter")
    desk = Desk()
    desk.create(price="301000")
    status, tree = desk.ask("GET", "/orders?pair=BTC_BRL")
    assert status == 200
    assert set(tree) == names(SEED, "frame") | {"timestamp"}, "the documented frame, and the server's time"
    assert set(tree["data"]) == names(SEED, "data")
    assert set(tree["data"]["pagination"]) == names(SEED, "pagination")
    (order,) = tree["data"]["orders"]
    assert set(order) == names(SEED, "order") == set(SAMPLE)
    for name, kind in SAMPLE.items():
        assert isinstance(order[name], str if kind is str else (int, Decimal)), name


def test_table_has_every_route_type_error_and_topic_that_is_served() -> None:
    assert names(ROUTES, "route") == {route.operation for route in SERVED}
    assert names(TYPES, "type") == set(REQUIRED) == names(SEED, "enum type")
    numbers = {value for value in vars(answers).values() if isinstance(value, int) and 40000 <= value < 43000}
    served = {str(number) for number in numbers} | {"50000", "50001", "50002", "50003", str(answers.MAINTENANCE)}
    assert names(ERRORS, "error") == served
    assert names(TOPICS, "topic") == {*PUBLIC_TOPICS, *PRIVATE_TOPICS}
