"""The connector on the scripted venue: ends told at once, replacements, news of the venue's own exits, money, the account."""

from decimal import Decimal

import msgspec
import pytest

from quantd.domain.cash import CashFlowKind, PositionMode
from quantd.domain.commands import CancelAll
from quantd.domain.lots import LotProtection
from quantd.domain.orders import OrderKind, OrderState
from quantd.domain.outcomes import Accepted, NotExecuted, NotFound, Rejected, Unknown
from quantd.domain.reports import OrderReport
from quantd.errors import AuthFailed, RateLimited, Unavailable
from quantd.ports import HttpResponse
from quantd.venues.oanda.options import OandaOptions
from tests.component.oanda.rig import Rig, run
from tests.component.oanda.scripted_venue import ACCOUNT, PRICE, RULES, TOKEN

D = Decimal


def only(outcome: object) -> OrderReport:
    assert isinstance(outcome, Accepted), outcome
    (report,) = outcome.reports
    return report


def test_an_order_that_is_created_and_cancelled_at_once_is_told_as_cancelled() -> None:
    async def body(rig: Rig) -> None:
        rig.venue.kills_at_once = "MARKET_HALTED"
        report = only(await rig.connector.submit(rig.submit(kind=OrderKind.MARKET)))
        assert (report.state, report.reason, report.filled_quantity) == (OrderState.CANCELLED, "market_halted", D(0))

    run(body)


def test_a_close_that_is_cancelled_at_once_is_a_refusal_and_the_trade_stands() -> None:
    async def body(rig: Rig) -> None:
        rig.venue.fills_at_once = True
        await rig.connector.submit(rig.submit())
        rig.venue.kills_at_once = "MARKET_HALTED"
        outcome = await rig.connector.close_lot(rig.close("3"))
        assert isinstance(outcome, Rejected)
        assert outcome.code == "market_halted"
        assert len((await rig.connector.snapshot()).lots) == 1

    run(body)


def test_a_trade_is_closed_and_what_it_settled_is_the_venues_figure() -> None:
    async def body(rig: Rig) -> None:
        rig.venue.fills_at_once = True
        report = only(await rig.connector.submit(rig.submit()))
        assert report.fills[0].fees == (("USD", D("0.5000")),)
        closed = only(await rig.connector.close_lot(rig.close("3")))
        assert closed.client_order_id == "q1-9"
        assert (closed.fills[0].lot, closed.fills[0].settled) == ("3", ("USD", D("-1.0000")))
        assert not (await rig.connector.snapshot()).lots

    run(body)


def test_an_amendment_keeps_the_order_and_adds_a_number() -> None:
    async def body(rig: Rig) -> None:
        command = rig.submit(protection=LotProtection(stop=D("1.05")))
        await rig.connector.submit(command)
        report = only(await rig.connector.amend(rig.amend("2")))
        assert (report.venue_order_id, report.client_order_id) == ("4", "q1-1")
        assert (report.quantity, report.price, report.state) == (D(2000), D("1.08"), OrderState.WORKING)
        (order,) = rig.venue.pending()
        assert order["stopLossOnFill"] == {"price": "1.05"}, "what was to hang on its trade still is"
        assert order["tradeClientExtensions"] == {"tag": "q1-1"}
        (seen,) = await rig.connector.order_reports([rig.ref(command, "2")])
        assert seen.venue_order_id == "4"

    run(body)


def test_an_amendment_that_comes_too_late_is_refused_and_the_order_tells_its_end() -> None:
    async def body(rig: Rig) -> None:
        command = rig.submit()
        await rig.connector.submit(command)
        rig.venue.fill("2")
        assert isinstance(await rig.connector.amend(rig.amend("2")), Rejected)
        (report,) = await rig.connector.order_reports([rig.ref(command, "2")])
        assert report.state is OrderState.FILLED

    run(body)


def test_a_cancel_that_comes_too_late_tells_the_fill() -> None:
    async def body(rig: Rig) -> None:
        await rig.connector.submit(rig.submit())
        rig.venue.fill("2")
        report = only(await rig.connector.cancel(rig.cancel("2")))
        assert (report.state, report.filled_quantity) == (OrderState.FILLED, D(1000))
        again = only(await rig.connector.cancel(rig.cancel("2")))
        assert again.fills == report.fills

    run(body)


def test_a_restarted_process_reads_orders_that_are_older_than_its_log() -> None:
    async def body(rig: Rig) -> None:
        command = rig.submit()
        await rig.connector.submit(command)
        await rig.connector.amend(rig.amend("2"))
        rig.venue.fill("4")
        for _ in range(50):
            rig.venue.entry("CLIENT_CONFIGURE")
        other = rig.restarted()
        await other.connector.start()
        (report,) = await other.connector.order_reports([other.ref(command, "2")])
        assert (report.venue_order_id, report.state, report.filled_quantity) == ("4", OrderState.FILLED, D(2000))
        assert rig.venue.count("transactions_since") == 1, "its own pages, not the history, tell of it"
        assert only(await other.connector.cancel(other.cancel("4"))).state is OrderState.FILLED

    run(body)


def test_the_rest_of_an_order_that_is_older_than_the_log_counts_with_what_was_filled_before() -> None:
    async def body(rig: Rig) -> None:
        command = rig.submit()
        await rig.connector.submit(command)
        other = rig.restarted()
        other.connector.ledger.resume(2)
        other.known = {"2"}
        await other.connector.start()
        rig.venue.fill("2", "363")
        rest = {**rig.venue.orders["2"], "units": "637"}
        rig.venue.orders["2"]["replacedByOrderID"] = "4"
        rig.venue.place(rest, replacesOrderID="2", reason="REPLACEMENT")
        rig.venue.orders["4"]["replacesOrderID"] = "2"
        rig.venue.fill("4", "637")
        for report in (
            (await other.connector.snapshot()).orders[0],
            *await other.connector.order_reports([other.ref(command, "2")]),
        ):
            assert (report.venue_order_id, report.filled_quantity, report.state) == ("4", D(1000), OrderState.FILLED)
            assert [one.quantity for one in report.fills] == [D(363), D(637)]

    run(body)


def test_nothing_is_told_of_orders_that_did_not_change() -> None:
    async def body(rig: Rig) -> None:
        command = rig.submit()
        await rig.connector.submit(command)
        assert await rig.connector.order_reports([rig.ref(command, "2")]) == ()

    run(body)


def test_an_exit_of_the_venues_is_told_once_with_its_trade_and_over_a_restart() -> None:
    async def body(rig: Rig) -> None:
        rig.venue.fills_at_once = True
        await rig.connector.submit(rig.submit(protection=LotProtection(stop=D("1.05"))))
        stop = rig.venue.place({"type": "STOP_LOSS", "tradeID": "3", "price": "1.05"})
        (lot,) = (await rig.connector.snapshot()).lots
        assert (lot.venue_id, lot.tag, lot.protection) == ("3", "q1-1", LotProtection(stop=D("1.05")))
        await rig.connector.snapshot()
        left_at = rig.connector.handed_out_id
        rig.venue.orders[stop["id"]]["state"] = "FILLED"
        rig.venue.close_trade("3", stop["id"], "STOP_LOSS_ORDER", "-40.0000")

        for reader in (rig, rig.restarted()):
            reader.connector.ledger.resume(left_at)
            await reader.connector.start()
            snapshot = await reader.connector.snapshot()
            (exit,) = [one for one in snapshot.orders if one.lot]
            assert (exit.lot, exit.kind, exit.state, exit.filled_quantity) == (
                "3", OrderKind.STOP, OrderState.FILLED, D(1000),
            )  # fmt: skip
            assert exit.fills[0].settled == ("USD", D("-40.0000"))
            assert not snapshot.lots
            assert not (await reader.connector.snapshot()).orders

    run(body)


def test_what_took_from_a_trade_whose_close_is_unknown_is_told_until_that_is_known() -> None:
    async def body(rig: Rig) -> None:
        rig.venue.fills_at_once = True
        await rig.connector.submit(rig.submit())
        await rig.connector.snapshot()
        rig.venue.faults["close_trade"] = ["drop_before"]
        command, sent_at_ns = rig.close("3", 400), rig.clock.now_ns()
        assert isinstance(await rig.connector.close_lot(command), Unknown)
        by_hand = rig.venue.entry("MARKET_ORDER", instrument="EUR_USD", units="-1000", reason="TRADE_CLOSE")
        rig.venue.close_trade("3", by_hand["id"], "MARKET_ORDER_TRADE_CLOSE")
        for _ in range(3):
            (exit,) = [one for one in (await rig.connector.snapshot()).orders if one.lot]
            assert exit.lot == "3"
            assert rig.connector.handed_out_id < int(by_hand["id"]) + 1
        assert await rig.resolved(command, sent_at_ns) == NotFound()
        await rig.connector.snapshot()
        assert rig.connector.handed_out_id == int(by_hand["id"]) + 1

    run(body)


def test_money_that_moved_is_told_with_the_balance() -> None:
    async def body(rig: Rig) -> None:
        await rig.connector.snapshot()
        rig.venue.balance = "10012.3400"
        rig.venue.entry("TRANSFER_FUNDS", amount="12.3400", fundingReason="CLIENT_FUNDING", accountBalance="10012.3400")
        snapshot = await rig.connector.snapshot()
        assert [(one.kind, one.amount) for one in snapshot.flows] == [(CashFlowKind.DEPOSIT, D("12.3400"))]
        assert snapshot.balances[0].total == D("10012.3400")
        assert (snapshot.margin_available, snapshot.equity) == (D("10012.3400"), D("10012.3400"))
        assert not (await rig.connector.snapshot()).flows

    run(body)


def test_a_snapshot_is_not_told_without_the_log_that_belongs_to_it() -> None:
    async def body(rig: Rig) -> None:
        rig.venue.entry("CLIENT_CONFIGURE")
        rig.venue.lag = 1
        with pytest.raises(Unavailable, match="read up to 1, there are 2"):
            await rig.connector.snapshot()

    run(body)


def test_exits_are_set_and_a_trailing_stop_that_stands_is_left_alone() -> None:
    async def body(rig: Rig) -> None:
        rig.venue.fills_at_once = True
        await rig.connector.submit(rig.submit())
        for exits in ({"stop": "1.05", "trail": "0.01"}, {"stop": "1.06", "take": "1.2", "trail": "0.01"}, {}):
            assert isinstance(await rig.connector.set_protection(rig.protect("3", **exits)), Accepted)
            (lot,) = (await rig.connector.snapshot()).lots
            assert lot.protection == LotProtection(**{name: D(value) for name, value in exits.items()})
        trailing = [one for one in rig.venue.log if one["type"] == "TRAILING_STOP_LOSS_ORDER"]
        assert len(trailing) == 1, "set anew it would begin at the present price"

    run(body)


def test_lost_exits_are_said_again_in_full() -> None:
    async def body(rig: Rig) -> None:
        rig.venue.fills_at_once = True
        await rig.connector.submit(rig.submit())
        await rig.connector.snapshot()
        rig.venue.faults["set_dependents"] = ["drop_before"]
        assert isinstance(await rig.connector.set_protection(rig.protect("3", trail="0.01")), Unknown)
        assert isinstance(await rig.connector.set_protection(rig.protect("3", trail="0.01")), Accepted)
        (lot,) = (await rig.connector.snapshot()).lots
        assert lot.protection.trail == D("0.01")

    run(body)


def test_cancel_all_ends_ours_and_leaves_exits_and_strangers() -> None:
    async def body(rig: Rig) -> None:
        rig.venue.fills_at_once = True
        await rig.connector.submit(rig.submit(1))
        rig.venue.fills_at_once = False
        rig.venue.place({"type": "STOP_LOSS", "tradeID": "3", "price": "1.05"})
        stranger = rig.venue.place({"type": "LIMIT", "instrument": "EUR_USD", "units": "5", "price": "1.0"})
        ours = only(await rig.connector.submit(rig.submit(2)))
        rig.known = {ours.venue_order_id, "4"}
        outcome = await rig.connector.cancel_all(CancelAll("oanda"))
        assert only(outcome).state is OrderState.CANCELLED
        assert [one["id"] for one in rig.venue.pending()] == ["4", stranger["id"]]

    run(body)


def test_a_filled_part_whose_rest_is_not_told_is_asked_for() -> None:
    async def body(rig: Rig) -> None:
        command = rig.submit()
        await rig.connector.submit(command)
        rig.venue.fill("2", "400")
        (report,) = await rig.connector.order_reports([rig.ref(command, "2")])
        assert (report.state, report.filled_quantity) == (OrderState.CANCELLED, D(400))

    run(body)


def test_the_account_is_what_the_venue_says() -> None:
    async def body(rig: Rig) -> None:
        assert (rig.connector.account.mode, rig.connector.account.home_currency) == (PositionMode.NETTING, "USD")
        rig.venue.hedging = True
        await rig.connector.snapshot()
        assert rig.connector.account.mode is PositionMode.HEDGING

    run(body)


def test_wrong_credentials_and_a_foreign_account_are_named() -> None:
    async def body(rig: Rig) -> None:
        with pytest.raises(AuthFailed, match="Insufficient authorization"):
            await Rig(rig.clock, venue=rig.venue, token="wrong").connector.start()
        rig.venue.answers["summary"] = [rig.venue.error(400, "", "Invalid value specified for 'accountID'")]
        with pytest.raises(AuthFailed, match="cannot be reached with this token"):
            await rig.connector.start()

    run(body)


def test_a_single_401_of_a_good_token_is_asked_again_on_reads_and_never_on_writes() -> None:
    async def body(rig: Rig) -> None:
        rig.venue.answers["account"] = [rig.venue.error(401)]
        await rig.connector.snapshot()
        assert rig.venue.count("account") == 2
        rig.venue.answers["create_order"] = [rig.venue.error(401)]
        assert isinstance(await rig.connector.submit(rig.submit()), Rejected)
        assert rig.venue.count("create_order") == 1
        assert not rig.auth_failures, "what is read since shows that the token is good"
        for operation in ("create_order", "summary", "summary"):
            rig.venue.answers[operation] = [*rig.venue.answers.get(operation, ()), rig.venue.error(401)]
        assert isinstance(await rig.connector.submit(rig.submit()), Rejected)
        assert len(rig.auth_failures) == 1
        assert TOKEN not in rig.auth_failures[0]

    run(body)


def test_too_many_requests_are_not_executed_and_reads_say_so() -> None:
    async def body(rig: Rig) -> None:
        rig.venue.answers["create_order"] = [rig.venue.error(429)]
        assert isinstance(await rig.connector.submit(rig.submit()), NotExecuted)
        rig.venue.answers["pricing"] = [rig.venue.error(429)]
        (rules,) = await rig.connector.instruments(["EUR_USD"])
        with pytest.raises(RateLimited):
            await rig.connector.quotes([rules])

    run(body)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"account":{"id":"x"}}', b'{"account":{"balance":"NaN"}}', b"\xff"]
)
def test_an_answer_without_what_we_need_is_an_outage(body: bytes) -> None:
    async def read(rig: Rig) -> None:
        rig.venue.answers["account"] = [HttpResponse(200, {}, body)]
        with pytest.raises(Unavailable):
            await rig.connector.snapshot()

    run(read)


def test_a_price_with_one_side_is_no_quote_and_a_market_that_cannot_be_traded_is_closed() -> None:
    async def body(rig: Rig) -> None:
        (rules,) = await rig.connector.instruments(["EUR_USD"])
        (quote,) = await rig.connector.quotes([rules])
        assert (quote.bid, quote.ask, quote.bid_size) == (1.0999, 1.1, 1e6)
        rig.venue.answers["pricing"] = [
            rig.venue.ok({"prices": [PRICE | {"asks": []}]}), rig.venue.ok({"prices": [PRICE | {"tradeable": False}]}),
        ]  # fmt: skip
        assert await rig.connector.quotes([rules]) == ()
        (status,) = (await rig.connector.statuses([rules])).values()
        assert status.value == "closed"

    run(body)


def test_only_whole_candles_are_bars() -> None:
    async def body(rig: Rig) -> None:
        (rules,) = await rig.connector.instruments(["EUR_USD"])
        sides = {"o": "1.1", "h": "1.3", "l": "1.0", "c": "1.2"}
        candles = [
            {"time": "2020-09-13T12:00:00.000000000Z", "complete": True, "volume": 7, "mid": sides},
            {"time": "2020-09-13T12:01:00.000000000Z", "complete": False, "volume": 1, "mid": sides},
        ]
        rig.venue.answers["candles"] = [rig.venue.ok({"candles": candles})]
        (bar,) = await rig.connector.bars(rules, 60, 10)
        assert (bar.open, bar.high, bar.low, bar.close, bar.volume) == (1.1, 1.3, 1.0, 1.2, 7.0)
        assert bar.interval_ns == 60_000_000_000

    run(body)


def test_rules_that_change_get_a_new_version() -> None:
    async def body(rig: Rig) -> None:
        (first,) = await rig.connector.instruments(["EUR_USD"])
        rig.venue.answers["instruments"] = [rig.venue.ok({"instruments": [RULES | {"marginRate": "0.05"}]})]
        (second,) = await rig.connector.instruments(["EUR_USD"])
        assert (first.version, second.version, second.margin_rate) == (1, 2, D("0.05"))
        assert await rig.connector.conversion("USD", "EUR") == "EUR_USD"
        assert await rig.connector.conversion("USD", "JPY") is None

    run(body)


def test_the_token_is_shown_nowhere() -> None:
    options = OandaOptions(TOKEN, ACCOUNT)
    assert TOKEN not in repr(options)
    assert TOKEN not in str(msgspec.structs.replace(options, account="x"))
