"""What becomes of writes whose answers are lost: never two orders, never one forgotten, by the log and over a restart."""

import asyncio
from decimal import Decimal

import pytest

from quantd.domain.orders import OrderState
from quantd.domain.outcomes import (
    Accepted,
    Ambiguous,
    Found,
    NotExecuted,
    NotFound,
    Rejected,
    Resolution,
    StillUnknown,
    Unknown,
)
from quantd.venues.oanda.options import QUIET_PERIOD_S
from tests.component.oanda.rig import SECOND_NS, Rig, run

D = Decimal
LOST = ["drop_before", "drop_after", "500_before", "500_after", "html_after"]


@pytest.mark.parametrize("fault", LOST)
def test_a_lost_submit_stands_once_or_not_at_all_and_we_know_which(fault: str) -> None:
    async def body(rig: Rig) -> None:
        command, sent_at_ns = rig.submit(), rig.clock.now_ns()
        rig.venue.faults["create_order"] = [fault]
        assert isinstance(await rig.connector.submit(command), Unknown)
        resolution = await rig.resolved(command, sent_at_ns)
        if rig.venue.pending():
            assert isinstance(resolution, Found)
            assert (resolution.report.venue_order_id, resolution.report.state) == ("2", OrderState.WORKING)
        else:
            assert resolution == NotFound()
            assert rig.clock.now_ns() - sent_at_ns >= QUIET_PERIOD_S * SECOND_NS
        assert rig.venue.count("create_order") == 1, "nothing is ever sent again"
        assert len(rig.venue.pending()) == int("after" in fault)

    run(body)


def test_what_never_left_is_not_executed() -> None:
    async def body(rig: Rig) -> None:
        rig.venue.faults["create_order"] = ["refuse"]
        assert await rig.connector.submit(rig.submit()) == NotExecuted("not_connected")

    run(body)


def test_a_submit_that_filled_unseen_is_found_with_its_fill() -> None:
    async def body(rig: Rig) -> None:
        command, sent_at_ns = rig.submit(), rig.clock.now_ns()
        rig.venue.fills_at_once = True
        rig.venue.faults["create_order"] = ["drop_after"]
        await rig.connector.submit(command)
        resolution = await rig.resolved(command, sent_at_ns)
        assert isinstance(resolution, Found)
        assert (resolution.report.state, resolution.report.filled_quantity) == (OrderState.FILLED, D(1000))

    run(body)


def test_an_absence_proves_nothing_while_the_log_lags() -> None:
    async def body(rig: Rig) -> None:
        command, sent_at_ns = rig.submit(), rig.clock.now_ns()
        rig.venue.faults["create_order"] = ["drop_after"]
        await rig.connector.submit(command)
        rig.venue.lag = 1
        for _ in range(40):
            assert isinstance(await rig.connector.resolve(command, sent_at_ns), StillUnknown)
            await asyncio.sleep(2)
        rig.venue.lag = 0
        assert isinstance(await rig.resolved(command, sent_at_ns), Found)

    run(body)


def test_a_log_in_pages_is_read_to_its_end() -> None:
    async def body(rig: Rig) -> None:
        for _ in range(25):
            rig.venue.entry("CLIENT_CONFIGURE")
        command, sent_at_ns = rig.submit(), rig.clock.now_ns()
        rig.venue.page_max = 10
        rig.venue.faults["create_order"] = ["drop_after"]
        await rig.connector.submit(command)
        assert isinstance(await rig.connector.resolve(command, sent_at_ns), Found)
        assert rig.venue.count("transactions_since") == 3

    run(body)


def test_two_orders_under_one_id_are_a_persons_matter() -> None:
    async def body(rig: Rig) -> None:
        command, sent_at_ns = rig.submit(), rig.clock.now_ns()
        rig.venue.faults["create_order"] = ["drop_after"]
        await rig.connector.submit(command)
        rig.venue.place(rig.venue.pending()[0] | {"clientExtensions": {"id": "q1-1"}})
        assert await rig.resolved(command, sent_at_ns) == Ambiguous(("2", "3"))

    run(body)


def test_after_a_restart_a_lost_submit_is_found_by_time_where_no_place_in_the_log_was_kept() -> None:
    async def body(rig: Rig) -> None:
        command, sent_at_ns = rig.submit(), rig.clock.now_ns()
        rig.venue.faults["create_order"] = ["drop_after"]
        await rig.connector.submit(command)
        await asyncio.sleep(3600)
        other = rig.restarted()
        await other.connector.start()
        assert isinstance(await other.resolved(command, sent_at_ns), Found)
        assert rig.venue.count("transactions") == 1

    run(body)


def test_after_a_restart_an_absence_proves_nothing_while_the_pages_lag() -> None:
    async def body(rig: Rig) -> None:
        command, sent_at_ns = rig.submit(), rig.clock.now_ns()
        rig.venue.faults["create_order"] = ["drop_after"]
        await rig.connector.submit(command)
        other = rig.restarted()
        await other.connector.start()
        rig.venue.lag = 1
        for _ in range(30):
            assert isinstance(await other.connector.resolve(command, sent_at_ns), StillUnknown)
            await asyncio.sleep(2)
        rig.venue.lag = 0
        assert isinstance(await other.resolved(command, sent_at_ns), Found)

    run(body)


def test_after_a_restart_the_log_goes_on_where_it_was_left() -> None:
    async def body(rig: Rig) -> None:
        await rig.connector.snapshot()
        await rig.connector.snapshot()
        command, sent_at_ns = rig.submit(), rig.clock.now_ns()
        rig.venue.faults["create_order"] = ["drop_after"]
        await rig.connector.submit(command)
        for _ in range(3):
            await rig.connector.snapshot()
        assert rig.connector.handed_out_id == 1, "the place never runs past a write of unknown outcome"
        other = rig.restarted()
        other.connector.ledger.resume(rig.connector.handed_out_id)
        await other.connector.start()
        assert isinstance(await other.resolved(command, sent_at_ns), Found)
        assert rig.venue.count("transactions") == 0
        assert isinstance(await rig.resolved(command, sent_at_ns), Found)
        await rig.connector.snapshot()
        assert rig.connector.handed_out_id == 2

    run(body)


def test_before_the_account_was_read_the_log_is_read_in_the_account_s_currency_too() -> None:
    """The first look after a restart may be for a lost write: what its fill cost and settled stood in no currency."""

    async def body(rig: Rig) -> None:
        rig.venue.fills_at_once = True
        rig.venue.faults["create_order"] = ["drop_after"]
        command, sent_at_ns = rig.submit(), rig.clock.now_ns()
        await rig.connector.submit(command)
        other = rig.restarted()
        other.connector.ledger.resume(1)
        resolution = await other.connector.resolve(command, sent_at_ns)
        assert isinstance(resolution, Found)
        assert resolution.report.fills
        for fill in resolution.report.fills:
            assert fill.fees == (("USD", D("0.5")),)
            assert fill.settled is None or fill.settled[0] == "USD"
        older = rig.restarted()
        (report,) = await older.connector.order_reports([rig.ref(command, resolution.report.venue_order_id)])
        assert report.fills[0].fees == (("USD", D("0.5")),)

    run(body)


def test_after_a_restart_a_close_that_is_repeated_and_refused_is_looked_for_to_the_end() -> None:
    async def body(rig: Rig) -> None:
        command, sent_at_ns = rig.close("77"), rig.clock.now_ns()
        other = rig.restarted()
        await other.connector.start()
        resolution: Resolution = StillUnknown("")
        while isinstance(resolution, StillUnknown):
            assert rig.clock.now_ns() - sent_at_ns < 10 * QUIET_PERIOD_S * SECOND_NS
            resolution = await other.connector.resolve(command, sent_at_ns)
            assert isinstance(await other.connector.close_lot(other.close("77")), Rejected)
            await asyncio.sleep(1)
        assert resolution == NotFound()

    run(body)


def test_a_log_out_of_reach_begins_again_and_is_read_by_time_where_that_is_needed() -> None:
    async def body(rig: Rig) -> None:
        command, sent_at_ns = rig.submit(), rig.clock.now_ns()
        rig.venue.faults["create_order"] = ["drop_after"]
        await rig.connector.submit(command)
        rig.venue.since_limit = 2
        other = rig.restarted()
        other.connector.ledger.resume(1)
        await other.connector.start()
        assert isinstance(await other.resolved(command, sent_at_ns), Found)
        assert other.anomalies("log_out_of_reach") == 1

    run(body)


def test_a_lost_submit_is_not_called_absent_over_a_stretch_of_the_log_that_was_never_read() -> None:
    async def body(rig: Rig) -> None:
        command, sent_at_ns = rig.submit(), rig.clock.now_ns()
        await asyncio.sleep(1)
        rig.venue.faults["create_order"] = ["drop_after"]
        await rig.connector.submit(command)
        rig.venue.since_limit = 2
        assert isinstance(await rig.resolved(command, sent_at_ns), Found)
        assert rig.anomalies("log_out_of_reach") == 1

    run(body)


def test_a_hole_in_the_log_is_waited_for_once_and_then_passed_over_loudly() -> None:
    async def body(rig: Rig) -> None:
        command, sent_at_ns = rig.submit(), rig.clock.now_ns()
        rig.venue.entry("CLIENT_CONFIGURE")
        rig.venue.missing = {2}
        rig.venue.faults["create_order"] = ["drop_after"]
        await rig.connector.submit(command)
        assert isinstance(await rig.connector.resolve(command, sent_at_ns), StillUnknown)
        assert rig.anomalies("log_has_a_hole") == 1
        assert isinstance(await rig.connector.resolve(command, sent_at_ns), Found)

    run(body)


@pytest.mark.parametrize("fault", LOST)
def test_a_lost_cancel_is_answered_by_the_orders_end_or_had_no_effect(fault: str) -> None:
    async def body(rig: Rig) -> None:
        await rig.connector.submit(rig.submit())
        rig.venue.faults["cancel_order"] = [fault]
        command, sent_at_ns = rig.cancel("2"), rig.clock.now_ns()
        assert isinstance(await rig.connector.cancel(command), Unknown)
        resolution = await rig.resolved(command, sent_at_ns)
        if rig.venue.pending():
            assert resolution == NotFound()
        else:
            assert isinstance(resolution, Found)
            assert resolution.report.state is OrderState.CANCELLED

    run(body)


@pytest.mark.parametrize("fault", LOST)
def test_a_lost_amendment_is_answered_by_the_replacement_or_had_no_effect(fault: str) -> None:
    async def body(rig: Rig) -> None:
        await rig.connector.submit(rig.submit())
        rig.venue.faults["replace_order"] = [fault]
        command, sent_at_ns = rig.amend("2"), rig.clock.now_ns()
        assert isinstance(await rig.connector.amend(command), Unknown)
        resolution = await rig.resolved(command, sent_at_ns)
        if "after" in fault:
            assert isinstance(resolution, Found)
            assert (resolution.report.venue_order_id, resolution.report.quantity) == ("4", D(2000))
        else:
            assert resolution == NotFound()
        assert len(rig.venue.pending()) == 1

    run(body)


def test_an_amendment_is_not_made_where_the_venue_has_issued_the_rest_under_a_new_number() -> None:
    """Taken for made, the order would count with terms that it has not, and what it fills beyond them with nobody."""

    async def body(rig: Rig) -> None:
        command = rig.submit()
        await rig.connector.submit(command)
        rest = rig.venue.fill_part("2", "300")
        assert await rig.connector.amend(rig.amend("2", 400)) == NotExecuted("order_reissued")
        (report,) = await rig.connector.order_reports([rig.ref(command, "2")])
        assert (report.venue_order_id, report.filled_quantity) == (rest["id"], D(300))
        assert (report.quantity, report.price) == (D(1000), command.spec.price)

    run(body)


@pytest.mark.parametrize("fault", LOST)
def test_a_lost_amendment_was_not_made_where_the_rest_goes_on_under_a_new_number_and_the_old_terms(fault: str) -> None:
    async def body(rig: Rig) -> None:
        await rig.connector.submit(rig.submit())
        rig.venue.fill_part("2", "300")
        rig.venue.faults["replace_order"] = [fault]
        command, sent_at_ns = rig.amend("2", 400), rig.clock.now_ns()
        assert isinstance(await rig.connector.amend(command), Unknown)
        assert await rig.resolved(command, sent_at_ns) == NotFound()

    run(body)


@pytest.mark.parametrize("fault", LOST)
def test_a_lost_close_of_a_trade_is_found_by_the_trade_or_did_not_happen(fault: str) -> None:
    async def body(rig: Rig) -> None:
        rig.venue.fills_at_once = True
        await rig.connector.submit(rig.submit())
        rig.venue.faults["close_trade"] = [fault]
        command, sent_at_ns = rig.close("3", 1000), rig.clock.now_ns()
        assert isinstance(await rig.connector.close_lot(command), Unknown)
        resolution = await rig.resolved(command, sent_at_ns)
        if rig.venue.trades:
            assert resolution == NotFound()
        else:
            assert isinstance(resolution, Found)
            assert (resolution.report.venue_order_id, resolution.report.filled_quantity) == ("4", D(1000))

    run(body)


def test_a_repeated_close_that_finds_no_trade_leaves_the_first_one_to_the_log() -> None:
    async def body(rig: Rig) -> None:
        rig.venue.fills_at_once = True
        await rig.connector.submit(rig.submit())
        rig.venue.faults["close_trade"] = ["drop_after"]
        command, sent_at_ns = rig.close("3"), rig.clock.now_ns()
        assert isinstance(await rig.connector.close_lot(command), Unknown)
        assert isinstance(await rig.connector.close_lot(command), Rejected)
        for _ in range(3):
            await rig.connector.snapshot()
        assert rig.connector.handed_out_id < 4, "the first one's outcome is still to be found"
        assert isinstance(await rig.resolved(command, sent_at_ns), Found)

    run(body)


def test_anothers_close_is_not_taken_for_ours() -> None:
    async def body(rig: Rig) -> None:
        rig.venue.fills_at_once = True
        await rig.connector.submit(rig.submit())
        ours = await rig.connector.close_lot(rig.close("3", number=7))
        assert isinstance(ours, Accepted)
        rig.known = {"4"}
        assert await rig.resolved(rig.close("3"), rig.clock.now_ns()) == NotFound()

    run(body)


def test_a_cancel_by_our_id_alone_reaches_an_order_whose_number_is_not_known() -> None:
    async def body(rig: Rig) -> None:
        rig.venue.faults["create_order"] = ["drop_after"]
        await rig.connector.submit(rig.submit())
        outcome = await rig.connector.cancel(rig.cancel(""))
        assert not rig.venue.pending()
        assert isinstance(outcome, Accepted | Unknown)
        assert isinstance(await rig.resolved(rig.submit(), rig.clock.now_ns() - SECOND_NS), Found)

    run(body)
