"""Orders that the database holds for open and memory has lost: filled by the balances' word, or left to a person."""

import asyncio
from decimal import Decimal

import pytest

from quantd.domain.orders import OrderRef, OrderState, Side
from quantd.domain.reports import OrderReport
from tests.component.hummingbot.bench import Bench, on_bench


async def looks(b: Bench, ref: OrderRef, *, seconds: int) -> list[OrderReport]:
    """Ask every 2 s."""
    told: list[OrderReport] = []
    for _ in range(seconds // 2):
        await asyncio.sleep(2)
        told += await b.connector.order_reports([ref])
    return told


@pytest.mark.parametrize("price", [None, "66000"])
def test_one_by_whose_quantity_the_balances_moved_has_traded_in_full(price: str | None) -> None:
    async def act(b: Bench) -> None:
        b.switches.stray_fills = True
        await b.connector.snapshot()
        command = b.buy(price)
        ref = b.order_ref(command, await b.rest(command))
        assert b.truth().totals["BTC"] == Decimal("1.001")
        assert not (await b.connector.snapshot()).orders_complete
        assert not await looks(b, ref, seconds=8)
        (report, *_) = await looks(b, ref, seconds=8)
        assert (report.state, report.filled_quantity, report.fills) == (OrderState.FILLED, Decimal("0.001"), ())
        assert (await b.connector.snapshot()).orders_complete
        assert not b.doubts

    on_bench(act)


def test_a_sale_is_told_by_what_it_took_away() -> None:
    async def act(b: Bench) -> None:
        b.switches.stray_fills = True
        await b.connector.snapshot()
        command = b.buy(None, side=Side.SELL)
        ref = b.order_ref(command, await b.rest(command))
        assert [one.state for one in await looks(b, ref, seconds=14)][:1] == [OrderState.FILLED]

    on_bench(act)


def test_without_balances_from_before_it_is_left_to_a_person_and_told_once() -> None:
    async def act(b: Bench) -> None:
        b.switches.stray_fills = True
        command = b.buy(None)
        ref = b.order_ref(command, await b.rest(command))
        assert not await looks(b, ref, seconds=200)
        ((instrument, why),) = b.doubts
        assert instrument == command.spec.instrument
        assert ref.venue_order_ids[0] in why

    on_bench(act)


def test_two_at_once_are_left_to_a_person() -> None:
    async def act(b: Bench) -> None:
        b.switches.stray_fills = True
        await b.connector.snapshot()
        commands = [b.buy(None), b.buy(None)]
        refs = [b.order_ref(one, await b.rest(one)) for one in commands]
        for _ in range(60):
            await asyncio.sleep(2)
            assert not await b.connector.order_reports(refs)
        assert len(b.doubts) == 2

    on_bench(act)


def test_while_memory_is_blank_an_order_that_the_exchange_holds_money_for_is_alive() -> None:
    async def act(b: Bench) -> None:
        await b.connector.snapshot()
        command = b.buy()
        ref = b.order_ref(command, await b.rest(command))
        b.switches.blank_active = True
        assert not await looks(b, ref, seconds=200)
        assert not b.doubts
        assert not (await b.connector.snapshot()).orders_complete

    on_bench(act)
