"""What becomes of a create whose answer is lost: never two orders, never one forgotten."""

import asyncio
from decimal import Decimal

import pytest

from quantd.domain.orders import OrderState
from quantd.domain.outcomes import Ambiguous, Found, NotFound, StillUnknown, Unknown
from tests.component.ionloop.rig import Rig, run

LOST = ["drop_before", "drop_after", "500_before", "500_after", "html_after"]


@pytest.mark.parametrize("idempotency", [False, True])
@pytest.mark.parametrize("fault", LOST)
def test_a_lost_create_stands_once_or_not_at_all_and_we_know_which(fault: str, idempotency: bool) -> None:
    async def body(rig: Rig) -> None:
        command, sent_at_ns = rig.submit(), rig.clock.now_ns()
        rig.venue.faults["create_order"] = [fault]
        assert isinstance(await rig.connector.submit(command), Unknown)
        resolution = await rig.resolved(command, sent_at_ns)
        if rig.venue.orders:
            assert isinstance(resolution, Found)
            assert resolution.report.venue_order_id == "ord_1"
            assert resolution.report.client_order_id == command.client_order_id
        else:
            assert resolution == NotFound()
            assert rig.clock.now_ns() - sent_at_ns >= 30_000_000_000
        assert len(rig.venue.orders) == (1 if idempotency else int("after" in fault))

    run(body, idempotency=idempotency)


def test_without_keys_nothing_is_ever_sent_again() -> None:
    async def body(rig: Rig) -> None:
        command, sent_at_ns = rig.submit(), rig.clock.now_ns()
        rig.venue.faults["create_order"] = ["drop_before"]
        await rig.connector.submit(command)
        assert await rig.resolved(command, sent_at_ns) == NotFound()
        assert rig.venue.count("POST") == 1

    run(body)


def test_with_keys_the_same_bytes_go_again_under_the_same_key() -> None:
    async def body(rig: Rig) -> None:
        command, sent_at_ns = rig.submit(), rig.clock.now_ns()
        rig.venue.faults["create_order"] = ["500_after", "drop_before", "html_after"]
        await rig.connector.submit(command)
        assert isinstance(await rig.resolved(command, sent_at_ns), Found)
        sent = [request for request in rig.venue.requests if request.method == "POST"]
        assert len(sent) == 4
        assert len({(r.body, r.headers["Idempotency-Key"]) for r in sent}) == 1
        assert rig.clock.now_ns() - sent_at_ns < 60_000_000_000

    run(body, idempotency=True)


def test_after_a_restart_an_old_create_is_looked_for_and_not_sent_again() -> None:
    async def body(rig: Rig) -> None:
        command, sent_at_ns = rig.submit(), rig.clock.now_ns()
        rig.venue.faults["create_order"] = ["drop_after"]
        await rig.connector.submit(command)
        await asyncio.sleep(3600)
        restarted = Rig(rig.clock, idempotency=True)
        restarted.venue.orders = rig.venue.orders
        assert isinstance(await restarted.resolved(command, sent_at_ns), Found)
        assert restarted.venue.count("POST") == 0

    run(body, idempotency=True)


def test_a_refused_resend_proves_nothing_and_the_order_is_looked_for() -> None:
    async def body(rig: Rig) -> None:
        command, sent_at_ns = rig.submit(), rig.clock.now_ns()
        rig.venue.faults["create_order"] = ["drop_after"]
        await rig.connector.submit(command)
        rig.venue.answers["create_order"] = [rig.venue.error(402, "INSUFFICIENT_BALANCE")] * 5
        resolution = await rig.resolved(command, sent_at_ns)
        assert isinstance(resolution, Found)
        assert resolution.report.venue_order_id == "ord_1"

    run(body, idempotency=True)


@pytest.mark.parametrize("fault", ["drop_before", "drop_after"])
def test_under_a_halt_nothing_is_sent_again_and_looking_takes_no_longer_than_without_keys(fault: str) -> None:
    async def body(rig: Rig) -> None:
        command, sent_at_ns = rig.submit(), rig.clock.now_ns()
        rig.venue.faults["create_order"] = [fault]
        assert isinstance(await rig.connector.submit(command), Unknown)
        rig.http.last_look = lambda lane: "halted"
        resolution = await rig.resolved(command, sent_at_ns)
        assert isinstance(resolution, Found) if fault == "drop_after" else resolution == NotFound()
        assert rig.venue.count("POST") == 1
        assert rig.clock.now_ns() - sent_at_ns < 45_000_000_000

    run(body, idempotency=True)


def test_known_orders_and_other_terms_and_older_orders_are_not_taken_for_it() -> None:
    async def body(rig: Rig) -> None:
        rig.venue.add_order("ord_old", createdAt="2020-09-13T12:20:00Z")
        rig.venue.add_order("ord_known")
        rig.venue.add_order("ord_price", price="65000.01")
        rig.venue.add_order("ord_quantity", quantity="0.02")
        rig.venue.add_order("ord_side", side="sell")
        rig.known = {"ord_known"}
        command, sent_at_ns = rig.submit(), rig.clock.now_ns()
        rig.venue.faults["create_order"] = ["drop_before"]
        await rig.connector.submit(command)
        assert await rig.resolved(command, sent_at_ns) == NotFound()

    run(body)


def test_an_order_that_was_filled_meanwhile_is_found_with_its_fill() -> None:
    async def body(rig: Rig) -> None:
        command, sent_at_ns = rig.submit(price="65000.000"), rig.clock.now_ns()
        rig.venue.fill_on_create = True
        rig.venue.faults["create_order"] = ["drop_after"]
        await rig.connector.submit(command)
        resolution = await rig.resolved(command, sent_at_ns)
        assert isinstance(resolution, Found)
        assert (resolution.report.state, resolution.report.filled_quantity) == (OrderState.FILLED, Decimal("0.01"))

    run(body)


def test_two_that_fit_are_left_to_a_person() -> None:
    async def body(rig: Rig) -> None:
        command, sent_at_ns = rig.submit(), rig.clock.now_ns()
        rig.venue.add_order("ord_a")
        rig.venue.add_order("ord_b")
        rig.venue.faults["create_order"] = ["drop_before"]
        await rig.connector.submit(command)
        assert await rig.resolved(command, sent_at_ns) == Ambiguous(("ord_a", "ord_b"))

    run(body)


def test_one_that_shows_up_late_is_still_found() -> None:
    async def body(rig: Rig) -> None:
        command, sent_at_ns = rig.submit(), rig.clock.now_ns()
        rig.venue.faults["create_order"] = ["drop_after"]
        rig.venue.hidden.add("ord_1")
        await rig.connector.submit(command)
        for _ in range(4):
            assert isinstance(await rig.connector.resolve(command, sent_at_ns), StillUnknown)
            await asyncio.sleep(6)
        rig.venue.hidden.clear()
        assert isinstance(await rig.resolved(command, sent_at_ns), Found)

    run(body)


def test_a_clock_of_the_venue_that_is_behind_ours_hides_nothing() -> None:
    async def body(rig: Rig) -> None:
        rig.venue.clock_offset_ns = -120_000_000_000
        command, sent_at_ns = rig.submit(), rig.clock.now_ns()
        rig.venue.faults["create_order"] = ["drop_after"]
        await rig.connector.submit(command)
        assert isinstance(await rig.resolved(command, sent_at_ns), Found)

    run(body)


@pytest.mark.parametrize(("ahead_s", "is_left"), [(304, True), (306, False)])
def test_one_that_may_be_it_if_our_clock_was_ahead_when_it_left_is_left_to_a_person(
    ahead_s: int, is_left: bool
) -> None:
    """The clock was put right between the send and the search, as by a restart of the machine."""

    async def body(rig: Rig) -> None:
        command, sent_at_ns = rig.submit(), rig.clock.now_ns() + ahead_s * 1_000_000_000
        rig.venue.faults["create_order"] = ["drop_after"]
        await rig.connector.submit(command)
        await asyncio.sleep(ahead_s)
        begun_ns = rig.clock.now_ns()
        resolution = await rig.resolved(command, sent_at_ns)
        assert resolution == (Ambiguous(("ord_1",)) if is_left else NotFound())
        assert rig.clock.now_ns() - begun_ns >= 30_000_000_000, "a person is asked only once nothing else is left"

    run(body)


def test_a_single_look_is_never_enough_and_neither_is_a_list_that_cannot_be_read() -> None:
    async def body(rig: Rig) -> None:
        command, sent_at_ns = rig.submit(), rig.clock.now_ns()
        rig.venue.faults["create_order"] = ["drop_before"]
        await rig.connector.submit(command)
        await asyncio.sleep(100)
        rig.venue.faults["list_orders"] = ["500_before", "drop_before"]
        for _ in range(3):
            assert isinstance(await rig.connector.resolve(command, sent_at_ns), StillUnknown)
        assert isinstance(await rig.connector.resolve(command, sent_at_ns), StillUnknown), "too soon to count"
        await asyncio.sleep(30)
        assert await rig.connector.resolve(command, sent_at_ns) == NotFound()

    run(body)


def test_an_old_intent_found_at_a_start_is_not_given_up_before_the_quiet_period_has_passed_here() -> None:
    """The wall clock may have been set forward since it was sent: only time that was seen to pass counts."""

    async def body(rig: Rig) -> None:
        command, sent_at_ns = rig.submit(), rig.clock.now_ns() - 3_600_000_000_000
        for _ in range(5):
            assert isinstance(await rig.connector.resolve(command, sent_at_ns), StillUnknown)
            await asyncio.sleep(5.5)
        await asyncio.sleep(5.5)
        assert await rig.connector.resolve(command, sent_at_ns) == NotFound()

    run(body)


def test_a_list_that_turns_no_pages_never_proves_absence() -> None:
    async def body(rig: Rig) -> None:
        command, sent_at_ns = rig.submit(), rig.clock.now_ns()
        for number in range(100):
            rig.venue.add_order(f"ord_x{number}", quantity="5")
        rig.venue.faults["create_order"] = ["drop_before"]
        await rig.connector.submit(command)
        rows = [{**order} for order in rig.venue.orders.values()]
        page = rig.venue.ok({"items": rows, "page": 1, "pageSize": 100})
        rig.venue.answers["list_orders"] = [page] * 200
        await asyncio.sleep(60)
        for _ in range(3):
            resolution = await rig.connector.resolve(command, sent_at_ns)
            assert isinstance(resolution, StillUnknown)
            assert resolution.cause == "list_not_complete"
            await asyncio.sleep(10)

    run(body)


def test_orders_that_were_read_in_one_look_are_not_read_again_in_the_next() -> None:
    async def body(rig: Rig) -> None:
        for number in range(1_050):
            rig.venue.add_order(
                f"ord_old{number}", createdAt="2020-09-13T11:00:00Z", status="filled", filledQuantity="0.01"
            )
        command, sent_at_ns = rig.submit(), rig.clock.now_ns()
        rig.venue.faults["create_order"] = ["drop_before"]
        await rig.connector.submit(command)
        assert await rig.resolved(command, sent_at_ns) == NotFound()
        assert rig.venue.count("GET", "/v1/orders/") == 1_050

    run(body)
