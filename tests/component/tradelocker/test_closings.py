"""Closes and what the server closes by itself: found by their position, told with it, and never forgotten."""

import asyncio
from typing import Any

import pytest

from quantd.domain.lots import LotProtection
from quantd.domain.orders import OrderKind, OrderState, Side
from quantd.domain.outcomes import Ambiguous, Found, NotFound, Rejected, StillUnknown, Unknown
from quantd.domain.reports import AccountSnapshot, OrderReport
from quantd.errors import Unavailable
from quantd.exchange.rules import DepthRules
from quantd.simulators.faults import Action, FaultRule
from quantd.simulators.tradelocker.terms import read_create
from quantd.venues.tradelocker import translate
from tests.component.tradelocker.site import D, Site, only, run


def closings(snapshot: AccountSnapshot) -> list[OrderReport]:
    return [report for report in snapshot.orders if report.lot]


# --- closes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quantity", [None, "0.1"])
@pytest.mark.parametrize("fault", [Action.DROP_BEFORE, Action.DROP_AFTER, Action.ERROR, Action.ERROR_AFTER])
def test_a_lost_close_is_found_by_its_position_or_did_not_happen(fault: Action, quantity: str | None) -> None:
    async def body(site: Site) -> None:
        await site.open(quantity="0.2")
        lot = await site.lot()
        site.faults.add([FaultRule(fault, "close_position", times=1)])
        close, sent_at_ns = site.close(lot.venue_id, quantity), site.clock.now_ns()
        assert isinstance(await site.tl.close_lot(close), Unknown)
        found = await site.settled(close, sent_at_ns)
        if fault in (Action.DROP_BEFORE, Action.ERROR):
            assert found == NotFound()
            assert (await site.lot()).quantity == D("0.2")
        else:
            assert isinstance(found, Found)
            assert found.report.filled_quantity == (D("0.2") if quantity is None else D(quantity))
            assert found.report.client_order_id == close.client_order_id
        assert site.requests("close_position") == int(fault is not Action.DROP_BEFORE and fault is not Action.ERROR)

    run(body)


def test_a_lost_part_close_is_not_taken_for_the_one_before_it() -> None:
    async def body(site: Site) -> None:
        await site.open(quantity="0.3")
        lot = await site.lot()
        first = only(await site.tl.close_lot(site.close(lot.venue_id, "0.1")))
        site.known.add(first.venue_order_id)
        site.faults.add([FaultRule(Action.DROP_AFTER, "close_position", times=1)])
        close, sent_at_ns = site.close(lot.venue_id, "0.1"), site.clock.now_ns()
        assert isinstance(await site.tl.close_lot(close), Unknown)
        found = await site.settled(close, sent_at_ns)
        assert isinstance(found, Found)
        assert found.report.venue_order_id != first.venue_order_id
        assert (await site.lot()).quantity == D("0.1")

    run(body)


def test_a_lost_part_close_is_not_taken_for_a_person_s_of_another_size() -> None:
    async def body(site: Site) -> None:
        await site.open(quantity="0.3")
        lot = await site.lot()
        site.faults.add([FaultRule(Action.DROP_BEFORE, "close_position", times=1)])
        close, sent_at_ns = site.close(lot.venue_id, "0.1"), site.clock.now_ns()
        assert isinstance(await site.tl.close_lot(close), Unknown)
        site.venue.positions.close(lot.venue_id, {"qty": "0.05"}, site.setup.accounts[0], site.clock.now_ns())
        assert await site.settled(close, sent_at_ns) == NotFound()
        assert (await site.lot()).quantity == D("0.25")

    run(body)


@pytest.mark.parametrize("is_seen", [True, False])
def test_a_lost_part_close_is_not_called_absent_while_the_position_lacks_more_than_orders_tell(is_seen: bool) -> None:
    """The history may lag longer than the quiet period; one that never shows the order leaves it to a person."""

    async def body(site: Site) -> None:
        _, opened = await site.open(quantity="0.3")
        lot = await site.lot()
        site.faults.add([FaultRule(Action.DROP_AFTER, "close_position", times=1)])

        def lagging(told: Any) -> Any:
            rows = [row for row in told["d"]["ordersHistory"] if row[0] == opened.venue_order_id]
            return {**told, "d": {**told["d"], "ordersHistory": rows}}

        site.venue.changed["orders_history"] = lagging
        close, sent_at_ns = site.close(lot.venue_id, "0.1"), site.clock.now_ns()
        assert isinstance(await site.tl.close_lot(close), Unknown)
        for _ in range(15):
            assert isinstance(await site.tl.resolve(close, sent_at_ns), StillUnknown)
            await asyncio.sleep(3)
        if is_seen:
            site.venue.changed.clear()
        found = await site.settled(close, sent_at_ns)
        if is_seen:
            assert isinstance(found, Found)
            assert found.report.filled_quantity == D("0.1")
        else:
            assert found == Ambiguous(())
        assert site.requests("close_position") == 1

    run(body)


def test_a_close_of_what_is_gone_is_refused_and_repeating_a_whole_one_closes_nothing_else() -> None:
    async def body(site: Site) -> None:
        await site.open()
        first = await site.lot()
        await site.open()
        only(await site.tl.close_lot(site.close(first.venue_id)))
        again = await site.tl.close_lot(site.close(first.venue_id))
        assert isinstance(again, Rejected)
        assert again.code == "not_found"
        left = await site.lot()
        assert left.venue_id != first.venue_id

    run(body)


def test_a_close_and_a_stop_that_crossed_are_told_apart() -> None:
    async def body(site: Site) -> None:
        await site.open(protection=LotProtection(stop=site.price(-50)))
        lot = await site.lot()

        def stopped() -> None:
            site.move(site.price(-60), site.price(-55))

        site.venue.before["close_position"] = stopped
        outcome = await site.tl.close_lot(site.close(lot.venue_id))
        assert isinstance(outcome, Rejected)
        (exit_,) = closings(await site.look())
        assert (exit_.lot, exit_.kind, exit_.filled_quantity) == (lot.venue_id, OrderKind.STOP, lot.quantity)

    run(body)


# --- what the venue closes --------------------------------------------------------------------------------------------


def test_a_position_that_lived_between_two_looks_is_told_with_what_closed_it() -> None:
    async def body(site: Site) -> None:
        await site.look()
        _, opened = await site.open(protection=LotProtection(stop=site.price(-50)))
        site.move(site.price(-60), site.price(-55))
        snapshot = await site.look()
        assert (snapshot.lots, snapshot.lots_complete) == ((), True)
        entry, exit_ = snapshot.orders
        assert entry.venue_order_id == opened.venue_order_id, "what opened it comes first"
        assert (exit_.lot, exit_.state) == (opened.fills[0].lot, OrderState.FILLED)
        assert sum(fill.quantity for fill in exit_.fills) == D("0.1")

    run(body)


def test_an_order_that_opened_two_positions_is_told_with_what_closed_the_first() -> None:
    """It filled in part, the target took that position, the rest opened another: the order's row names the last alone."""

    async def body(site: Site) -> None:
        await site.look()
        command = site.submit(
            quantity=D("0.13"), price=site.price(0), protection=LotProtection(take=site.price(20))
        )  # fmt: skip
        site.move(site.price(-1), site.price(0))
        order_id, _ = await site.place(command)
        first = await site.look()
        (part,) = [one for one in first.orders if one.venue_order_id == order_id]
        filled = part.filled_quantity
        assert 0 < filled < command.spec.quantity
        for above in (21, 22, 23):
            site.move(site.price(above), site.price(above + 1))
        site.move(site.price(-1), site.price(0))
        snapshot = await site.look()
        (left,) = snapshot.lots
        assert (left.quantity, snapshot.lots_complete) == (command.spec.quantity - filled, True)
        (exit_,) = (one for one in closings(snapshot) if one.state is OrderState.FILLED)
        assert exit_.filled_quantity == filled
        assert exit_.lot == part.fills[0].lot != left.venue_id
        site.known.add(exit_.venue_order_id)
        again = await site.look()
        assert ([one.filled_quantity for one in closings(again)], again.lots_complete) == ([D(0)], True)

    run(body, depth=DepthRules(levels=1, size=0.08, growth=1.0, step_ticks=1))


def test_a_position_of_which_only_a_cancel_told_is_followed_to_its_end() -> None:
    async def body(site: Site) -> None:
        await site.look()
        command = site.submit(kind=OrderKind.MARKET, protection=LotProtection(stop=site.price(-50)))
        order_id, _ = await site.place(command)
        assert only(await site.tl.cancel(site.cancel(command, order_id))).state is OrderState.FILLED
        site.move(site.price(-60), site.price(-55))
        (exit_,) = closings(await site.look())
        assert exit_.filled_quantity == command.spec.quantity

    run(body)


def test_a_closing_is_told_until_the_engine_has_it_and_then_no_more() -> None:
    async def body(site: Site) -> None:
        await site.open(protection=LotProtection(stop=site.price(-50)))
        site.move(site.price(-60), site.price(-55))
        (exit_,) = closings(await site.look())
        for _ in range(3):
            assert [one.venue_order_id for one in closings(await site.look())] == [exit_.venue_order_id]
        reads = site.requests("orders_history")
        site.known.add(exit_.venue_order_id)
        assert closings(await site.look()) == []
        assert site.requests("orders_history") == reads, "what is explained is not looked for again"

    run(body)


def test_exits_of_a_position_that_is_younger_than_the_list_of_positions_are_no_foreign_orders() -> None:
    async def body(site: Site) -> None:
        await asyncio.sleep(1.1)

        def opened() -> None:
            body = translate.new_order(
                site.submit(kind=OrderKind.MARKET, protection=LotProtection(stop=site.price(-50))), "206", "9912"
            )
            wanted = read_create(body, site.venue.orders.rules, site.venue.market.mids())
            site.venue.orders.create(wanted, site.setup.accounts[0], site.clock.now_ns())

        site.venue.before["orders"] = opened
        snapshot = await site.tl.snapshot()
        assert snapshot.lots == ()
        assert all(report.lot for report in snapshot.orders)
        assert len(snapshot.orders) == 1

    run(body)


def test_an_exit_that_happens_while_a_snapshot_is_read_is_told_by_the_next_one() -> None:
    async def body(site: Site) -> None:
        await site.open(protection=LotProtection(stop=site.price(-50)))
        await site.open(protection=LotProtection(take=site.price(20)))
        site.move(site.price(30), site.price(31))  # the look below has a history to read

        def stopped() -> None:
            site.move(site.price(-60), site.price(-55))

        site.venue.before["orders_history"] = stopped
        first = await site.look()
        assert len(first.lots) == 1, "its position was read before"
        second = await site.look()
        assert (second.lots, second.lots_complete) == ((), True)
        assert first.lots[0].venue_id in {report.lot for report in second.orders}

    run(body)


def test_a_position_that_is_gone_without_its_order_proves_nothing_until_the_history_shows_it() -> None:
    async def body(site: Site) -> None:
        await site.open(protection=LotProtection(stop=site.price(-50)))
        lot = await site.lot()
        site.venue.adjust({"look_up_lag_s": 4.0})
        site.move(site.price(-60), site.price(-55))
        first = await site.look()
        assert (first.lots, first.lots_complete) == ((), False)
        await asyncio.sleep(4)
        second = await site.look()
        assert second.lots_complete
        assert [report.lot for report in closings(second)] == [lot.venue_id]

    run(body)


def test_a_snapshot_that_fails_half_way_forgets_nothing_of_what_closed() -> None:
    async def body(site: Site) -> None:
        await site.open(protection=LotProtection(stop=site.price(-50)))
        await site.look()
        site.move(site.price(-60), site.price(-55))
        site.faults.add([FaultRule(Action.ERROR, "state", times=1, status=503)])
        with pytest.raises(Unavailable):
            await site.look()
        (exit_,) = closings(await site.look())
        assert exit_.filled_quantity == site.quantity

    run(body)


def test_after_a_restart_a_close_that_the_history_shows_late_is_waited_for() -> None:
    async def body(site: Site) -> None:
        await site.open(protection=LotProtection(stop=site.price(-50)))
        await asyncio.sleep(5)
        site.venue.adjust({"look_up_lag_s": 4.0})
        site.move(site.price(-60), site.price(-55))
        other = site.connect()
        await other.start()
        first = await other.snapshot()
        assert (first.lots, first.lots_complete, closings(first)) == ((), False, [])
        await asyncio.sleep(4)
        second = await other.snapshot()
        assert second.lots_complete
        assert len(closings(second)) == 1

    run(body)


def test_what_a_person_closes_in_part_and_then_whole_is_told_with_its_lot_each_time() -> None:
    async def body(site: Site) -> None:
        await site.open(quantity="0.3")
        lot = await site.lot()
        account, closing = site.setup.accounts[0], list[OrderReport]()
        for part, left in (("0.1", "0.2"), (None, None)):
            quantity = 0 if part is None else part
            site.venue.positions.close(lot.venue_id, {"qty": quantity}, account, site.clock.now_ns())
            snapshot = await site.look()
            assert [one.quantity for one in snapshot.lots] == ([] if left is None else [D(left)])
            closing = closings(snapshot)
            assert {report.lot for report in closing} == {lot.venue_id}
            assert closing[-1].kind is OrderKind.MARKET
            site.known.update(report.venue_order_id for report in closing)
        assert sum(report.filled_quantity for report in closing) == D("0.3")

    run(body)


def test_a_process_that_begins_tells_what_was_closed_while_none_looked() -> None:
    async def body(site: Site) -> None:
        _, opened = await site.open(protection=LotProtection(stop=site.price(-50)))
        site.move(site.price(-60), site.price(-55))
        other = site.connect()
        await other.start()
        await other.instruments([site.symbol])
        (exit_,) = closings(await other.snapshot())
        assert (exit_.lot, exit_.side) == (opened.fills[0].lot, Side.SELL)

    run(body)
