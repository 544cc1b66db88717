"""Orders that trade at once and leave a rest: which of them have ended though the venue's word is none."""

import asyncio
from decimal import Decimal

import pytest

from quantd.domain.orders import OrderKind, OrderRef, OrderState, TimeInForce
from quantd.domain.reports import OrderReport
from tests.component.ripio.bench import Bench, Json, on_bench

ONE_ORDER = "/orders/(?!open|trades).*"


async def looks(b: Bench, count: int, ask: OrderRef) -> list[OrderReport]:
    """Look every 2 s."""
    told: list[OrderReport] = []
    for _ in range(count):
        await asyncio.sleep(2)
        told += await b.connector.order_reports([ask])
    return told


@pytest.mark.parametrize("word", ["pending_creation", "open", "processing"])
def test_a_market_order_that_has_not_begun_is_never_ended_for_being_in_no_list(word: str) -> None:
    async def act(b: Bench) -> None:
        def not_begun(told: Json) -> Json:
            return {**told, "status": word, "executed_amount": 0, "transactions": []}

        b.tampers += [("POST", "/orders", not_begun), ("GET", ONE_ORDER, not_begun)]
        command = b.submit(None, kind=OrderKind.MARKET)
        report = await b.place(command)
        ask = b.ref(command, report)
        assert all(one.state is not OrderState.CANCELLED for one in await looks(b, 20, ask))
        b.tampers.clear()
        (found,) = await looks(b, 1, ask)
        assert (found.state, found.filled_quantity) == (OrderState.FILLED, Decimal("0.002"))

    on_bench(act)


def test_what_is_left_of_an_order_that_cannot_rest_ends_after_looks_in_a_row_and_not_at_once() -> None:
    async def act(b: Bench) -> None:
        b.switches.stuck_partials = True
        command = b.submit("350060", quantity="0.02", time_in_force=TimeInForce.IOC)
        report = await b.place(command)
        assert report.state is OrderState.PARTIALLY_FILLED
        ask = b.ref(command, report)
        assert not await looks(b, 5, ask)
        (ended,) = await looks(b, 1, ask)
        assert (ended.state, ended.filled_quantity) == (OrderState.CANCELLED, report.filled_quantity)

    on_bench(act)


def test_a_look_that_lists_the_order_begins_the_count_anew() -> None:
    async def act(b: Bench) -> None:
        b.switches.stuck_partials = True
        command = b.submit("350060", quantity="0.02", time_in_force=TimeInForce.IOC)
        report = await b.place(command)
        ask = b.ref(command, report)
        row = b.raw("GET", f"/orders/{report.venue_order_id}")
        assert not await looks(b, 5, ask)
        b.tampers.append(("GET", "/orders/open", lambda told: {**told, "orders": [*told["orders"], row]}))
        assert not await looks(b, 1, ask)
        b.tampers.clear()
        assert not await looks(b, 5, ask)
        assert [one.state for one in await looks(b, 1, ask)] == [OrderState.CANCELLED]

    on_bench(act)
