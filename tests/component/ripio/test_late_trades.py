"""Orders whose trades or amounts lag: told by their trades, and never as ended without what they have executed."""

import asyncio
from decimal import Decimal

from quantd.domain.orders import OrderState
from tests.component.ripio.bench import ASK, Bench, on_bench

ONE = "/orders/[0-9A-F-]{36}"


def test_while_its_trades_are_late_an_order_counts_as_working_and_then_goes_by_its_own_figures() -> None:
    async def act(bench: Bench) -> None:
        bench.tampers.append(("GET", "/orders/trades", lambda data: {**data, "trades": [], "nc": None}))
        command = bench.submit(str(ASK), quantity="0.003")
        report = await bench.place(command)
        assert report.state is OrderState.WORKING, "nothing is told without its trades"
        assert report.filled_quantity == 0
        assert await bench.connector.order_reports([bench.ref(command, report)]) == ()
        await asyncio.sleep(31)
        (late,) = await bench.connector.order_reports([bench.ref(command, report)])
        assert (late.state, late.filled_quantity, late.average_price) == (OrderState.FILLED, Decimal("0.003"), ASK)
        assert late.fees is None, "fees that were not told are not made up"
        assert bench.anomalies("trades_missing") == 1

    on_bench(act)


def test_an_order_that_is_executed_completely_is_told_by_its_trades_though_its_amounts_lag() -> None:
    """It was told as cancelled without a fill: the position was lost."""

    async def act(bench: Bench) -> None:
        bench.tampers.append(("GET", ONE, lambda data: {**data, "executed_amount": 0, "remaining_amount": 0.003}))
        report = await bench.place(bench.submit(str(ASK), quantity="0.003"))
        assert (report.state, report.filled_quantity) == (OrderState.FILLED, Decimal("0.003"))
        assert report.fees

    on_bench(act)


def test_an_order_that_is_executed_completely_without_amount_or_trades_stays_alive() -> None:
    async def act(bench: Bench) -> None:
        bench.tampers.append(("GET", ONE, lambda data: {**data, "executed_amount": 0}))
        bench.tampers.append(("GET", "/orders/trades", lambda data: {**data, "trades": [], "nc": None}))
        command = bench.submit(str(ASK), quantity="0.003")
        report = await bench.place(command)
        for _ in range(3):
            assert report.state is OrderState.WORKING
            assert await bench.connector.order_reports([bench.ref(command, report)]) == ()
            await asyncio.sleep(31)
        bench.tampers.clear()
        (told,) = await bench.connector.order_reports([bench.ref(command, report)])
        assert (told.state, told.filled_quantity) == (OrderState.FILLED, Decimal("0.003"))

    on_bench(act)


def test_late_trades_that_come_are_told_once_and_with_their_fees() -> None:
    async def act(bench: Bench) -> None:
        bench.tampers.append(("GET", "/orders/trades", lambda data: {**data, "trades": [], "nc": None}))
        command = bench.submit(str(ASK), quantity="0.003")
        report = await bench.place(command)
        bench.tampers.clear()
        (told,) = await bench.connector.order_reports([bench.ref(command, report)])
        assert (told.state, told.filled_quantity) == (OrderState.FILLED, Decimal("0.003"))
        assert told.fees
        assert bench.anomalies("trades_missing") == 0

    on_bench(act)
