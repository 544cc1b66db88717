"""A close that the server makes by several orders: an IOC, then a GTC for what is left; told as the one order that it was for us."""

import asyncio
from typing import Any

import pytest

from quantd.domain.orders import OrderState
from quantd.domain.outcomes import Found, StillUnknown, Unknown
from quantd.domain.reports import AccountSnapshot, OrderReport
from quantd.simulators.faults import Action, FaultRule
from tests.component.tradelocker.site import D, Site, only, run


def closings(snapshot: AccountSnapshot) -> list[OrderReport]:
    return [report for report in snapshot.orders if report.lot]


def names(report: OrderReport) -> set[str]:
    return {*report.parts, report.venue_order_id}


def test_a_whole_close_by_two_orders_is_told_as_one() -> None:
    async def body(site: Site) -> None:
        await site.open(quantity="0.3")
        lot = await site.lot()
        site.venue.adjust({"close_in_two": True})
        close = site.close(lot.venue_id)
        first = only(await site.tl.close_lot(close))
        assert (first.client_order_id, first.filled_quantity) == (close.client_order_id, D("0.3"))
        assert (first.state, sum(fill.quantity for fill in first.fills)) == (OrderState.FILLED, D("0.3"))
        site.known.update(names(first))
        snapshot = await site.look()
        assert (snapshot.lots, snapshot.lots_complete) == ((), True)
        told = {one.venue_order_id: one for one in closings(snapshot)}
        assert {one.lot for one in told.values()} == {lot.venue_id}
        assert sum(one.filled_quantity for one in told.values()) == D("0.3")
        assert names(first) == set(told)

    run(body)


def test_a_lost_part_close_by_two_orders_is_found_by_both_and_not_called_absent() -> None:
    """It was: the engine then closed as much again."""

    async def body(site: Site) -> None:
        await site.open(quantity="0.3")
        lot = await site.lot()
        site.venue.adjust({"close_in_two": True})
        site.faults.add([FaultRule(Action.DROP_AFTER, "close_position", times=1)])
        close, sent_at_ns = site.close(lot.venue_id, "0.1"), site.clock.now_ns()
        assert isinstance(await site.tl.close_lot(close), Unknown)
        found = await site.settled(close, sent_at_ns)
        assert isinstance(found, Found)
        assert (found.report.filled_quantity, found.report.quantity) == (D("0.1"), D("0.1"))
        site.known.update(names(found.report))
        snapshot = await site.look()
        assert [lot.quantity for lot in snapshot.lots] == [D("0.2")]
        told = {one.venue_order_id: one.filled_quantity for one in closings(snapshot)}
        assert told.keys() == names(found.report)
        assert sum(told.values()) == D("0.1")

    run(body)


def test_the_other_part_of_one_close_is_not_taken_for_the_next_close_of_as_much() -> None:
    async def body(site: Site) -> None:
        await site.open(quantity="0.3")
        lot = await site.lot()
        site.venue.adjust({"close_in_two": True})
        first = only(await site.tl.close_lot(site.close(lot.venue_id, "0.2")))
        site.known.update(names(first))
        site.venue.adjust({"close_in_two": False})
        second = only(await site.tl.close_lot(site.close(lot.venue_id, "0.1")))
        snapshot = await site.look()
        assert (snapshot.lots, first.filled_quantity, second.filled_quantity) == ((), D("0.2"), D("0.1"))
        assert len({one.venue_order_id for one in closings(snapshot)} | {second.venue_order_id}) == 3

    run(body)


@pytest.mark.parametrize("follows", [True, False])
def test_a_first_order_that_traded_in_part_waits_for_the_one_that_may_follow(follows: bool) -> None:
    """Taken for the end of the close it had the engine close the rest again, beside the server's own order for it."""

    async def body(site: Site) -> None:
        await site.open(quantity="0.3")
        lot = await site.lot()
        site.venue.adjust({"close_in_two": True})
        close, sent_at_ns = site.close(lot.venue_id, "0.2"), site.clock.now_ns()

        def first_in_part(told: Any) -> Any:
            rows = told["d"]["ordersHistory"]
            first, *rest = sorted(
                (row for row in rows if row[5] == "market" and not row[-1]), key=lambda row: int(row[0])
            )
            opened = [row for row in rows if row is not first and row not in rest]
            whole = [*first[:3], "0.2", *first[4:6], "Cancelled", *first[7:]]
            return {**told, "d": {**told["d"], "ordersHistory": [*opened, whole, *(rest if follows else [])]}}

        site.venue.changed["orders_history"] = first_in_part
        found = await site.tl.close_lot(close)
        if not follows:
            assert isinstance(found, Unknown), found
            assert isinstance(await site.tl.resolve(close, sent_at_ns), StillUnknown)
            await asyncio.sleep(20)
            resolved = await site.tl.resolve(close, sent_at_ns)
            assert isinstance(resolved, Found)
            assert (resolved.report.filled_quantity, resolved.report.state) == (D("0.1"), OrderState.CANCELLED)
            return
        report = only(found)
        assert (report.filled_quantity, report.quantity, report.state) == (D("0.2"), D("0.2"), OrderState.FILLED)
        assert len(names(report)) == 2

    run(body)


@pytest.mark.parametrize("quantity", [None, "0.2"])
def test_orders_that_work_on_are_waited_for_and_told_together(quantity: str | None) -> None:
    """Told while one of them worked, the close was followed by that one's name, and what the other had traded was lost."""

    async def body(site: Site) -> None:
        await site.open(quantity="0.3")
        lot = await site.lot()
        site.venue.adjust({"close_in_two": True, "fill_at_once": False})
        close, sent_at_ns = site.close(lot.venue_id, quantity), site.clock.now_ns()
        assert isinstance(await site.tl.close_lot(close), Unknown)
        assert await site.tl.resolve(close, sent_at_ns) == StillUnknown("rest_not_closed_yet", 2.0)
        site.venue.exchange.requote(lot.instrument, site.clock.now_ns())
        found = await site.settled(close, sent_at_ns)
        assert isinstance(found, Found)
        assert (found.report.state, found.report.filled_quantity) == (OrderState.FILLED, D(quantity or "0.3"))
        assert len(names(found.report)) == 2

    run(body)
