"""What the connector makes of the venue's webhooks, and how it asks for them."""

from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from quantd.app.webhooks import receiver_of, register_webhook
from quantd.domain.events import CursorAdvanced, Event, OrderReport
from quantd.domain.orders import OrderState
from quantd.domain.outcomes import Accepted
from quantd.errors import Refused, Unavailable
from quantd.venues.ionloop.verify import sign
from quantd.venues.ionloop.webhooks import USED_TYPES, WebhookReceiver
from quantd.venues.parts import Webhook
from tests.component.ionloop.rig import Rig, cancel, run


def notice(order_id: str, filled: str, average: str, kind: str = "order.filled") -> bytes:
    data = {"orderId": order_id, "symbol": "BTC-USDT", "filledQuantity": filled, "averagePrice": average}
    event = {"id": "evt_1", "type": kind, "version": "2026-05-01", "createdAt": "2020-09-13T12:26:40Z", "data": data}
    return msgspec.json.encode(event)


def the_report(events: Sequence[Event]) -> OrderReport:
    """Return the report that is all that a webhook led to."""
    (report,) = events
    assert isinstance(report, OrderReport)
    return report


def test_a_webhook_corrects_the_price_of_a_fill_that_is_known() -> None:
    async def body(rig: Rig) -> None:
        await rig.connector.submit(rig.submit(quantity="0.01"))
        report = the_report(rig.connector.webhook(notice("ord_1", "0.01", "64990.5")))
        assert report.state is OrderState.FILLED
        assert report.average_price == Decimal("64990.5")

    run(body)


def test_a_webhook_before_the_answer_gives_the_answer_its_price() -> None:
    async def body(rig: Rig) -> None:
        rig.venue.fill_on_create = True
        rig.connector.webhook(notice("ord_1", "0.01", "64990.5"))
        outcome = await rig.connector.submit(rig.submit(quantity="0.01"))
        assert isinstance(outcome, Accepted)
        assert outcome.reports[0].average_price == Decimal("64990.5")

    run(body)


def test_an_average_that_cannot_be_is_not_remembered() -> None:
    async def body(rig: Rig) -> None:
        await rig.connector.submit(rig.submit(quantity="0.01"))
        rig.connector.webhook(notice("ord_1", "0.01", "-64990.5"))
        rig.connector.webhook(notice("ord_1", "0.01", "0"))
        report = the_report(rig.connector.webhook(notice("ord_1", "0.01", "0")))
        assert report.average_price is None

    run(body)


def test_a_webhook_of_a_part_ends_nothing() -> None:
    async def body(rig: Rig) -> None:
        await rig.connector.submit(rig.submit(quantity="0.01"))
        report = the_report(rig.connector.webhook(notice("ord_1", "0.004", "64990.5")))
        assert report.state is OrderState.PARTIALLY_FILLED
        unknown = the_report(rig.connector.webhook(notice("ord_7", "0.004", "64990.5")))
        assert unknown.state is OrderState.PARTIALLY_FILLED
        assert unknown.quantity is None

    run(body)


def test_a_late_webhook_does_not_reopen_a_cancelled_order() -> None:
    async def body(rig: Rig) -> None:
        await rig.connector.submit(rig.submit(quantity="0.01"))
        rig.venue.fill("ord_1", "0.004")
        await rig.connector.cancel(cancel("ord_1"))
        report = the_report(rig.connector.webhook(notice("ord_1", "0.004", "64990.5")))
        assert report.state is OrderState.CANCELLED
        assert report.average_price == Decimal("64990.5")

    run(body)


def test_a_price_beyond_the_limit_is_alerted() -> None:
    async def body(rig: Rig) -> None:
        await rig.connector.submit(rig.submit(price="65000"))
        rig.connector.webhook(notice("ord_1", "0.01", "65012.40"))
        assert rig.anomalies("average_beyond_limit") == 1

    run(body)


def test_a_webhook_without_figures_makes_the_next_poll_read_the_order() -> None:
    async def body(rig: Rig) -> None:
        command = rig.submit()
        await rig.connector.submit(command)
        assert rig.connector.webhook(notice("ord_1", "0", "0", "order.updated")) == ()
        assert rig.connector.webhook(notice("ord_1", "1", "1", "trade.executed")) == ()
        await rig.connector.order_reports([rig.ref(command, "ord_1")])
        await rig.connector.order_reports([rig.ref(command, "ord_1")])
        assert rig.venue.count("GET", "/v1/orders/ord_1") == 1

    run(body)


def test_a_webhook_is_registered_and_a_refusal_raises() -> None:
    async def body(rig: Rig) -> None:
        events = ("order.filled",)
        assert await rig.connector.create_webhook("https://x.example/webhooks/ionloop", events, "s") == "wh_1"
        with pytest.raises(Refused):
            await rig.connector.create_webhook("http://x.example", events, "s")
        rig.venue.faults["create_webhook"] = ["drop_after"]
        with pytest.raises(Unavailable, match="not known"):
            await rig.connector.create_webhook("https://x.example/", events, "s")

    run(body)


@pytest.mark.parametrize(("status", "code", "failures"), [(403, "FORBIDDEN", 0), (401, "UNAUTHORIZED", 1)])
def test_a_key_that_may_not_register_webhooks_goes_on_trading(status: int, code: str, failures: int) -> None:
    async def body(rig: Rig) -> None:
        rig.venue.answers["create_webhook"] = [rig.venue.error(status, code)]
        with pytest.raises(Refused):
            await rig.connector.create_webhook(URL, USED_TYPES, "s")
        assert len(rig.auth_failures) == failures

    run(body)


URL = "https://x.example/webhooks/ionloop"


def registration(rig: Rig) -> Callable[[str], Awaitable[str]]:
    return lambda url: rig.connector.create_webhook(url, USED_TYPES, "s")


def test_an_address_that_could_not_be_told_is_told_again_and_one_that_was_is_not() -> None:
    async def body(rig: Rig) -> None:
        rig.venue.answers["create_webhook"] = [rig.venue.error(429, "RATE_LIMITED")]
        assert await register_webhook("ionloop", URL, registration(rig))
        assert rig.venue.count("POST", "/v1/webhooks") == 2

    run(body)


def test_an_address_of_which_nobody_knows_whether_it_was_told_is_not_told_twice() -> None:
    async def body(rig: Rig) -> None:
        rig.venue.faults["create_webhook"] = ["drop_after"]
        assert await register_webhook("ionloop", URL, registration(rig))
        assert rig.venue.count("POST", "/v1/webhooks") == 1

    run(body)


def test_a_refused_address_is_left_for_the_next_start() -> None:
    async def body(rig: Rig) -> None:
        assert not await register_webhook("ionloop", "http://x.example", registration(rig))
        assert rig.venue.count("POST", "/v1/webhooks") == 1

    run(body)


def test_a_fault_of_a_connector_s_own_in_a_registration_ends_nothing() -> None:
    """It ended the daemon, for all venues; a venue without webhooks is polled."""

    async def register(url: str) -> str:
        raise KeyError("of the connector")

    async def body(rig: Rig) -> None:
        assert not await register_webhook("ionloop", URL, register)

    run(body)


def test_the_last_notice_before_a_restart_is_not_taken_again_after_it() -> None:
    async def body(rig: Rig) -> None:
        events: list[Any] = []
        cursors: dict[tuple[str, str], str] = {}
        shared: Any = SimpleNamespace(
            emit=events.append,
            clock=rig.clock,
            followers={},
            engine=SimpleNamespace(state=SimpleNamespace(cursors=cursors)),
        )
        webhook = Webhook(
            lambda take: WebhookReceiver(
                "ionloop",
                "s",
                clock=rig.clock,
                observer=rig.observer,
                deliver=lambda body: take(rig.connector.webhook(body)),
            )
        )
        told = notice("ord_1", "0.004", "64990.5")
        headers = {"x-ionloop-signature": sign("s", told)}
        assert receiver_of(shared, "ionloop", webhook).receive(headers, told) == (200, "taken")
        cursors |= {(one.venue, one.name): one.value for one in events if isinstance(one, CursorAdvanced)}
        assert receiver_of(shared, "ionloop", webhook).receive(headers, told) == (200, "duplicate")

    run(body)
