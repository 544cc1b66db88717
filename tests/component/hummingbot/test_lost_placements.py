"""Placements without an answer: found by their terms, and called absent only where the balances show no trace of them."""

import asyncio
from decimal import Decimal

import msgspec
import pytest

from quantd.domain.commands import Submit
from quantd.domain.outcomes import Ambiguous, Found, NotFound, Resolution, StillUnknown, Unknown
from quantd.errors import Unavailable
from quantd.ports import HttpRequest
from quantd.simulators.faults import Action
from quantd.venues.hummingbot.api import headers_of
from tests.component.hummingbot.bench import Bench, Json, on_bench


async def lose(b: Bench, command: Submit, *, arrives: bool = True) -> Resolution:
    """Send a placement whose answer is lost and which no list will ever show, and search for it."""
    sent_at_ns = b.clock.now_ns()
    b.fault(Action.DROP_AFTER if arrives else Action.DROP_BEFORE, "submit")
    assert isinstance(await b.connector.submit(command), Unknown)
    await b.trade()
    shown = set(b.known)
    b.tampers.append(
        (
            "/trading/orders/(active|search)",
            lambda told, _: {**told, "data": [row for row in told["data"] if row["order_id"] in shown]},
        )
    )
    return await b.settle(command, sent_at_ns)  # 150 s of looks


@pytest.mark.parametrize("price", [None, "66000"], ids=["market", "crossing limit"])
def test_one_that_traded_at_once_shows_in_the_balances(price: str | None) -> None:
    async def act(b: Bench) -> None:
        await b.connector.snapshot()
        assert await lose(b, b.buy(price)) == Ambiguous(())
        assert b.truth().totals["BTC"] == Decimal("1.001")

    on_bench(act)


@pytest.mark.parametrize("price", [None, "66000"], ids=["market", "crossing limit"])
def test_without_balances_from_before_one_that_may_have_traded_is_for_a_person(price: str | None) -> None:
    async def act(b: Bench) -> None:
        assert await lose(b, b.buy(price), arrives=False) == Ambiguous(())

    on_bench(act)


def test_without_balances_from_before_one_that_could_only_rest_is_absent_where_nothing_is_locked() -> None:
    async def act(b: Bench) -> None:
        assert await lose(b, b.buy(), arrives=False) == NotFound()

    on_bench(act)


@pytest.mark.parametrize("price", [None, "66000", "60000"])
def test_one_that_never_arrived_is_absent_whatever_our_other_orders_did(price: str | None) -> None:
    async def act(b: Bench) -> None:
        resting = b.buy("60100")
        await b.rest(resting)
        await b.rest(b.buy(None))
        await asyncio.sleep(1)
        await b.connector.snapshot()
        await b.rest(b.buy("66000", "0.004"))  # trades after the balances were read
        assert await lose(b, b.buy(price), arrives=False) == NotFound()

    on_bench(act)


def test_money_that_comes_in_is_no_trace_of_a_buy() -> None:
    async def act(b: Bench) -> None:
        await b.connector.snapshot()
        b.deposit(Decimal(500))
        assert await lose(b, b.buy(None), arrives=False) == NotFound()

    on_bench(act)


def test_one_that_rests_shows_in_what_is_locked_even_if_most_of_it_has_traded() -> None:
    async def act(b: Bench) -> None:
        await b.connector.snapshot()

        def mostly_filled(told: Json, _: Json) -> Json:
            rows = [
                {"token": "USDT", "units": 99964.0, "available_units": 99940.0},
                {"token": "BTC", "units": 1.0, "available_units": 1.0},  # a stale row tells nothing
            ]
            return {"master_account": {"binance": rows}}

        b.tampers.append(("/portfolio/state", mostly_filled))
        assert await lose(b, b.buy()) == Ambiguous(())

    on_bench(act)


def test_a_balance_read_that_failed_with_200_proves_nothing_and_empties_no_account() -> None:
    async def act(b: Bench) -> None:
        b.switches.blank_portfolio = True
        with pytest.raises(Unavailable, match="no balance"):
            await b.connector.snapshot()
        assert await lose(b, b.buy()) == StillUnknown("Unavailable", 5.0)

    on_bench(act)


async def somebody_s_market_order(b: Bench) -> None:
    """Place one with the terms of `buy(None)` past the connector."""
    body = {
        "account_name": "master_account", "connector_name": "binance", "trading_pair": "BTC-USDT", "trade_type": "BUY",
        "amount": "0.001", "order_type": "MARKET",
    }  # fmt: skip
    request = HttpRequest("POST", "/trading/orders", headers_of("admin", "admin"), msgspec.json.encode(body))
    assert b.venue.handle(request).status == 201
    await b.trade()


@pytest.mark.parametrize(
    ("looked", "ago_s", "shown"), [(True, 1, NotFound), (True, 300, NotFound), (False, 300, Ambiguous)]
)
def test_an_order_of_somebody_else_from_before_the_placement_is_not_adopted(
    looked: bool, ago_s: int, shown: type[Resolution]
) -> None:
    async def act(b: Bench) -> None:
        await somebody_s_market_order(b)
        if looked:
            await b.connector.snapshot()
        await asyncio.sleep(ago_s)
        command, sent_at_ns = b.buy(None), b.clock.now_ns()
        b.fault(Action.DROP_BEFORE, "submit")
        await b.connector.submit(command)
        assert isinstance(await b.settle(command, sent_at_ns), shown), "unseen, and our clock may have been wrong"

    on_bench(act)


def test_a_placement_that_arrived_is_found_among_orders_with_the_same_terms() -> None:
    async def act(b: Bench) -> None:
        await somebody_s_market_order(b)
        (theirs,) = b.venue.desk.orders
        await b.connector.snapshot()
        command, sent_at_ns = b.buy(None), b.clock.now_ns()
        b.fault(Action.DROP_AFTER, "submit")
        await b.connector.submit(command)
        await b.trade()
        resolution = await b.settle(command, sent_at_ns)
        assert isinstance(resolution, Found)
        assert resolution.report.venue_order_id not in ("", theirs)

    on_bench(act)
