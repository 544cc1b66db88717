"""A life of orders between connector and venue: fills, parts, races, pages, webhooks; in virtual time."""

import asyncio
from decimal import Decimal
from itertools import pairwise

import msgspec
import pytest

from quantd.domain.events import OrderReport
from quantd.domain.orders import OrderState, Side
from quantd.domain.outcomes import Accepted
from quantd.errors import VenueError
from quantd.exchange import DepthRules
from quantd.simulators.faults import Action
from quantd.simulators.ionloop.webhooks import EVENTS, sign
from quantd.venues.ionloop.webhooks import WebhookReceiver
from tests.contract.ionloop_pair import SECRET, SETUP, Pair, cancel, run

THIN = msgspec.structs.replace(SETUP, depth=DepthRules(levels=1, size=0.004))
URL = "https://hooks.example.com/webhooks/ionloop"


async def placed(pair: Pair, **terms: object) -> tuple[str, OrderReport]:
    """Place an order through the connector; return its id and report."""
    outcome = await pair.connector.submit(pair.submit(**terms))  # type: ignore[arg-type]  # terms of several types
    assert isinstance(outcome, Accepted), outcome
    return outcome.reports[0].venue_order_id, outcome.reports[0]


def test_a_resting_order_fills_when_the_market_comes_to_it() -> None:
    async def act(pair: Pair) -> None:
        command = pair.submit(price="64000")
        outcome = await pair.connector.submit(command)
        assert isinstance(outcome, Accepted)
        order_id = outcome.reports[0].venue_order_id
        assert await pair.connector.order_reports([pair.ref(command, order_id)]) == ()
        pair.quote("63990.00", "64000.00")
        (report,) = await pair.connector.order_reports([pair.ref(command, order_id)])
        assert (report.state, report.filled_quantity) == (OrderState.FILLED, Decimal("0.01"))
        balances = {balance.asset: balance.total for balance in (await pair.connector.snapshot()).balances}
        assert balances == {"BTC": Decimal("1.01"), "USDT": 100_000 - 640 - Decimal("0.64")}

    run(act)


def test_an_order_never_fills_on_the_quote_that_stood_when_it_came_unless_switched_on() -> None:
    async def act(pair: Pair) -> None:
        assert (await placed(pair, price="65010"))[1].state is OrderState.WORKING
        pair.switches.fill_at_once = True
        assert (await placed(pair, price="65010"))[1].state is OrderState.FILLED

    run(act)


def test_a_large_order_fills_in_parts_and_a_late_cancel_keeps_them() -> None:
    async def act(pair: Pair) -> None:
        command = pair.submit(price="65010", quantity="0.01")
        outcome = await pair.connector.submit(command)
        assert isinstance(outcome, Accepted)
        order_id = outcome.reports[0].venue_order_id
        pair.quote("65000.00", "65010.00")
        (report,) = await pair.connector.order_reports([pair.ref(command, order_id)])
        assert report.state is OrderState.PARTIALLY_FILLED
        assert 0 < report.filled_quantity < Decimal("0.01")
        gone = await pair.connector.cancel(cancel(order_id))
        assert isinstance(gone, Accepted)
        assert gone.reports[0].state is OrderState.CANCELLED
        assert gone.reports[0].filled_quantity == report.filled_quantity
        (row,) = pair.venue.state()["transactions"]
        assert Decimal(row["quantity"]) == report.filled_quantity

    run(act, setup=THIN)


@pytest.mark.parametrize(("ask", "end"), [("64000.00", OrderState.FILLED), ("64500.00", OrderState.CANCELLED)])
def test_a_cancel_that_the_engine_takes_up_late_may_lose_the_race(ask: str, end: OrderState) -> None:
    async def act(pair: Pair) -> None:
        pair.switches.cancel_lag_s = 5.0
        command = pair.submit(price="64000")
        outcome = await pair.connector.submit(command)
        assert isinstance(outcome, Accepted)
        order_id = outcome.reports[0].venue_order_id
        answered = await pair.connector.cancel(cancel(order_id))
        assert isinstance(answered, Accepted)
        assert answered.reports[0].state is OrderState.WORKING, "acknowledged, and still shown as open"
        pair.quote("63990.00", ask)
        await asyncio.sleep(6)
        (report,) = await pair.connector.order_reports([pair.ref(command, order_id)])
        assert report.state is end

    run(act)


def test_all_pages_are_read_and_no_order_is_seen_twice() -> None:
    async def act(pair: Pair) -> None:
        for number in range(250):
            await asyncio.sleep(0.2)
            body = {"symbol": "BTC-USDT", "side": "buy", "type": "limit", "quantity": "0.001"}
            price = f"{60_000 + number}.00"
            assert pair.raw("POST", "/v1/orders", {**body, "price": price}, Idempotency_Key=f"k{number}")[0] == 200
        snapshot = await pair.connector.snapshot()
        assert snapshot.orders_complete
        assert {report.venue_order_id for report in snapshot.orders} == set(pair.venue.desk.orders)

    run(act)


def test_reads_survive_what_the_network_does_or_say_so() -> None:
    async def act(pair: Pair) -> None:
        for action in (Action.DROP_BEFORE, Action.DROP_AFTER, Action.TRUNCATE, Action.GARBAGE, Action.ERROR):
            pair.fault(action, "portfolio")
            with pytest.raises(VenueError):
                await pair.connector.ledger.portfolio()
            await pair.connector.ledger.portfolio()

    run(act)


def test_deposits_and_withdrawals_are_cash_flows() -> None:
    async def act(pair: Pair) -> None:
        pair.venue.command("deposit", {"asset": "USDT", "amount": "250.50"})
        pair.venue.command("withdraw", {"asset": "BTC", "amount": "0.25"})
        now_ns = pair.clock.now_ns()
        flows = await pair.connector.ledger.cash_flows(now_ns - 10**9, now_ns + 10**9)
        assert {(flow.asset, flow.amount) for flow in flows} == {("USDT", Decimal("250.50")), ("BTC", Decimal("-0.25"))}
        with pytest.raises(ValueError, match="insufficient_balance"):
            pair.venue.command("withdraw", {"asset": "BTC", "amount": "0.76"})

    run(act)


class Listener:
    """Takes the venue's notices as the daemon's listener does, and hands them to the connector."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.bodies: list[bytes] = []
        self.receiver = WebhookReceiver(
            "ionloop", SECRET, clock=pair.clock, observer=pair.observer, deliver=self.bodies.append
        )  # fmt: skip
        self.answers: list[int] = []

    def collect(self, status: int | None = None) -> list[OrderReport]:
        """Deliver what is due (or answer with `status`), and return what the connector makes of it."""
        before = len(self.bodies)
        for notice in self.pair.venue.due(self.pair.clock.now_ns()):
            assert notice.url == URL
            answer = status or self.receiver.receive(notice.headers, notice.body)[0]
            self.answers.append(answer)
            self.pair.venue.settle(notice, answer)
        events = [event for body in self.bodies[before:] for event in self.pair.connector.webhook(body)]
        return [event for event in events if isinstance(event, OrderReport)]


async def listening(pair: Pair) -> Listener:
    """Register a webhook through the connector."""
    await pair.connector.create_webhook(URL, EVENTS, SECRET)
    return Listener(pair)


def test_a_webhook_corrects_the_price_of_a_fill() -> None:
    async def act(pair: Pair) -> None:
        listener = await listening(pair)
        order_id, _ = await placed(pair, price="65010", quantity="0.01")
        assert listener.collect() == []
        pair.quote("64990.00", "65001.50")
        (report,) = listener.collect()
        assert (report.venue_order_id, report.state) == (order_id, OrderState.FILLED)
        assert report.average_price == Decimal("65001.50")
        kinds = [msgspec.json.decode(body)["type"] for body in listener.bodies]
        assert kinds == ["order.created", "trade.executed", "transaction.completed", "order.filled"]

    run(act)


def test_parts_and_cancels_are_told_too() -> None:
    async def act(pair: Pair) -> None:
        listener = await listening(pair)
        order_id, _ = await placed(pair, price="65010", quantity="0.01")
        pair.quote("65000.00", "65010.00")
        await pair.connector.cancel(cancel(order_id))
        reports = listener.collect()
        kinds = [msgspec.json.decode(body)["type"] for body in listener.bodies]
        assert kinds == [
            "order.created", "trade.executed", "order.updated", "transaction.completed", "order.cancelled",
        ]  # fmt: skip
        assert reports[-1].state is OrderState.CANCELLED

    run(act, setup=THIN)


def test_an_unanswered_notice_comes_again_at_growing_intervals_for_a_day_under_one_id() -> None:
    async def act(pair: Pair) -> None:
        listener = await listening(pair)
        await placed(pair)
        started_s = pair.clock.monotonic_ns() / 1e9
        times = []
        while pair.venue.webhooks.pending:
            tried = len(listener.answers)
            listener.collect(status=500)
            if len(listener.answers) > tried:
                times.append(round(pair.clock.monotonic_ns() / 1e9 - started_s))
            await asyncio.sleep(1)
        assert times[:6] == [0, 1, 3, 7, 15, 31]
        assert {later - earlier for earlier, later in pairwise(times[13:])} == {3600}
        assert times[-1] <= 86_400 < times[-1] + 3600
        counters = pair.venue.counters()["webhooks"]
        assert (counters["given_up"], counters["delivered"]) == (1, 0)

    run(act)


def test_a_notice_that_was_taken_at_last_is_not_sent_again_and_a_repetition_is_acknowledged() -> None:
    async def act(pair: Pair) -> None:
        listener = await listening(pair)
        pair.switches.webhook_twice = True
        await placed(pair)
        listener.collect(status=503)
        await asyncio.sleep(1)
        listener.collect()
        assert listener.answers == [503, 503, 200, 200]
        assert len(listener.bodies) == 1, "both copies carry one event id"
        await asyncio.sleep(100_000)
        listener.collect()
        assert len(listener.answers) == 4

    run(act)


def test_the_venue_signs_as_the_documented_vector() -> None:
    body = (
        b'{"id":"evt_k92qa","type":"order.filled","version":"2026-05-01","createdAt":"2026-05-14T12:00:02Z",'
        b'"data":{"orderId":"ord_9x82k1","symbol":"BTC-USDT","filledQuantity":"0.01","averagePrice":"65012.40"}}'
    )
    assert sign(SECRET, body) == "a6118311ae9bca64d50f7f95b6fe9e8fe25aaf05f54957c2a40c48865a8da73e"


def test_the_same_seed_and_requests_give_the_same_venue() -> None:
    async def act(pair: Pair) -> None:
        for step in range(20):
            side, price = (Side.BUY, 65_010) if step % 2 else (Side.SELL, 65_011)
            await placed(pair, price=str(price), side=side, quantity="0.002")
            pair.quote(f"{64_995 + step}.00", f"{65_005 + step}.00")

    first, second = run(act, setup=THIN), run(act, setup=THIN)
    assert first.venue.state() == second.venue.state()
    assert first.venue.counters() == second.venue.counters()
    assert first.venue.counters()["orders"]["fills"] > 10
