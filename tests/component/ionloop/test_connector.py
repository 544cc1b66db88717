"""The connector's writes and reads against a venue that keeps orders."""

import asyncio
from decimal import Decimal

import msgspec
import pytest

from quantd.domain.commands import CancelAll
from quantd.domain.instruments import MarketStatus
from quantd.domain.orders import OrderKind, OrderState, Side, TimeInForce
from quantd.domain.outcomes import Accepted, NotExecuted, Rejected, Unknown
from quantd.errors import AuthFailed, Refused, Unavailable
from quantd.ports import HttpResponse
from quantd.venues.ionloop import wire
from tests.component.ionloop.rig import BTC, FEES, Rig, cancel, run


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


# --- truth ---


def test_order_reports_ask_only_for_what_changed_or_left_the_list() -> None:
    async def body(rig: Rig) -> None:
        commands = [rig.submit(number, price=str(60000 + number)) for number in range(1, 5)]
        for command in commands:
            await rig.connector.submit(command)
        rig.venue.fill("ord_2", "0.004")
        rig.venue.fill("ord_3", "0.01")
        rig.venue.hidden.add("ord_4")
        refs = [rig.ref(command, f"ord_{n}") for n, command in enumerate(commands, 1)]
        before = len(rig.venue.requests)
        reports = {report.venue_order_id: report for report in await rig.connector.order_reports(refs)}
        assert [r.path for r in rig.venue.requests[before + 1 :]] == [f"/v1/orders/ord_{n}" for n in (2, 3, 4)]
        assert set(reports) == {"ord_2", "ord_3"}
        assert reports["ord_2"].state is OrderState.PARTIALLY_FILLED
        assert reports["ord_3"].state is OrderState.FILLED
        assert reports["ord_3"].price == Decimal(60003)
        assert rig.anomalies("order_vanished") == 1

    run(body)


def test_nothing_working_asks_nothing() -> None:
    async def body(rig: Rig) -> None:
        assert await rig.connector.order_reports([rig.ref(rig.submit())]) == ()
        assert not rig.venue.requests

    run(body)


def test_an_order_that_cannot_be_read_does_not_hide_the_others() -> None:
    async def body(rig: Rig) -> None:
        commands = [rig.submit(number, price=str(60000 + number)) for number in (1, 2)]
        for number, command in enumerate(commands, 1):
            await rig.connector.submit(command)
            rig.venue.fill(f"ord_{number}", "0.01")
        refs = [rig.ref(command, f"ord_{n}") for n, command in enumerate(commands, 1)]
        rig.venue.faults["get_order"] = ["500_before"]
        assert [r.venue_order_id for r in await rig.connector.order_reports(refs)] == ["ord_2"]
        rig.venue.faults["get_order"] = ["500_before", "500_before"]
        with pytest.raises(Unavailable):
            await rig.connector.order_reports(refs)

    run(body)


def test_lists_are_read_to_their_last_page() -> None:
    async def body(rig: Rig) -> None:
        for number in range(250):
            rig.venue.add_order(f"ord_x{number}")
        snapshot = await rig.connector.snapshot()
        assert len(snapshot.orders) == 250
        assert snapshot.orders_complete
        assert all(order.price == Decimal(65000) for order in snapshot.orders)
        asked = len(rig.venue.requests)
        await rig.connector.snapshot()
        assert len(rig.venue.requests) == asked + 5, "terms once read are remembered"

    run(body)


def test_a_snapshot_is_exact_and_says_when_it_was_asked_for() -> None:
    async def body(rig: Rig) -> None:
        rig.venue.balances[0]["available"] = "0.1000000000000000001"
        rig.venue.balances[0]["locked"] = "0.2"
        begun_at_ns = rig.clock.now_ns()
        snapshot = await rig.connector.snapshot()
        assert snapshot.balances[0].total == Decimal("0.3000000000000000001")
        assert (snapshot.balances[1].free, snapshot.balances[1].locked) == (Decimal("0.845"), Decimal("0.010"))
        assert begun_at_ns == snapshot.asked_at_ns <= snapshot.answered_at_ns
        assert snapshot.lots == ()

    run(body)


def test_the_spot_wallet_counts_where_the_portfolio_shows_more() -> None:
    async def body(rig: Rig) -> None:
        spot = {"id": "wal_1", "type": "spot", "balances": [{"asset": "USDT", "available": "100", "locked": "5"}]}
        funding = {"id": "wal_2", "type": "funding", "balances": [{"asset": "USDT", "available": "900", "locked": "0"}]}
        rig.venue.wallets = [spot, funding]
        snapshot = await rig.connector.snapshot()
        assert [(b.asset, b.total) for b in snapshot.balances] == [("USDT", Decimal(105))]
        assert rig.anomalies("balances_differ") == 1
        assert len(await rig.connector.ledger.wallets()) == 2

    run(body)


def test_a_key_without_the_wallet_scope_reads_the_portfolio_and_asks_once() -> None:
    async def body(rig: Rig) -> None:
        rig.venue.answers["wallets"] = [rig.venue.error(403, "FORBIDDEN")]
        assert len((await rig.connector.snapshot()).balances) == 2
        await rig.connector.snapshot()
        assert rig.venue.count("GET", "/v1/wallets") == 1

    run(body)


# --- markets ---


def test_rules_join_the_list_and_the_details_and_changes_raise_the_version() -> None:
    async def body(rig: Rig) -> None:
        (first,) = await rig.connector.instruments(["BTC-USDT"])
        assert (first.id, first.base, first.quote, first.lot) == (BTC, "BTC", "USDT", Decimal("0.000001"))
        assert (first.tick(Decimal(5)), first.min_notional) == (Decimal("0.01"), Decimal(10))
        assert (first.fees, first.status) == (FEES, MarketStatus.OPEN)
        assert await rig.connector.instruments(["BTC-USDT"]) == (first,)
        rules = {"symbol": "BTC-USDT", "status": "online", "tickSize": "0.1", "stepSize": "0.000001"}
        rig.venue.answers["market"] = [rig.venue.ok(rules)]
        (changed,) = await rig.connector.instruments(["BTC-USDT"])
        assert (changed.version, changed.min_notional) == (2, None)
        with pytest.raises(Refused, match="DOGE-USDT is not listed"):
            await rig.connector.instruments(["DOGE-USDT"])

    run(body)


def test_quotes_keep_to_one_a_second_for_each_symbol() -> None:
    async def body(rig: Rig) -> None:
        instruments = await rig.connector.instruments(["BTC-USDT"])
        begun_ns = rig.clock.monotonic_ns()
        for _ in range(3):
            await rig.connector.quotes(instruments)
        (quote,) = await rig.connector.quotes(instruments)
        assert (quote.bid, quote.ask) == (65100.10, 65103.80)
        assert rig.clock.monotonic_ns() - begun_ns >= 3_000_000_000

    run(body)


def test_a_closed_market_has_no_quote_and_does_not_fail() -> None:
    async def body(rig: Rig) -> None:
        instruments = await rig.connector.instruments(["BTC-USDT"])
        rig.venue.answers["ticker"] = [rig.venue.error(503, "MARKET_CLOSED")]
        assert await rig.connector.quotes(instruments) == ()

    run(body)


def test_only_a_falling_sequence_of_the_book_is_strange() -> None:
    async def body(rig: Rig) -> None:
        (instrument,) = await rig.connector.instruments(["BTC-USDT"])
        rig.venue.sequence = 500
        book = await rig.connector.book(instrument, 1000)
        assert (book.bids, book.sequence) == (((65100.10, 0.542),), 501)
        rig.venue.sequence = 900
        await rig.connector.book(instrument, 5)
        assert rig.anomalies("sequence_fell") == 0
        rig.venue.sequence = 100
        await rig.connector.book(instrument, 5)
        assert rig.anomalies("sequence_fell") == 1

    run(body)


@pytest.mark.parametrize(
    ("part", "word", "market", "expected"),
    [
        ("withdrawals", "degraded", "online", MarketStatus.OPEN),
        ("api", "degraded", "online", MarketStatus.HALTED),
        ("matchingEngine", "anything", "online", MarketStatus.HALTED),
        ("api", "operational", "post_only", MarketStatus.POST_ONLY),
        ("api", "operational", "offline", MarketStatus.CLOSED),
        ("api", "operational", "new word", MarketStatus.HALTED),
    ],
)
def test_markets_are_open_only_while_api_and_engine_work(
    part: str, word: str, market: str, expected: MarketStatus
) -> None:
    async def body(rig: Rig) -> None:
        instruments = await rig.connector.instruments(["BTC-USDT"])
        rig.venue.status[part] = word
        rig.venue.market_status = market
        assert await rig.connector.statuses(instruments) == {BTC: expected}
        assert rig.anomalies("unknown_market_status") == (market == "new word")

    run(body)


def test_a_retired_market_is_delisted() -> None:
    async def body(rig: Rig) -> None:
        instruments = await rig.connector.instruments(["BTC-USDT"])
        rig.venue.answers["market"] = [rig.venue.error(404, "NOT_FOUND")]
        assert await rig.connector.statuses(instruments) == {BTC: MarketStatus.DELISTED}

    run(body)


# --- ledger ---


def test_the_ledger_is_read_by_days_and_pages_and_totals_are_exact() -> None:
    async def body(rig: Rig) -> None:
        day_ns = 24 * 3600 * 1_000_000_000
        to_ns = rig.clock.now_ns()
        for number in range(230):
            row = {"id": f"txn_{number}", "type": "trade", "symbol": "BTC-USDT", "quantity": "0.1", "fee": "0.01"}
            rig.venue.transactions.append({**row, "createdAt": rig.venue.now()})
        moved = {"createdAt": rig.venue.now(), "asset": "USDT"}
        rig.venue.transactions += [
            {"id": "txn_d", "type": "deposit", "amount": "100.5", **moved},
            {"id": "txn_w", "type": "withdrawal", "quantity": "20", **moved},
            {"id": "txn_f", "type": "fee", "fee": "0.3", **moved},
            {"id": "txn_x", "type": "deposit", "createdAt": rig.venue.now(), "quantity": "7"},
        ]
        totals = await rig.connector.ledger.trade_totals(to_ns - 2 * day_ns, to_ns)
        assert totals["BTC-USDT"].trades == 230
        assert (totals["BTC-USDT"].quantity, totals["BTC-USDT"].fee) == (Decimal("23.0"), Decimal("2.30"))
        flows = await rig.connector.ledger.cash_flows(to_ns - day_ns, to_ns)
        assert {flow.id: flow.amount for flow in flows} == {
            "txn_d": Decimal("100.5"),
            "txn_w": Decimal(-20),
            "txn_f": Decimal("-0.3"),
        }
        assert rig.anomalies("transaction_unreadable") == 1

    run(body)


# --- webhooks ---


def notice(order_id: str, filled: str, average: str, kind: str = "order.filled") -> bytes:
    data = {"orderId": order_id, "symbol": "BTC-USDT", "filledQuantity": filled, "averagePrice": average}
    event = {"id": "evt_1", "type": kind, "version": "2026-05-01", "createdAt": "2020-09-13T12:26:40Z", "data": data}
    return msgspec.json.encode(event)


def test_a_webhook_corrects_the_price_of_a_fill_that_is_known() -> None:
    async def body(rig: Rig) -> None:
        await rig.connector.submit(rig.submit(quantity="0.01"))
        (report,) = rig.connector.webhook(notice("ord_1", "0.01", "64990.5"))
        assert report.state is OrderState.FILLED  # type: ignore[union-attr]  # fails on any other event
        assert report.average_price == Decimal("64990.5")  # type: ignore[union-attr]

    run(body)


def test_a_webhook_before_the_answer_gives_the_answer_its_price() -> None:
    async def body(rig: Rig) -> None:
        rig.venue.fill_on_create = True
        rig.connector.webhook(notice("ord_1", "0.01", "64990.5"))
        outcome = await rig.connector.submit(rig.submit(quantity="0.01"))
        assert isinstance(outcome, Accepted)
        assert outcome.reports[0].average_price == Decimal("64990.5")

    run(body)


def test_a_webhook_of_a_part_ends_nothing() -> None:
    async def body(rig: Rig) -> None:
        await rig.connector.submit(rig.submit(quantity="0.01"))
        (report,) = rig.connector.webhook(notice("ord_1", "0.004", "64990.5"))
        assert report.state is OrderState.PARTIALLY_FILLED  # type: ignore[union-attr]
        (unknown,) = rig.connector.webhook(notice("ord_7", "0.004", "64990.5"))
        assert unknown.state is OrderState.PARTIALLY_FILLED  # type: ignore[union-attr]
        assert unknown.quantity is None  # type: ignore[union-attr]

    run(body)


def test_a_late_webhook_does_not_reopen_a_cancelled_order() -> None:
    async def body(rig: Rig) -> None:
        await rig.connector.submit(rig.submit(quantity="0.01"))
        rig.venue.fill("ord_1", "0.004")
        await rig.connector.cancel(cancel("ord_1"))
        (report,) = rig.connector.webhook(notice("ord_1", "0.004", "64990.5"))
        assert report.state is OrderState.CANCELLED  # type: ignore[union-attr]
        assert report.average_price == Decimal("64990.5")  # type: ignore[union-attr]

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
