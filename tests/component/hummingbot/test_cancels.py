"""Cancels: few without an effect, none that never left is counted, and nobody else's order is reached."""

import asyncio
from decimal import Decimal

import pytest

from quantd.domain.commands import CancelAll
from quantd.domain.instruments import FeeSchedule
from quantd.domain.outcomes import Accepted, NotExecuted, NotFound, StillUnknown, Unknown
from quantd.ports import HttpRequest, HttpResponse
from quantd.venues.hummingbot.kill import HummingbotKillSwitch
from quantd.venues.hummingbot.options import HummingbotOptions
from tests.component.hummingbot.bench import SECOND_NS, Bench, on_bench


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


def test_three_cancels_that_overtook_the_placement_do_not_bar_the_next_for_ever() -> None:
    async def act(b: Bench) -> None:
        b.switches.slow_placement_s = 30.0
        order_id = await b.rest(b.buy())
        sent_at_ns = b.clock.now_ns()
        for operation in range(2, 5):
            assert await b.connector.cancel(b.cancelling(order_id, operation)) == Unknown("cancel_requested")
        await asyncio.sleep(60)
        last = b.cancelling(order_id, 4)
        assert await b.connector.resolve(last, sent_at_ns) == StillUnknown("cancels_without_effect", 30.0)
        await asyncio.sleep(300)
        assert await b.connector.resolve(last, sent_at_ns) == NotFound(), "the server has asked the exchange since"
        assert isinstance(await b.connector.cancel(b.cancelling(order_id, 5)), Accepted)

    on_bench(act)


class Blocking:
    """The kill path's connection, in virtual time."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def send(self, request: HttpRequest) -> HttpResponse:
        self._bench.paths.append(request.path)
        return self._bench.venue.handle(request)


def kill_switch(b: Bench) -> HummingbotKillSwitch:
    """Return one for the bench's server."""
    fees = FeeSchedule(Decimal(0), Decimal(0))
    options = HummingbotOptions("admin", "admin", "master_account", "binance", fees)
    return HummingbotKillSwitch(Blocking(b), options, b.clock)  # type: ignore[arg-type]  # only `send` is used


def test_the_kill_path_cancels_an_order_that_the_exchange_had_yet_to_see() -> None:
    async def act(b: Bench) -> None:
        b.switches.slow_placement_s = 12.0
        order_id = await b.rest(b.buy())
        switch = kill_switch(b)
        until_ns = b.clock.now_ns() + 30 * SECOND_NS
        while not switch.cancel(order_id).gone:
            assert b.clock.now_ns() < until_ns
            await asyncio.sleep(0.5)
        assert b.venue.desk.orders[order_id].status == "CANCELLED"
        assert not b.truth().working

    on_bench(act)


def test_for_the_kill_path_an_order_that_is_only_believed_lost_is_not_gone() -> None:
    async def act(b: Bench) -> None:
        b.switches.fail_but_live = True
        order_id = await b.rest(b.buy())
        assert b.truth().working == {order_id}
        assert not kill_switch(b).cancel(order_id).gone
        b.switches.database_down = True
        assert not kill_switch(b).cancel(order_id).gone

    on_bench(act)


@pytest.mark.parametrize("error", ["", "Error executing request POST https://x. HTTP status is 400. Error: no"])
def test_for_the_kill_path_an_order_whose_end_is_recorded_is_gone(error: str) -> None:
    async def act(b: Bench) -> None:
        b.switches.reject_with = error
        order_id = await b.rest(b.buy("66000"))
        assert b.venue.desk.orders[order_id].status == ("FAILED" if error else "FILLED")
        assert kill_switch(b).cancel(order_id).gone

    on_bench(act)
