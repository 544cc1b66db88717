"""What a snapshot of an OANDA account shows, and what it proves."""

import asyncio
import json
from decimal import Decimal

import pytest

from quantd.domain.orders import OrderKind
from quantd.errors import AuthFailed, Contradicts, Unavailable, Unsound
from tests.component.oanda.rig import EUR_USD, Rig, run
from tests.component.oanda.scripted_venue import PRICE, RULES

D = Decimal


def test_trades_that_are_not_the_whole_position_prove_nothing_by_their_absence() -> None:
    async def body(rig: Rig) -> None:
        rig.venue.fills_at_once = True
        await rig.connector.submit(rig.submit())
        assert (await rig.connector.snapshot()).lots_complete
        shown = {"account": rig.venue.account()}
        del shown["account"]["trades"][0]
        rig.venue.answers["account"] = [rig.venue.ok(shown)]
        assert not (await rig.connector.snapshot()).lots_complete
        assert rig.anomalies("trades_are_not_the_position") == 1

    run(body)


def test_a_trade_that_is_listed_twice_is_taken_once_and_one_in_two_sizes_is_no_evidence_at_all() -> None:
    async def body(rig: Rig) -> None:
        rig.venue.fills_at_once = True
        await rig.connector.submit(rig.submit())
        shown = rig.venue.account()
        (trade,) = shown["trades"]
        rig.venue.answers["account"] = [rig.venue.ok({"account": {**shown, "trades": [trade, trade]}})]
        snapshot = await rig.connector.snapshot()
        assert [lot.quantity for lot in snapshot.lots] == [D(1000)]
        assert snapshot.lots_complete
        other = {**trade, "currentUnits": "500"}
        rig.venue.answers["account"] = [rig.venue.ok({"account": {**shown, "trades": [trade, other]}})]
        with pytest.raises(Unavailable, match="in two ways: current_units 1000 and 500"):
            await rig.connector.snapshot()

    run(body)


def test_our_own_orders_stand_under_their_ids_in_a_snapshot() -> None:
    async def body(rig: Rig) -> None:
        await rig.connector.submit(rig.submit())
        for reader in (rig, rig.restarted()):
            (shown,) = (await reader.connector.snapshot()).orders
            assert (shown.client_order_id, shown.venue_order_id, shown.quantity) == ("q1-1", "2", D(1000))
            assert (shown.price, shown.kind, shown.instrument) == (D("1.09"), OrderKind.LIMIT, EUR_USD)

    run(body)


def test_an_order_that_the_log_knows_to_have_ended_is_not_shown_as_working() -> None:
    async def body(rig: Rig) -> None:
        await rig.connector.submit(rig.submit())
        earlier = rig.venue.account()
        await rig.connector.cancel(rig.cancel("2"))
        rig.venue.answers["account"] = [rig.venue.ok({"account": earlier})]
        assert not (await rig.connector.snapshot()).orders

    run(body)


def test_of_two_snapshots_at_once_the_second_is_asked_for_when_the_first_is_told() -> None:
    async def body(rig: Rig) -> None:
        rig.venue.entry("CLIENT_CONFIGURE")
        rig.venue.lag = 1
        async with asyncio.TaskGroup() as tasks:
            looks = [tasks.create_task(rig.connector.snapshot(), name=f"look {number}") for number in range(2)]
            await asyncio.sleep(0.05)
            rig.venue.lag = 0
        first, second = [one.result() for one in looks]
        assert first.asked_at_ns < first.answered_at_ns <= second.asked_at_ns

    run(body)


def test_exits_that_were_set_while_the_account_was_read_stay_known() -> None:
    async def body(rig: Rig) -> None:
        rig.venue.fills_at_once = True
        await rig.connector.submit(rig.submit())
        await rig.connector.snapshot()
        rig.venue.entry("CLIENT_CONFIGURE")
        rig.venue.lag = 1
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(rig.connector.snapshot(), name="look")
            await asyncio.sleep(0.05)
            await rig.connector.set_protection(rig.protect("3", trail="0.01000"))
            rig.venue.lag = 0
        await rig.connector.set_protection(rig.protect("3", stop="1.05000", trail="0.01000"))
        assert json.loads(rig.venue.requests[-1].body) == {"stopLoss": {"price": "1.05"}}

    run(body)


def test_a_log_that_is_refused_for_a_moment_is_not_given_up() -> None:
    async def body(rig: Rig) -> None:
        rig.venue.fills_at_once = True
        await rig.connector.submit(rig.submit())
        await rig.connector.snapshot()
        rig.venue.close_trade("3", "77", "STOP_LOSS_ORDER")
        rig.venue.since_limit = 1_000
        with pytest.raises(Unavailable):
            await rig.connector.snapshot()
        rig.venue.since_limit = 0
        assert [one.lot for one in (await rig.connector.snapshot()).orders if one.lot] == ["3"]
        assert rig.anomalies("log_out_of_reach") == 0

    run(body)


def test_a_token_that_was_good_and_is_refused_for_a_while_stops_no_reader_for_good() -> None:
    async def body(rig: Rig) -> None:
        for status, error in ((401, Unavailable), (403, AuthFailed)):
            rig.venue.answers["account"] = [rig.venue.error(status) for _ in range(2)]
            with pytest.raises(error):
                await rig.connector.snapshot()
            await rig.connector.snapshot()

    run(body)


def test_an_instrument_that_is_listed_twice_is_taken_once_and_one_listed_in_two_ways_is_named() -> None:
    async def body(rig: Rig) -> None:
        (plain,) = await rig.connector.instruments(["EUR_USD"])
        rig.venue.answers["instruments"] = [rig.venue.ok({"instruments": [RULES, RULES]})]
        assert await rig.connector.instruments(["EUR_USD"]) == (plain,)
        assert rig.anomalies("listed_twice") == 1
        odd = {**RULES, "name": "GBP_USD"}
        told = {"instruments": [RULES, odd, {**odd, "marginRate": "0.5"}]}
        rig.venue.answers["instruments"] = [rig.venue.ok(told) for _ in range(4)]
        with pytest.raises(Contradicts, match=r"GBP_USD is listed more than once, with margin_rate 0.02 and 0.5"):
            await rig.connector.instruments(["EUR_USD", "GBP_USD"])
        assert await rig.connector.instruments(["EUR_USD"]) == (plain,)
        assert await rig.connector.conversion("GBP", "USD") is None
        assert await rig.connector.conversion("EUR", "USD") == "EUR_USD"

    run(body)


def test_a_row_that_cannot_be_read_hides_no_other_instrument_and_no_other_price() -> None:
    async def body(rig: Rig) -> None:
        (plain,) = await rig.connector.instruments(["EUR_USD"])
        odd = {**RULES, "name": "GBP_USD", "marginRate": "n/a"}
        rig.venue.answers["instruments"] = [rig.venue.ok({"instruments": [odd, RULES]}) for _ in range(3)]
        assert await rig.connector.instruments(["EUR_USD"]) == (plain,)
        with pytest.raises(Unsound, match=r"GBP_USD cannot be read: .*marginRate"):
            await rig.connector.instruments(["EUR_USD", "GBP_USD"])
        assert await rig.connector.conversion("GBP", "USD") is None
        assert rig.anomalies("row_unreadable") == 3
        nameless = {**PRICE, "instrument": None}
        rig.venue.answers["pricing"] = [
            rig.venue.ok({"prices": [nameless, PRICE]}),
            rig.venue.ok({"prices": [nameless]}),
        ]
        assert len(await rig.connector.quotes([plain])) == 1
        with pytest.raises(Unavailable, match="no price can be read"):
            await rig.connector.quotes([plain])

    run(body)
