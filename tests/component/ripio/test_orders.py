"""What the connector makes of orders: fills and fees by their trades, ends that are none, ids that are not unique."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from quantd.domain.commands import CancelAll
from quantd.domain.orders import OrderKind, OrderState, Side, TimeInForce
from quantd.domain.outcomes import Accepted, Rejected, Unknown
from quantd.errors import Unavailable
from tests.component.ripio.bench import ASK, BACK, BID, BTC, Bench, Tamper, on_bench

ONE = "/orders/[0-9A-F-]{36}"


def test_fees_are_the_trades_own_and_a_buy_pays_in_what_it_receives() -> None:
    async def act(bench: Bench) -> None:
        command = bench.submit(str(ASK), quantity="0.003")
        report = await bench.place(command)
        (told,) = bench.raw("GET", f"/orders/trades?order_id={report.venue_order_id}")["trades"]
        assert report.state is OrderState.FILLED
        assert report.fees == (("BTC", Decimal(str(told["fee"]))),)
        (fill,) = report.fills
        assert (fill.id, fill.quantity, fill.price, fill.fees) == (told["id"], Decimal("0.003"), ASK, report.fees)
        await asyncio.sleep(1)
        held = {balance.asset: balance.total for balance in (await bench.connector.snapshot()).balances}
        assert held["BTC"] == 1 + Decimal("0.003") - Decimal(str(told["fee"]))

    on_bench(act)


def test_an_order_that_was_cancelled_elsewhere_is_told_with_what_it_had_filled() -> None:
    async def act(bench: Bench) -> None:
        command = bench.submit(str(ASK + 1), quantity="0.02")  # the three levels hold 0.004 each
        report = await bench.place(command)
        assert report.state is OrderState.PARTIALLY_FILLED
        filled = report.filled_quantity
        assert 0 < filled < command.spec.quantity
        ref = bench.ref(command, report)
        bench.raw("POST", "/orders/cancel", {"id": report.venue_order_id})
        (end,) = await bench.connector.order_reports([ref])
        assert (end.state, end.filled_quantity) == (OrderState.CANCELLED, filled)
        assert end.fees == report.fees
        assert end.client_order_id == command.client_order_id

    on_bench(act)


def test_a_cancel_tells_the_fills_that_came_before_it() -> None:
    async def act(bench: Bench) -> None:
        command = bench.submit(quantity="0.01")
        report = await bench.place(command)
        bench.move(Decimal(339_990), Decimal(339_999))
        outcome = await bench.connector.cancel(bench.cancel(command, report))
        assert isinstance(outcome, Accepted)
        (end,) = outcome.reports
        assert end.state in (OrderState.CANCELLED, OrderState.FILLED)
        assert end.filled_quantity == sum(fill.quantity for fill in end.fills) > 0
        assert end.fees is not None

    on_bench(act)


def test_nothing_is_concluded_from_a_list_that_is_not_whole() -> None:
    async def act(bench: Bench) -> None:
        alive = {"status": "executed_partially"}
        bench.tampers.append(("GET", ONE, lambda data: {**data, **alive}))
        bench.tampers.append(("POST", "/orders", lambda data: {**data, **alive}))
        bench.tampers.append(("GET", "/orders/open", lambda data: {**data, "nc": BACK}))
        command = bench.submit(str(ASK + 1), quantity="0.02", time_in_force=TimeInForce.IOC)
        report = await bench.place(command)
        for _ in range(4):
            assert await bench.connector.order_reports([bench.ref(command, report)]) == ()

    on_bench(act)


def test_of_a_trade_between_two_of_our_orders_each_is_told_its_own_side() -> None:
    def both_sides(data: Any) -> Any:
        """Show each trade from the other order's side, too, under the same id and after the own one."""
        other = {"maker": "taker", "taker": "maker"}
        return {
            **data,
            "trades": [
                row
                for own in data["trades"]
                for row in (own, {**own, "taker_or_maker": other[own["taker_or_maker"]], "fee": 777, "side": "sell"})
            ],
        }

    async def act(bench: Bench) -> None:
        bench.tampers.append(("GET", "/orders/trades", both_sides))
        command = bench.submit(str(ASK), quantity="0.003")
        report = await bench.place(command)
        assert (report.state, report.filled_quantity) == (OrderState.FILLED, Decimal("0.003"))
        assert report.fees == (("BTC", Decimal("0.000015")),)
        assert bench.anomalies("trade_of_another_order") == 1

    on_bench(act)


def test_a_resting_order_is_never_taken_for_ended_by_its_absence() -> None:
    async def act(bench: Bench) -> None:
        command = bench.submit(quantity="0.01")
        report = await bench.place(command)
        bench.tampers.append(("GET", "/orders/open", lambda data: {**data, "orders": []}))
        for _ in range(4):
            assert await bench.connector.order_reports([bench.ref(command, report)]) == ()
        bench.tampers.append(("GET", ONE, lambda data: {**data, "status": "suspended"}))
        assert await bench.connector.order_reports([bench.ref(command, report)]) == ()
        assert bench.anomalies("unknown_order_status") == 1

    on_bench(act)


def test_another_order_under_our_id_is_not_taken_for_ours() -> None:
    async def act(bench: Bench) -> None:
        command = bench.submit()
        report = await bench.place(command)
        other = bench.foreign(command.client_order_id.upper(), price="339000")
        for connector in (bench.connector, bench.connect()):  # the second knows only what the engine tells it
            shown = {one.venue_order_id: one.client_order_id for one in (await connector.snapshot()).orders}
            assert shown == {report.venue_order_id: command.client_order_id, other: None}
        assert bench.anomalies("external_id_twice") == 2

    on_bench(act)


def changed(fields: dict[str, Any]) -> Tamper:
    return lambda data: {**data, **fields}


def test_what_an_answer_to_a_create_says_of_another_order_leaves_it_unknown() -> None:
    changes: list[dict[str, Any]] = [
        {"pair": "ETH_BRL"}, {"side": "sell"}, {"requested_amount": 0.1}, {"external_id": "another"},
    ]  # fmt: skip

    async def act(bench: Bench) -> None:
        for change in changes:
            bench.tampers[:] = [("POST", "/orders", changed(change))]
            outcome = await bench.connector.submit(bench.submit())
            assert outcome == Unknown("reply_contradicts_order"), change
        bench.tampers[:] = [("POST", "/orders", lambda data: {"no": "id"})]
        assert await bench.connector.submit(bench.submit()) == Unknown("accepted_but_unreadable")

    on_bench(act)


def test_an_answer_with_nothing_but_the_id_is_enough() -> None:
    async def act(bench: Bench) -> None:
        bench.switches.short_create = True
        command = bench.submit(str(ASK), quantity="0.003")
        report = await bench.place(command)
        assert report.state is OrderState.WORKING, "the poller tells what became of it"
        (told,) = await bench.connector.order_reports([bench.ref(command, report)])
        assert (told.state, told.filled_quantity) == (OrderState.FILLED, Decimal("0.003"))

    on_bench(act)


def test_numbers_as_text_and_unknown_fields_change_nothing() -> None:
    def as_text(tree: Any) -> Any:
        if isinstance(tree, dict):
            return {"brand_new": None, **{name: as_text(value) for name, value in tree.items()}}
        if isinstance(tree, list):
            return [as_text(item) for item in tree]
        return format(tree, "f") if isinstance(tree, Decimal) else tree

    async def act(bench: Bench) -> None:
        bench.tampers.append(("GET", "/(orders|user)/(?!trading).*", as_text))
        command = bench.submit("340000.01", quantity="0.00200001")
        report = await bench.place(command)
        (shown,) = (await bench.connector.snapshot()).orders
        assert (shown.price, shown.quantity) == (Decimal("340000.01"), Decimal("0.00200001"))
        bench.move(Decimal(339_990), Decimal(340_000))
        (told,) = await bench.connector.order_reports([bench.ref(command, report)])
        assert told.filled_quantity == command.spec.quantity

    on_bench(act)


def test_a_list_row_without_what_it_executed_is_an_outage_and_no_order_without_fills() -> None:
    async def act(bench: Bench) -> None:
        await bench.place(bench.submit())

        def shorten(data: Any) -> Any:
            for row in data["orders"]:
                del row["executed_amount"]
            return data

        bench.tampers.append(("GET", "/orders/open", shorten))
        with pytest.raises(Unavailable, match="executed_amount"):
            await bench.connector.snapshot()

    on_bench(act)


# -- amend ---------------------------------------------------------------------------------------------------------


def test_the_quantity_of_a_partly_filled_order_is_not_changed_but_its_price_may_be() -> None:
    async def act(bench: Bench) -> None:
        command = bench.submit(str(ASK + 1), quantity="0.02")
        report = await bench.place(command)
        assert report.state is OrderState.PARTIALLY_FILLED
        bench.move(Decimal(350_100), Decimal(350_160))
        outcome = await bench.connector.amend(bench.amend(command, report, quantity="0.03"))
        assert isinstance(outcome, Rejected)
        assert outcome.code == "partly_filled"
        assert "PUT" not in {one.method for one in bench.sent}
        outcome = await bench.connector.amend(bench.amend(command, report, price="349000"))
        assert isinstance(outcome, Accepted)
        (told,) = outcome.reports
        assert (told.price, told.quantity) == (Decimal(349_000), command.spec.quantity)
        assert told.filled_quantity == report.filled_quantity

    on_bench(act)


def test_an_amendment_that_led_elsewhere_is_unknown_and_then_the_terms_that_stand_count() -> None:
    async def act(bench: Bench) -> None:
        command = bench.submit()
        report = await bench.place(command)
        bench.tampers.append(("GET", ONE, lambda data: {**data, "requested_amount": 0.005}))
        sent_at_ns = bench.clock.now_ns()
        amend = bench.amend(command, report, price="339000")
        assert await bench.connector.amend(amend) == Unknown("amended_otherwise")
        resolution = await bench.settle(amend, sent_at_ns)
        assert resolution.report.quantity == Decimal("0.005")  # type: ignore[union-attr]  # the line before proves it

    on_bench(act)


def test_an_amendment_of_an_order_that_has_ended_is_a_definite_no() -> None:
    async def act(bench: Bench) -> None:
        command = bench.submit()
        report = await bench.place(command)
        bench.raw("POST", "/orders/cancel", {"id": report.venue_order_id})
        outcome = await bench.connector.amend(bench.amend(command, report, price="339000"))
        assert outcome == Rejected("order_ended", "cancelled")

    on_bench(act)


# -- cancel all ----------------------------------------------------------------------------------------------------


def test_where_all_orders_of_a_pair_are_ours_one_request_names_the_pair_and_cancels_them() -> None:
    async def act(bench: Bench) -> None:
        for number in range(4):
            await bench.place(bench.submit(str(340_000 - number)))
        bench.sent.clear()
        outcome = await bench.connector.cancel_all(CancelAll("ripio"))
        assert isinstance(outcome, Accepted)
        assert len(outcome.reports) == 4
        assert {report.state for report in outcome.reports} == {OrderState.CANCELLED}
        (request,) = [one for one in bench.sent if one.method == "DELETE"]
        assert request.body == b'{"pair":"BTC_BRL"}'
        assert not bench.venue.desk.open

    on_bench(act)


def test_those_that_a_cancel_of_all_leaves_are_cancelled_one_by_one() -> None:
    async def act(bench: Bench) -> None:
        bench.switches.cancel_all_leaves = 2
        for number in range(4):
            await bench.place(bench.submit(str(340_000 - number)))
        outcome = await bench.connector.cancel_all(CancelAll("ripio", BTC))
        assert isinstance(outcome, Accepted)
        assert len({report.venue_order_id for report in outcome.reports}) == 4
        assert bench.paths("POST").count("/orders/cancel") == 2
        assert not bench.venue.desk.open

    on_bench(act)


def test_where_others_have_orders_only_our_own_are_cancelled() -> None:
    async def act(bench: Bench) -> None:
        for number in range(2):
            await bench.place(bench.submit(str(340_000 - number)))
        other = bench.foreign("theirs")
        assert isinstance(await bench.connector.cancel_all(CancelAll("ripio")), Accepted)
        assert set(bench.venue.desk.open) == {other}
        assert "DELETE" not in {one.method for one in bench.sent}

    on_bench(act)


def test_where_not_all_open_orders_are_listed_none_is_cancelled_by_its_pair() -> None:
    async def act(bench: Bench) -> None:
        other = bench.foreign("theirs", price="330000")
        for number in range(2):
            await bench.place(bench.submit(str(340_000 - number)))

        def cut(data: Any) -> Any:
            return {**data, "orders": [one for one in data["orders"] if one["id"] != other], "nc": BACK}

        bench.tampers.append(("GET", "/orders/open", cut))
        assert await bench.connector.cancel_all(CancelAll("ripio")) == Unknown("list_not_complete")
        assert set(bench.venue.desk.open) == {other}

    on_bench(act)


# -- kinds ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "price", "terms"),
    [
        (OrderKind.STOP, None, {"trigger": Decimal(360_000)}),
        (OrderKind.LIMIT, "340000", {"time_in_force": TimeInForce.DAY}),
        (OrderKind.LIMIT, "340000", {"time_in_force": TimeInForce.IOC, "post_only": True}),
    ],
)
def test_what_the_venue_has_not_never_leaves(kind: OrderKind, price: str | None, terms: dict[str, Any]) -> None:
    async def act(bench: Bench) -> None:
        bench.sent.clear()
        outcome = await bench.connector.submit(bench.submit(price, kind=kind, **terms))
        assert isinstance(outcome, Rejected)
        assert outcome.code == "unsupported"
        assert not bench.sent

    on_bench(act)


def test_a_waiting_stop_limit_is_shown_with_its_trigger() -> None:
    async def act(bench: Bench) -> None:
        command = bench.submit("351500", kind=OrderKind.STOP_LIMIT, trigger=Decimal(351_000))
        report = await bench.place(command)
        (shown,) = (await bench.connector.snapshot()).orders
        assert (shown.venue_order_id, shown.kind, shown.price) == (
            report.venue_order_id, OrderKind.STOP_LIMIT, Decimal(351_500),
        )  # fmt: skip
        sell = bench.submit("348000", kind=OrderKind.STOP_LIMIT, trigger=Decimal(349_000), side=Side.SELL)
        await bench.place(sell)
        assert len((await bench.connector.snapshot()).orders) == 2

    on_bench(act)


def test_prices_beyond_the_venue_s_variation_are_a_definite_no() -> None:
    async def act(bench: Bench) -> None:
        assert bench.instrument.price_band == Decimal("0.1")
        outcome = await bench.connector.submit(bench.submit(str(BID * Decimal("0.8"))))
        assert isinstance(outcome, Rejected)
        assert outcome.code == "invalid_parameters"

    on_bench(act)
