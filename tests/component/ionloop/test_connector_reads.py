"""The connector's reads against a venue that keeps orders: reports, snapshots, markets and the ledger."""

from decimal import Decimal

import msgspec
import pytest

from quantd.domain.instruments import InstrumentId, MarketStatus
from quantd.domain.orders import OrderState
from quantd.domain.soundness import flaw_of_snapshot
from quantd.errors import Contradicts, Refused, Unavailable, Unsound
from tests.component.ionloop.rig import BTC, FEES, Rig, run
from tests.component.ionloop.scripted_venue import MARKET


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


@pytest.mark.parametrize("ticker", [{"bid": None, "ask": "65103.80"}, {"bid": "", "ask": "65103.80"}])
def test_a_ticker_that_makes_no_sense_hides_the_prices_of_no_other_market(ticker: dict[str, str | None]) -> None:
    async def body(rig: Rig) -> None:
        (bitcoin,) = await rig.connector.instruments(["BTC-USDT"])
        other = msgspec.structs.replace(bitcoin, id=InstrumentId("ionloop:ETH-USDT"))
        rig.venue.answers["ticker"] = [rig.venue.ok({"symbol": "BTC-USDT", **ticker})]
        (quote,) = await rig.connector.quotes([bitcoin, other])
        assert quote.instrument == other.id
        assert rig.anomalies("quote_unreadable") == 1
        rig.venue.answers["ticker"] = [rig.venue.ok({"symbol": "BTC-USDT", **ticker})]
        with pytest.raises(Unavailable):
            await rig.connector.quotes([bitcoin])

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


# --- what is listed twice ---


def test_a_market_and_a_balance_that_are_listed_twice_are_taken_once() -> None:
    async def body(rig: Rig) -> None:
        rig.venue.answers["list_markets"] = [rig.venue.ok({"items": [MARKET, MARKET]})]
        (rules,) = await rig.connector.instruments(["BTC-USDT"])
        assert rules.base == "BTC"
        rig.venue.balances.append(dict(rig.venue.balances[0]))
        rig.venue.wallets.append(dict(rig.venue.wallets[0]))
        snapshot = await rig.connector.snapshot()
        assert flaw_of_snapshot(snapshot) == ""
        assert {one.asset: one.total for one in snapshot.balances} == {
            "USDT": Decimal("12790.22"),
            "BTC": Decimal("0.855"),
        }
        assert rig.anomalies("listed_twice") >= 3
        assert not snapshot.doubtful

    run(body)


def test_a_market_that_is_listed_in_two_ways_is_named_and_the_others_are_read() -> None:
    async def body(rig: Rig) -> None:
        odd = {**MARKET, "symbol": "ODD-USDT", "baseAsset": "ODD"}
        told = {"items": [MARKET, odd, {**odd, "quoteAsset": "USDC"}]}
        rig.venue.answers["list_markets"] = [rig.venue.ok(told) for _ in range(4)]
        with pytest.raises(Contradicts, match="ODD-USDT is listed more than once, with quote_asset USDT and USDC"):
            await rig.connector.instruments(["BTC-USDT", "ODD-USDT"])
        assert len(await rig.connector.instruments(["BTC-USDT"])) == 1
        assert await rig.connector.conversion("ODD", "USDT") is None
        assert await rig.connector.conversion("BTC", "USDT") == "BTC-USDT"
        assert rig.anomalies("listing_contradicts") == 4

    run(body)


@pytest.mark.parametrize("may_read_wallets", [True, False])
def test_an_asset_whose_balance_is_told_in_two_ways_is_in_doubt_and_the_others_are_not(may_read_wallets: bool) -> None:
    async def body(rig: Rig) -> None:
        rig.venue.balances.append({"asset": "USDT", "available": "7", "locked": "0"})
        if not may_read_wallets:
            rig.venue.answers["wallets"] = [rig.venue.error(403, "FORBIDDEN")]
        snapshot = await rig.connector.snapshot()
        assert flaw_of_snapshot(snapshot) == ""
        assert ([one.asset for one in snapshot.balances], snapshot.doubtful) == (["BTC"], ("USDT",))

    run(body)


def test_a_portfolio_that_contradicts_itself_is_nothing_where_the_spot_wallet_is_plain() -> None:
    async def body(rig: Rig) -> None:
        rig.venue.wallets = [{**rig.venue.wallets[0], "balances": list(rig.venue.balances)}]
        rig.venue.balances.append({"asset": "USDT", "available": "7", "locked": "0"})
        snapshot = await rig.connector.snapshot()
        assert {one.asset: one.total for one in snapshot.balances}["USDT"] == Decimal("12790.22")
        assert not snapshot.doubtful

    run(body)


def test_a_market_whose_row_cannot_be_read_hides_no_other() -> None:
    async def body(rig: Rig) -> None:
        told = {"items": [{**MARKET, "symbol": "ODD-USDT", "quoteAsset": None}, {"symbol": []}, 7, MARKET]}
        rig.venue.answers["list_markets"] = [rig.venue.ok(told) for _ in range(3)]
        assert len(await rig.connector.instruments(["BTC-USDT"])) == 1
        with pytest.raises(Unsound, match=r"ODD-USDT cannot be read: .*quoteAsset"):
            await rig.connector.instruments(["BTC-USDT", "ODD-USDT"])
        assert await rig.connector.conversion("BTC", "USDT") == "BTC-USDT"
        assert rig.anomalies("row_unreadable") == 9

    run(body)
