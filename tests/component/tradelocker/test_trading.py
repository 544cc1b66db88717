"""Orders, positions and their exits through the connector, as the server has them: tags, ids, lags, bare answers."""

import asyncio
from typing import Any

import pytest

from quantd.domain.cash import PositionMode
from quantd.domain.commands import CancelAll
from quantd.domain.lots import LotProtection
from quantd.domain.orders import OrderKind, OrderRef, OrderState, Side
from quantd.domain.outcomes import Accepted, Ambiguous, Found, NotFound, Rejected, Unknown
from quantd.errors import Refused
from quantd.simulators.faults import Action
from tests.component.tradelocker.site import D, Site, named_by, only, run


def test_on_a_hedging_account_both_sides_stand_as_lots_under_our_tags() -> None:
    async def body(site: Site) -> None:
        bought, told = await site.open()
        sold, _ = await site.open(Side.SELL, "0.2")
        lots = {lot.side: lot for lot in (await site.look()).lots}
        assert (lots[Side.BUY].quantity, lots[Side.SELL].quantity) == (D("0.1"), D("0.2"))
        assert (lots[Side.BUY].tag, lots[Side.SELL].tag) == (bought.client_order_id, sold.client_order_id)
        assert lots[Side.BUY].open_price == site.ask
        assert [fill.lot for fill in told.fills] == [lots[Side.BUY].venue_id]
        assert told.venue_order_id != lots[Side.BUY].venue_id

    run(body)


def test_ids_keep_every_digit_where_floats_would_not_tell_them_apart() -> None:
    async def body(site: Site) -> None:
        ids = [named_by(await site.tl.submit(site.submit(price=site.price(-200 - number)))) for number in range(3)]
        assert len(set(ids)) == 3
        assert len({float(one) for one in ids}) == 1
        assert set(ids) == site.truth().working

    run(body)


def test_exits_that_go_with_an_entry_stand_with_its_position_and_name_it() -> None:
    async def body(site: Site) -> None:
        exits = LotProtection(stop=site.price(-100), take=site.price(100))
        await site.open(protection=exits)
        snapshot = await site.look()
        assert [lot.protection for lot in snapshot.lots] == [exits]
        hanging = {report.kind: report for report in snapshot.orders}
        assert {report.lot for report in hanging.values()} == {snapshot.lots[0].venue_id}
        assert (hanging[OrderKind.STOP].trigger, hanging[OrderKind.LIMIT].price) == (exits.stop, exits.take)

    run(body)


@pytest.mark.parametrize("switch", [{"no_content": True}, {"more_columns": True}, {"status_words": "upper"}])
def test_every_write_and_list_works_however_the_server_words_its_answers(switch: dict[str, Any]) -> None:
    async def body(site: Site) -> None:
        site.venue.adjust(switch)
        await site.tl.start()
        command = site.submit()
        order_id, _ = await site.place(command)
        change = site.amend(command, order_id, quantity=D("0.3"), price=site.price(-150))
        assert isinstance(await site.tl.amend(change), Accepted)
        (shown,) = (await site.look()).orders
        assert (shown.quantity, shown.price, shown.state) == (D("0.3"), site.price(-150), OrderState.WORKING)
        assert only(await site.tl.cancel(site.cancel(command, order_id))).state is OrderState.CANCELLED
        await site.open(quantity="0.2")
        lot = await site.lot()
        assert isinstance(await site.tl.set_protection(site.protect(lot.venue_id, site.price(-90))), Accepted)
        assert (await site.lot()).protection == LotProtection(stop=site.price(-90))
        closed = only(await site.tl.close_lot(site.close(lot.venue_id, "0.1")))
        assert (closed.filled_quantity, closed.side) == (D("0.1"), Side.SELL)
        assert (await site.lot()).quantity == D("0.1")

    run(body)


def test_lists_that_lag_behind_hide_neither_an_order_nor_its_end_nor_a_close() -> None:
    async def body(site: Site) -> None:
        site.venue.adjust({"look_up_lag_s": 2.5})
        command = site.submit()
        order_id, _ = await site.place(command)
        assert await site.tl.order_reports([site.ref(command, order_id)]) == ()
        cancelled = await site.tl.cancel(site.cancel(command, order_id))
        assert isinstance(cancelled, Accepted)
        await asyncio.sleep(3)
        (report,) = await site.tl.order_reports([site.ref(command, order_id)])
        assert report.state is OrderState.CANCELLED
        await site.place(site.submit(kind=OrderKind.MARKET))
        await asyncio.sleep(4)
        lot = await site.lot()
        close, sent_at_ns = site.close(lot.venue_id), site.clock.now_ns()
        outcome = await site.tl.close_lot(close)
        if isinstance(outcome, Unknown):
            found = await site.settled(close, sent_at_ns)
            assert isinstance(found, Found)
            assert found.report.filled_quantity == lot.quantity
        assert len(site.venue.exchange.lots(site.setup.accounts[0].id)) == 0

    run(body)


def test_a_refused_create_that_is_listed_all_the_same_is_found_as_refused() -> None:
    async def body(site: Site) -> None:
        site.venue.adjust({"list_refused": True})
        command = site.submit(quantity=site.huge)
        assert isinstance(await site.tl.submit(command), Rejected)
        found = await site.settled(command, site.clock.now_ns())
        assert isinstance(found, Found)
        assert found.report.state is OrderState.REJECTED

    run(body)


def test_a_lost_create_is_not_taken_for_another_order_with_the_same_terms() -> None:
    async def body(site: Site) -> None:
        await site.place(site.submit())
        site.fault(Action.DROP_BEFORE, "submit")
        command, sent_at_ns = site.submit(), site.clock.now_ns()
        assert isinstance(await site.tl.submit(command), Unknown)
        assert await site.settled(command, sent_at_ns) == NotFound()
        assert len(site.truth().working) == 1

    run(body)


def test_a_cancel_that_is_refused_while_the_order_works_is_no_end_of_it() -> None:
    async def body(site: Site) -> None:
        command = site.submit()
        order_id, _ = await site.place(command)
        site.venue.changed["cancel_order"] = lambda told: {"s": "error", "errmsg": "not in this session"}
        keep = site.venue.orders.cancel
        site.venue.orders.cancel = lambda *_: None  # type: ignore[method-assign]  # it refuses, and does nothing
        cancel, sent_at_ns = site.cancel(command, order_id), site.clock.now_ns()
        assert isinstance(await site.tl.cancel(cancel), Unknown)
        found = await site.settled(cancel, sent_at_ns)
        assert isinstance(found, Found)
        assert found.report.state is OrderState.WORKING
        site.venue.orders.cancel = keep  # type: ignore[method-assign]  # as it was
        site.venue.changed = {}
        assert only(await site.tl.cancel(cancel)).state is OrderState.CANCELLED

    run(body)


def test_two_orders_under_one_tag_are_for_a_person_and_neither_is_taken_for_ours() -> None:
    async def body(site: Site) -> None:
        site.fault(Action.DUPLICATE, "submit")
        site.fault(Action.DROP_AFTER, "submit")
        command, sent_at_ns = site.submit(), site.clock.now_ns()
        assert isinstance(await site.tl.submit(command), Accepted)
        found = await site.settled(command, sent_at_ns)
        assert isinstance(found, Ambiguous)
        assert set(found.venue_order_ids) == site.truth().working
        assert {report.client_order_id for report in (await site.look()).orders} == {None}

    run(body)


def test_a_lost_entry_is_told_from_its_exits_though_they_carry_its_tag() -> None:
    async def body(site: Site) -> None:
        exits = LotProtection(stop=site.price(-100), take=site.price(100))
        site.fault(Action.DROP_AFTER, "submit")
        command = site.submit(kind=OrderKind.MARKET, protection=exits)
        sent_at_ns = site.clock.now_ns()
        assert isinstance(await site.tl.submit(command), Unknown)

        def tagged(told: Any) -> Any:
            rows = [[*row[:-1], command.client_order_id] for row in told["d"]["orders"]]
            return {**told, "d": {"orders": rows}}

        site.venue.changed["orders"] = tagged
        found = await site.settled(command, sent_at_ns)
        assert isinstance(found, Found)
        assert (found.report.kind, found.report.state) == (OrderKind.MARKET, OrderState.FILLED)

    run(body)


@pytest.mark.parametrize("no_content", [False, True])
def test_a_change_that_is_answered_and_not_made_is_not_taken_for_made(no_content: bool) -> None:
    """The engine went on with terms that the order had not."""

    async def body(site: Site) -> None:
        command = site.submit(quantity=D("0.2"), price=site.price(-100))
        order_id, _ = await site.place(command)
        site.venue.adjust({"ignore_changes": True, "no_content": no_content})
        change = site.amend(command, order_id, quantity=D("0.3"), price=site.price(-150))
        sent_at_ns = site.clock.now_ns()
        assert await site.tl.amend(change) == Unknown("change_not_seen_yet")
        found = await site.settled(change, sent_at_ns)
        assert isinstance(found, Found)
        assert (found.report.quantity, found.report.price) == (D("0.2"), site.price(-100))
        site.venue.adjust({"ignore_changes": False})
        report = only(await site.tl.amend(site.amend(command, order_id, quantity=D("0.3"), price=site.price(-150))))
        assert (report.quantity, report.price) == (D("0.3"), site.price(-150))

    run(body)


def test_an_amendment_whose_answer_was_lost_is_not_settled_by_terms_that_are_still_the_old_ones() -> None:
    async def body(site: Site) -> None:
        command = site.submit()
        order_id, _ = await site.place(command)
        site.fault(Action.DROP_BEFORE, "amend")
        change = site.amend(command, order_id, quantity=D("0.3"), price=site.price(-150))
        sent_at_ns = site.clock.now_ns()
        assert isinstance(await site.tl.amend(change), Unknown)
        found = await site.settled(change, sent_at_ns)
        assert isinstance(found, Found)
        assert (found.report.quantity, found.report.price) == (command.spec.quantity, command.spec.price)
        assert site.clock.now_ns() - sent_at_ns >= site.tl.capabilities.quiet_period_s * 1e9

    run(body)


# --- cancel all -------------------------------------------------------------------------------------------------------


def test_cancel_all_uses_the_venue_s_route_only_where_nothing_but_ours_is_there() -> None:
    async def body(site: Site) -> None:
        for _ in range(2):
            await site.place(site.submit())
        assert await site.tl.cancel_all(CancelAll(site.tl.venue, site.instrument_id)) == Accepted()
        assert (site.requests("cancel_orders"), site.requests("cancel_order")) == (1, 0)
        await site.place(site.submit())
        await site.foreign_order(site.price(-300), site.quantity)
        await asyncio.sleep(1.1)
        assert isinstance(await site.tl.cancel_all(CancelAll(site.tl.venue)), Accepted)
        assert (site.requests("cancel_orders"), site.requests("cancel_order")) == (1, 1)
        assert len(site.truth().working) == 1

    run(body)


def test_cancel_all_leaves_the_exits_of_positions_alone() -> None:
    async def body(site: Site) -> None:
        await site.open(protection=LotProtection(stop=site.price(-100)))
        await site.place(site.submit())
        await asyncio.sleep(1.1)
        assert isinstance(await site.tl.cancel_all(CancelAll(site.tl.venue)), Accepted)
        assert site.requests("cancel_orders") == 0
        assert (await site.lot()).protection == LotProtection(stop=site.price(-100))

    run(body)


def test_a_netting_account_with_both_sides_open_is_none() -> None:
    async def body(site: Site) -> None:
        await site.open()
        await site.open(Side.SELL)
        site.mode = PositionMode.NETTING  # type: ignore[misc]  # of the next connector only
        other = site.connect()
        await other.start()
        with pytest.raises(Refused, match="not_netting"):
            await other.snapshot()

    run(body)


def test_polling_and_trading_together_stay_within_the_server_s_limits() -> None:
    async def body(site: Site) -> None:
        refs: list[OrderRef] = []

        async def orders() -> None:
            for _ in range(20):
                await asyncio.sleep(1)
                await site.tl.order_reports(refs)

        async def account() -> None:
            for _ in range(10):
                await asyncio.sleep(2)
                await site.tl.snapshot()

        async def trade() -> None:
            for number in range(15):
                command = site.submit(kind=OrderKind.MARKET if number % 3 else OrderKind.LIMIT)
                order_id, _ = await site.place(command)
                refs.append(site.ref(command, order_id))
                if not number % 3:
                    await site.tl.cancel(site.cancel(command, order_id))
                await asyncio.sleep(1)

        async with asyncio.TaskGroup() as tasks:
            for work in (orders, account, trade):
                tasks.create_task(work(), name=work.__name__)
        assert site.refusals() == 0
        assert len((await site.look()).lots) == 10

    run(body)
