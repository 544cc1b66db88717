"""What the server says of itself, of instruments and prices: columns, limits, rules, routes, bars, sessions, pages."""

import asyncio
from typing import Any

import pytest

from quantd.clock import LoopClock
from quantd.domain.cash import AccountKind, PositionMode
from quantd.domain.instruments import InstrumentId, MarketStatus, QuantityUnit, TickTier
from quantd.domain.market import Quote
from quantd.domain.orders import OrderState
from quantd.domain.outcomes import Accepted
from quantd.errors import AuthFailed, Contradicts, Refused, Unavailable, Unreadable, Unsound
from quantd.simulators.tradelocker.options import AccountRules, InstrumentRules
from quantd.testing.loop import run_virtual
from quantd.venues.budget import Lane
from tests.component.tradelocker.site import D, Site, run

EURO = InstrumentRules(
    base="EUR", quote="USD", suffix=".R", tradable_id=278, id=315, trade_route=9913, info_routes=(453, 454),
    type="FOREX", lot_size=D(100_000), max_lot=D(50), leverage=D(30), session_id=1548, session_status_id=21,
    ticks=(TickTier(D(0), D("0.00001")), TickTier(D(2), D("0.0001"))),
)  # fmt: skip
BITCOIN = InstrumentRules()


def start_with(operation: str, change: Any) -> None:
    """Start a connector at a server whose answer to a route is another."""

    async def main(clock: LoopClock) -> None:
        site = Site(clock)
        site.venue.changed[operation] = change
        await site.start()

    run_virtual(main)


def test_the_account_is_what_the_server_says() -> None:
    async def body(site: Site) -> None:
        account = site.tl.account
        assert (account.id, account.kind, account.mode) == ("1000001", AccountKind.MARGIN, PositionMode.HEDGING)
        assert account.home_currency == "USD"
        await site.open(quantity="0.1")
        snapshot = await site.look()
        assert snapshot.margin_used == (site.bid + site.ask) / 2 / 10 / 20
        assert snapshot.equity == 1_000_000 - (site.ask - site.bid) / 10
        assert snapshot.margin_available == snapshot.equity - snapshot.margin_used
        assert snapshot.margin_closeout == snapshot.margin_used / 2 / snapshot.equity

    run(body)


def test_an_instrument_s_rules_are_in_lots_with_tiers_of_steps_and_the_leverage_as_margin() -> None:
    async def body(site: Site) -> None:
        (euro,) = await site.tl.instruments(["EURUSD.R"])
        assert (euro.base, euro.quote, euro.quantity_unit) == ("EUR", "USD", QuantityUnit.LOTS)
        assert (euro.units_per_quantity, euro.lot, euro.min_quantity, euro.max_quantity) == (
            D(100_000), D("0.01"), D("0.01"), D(50),
        )  # fmt: skip
        assert euro.ticks == EURO.ticks
        assert euro.margin_rate == 1 / D(30)
        assert await site.tl.conversion("USD", "EUR") == "EURUSD.R"

    run(body, instruments=(EURO, BITCOIN))


def test_commission_is_in_the_account_s_currency_whatever_an_instrument_settles_in() -> None:
    """It is one figure for all instruments of the account."""

    class Charged(Site):
        commission_per_lot = D("3.5")

    async def main(clock: LoopClock) -> None:
        account = AccountRules(currency="EUR", balance=D(1_000_000))
        site = Charged(clock, instruments=(BITCOIN, EURO), accounts=(account,))
        site.venue.on_market(_quote("EURUSD.R", 1.1, 1.1001))
        await site.start()
        (rules,) = await site.tl.instruments([site.symbol])
        assert (rules.settlement_currency, rules.commission_currency) == ("USD", "EUR")
        _, report = await site.open(quantity="0.2")
        assert [(fill.fees, fill.fees_estimated) for fill in report.fills] == [((("EUR", D("0.70")),), True)]

    run_virtual(main)


def test_a_position_that_is_listed_twice_is_taken_once_and_one_in_two_sizes_is_no_evidence_at_all() -> None:
    """The last row counted, whatever the first had said."""

    async def body(site: Site) -> None:
        await site.open(quantity="0.2")

        def twice(told: Any, quantity: str | None = None) -> Any:
            (row,) = told["d"]["positions"]
            other = row if quantity is None else [quantity if at == 4 else cell for at, cell in enumerate(row)]
            return {**told, "d": {"positions": [row, other]}}

        site.venue.changed["positions"] = twice
        assert [lot.quantity for lot in (await site.look()).lots] == [D("0.2")]
        site.venue.changed["positions"] = lambda told: twice(told, "0.1")
        with pytest.raises(Unavailable, match=r"positions: .* in two ways: .*quantity 0.2 and 0.1"):
            await site.look()

    run(body)


def test_of_two_instruments_of_one_name_each_has_its_id_behind_it() -> None:
    async def body(site: Site) -> None:
        with pytest.raises(Refused, match=r"EURUSD.R is several: EURUSD.R#278, EURUSD.R#279"):
            await site.tl.instruments(["EURUSD.R"])

    twin = InstrumentRules(base="EUR", suffix=".R", tradable_id=279, trade_route=9914, info_routes=(455,))

    async def main(clock: LoopClock) -> None:
        site = Site(clock, instruments=(BITCOIN, EURO))
        site.venue.changed["instruments"] = lambda told: {
            **told, "d": {"instruments": [*told["d"]["instruments"], {
                **told["d"]["instruments"][1], "tradableInstrumentId": twin.tradable_id,
            }]},
        }  # fmt: skip
        await site.start()
        await body(site)

    run_virtual(main)


def test_a_dead_info_route_is_gone_round_and_not_asked_again() -> None:
    async def body(site: Site) -> None:
        (euro,) = await site.tl.instruments(["EURUSD.R"])
        site.venue.on_market(_quote("EURUSD.R", 1.1, 1.1001))
        site.venue.adjust({"dead_info_routes": 1})
        for _ in range(3):
            (quote,) = await site.tl.quotes([euro])
            assert (quote.bid, quote.ask, quote.occurred_at_ns) == (1.1, 1.1001, None)
        assert site.requests("quotes") == 4
        site.venue.adjust({"dead_info_routes": 2})
        with pytest.raises(Refused):
            await site.tl.quotes([euro])

    run(body, instruments=(EURO, BITCOIN))


def _quote(name: str, bid: float, ask: float) -> Quote:
    return Quote(InstrumentId(f"tradelocker:{name}"), bid, ask, 0)


def test_bars_reach_over_a_gap_in_which_nothing_traded() -> None:
    async def body(site: Site) -> None:
        for step in range(3):
            site.move(site.price(step), site.price(step + 2))
            await asyncio.sleep(60)
        await asyncio.sleep(9 * 86_400)
        bars = await site.tl.bars(site.instrument, 60, 5)
        assert [bar.open for bar in bars] == [float(site.price(step)) for step in range(3)]
        site.venue.adjust({"tells_next_bar": False})
        assert await site.tl.bars(site.instrument, 60, 5) == ()

    run(body)


def test_a_market_is_open_only_where_its_word_its_hours_and_its_session_say_so() -> None:
    async def body(site: Site) -> None:
        async def status() -> MarketStatus:
            await asyncio.sleep(3)
            return (await site.tl.statuses([site.instrument]))[site.instrument_id]

        assert await status() is MarketStatus.OPEN
        site.venue.changed["session"] = lambda told: {**told, "d": {"blockTrading": True}}
        assert await status() is MarketStatus.CLOSED
        site.venue.changed = {"session_status": lambda told: {**told, "d": {"allowedOperations": [0, 0, 0]}}}
        assert await status() is MarketStatus.CLOSED
        site.venue.changed = {"session_status": lambda told: {**told, "d": {"allowedOperations": [0, 1, 0]}}}
        assert await status() is MarketStatus.OPEN
        site.venue.changed = {"instrument": lambda told: {**told, "d": {**told["d"], "symbolStatus": "SLEEPING"}}}
        assert await status() is MarketStatus.HALTED
        site.venue.changed = {}
        for word, expected in (("halted", MarketStatus.HALTED), ("closed", MarketStatus.CLOSED)):
            site.venue.command("market", {"symbol": site.symbol, "status": word})
            assert await status() is expected

    run(body)


# --- the server's own configuration -----------------------------------------------------------------------------------


def _config(**changes: Any) -> Any:
    return lambda told: {**told, "d": {**told["d"], **changes}}


def test_a_column_that_is_needed_and_missing_is_named_at_the_start() -> None:
    def without(told: Any) -> Any:
        columns = told["d"]["ordersConfig"]["columns"]
        left = [one for one in columns if one["id"] != "positionId"]
        return {**told, "d": {**told["d"], "ordersConfig": {"columns": left}}}

    with pytest.raises(Refused, match="ordersConfig has no column positionId"):
        start_with("config", without)


def test_a_rate_limit_in_a_measure_that_nobody_knows_is_named_at_the_start() -> None:
    limit = {"rateLimitType": "QUOTES", "measure": "FORTNIGHTS", "intervalNum": 1, "limit": 1}
    with pytest.raises(Refused, match="QUOTES: 1 in 1 FORTNIGHTS"):
        start_with("config", _config(rateLimits=[limit]))


def test_a_broker_that_holds_no_exits_is_refused_where_they_are_to_hang_there() -> None:
    def without(told: Any) -> Any:
        return {**told, "d": [{**told["d"][0], "tradingRules": {"supportBrackets": False}}]}

    with pytest.raises(Refused, match="protection: engine"):
        start_with("accounts", without)


def test_an_account_that_the_server_does_not_list_is_named_at_the_start() -> None:
    with pytest.raises(AuthFailed, match="does not list account 1000001"):
        start_with("accounts", lambda told: {**told, "d": []})


def test_a_row_that_does_not_fit_its_columns_is_never_read_by_its_places() -> None:
    async def body(site: Site) -> None:
        await site.place(site.submit())
        site.venue.changed["orders"] = lambda told: {**told, "d": {"orders": [row[1:] for row in told["d"]["orders"]]}}
        with pytest.raises(Refused, match="21 cells, expected 22"):
            await site.look()

    run(body)


@pytest.mark.parametrize("cell", ["qty", "side", "id"])
def test_a_position_whose_row_lacks_what_it_needs_is_an_outage(cell: str) -> None:
    async def body(site: Site) -> None:
        await site.open()
        place = ["id", "tradableInstrumentId", "routeId", "side", "qty"].index(cell)

        def blank(told: Any) -> Any:
            rows = told["d"]["positions"]
            return {**told, "d": {"positions": [[*row[:place], None, *row[place + 1 :]] for row in rows]}}

        site.venue.changed["positions"] = blank
        with pytest.raises(Unavailable, match="a row cannot be read"):
            await site.look()

    run(body)


def test_numbers_and_booleans_in_rows_are_read_to_the_last_digit() -> None:
    async def body(site: Site) -> None:
        await site.place(site.submit(price=site.price(-200) + D("0.01")))

        def bare(told: Any) -> Any:
            rows = [[int(row[0]), *row[1:]] for row in told["d"]["orders"]]
            rows = [[True if cell == "true" else cell for cell in row] for row in rows]
            return {**told, "d": {"orders": rows}}

        site.venue.changed["orders"] = bare
        (shown,) = (await site.look()).orders
        assert {shown.venue_order_id} == site.truth().working
        assert shown.price == site.price(-200) + D("0.01")

    run(body)


def test_a_word_that_nobody_knows_keeps_an_order_working() -> None:
    async def body(site: Site) -> None:
        await site.place(site.submit())

        def sleeping(told: Any) -> Any:
            rows = [["Sleeping" if cell == "New" else cell for cell in row] for row in told["d"]["orders"]]
            return {**told, "d": {"orders": rows}}

        site.venue.changed["orders"] = sleeping
        assert [report.state for report in (await site.look()).orders] == [OrderState.WORKING]

    run(body)


def test_a_history_that_is_cut_off_is_continued_at_its_oldest_row() -> None:
    async def body(site: Site) -> None:
        ids = []
        for number in range(8):
            command = site.submit(price=site.price(-200 - number))
            order_id, _ = await site.place(command)
            assert isinstance(await site.tl.cancel(site.cancel(command, order_id)), Accepted)
            ids.append(order_id)
            await asyncio.sleep(1.1)
        before = site.requests("orders_history")
        history = await site.tl._lists.history(Lane.ACCOUNT, 0)
        assert history.complete
        assert set(ids) <= history.rows.keys()
        assert site.requests("orders_history") - before > 1

    run(body, limits={"MAX_ORDERS_COUNT_IN_HISTORY": 4})


def test_one_read_of_the_history_serves_all_that_wait_for_it() -> None:
    async def body(site: Site) -> None:
        commands = [site.submit(price=site.price(-200 - number)) for number in range(5)]
        ids = [(await site.place(command))[0] for command in commands]
        before = site.requests("orders_history")
        async with asyncio.TaskGroup() as tasks:
            done = [
                tasks.create_task(site.tl.cancel(site.cancel(command, order_id)), name=order_id)
                for command, order_id in zip(commands, ids, strict=True)
            ]
        assert all(isinstance(one.result(), Accepted) for one in done)
        assert site.requests("orders_history") - before <= 3

    run(body)


def test_a_read_whose_fresh_token_is_refused_is_tried_again_later_and_needs_no_person() -> None:
    async def body(site: Site) -> None:
        site.venue.adjust({"access_s": 0.0})
        site.venue.command("revoke", {})
        with pytest.raises(Unavailable, match="a fresh token is refused"):
            await site.look()
        site.venue.adjust({"access_s": 3600.0})
        await asyncio.sleep(90)
        assert (await site.look()).lots == ()

    run(body)


def relisted(*more: dict[str, Any]) -> Any:
    """Return what lists the first instrument again with other words, once for each of `more`."""

    def change(told: Any) -> Any:
        items = told["d"]["instruments"]
        return {**told, "d": {"instruments": [*items, *({**items[0], **words} for words in more)]}}

    return change


def test_an_instrument_that_is_listed_twice_keeps_its_name() -> None:
    """It passed for two of one name, so that the configured name was none and the venue did not come up."""

    async def main(clock: LoopClock) -> None:
        site = Site(clock, instruments=(EURO, BITCOIN))
        site.venue.changed["instruments"] = relisted({})
        await site.start()
        (euro,) = await site.tl.instruments(["EURUSD.R"])
        assert euro.symbol == "EURUSD.R"

    run_virtual(main)


def test_an_instrument_that_is_listed_in_two_ways_is_named_and_the_others_are_read() -> None:
    async def main(clock: LoopClock) -> None:
        site = Site(clock, instruments=(EURO, BITCOIN))
        site.venue.changed["instruments"] = relisted({"type": "ODD"})
        await site.start()
        with pytest.raises(Contradicts, match=r"EURUSD.R is listed more than once, with type FOREX and ODD"):
            await site.tl.instruments(["EURUSD.R"])
        assert len(await site.tl.instruments([BITCOIN.name])) == 1
        assert await site.tl.conversion("EUR", "USD") is None
        del site.venue.changed["instruments"]
        assert len(await site.tl.instruments(["EURUSD.R"])) == 1, "once the server agrees with itself"

    run_virtual(main)


def test_a_row_that_cannot_be_read_hides_no_other_instrument_and_no_other_price() -> None:
    async def main(clock: LoopClock) -> None:
        site = Site(clock, instruments=(EURO, BITCOIN))
        site.venue.changed["instruments"] = relisted({"name": "ODD", "tradableInstrumentId": 7, "routes": None})
        await site.start()
        both = await site.tl.instruments([EURO.name, BITCOIN.name])
        with pytest.raises(Unsound, match=r"ODD cannot be read: .*routes"):
            await site.tl.instruments(["ODD"])
        site.venue.on_market(_quote(BITCOIN.name, 60_000.0, 60_001.0))
        assert [quote.instrument for quote in await site.tl.quotes(both)] == [both[1].id], "the other has none yet"
        site.venue.changed["quotes"] = lambda answer: {**answer, "d": {"bp": []}}
        with pytest.raises(Unreadable, match="bp"):
            await site.tl.quotes(both[1:])

    run_virtual(main)
