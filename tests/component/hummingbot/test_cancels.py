"""Cancels: few without an effect, none that never left is counted, and nobody else's order is reached."""

import asyncio
from decimal import Decimal

from quantd.domain.commands import CancelAll
from quantd.domain.outcomes import Accepted, NotExecuted, Unknown
from tests.component.hummingbot.bench import Bench, on_bench


def test_cancels_that_never_left_do_not_use_up_the_few_that_an_order_may_have() -> None:
    async def act(b: Bench) -> None:
        order_id = await b.rest(b.buy())
        b.down = True
        for operation in range(2, 6):
            assert await b.connector.cancel(b.cancelling(order_id, operation)) == NotExecuted("not_connected")
        b.down = False
        assert isinstance(await b.connector.cancel(b.cancelling(order_id, 6)), Accepted)
        assert not b.truth().working

    on_bench(act)


def test_after_three_cancels_without_an_effect_no_fourth_leaves() -> None:
    async def act(b: Bench) -> None:
        b.switches.ack_delay_s = 120.0
        order_id = await b.rest(b.buy())
        outcomes = [await b.connector.cancel(b.cancelling(order_id, operation)) for operation in range(2, 6)]
        assert outcomes == [Unknown("cancel_requested")] * 3 + [Unknown("cancels_without_effect")]
        assert sum(path.endswith("/cancel") for path in b.paths) == 3

    on_bench(act)


def test_cancel_all_leaves_the_orders_of_other_programs_at_the_same_server() -> None:
    async def act(b: Bench) -> None:
        await b.foreign_order(Decimal(60_000), Decimal("0.001"))
        (theirs,) = b.truth().working
        for price in ("60100", "60200"):
            await b.rest(b.buy(price))
        assert await b.connector.cancel_all(CancelAll("hummingbot")) == Accepted()
        await asyncio.sleep(2)
        assert b.truth().working == {theirs}

    on_bench(act)
