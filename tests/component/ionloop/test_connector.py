"""The connector's writes against a venue that keeps orders."""

import asyncio
from decimal import Decimal

import pytest

from quantd.domain.commands import CancelAll
from quantd.domain.orders import OrderKind, OrderState, Side, TimeInForce
from quantd.domain.outcomes import Accepted, NotExecuted, Rejected, Unknown
from quantd.errors import AuthFailed
from quantd.ports import HttpResponse
from quantd.venues.ionloop import wire
from tests.component.ionloop.rig import Rig, cancel, run


def test_a_limit_order_is_accepted_with_its_report() -> None:
    async def body(rig: Rig) -> None:
        outcome = await rig.connector.submit(rig.submit(price="65000.10", quantity="0.0100"))
        assert isinstance(outcome, Accepted)
        (report,) = outcome.reports
        assert (report.venue_order_id, report.state, report.filled_quantity) == (
            "ord_1",
            OrderState.WORKING,
            Decimal(0),
        )
        assert (report.client_order_id, report.price) == ("qj1-1-1", Decimal("65000.1"))
        sent = rig.venue.requests[-1]
        assert sent.body == (
            b'{"symbol":"BTC-USDT","side":"buy","type":"limit","quantity":"0.01","price":"65000.1","timeInForce":"GTC"}'
        )
        assert sent.headers["Idempotency-Key"] == "qj1-1-1-1"

    run(body)


def test_an_order_filled_at_once_says_so_in_its_outcome() -> None:
    async def body(rig: Rig) -> None:
        rig.venue.fill_on_create = True
        outcome = await rig.connector.submit(rig.submit())
        assert isinstance(outcome, Accepted)
        assert outcome.reports[0].state is OrderState.FILLED
        assert outcome.reports[0].filled_quantity == Decimal("0.01")
        assert outcome.reports[0].average_price is None

    run(body)


@pytest.mark.parametrize(
    "terms",
    [
        {"kind": OrderKind.MARKET},
        {"kind": OrderKind.STOP_LIMIT, "trigger": Decimal(1)},
        {"time_in_force": TimeInForce.FOK},
        {"time_in_force": TimeInForce.IOC},
        {"post_only": True},
    ],
)
def test_what_the_venue_cannot_do_is_rejected_without_asking_it(terms: dict[str, object]) -> None:
    async def body(rig: Rig) -> None:
        outcome = await rig.connector.submit(rig.submit(**terms))  # type: ignore[arg-type]  # terms of many types
        assert isinstance(outcome, Rejected)
        assert outcome.code == "unsupported"
        assert not rig.venue.requests

    run(body)


def test_a_reply_about_another_order_leaves_the_outcome_unknown() -> None:
    async def body(rig: Rig) -> None:
        other = rig.venue.ok(rig.venue.add_order("ord_9", side="sell"))
        rig.venue.answers["create_order"] = [other]
        assert await rig.connector.submit(rig.submit()) == Unknown("reply_contradicts_order")
        assert rig.anomalies("reply_contradicts") == 1

    run(body)


def test_success_without_the_order_in_it_leaves_the_outcome_unknown() -> None:
    async def body(rig: Rig) -> None:
        rig.venue.answers["create_order"] = [HttpResponse(201, {}, b'{"success":true,"data":{"id":"ord_1"}}')]
        assert await rig.connector.submit(rig.submit()) == Unknown("accepted_but_unreadable")

    run(body)


def test_an_order_with_a_state_that_nobody_knows_keeps_working_and_is_alerted() -> None:
    async def body(rig: Rig) -> None:
        command = rig.submit()
        await rig.connector.submit(command)
        rig.venue.orders["ord_1"]["status"] = "partially_filled"
        rig.venue.orders["ord_1"]["filledQuantity"] = "0.004"
        (report,) = await rig.connector.order_reports([rig.ref(command, "ord_1")])
        assert (report.state, report.filled_quantity) == (OrderState.PARTIALLY_FILLED, Decimal("0.004"))
        assert rig.anomalies("unknown_order_status") == 1

    run(body)


def test_a_rejected_key_is_signalled_and_a_full_account_is_not() -> None:
    async def body(rig: Rig) -> None:
        rig.venue.answers["create_order"] = [
            rig.venue.error(402, "INSUFFICIENT_BALANCE"),
            rig.venue.error(403, "FORBIDDEN"),
        ]
        assert isinstance(await rig.connector.submit(rig.submit()), Rejected)
        assert not rig.auth_failures
        assert isinstance(await rig.connector.submit(rig.submit(2)), Rejected)
        assert len(rig.auth_failures) == 1

    run(body)


def test_a_wrong_key_fails_the_start() -> None:
    async def body(rig: Rig) -> None:
        with pytest.raises(AuthFailed):
            await rig.connector.start()

    run(body, key="wrong")


def test_a_ban_stops_all_traffic_for_the_time_that_the_venue_names() -> None:
    async def body(rig: Rig) -> None:
        rig.venue.answers["create_order"] = [HttpResponse(418, {"retry-after": "130"}, b"<html>banned</html>")]
        assert await rig.connector.submit(rig.submit()) == NotExecuted("banned", 130.0)
        assert isinstance(await rig.connector.submit(rig.submit(2)), NotExecuted)
        assert len(rig.venue.requests) == 1
        await asyncio.sleep(131)
        assert isinstance(await rig.connector.submit(rig.submit(3)), Accepted)

    run(body)


# --- cancel ---


def test_a_cancel_tells_what_was_filled_of_the_order() -> None:
    async def body(rig: Rig) -> None:
        await rig.connector.submit(rig.submit())
        rig.venue.fill("ord_1", "0.004")
        outcome = await rig.connector.cancel(cancel("ord_1"))
        assert isinstance(outcome, Accepted)
        assert outcome.reports[0].state is OrderState.CANCELLED
        assert outcome.reports[0].filled_quantity == Decimal("0.004")

    run(body)


def test_a_cancel_of_a_filled_order_is_accepted_as_filled() -> None:
    async def body(rig: Rig) -> None:
        await rig.connector.submit(rig.submit())
        rig.venue.fill("ord_1", "0.01")
        outcome = await rig.connector.cancel(cancel("ord_1"))
        assert isinstance(outcome, Accepted)
        assert outcome.reports[0].state is OrderState.FILLED

    run(body)


def test_a_cancel_waits_for_the_engine_behind_the_reply() -> None:
    async def body(rig: Rig) -> None:
        await rig.connector.submit(rig.submit())
        rig.venue.cancel_lag = 2
        outcome = await rig.connector.cancel(cancel("ord_1"))
        assert isinstance(outcome, Accepted)
        assert outcome.reports[0].state is OrderState.CANCELLED

    run(body)


def test_a_cancel_of_an_order_that_vanished_is_not_called_cancelled() -> None:
    async def body(rig: Rig) -> None:
        await rig.connector.submit(rig.submit())
        rig.venue.hidden.add("ord_1")
        assert await rig.connector.cancel(cancel("ord_1")) == Unknown("order_not_found")
        rig.venue.hidden.clear()
        resolution = await rig.resolved(cancel("ord_1"), rig.clock.now_ns())
        assert resolution.report.state is OrderState.WORKING  # type: ignore[union-attr]  # fails on any other

    run(body)


def test_a_cancel_without_a_venue_id_never_leaves() -> None:
    async def body(rig: Rig) -> None:
        assert await rig.connector.cancel(cancel("")) == NotExecuted("no_venue_order_id")
        assert not rig.venue.requests

    run(body)


def test_cancelling_everything_spares_the_orders_of_others() -> None:
    async def body(rig: Rig) -> None:
        for number in (1, 2):
            await rig.connector.submit(rig.submit(number, price=str(60000 + number)))
        rig.venue.add_order("ord_by_hand")
        rig.known = {"ord_1", "ord_2"}
        outcome = await rig.connector.cancel_all(CancelAll("ionloop"))
        assert isinstance(outcome, Accepted)
        assert {report.venue_order_id for report in outcome.reports} == {"ord_1", "ord_2"}
        assert rig.venue.orders["ord_by_hand"]["status"] == "open"

    run(body)


def test_no_secret_shows_in_what_might_be_printed() -> None:
    async def body(rig: Rig) -> None:
        assert "key-0123456789" not in repr(rig.connector.__dict__)
        assert "whsec" not in repr(wire.NewWebhook(url="u", events=(), secret="whsec"))

    run(body)


def test_a_seller_is_read_as_a_seller() -> None:
    async def body(rig: Rig) -> None:
        outcome = await rig.connector.submit(rig.submit(side=Side.SELL))
        assert isinstance(outcome, Accepted)
        assert outcome.reports[0].side is Side.SELL

    run(body)


def test_refusals_for_too_many_requests_that_name_no_time_pause_for_longer_each_time() -> None:
    async def body(rig: Rig) -> None:
        rig.venue.answers["create_order"] = [rig.venue.error(429, "RATE_LIMITED")] * 3
        pauses = []
        for number in range(3):
            outcome = await rig.connector.submit(rig.submit(number))
            assert isinstance(outcome, NotExecuted)
            pauses.append(outcome.retry_after_s)
            await asyncio.sleep(5)
        assert pauses == [1.0, 2.0, 4.0]

    run(body)
