"""What an order had traded before its cancel, and the server tells only with its next pass."""

import asyncio
from decimal import Decimal

from quantd.domain.instruments import InstrumentId
from quantd.domain.orders import OrderState
from quantd.domain.outcomes import Accepted
from quantd.venues.budget import Lane
from tests.component.hummingbot.bench import BTC, Bench, on_bench

PASS_S = 301


async def cancelled_with_a_fill_unheard(b: Bench) -> str:
    """Let half of an order trade while the server does not hear of it, and cancel it; its id."""
    order_id = await b.rest(b.buy("65000", "0.008"))
    b.switches.muted_stream = True
    b.move(Decimal(64990), Decimal(65000))
    outcome = await b.connector.cancel(b.cancelling(order_id))
    assert isinstance(outcome, Accepted)
    (report,) = outcome.reports
    assert report.state is OrderState.CANCELLED
    assert report.filled_quantity == 0
    b.switches.muted_stream = False
    return order_id


def test_a_snapshot_tells_it_once_the_server_knows() -> None:
    async def act(b: Bench) -> None:
        order_id = await cancelled_with_a_fill_unheard(b)
        assert (await b.connector.snapshot()).orders == ()
        await asyncio.sleep(PASS_S)
        (report,) = (await b.connector.snapshot()).orders
        assert report.venue_order_id == order_id
        assert report.state is OrderState.CANCELLED
        assert 0 < report.filled_quantity < Decimal("0.008")
        assert sum(fill.quantity for fill in report.fills) == report.filled_quantity
        assert (await b.connector.snapshot()).orders == (), "told once"

    on_bench(act)


def test_a_fill_that_was_told_with_the_end_is_not_told_again() -> None:
    async def act(b: Bench) -> None:
        order_id = await b.rest(b.buy("65000", "0.008"))
        b.move(Decimal(64990), Decimal(65000))
        outcome = await b.connector.cancel(b.cancelling(order_id))
        assert isinstance(outcome, Accepted)
        assert outcome.reports[0].filled_quantity > 0
        before = len(b.paths)
        assert (await b.connector.snapshot()).orders == ()
        assert not any("trades" in path for path in b.paths[before:])

    on_bench(act)


def test_nobody_elses_order_is_told() -> None:
    async def act(b: Bench) -> None:
        order_id = await cancelled_with_a_fill_unheard(b)
        b.known.discard(order_id)
        await asyncio.sleep(PASS_S)
        assert (await b.connector.snapshot()).orders == ()

    on_bench(act)


def test_of_many_orders_of_others_it_is_asked_once_which_are_ours() -> None:
    async def act(b: Bench) -> None:
        for _ in range(3):
            b.known.discard(await cancelled_with_a_fill_unheard(b))
        await asyncio.sleep(PASS_S)
        asked: list[str] = []

        def known(instrument: InstrumentId) -> tuple[str, ...]:
            asked.append(instrument)
            return ()

        reader = b.connector._orders
        look = await reader.look(Lane.ACCOUNT)
        assert sum(row.filled_amount > 0 for row in look.recorded.values()) > 1
        assert await reader.late_reports(look, known, Lane.ACCOUNT) == ()
        assert asked == [BTC]

    on_bench(act)
