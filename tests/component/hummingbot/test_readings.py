"""Balances from before a placement outlive the process that read them: a restart's search is judged by them."""

import asyncio
from collections.abc import Callable
from decimal import Decimal

import msgspec
import pytest

from quantd.domain.commands import Submit
from quantd.domain.orders import ClientOrderId, OrderState
from quantd.domain.outcomes import Ambiguous, Found, NotFound, Resolution, StillUnknown
from quantd.domain.reports import OrderReport
from quantd.domain.soundness import flaw_of_snapshot
from quantd.simulators.faults import Action
from quantd.venues.hummingbot.readings import KEPT, Reading, Readings
from tests.component.hummingbot.bench import Bench, Json, on_bench

Parts = dict[str, str]


def noted(b: Bench) -> Parts:
    """Write down what the connector wants to remember."""
    parts: Parts = {}
    b.connector.follow(parts.__setitem__)
    return parts


async def restart(b: Bench, parts: Parts) -> None:
    """Go on with another connector that knows what was written."""
    before = b.connector
    await b.start()
    assert b.connector is not before
    b.connector.restore(parts)
    noted(b)


async def lose(b: Bench, command: Submit, parts: Parts, *, arrives: bool, looked_after: bool = False) -> Resolution:
    """Lose a placement, which no list ever shows, with the process that sent it, and search for it in the next."""
    await asyncio.sleep(0.1)
    sent_at_ns = b.clock.now_ns()
    b.fault(Action.DROP_AFTER if arrives else Action.DROP_BEFORE, "submit")
    await b.connector.submit(command)
    await b.trade()
    shown = set(b.known)
    b.tampers.append(
        (
            "/trading/orders/(active|search)",
            lambda told, _: {**told, "data": [row for row in told["data"] if row["order_id"] in shown]},
        )
    )
    if looked_after:
        await b.connector.snapshot()
    await restart(b, parts)
    return await b.settle(command, sent_at_ns)


@pytest.mark.parametrize("price", [None, "66000", "60000"], ids=["market", "crossing limit", "resting limit"])
@pytest.mark.parametrize("looked_after", [False, True])
def test_one_that_never_arrived_is_absent_by_the_balances_of_the_process_before(
    price: str | None, looked_after: bool
) -> None:
    async def act(b: Bench) -> None:
        parts = noted(b)
        await b.connector.snapshot()
        assert await lose(b, b.buy(price), parts, arrives=False, looked_after=looked_after) == NotFound()

    on_bench(act)


@pytest.mark.parametrize("price", [None, "66000", "60000"], ids=["market", "crossing limit", "resting limit"])
@pytest.mark.parametrize("looked_after", [False, True])
def test_one_that_arrived_is_never_called_absent_however_late_the_balances_were_read(
    price: str | None, looked_after: bool
) -> None:
    async def act(b: Bench) -> None:
        parts = noted(b)
        await b.connector.snapshot()
        assert await lose(b, b.buy(price), parts, arrives=True, looked_after=looked_after) == Ambiguous(())

    on_bench(act)


@pytest.mark.parametrize("price", [None, "66000"])
def test_balances_from_after_it_left_prove_nothing(price: str | None) -> None:
    async def act(b: Bench) -> None:
        parts = noted(b)
        assert await lose(b, b.buy(price), parts, arrives=False, looked_after=True) == Ambiguous(())
        assert parts

    on_bench(act)


def test_what_an_older_order_has_traded_since_is_no_trace_of_the_lost_one() -> None:
    async def act(b: Bench) -> None:
        parts = noted(b)
        await b.rest(b.buy("64000", "0.003"))
        await b.rest(b.buy(None))
        await asyncio.sleep(1)
        await b.connector.snapshot()
        b.move(Decimal("63000.00"), Decimal("63010.00"))
        assert await lose(b, b.buy(None), parts, arrives=False) == NotFound()
        assert b.truth().totals["BTC"] == Decimal("1.004")

    on_bench(act)


def test_one_that_the_lists_show_is_found_as_before() -> None:
    async def act(b: Bench) -> None:
        parts = noted(b)
        await b.connector.snapshot()
        await asyncio.sleep(0.1)
        command, sent_at_ns = b.buy(None), b.clock.now_ns()
        b.fault(Action.DROP_AFTER, "submit")
        await b.connector.submit(command)
        await b.trade()
        await restart(b, parts)
        assert isinstance(await b.settle(command, sent_at_ns), Found)

    on_bench(act)


def test_an_order_of_others_that_stood_before_it_left_is_not_taken_for_it_after_a_restart() -> None:
    async def act(b: Bench) -> None:
        parts = noted(b)
        await b.foreign_order(Decimal(60000), Decimal("0.001"))
        await asyncio.sleep(1)
        await b.connector.snapshot()
        await asyncio.sleep(0.1)
        command, sent_at_ns = b.buy(), b.clock.now_ns()
        b.fault(Action.DROP_BEFORE, "submit")
        await b.connector.submit(command)
        await restart(b, parts)
        assert await b.settle(command, sent_at_ns) == NotFound()

    on_bench(act)


def test_an_order_that_strayed_before_a_restart_is_told_by_the_balances_of_then() -> None:
    async def act(b: Bench) -> None:
        b.switches.stray_fills = True
        parts = noted(b)
        await b.connector.snapshot()
        await asyncio.sleep(0.1)
        command, sent_at_ns = b.buy(None), b.clock.now_ns()
        ref = msgspec.structs.replace(b.order_ref(command, await b.rest(command)), submitted_at_ns=sent_at_ns)
        await b.connector.snapshot()
        await restart(b, parts)
        told: list[OrderReport] = []
        for _ in range(10):
            await asyncio.sleep(2)
            told += await b.connector.order_reports([ref])
        assert told[0].state is OrderState.FILLED
        assert not b.doubts

    on_bench(act)


def test_one_that_was_told_as_filled_leaves_no_list_in_doubt_after_a_restart() -> None:
    async def act(b: Bench) -> None:
        b.switches.stray_fills = True
        parts = noted(b)
        await b.connector.snapshot()
        command = b.buy(None)
        ref = b.order_ref(command, await b.rest(command))
        for _ in range(10):
            await asyncio.sleep(2)
            await b.connector.order_reports([ref])
        assert (await b.connector.snapshot()).orders_complete
        await restart(b, parts)
        assert (await b.connector.snapshot()).orders_complete

    on_bench(act)


# -- what is written ---------------------------------------------------------------------------------------------------


def reading(usdt: int) -> Reading:
    """Return one that differs from the others by what is held."""
    return Reading({"USDT": Decimal(usdt)}, {"ended": Decimal(2), "open": Decimal("0.5")}, 7)


def written(account: str, add: Callable[[Readings], None]) -> Parts:
    """Return what is written of what `add` reads."""
    parts: Parts = {}
    readings = Readings(account)
    readings.follow(parts.__setitem__)
    add(readings)
    return parts


def many(readings: Readings) -> None:
    """Read another balance every second, three times as many as are kept."""
    for second in range(3 * KEPT):
        readings.add(reading(second), {"open": Decimal("0.5")}, second)


def test_the_newest_reading_that_is_older_than_the_placement_counts_and_ended_orders_are_not_kept() -> None:
    parts = written("a/binance", many)
    assert len(parts) == KEPT
    after = Readings("a/binance")
    after.restore(parts)
    lost = ClientOrderId("q-1")
    last = 3 * KEPT - 1
    for sent_at_ns in (last + 9, last + 1, last, last - KEPT + 2):
        units = {"USDT": Decimal(min(sent_at_ns - 1, last))}
        assert after.before(lost, sent_at_ns) == Reading(units, {"open": Decimal("0.5")}, 7)
    assert after.before(lost, last - KEPT + 1) is None


def test_numbers_go_on_over_a_restart_so_that_the_oldest_make_room() -> None:
    parts = written("a/binance", many)
    after = Readings("a/binance")
    after.restore(parts)
    after.follow(parts.__setitem__)
    after.add(reading(-1), {}, 1_000)
    assert len(parts) == KEPT
    third = Readings("a/binance")
    third.restore(parts)
    lost = ClientOrderId("q-1")
    assert third.before(lost, 1_001) == Reading({"USDT": Decimal(-1)}, {}, 7)
    assert third.before(lost, 1_000) == Reading({"USDT": Decimal(3 * KEPT - 1)}, {"open": Decimal("0.5")}, 7)
    assert third.before(lost, 2 * KEPT + 1) is None, "its place was taken"


def test_a_quiet_account_writes_once_and_keeps_the_earlier_time() -> None:
    def quiet(readings: Readings) -> None:
        for second in range(10):
            readings.add(reading(5), {}, second)

    parts = written("a/binance", quiet)
    assert len(parts) == 1
    after = Readings("a/binance")
    after.restore(parts)
    assert after.before(ClientOrderId("q-1"), 1) is not None


def test_another_account_s_balances_say_nothing() -> None:
    parts = written("a/kucoin", many)
    after = Readings("a/binance")
    after.restore(parts)
    assert after.before(ClientOrderId("q-1"), 1_000) is None
    after.follow(parts.__setitem__)
    after.add(reading(1), {}, 1_000)
    assert len(parts) == KEPT, "they are overwritten in turn, the oldest first"


def told_again(**row: object) -> Callable[[Json, Json], Json]:
    """Return what tells the first balance once more, with other words where any are given."""

    def change(told: Json, _: Json) -> Json:
        rows = told["master_account"]["binance"]
        return {"master_account": {"binance": [*rows, {**rows[0], **row}]}}

    return change


def test_a_balance_that_is_told_twice_is_taken_once_and_one_told_in_two_ways_is_in_doubt() -> None:
    async def act(b: Bench) -> None:
        plain = await b.connector.snapshot()
        b.tampers.append(("/portfolio/state", told_again()))
        assert (await b.connector.snapshot()).balances == plain.balances
        b.tampers.append(("/portfolio/state", told_again(units=7.0)))
        snapshot = await b.connector.snapshot()
        assert flaw_of_snapshot(snapshot) == ""
        odd = plain.balances[0].asset
        assert (snapshot.doubtful, snapshot.balances) == ((odd,), plain.balances[1:])

    on_bench(act)


def test_balances_that_contradict_each_other_tell_nothing_of_a_lost_placement() -> None:
    async def act(b: Bench) -> None:
        await b.connector.snapshot()
        for asset in ("USDT", "BTC"):
            b.tampers.append(("/portfolio/state", doubled(asset)))
        parts = noted(b)
        assert await lose(b, b.buy(), parts, arrives=False) == StillUnknown("Contradicts", 5.0)

    def doubled(asset: str) -> Callable[[Json, Json], Json]:
        def change(told: Json, _: Json) -> Json:
            rows = told["master_account"]["binance"]
            odd = [{**row, "units": 0.5, "available_units": 0.5} for row in rows if row["token"] == asset]
            return {"master_account": {"binance": [*odd, *rows]}}

        return change

    on_bench(act)
