"""The query tables say what the facts say, and the books in them are the engine's."""

from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantd.domain import facts as f
from quantd.domain.cash import Account, AccountKind, Balance, CashFlow, CashFlowKind, PositionMode
from quantd.domain.fills import Fill, Quality
from quantd.domain.instruments import Instrument, InstrumentId, TickTier
from quantd.domain.limit_facts import DayProfitsRecorded
from quantd.domain.orders import ClientOrderId, OperationKind, OrderKind, OrderSpec, Origin, Role, Side, Trigger
from quantd.engine.portfolio import Portfolio
from quantd.journal.projections import projections
from quantd.journal.records import RecordCodec
from quantd.journal.store import Append, JournalStore
from quantd.journal.verify import verify_tables

Fees = tuple[tuple[str, D], ...]

Q1, Q2 = ClientOrderId("q1"), ClientOrderId("q2")
BTC = InstrumentId("paper:BTC-USD")
RULES = Instrument(BTC, "BTC", "USD", (TickTier(D(0), D("0.01")),), D("0.001"))
SPOT = Account("paper", "1", AccountKind.SPOT, PositionMode.NETTING, "USD")
SPEC = OrderSpec(BTC, Side.BUY, D("2.0"), OrderKind.LIMIT, price=D("100.50"))


@pytest.fixture
def journal(path: Path) -> Iterator[JournalStore[f.Fact]]:
    with closing(
        JournalStore[f.Fact].create(path, RecordCodec(f.Fact), journal_id="k7", epoch=1, projections=projections())
    ) as store:
        yield store


def write(store: JournalStore[f.Fact], *facts: f.Fact) -> None:
    store.write([Append([store.codec.encode(fact) for fact in facts], facts)])


def intended(order: str = "q1", *, why: str = "", held: bool = False) -> f.OrderIntended:
    return f.OrderIntended(ClientOrderId(order), "sma", SPEC, Origin.STRATEGY, Role.ENTRY, 0, 1_000, why=why, held=held)


def filled(
    quantity: str,
    cumulative: str,
    *,
    price: str = "100",
    order: str = "q1",
    side: Side = Side.BUY,
    strategy: str = "sma",
    fees: Fees = (),
    lot: str = "",
    at_ns: int = 2_000,
) -> f.FillRecorded:
    fill = Fill(f"{order}/{cumulative}", D(quantity), D(price), fees=fees, lot=lot)
    return f.FillRecorded(ClientOrderId(order), strategy, BTC, side, fill, D(cumulative), at_ns)


def order_row(store: JournalStore[f.Fact], columns: str, order: str = "q1") -> Any:
    return store.query(f"SELECT {columns} FROM orders WHERE client_order_id = ?", (order,))[0]


def test_an_orders_life_is_one_row(journal: JournalStore[f.Fact]) -> None:
    write(journal, intended(why="cross up"))
    assert order_row(journal, "strategy, instrument, side, kind, quantity, price, trigger_price") == (
        "sma", "paper:BTC-USD", "buy", "limit", "2.0", "100.50", None,
    )  # fmt: skip
    state = "state, operation, filled_quantity, venue_order_id, changed_at_ns"
    assert order_row(journal, state) == ("working", "submit pending", "0", "", 1_000)
    write(journal, f.OperationSentRecorded(Q1, 1, 1_100))
    assert order_row(journal, "operation") == ("submit sent",)
    write(journal, f.OperationLost(Q1, 1, "time-out", 1_200))
    assert order_row(journal, "operation") == ("submit unknown",)
    write(
        journal,
        f.OrderAcknowledged(Q1, "v1", 1_300),
        f.OperationSettled(Q1, 1, OperationKind.SUBMIT, "accepted", 1_300),
        filled("0.5", "0.5"),
    )
    assert order_row(journal, state) == ("partially_filled", None, "0.5", "v1", 2_000)
    write(journal, f.AmendIntended(Q1, 2, D(3), None, 2_100))
    assert order_row(journal, "operation, quantity") == ("amend pending", "2.0")
    write(
        journal,
        f.OperationSettled(Q1, 2, OperationKind.AMEND, "accepted", 2_200),
        f.OrderAmended(Q1, D(3), None, 2_200),
        f.CancelIntended(Q1, 0, 2_300),
    )
    assert order_row(journal, "operation, quantity, price") == (None, "3", "100.50")
    write(journal, f.OrderAmended(Q1, D(3), D(99), 2_350), f.CancelIntended(Q1, 3, 2_400))
    assert order_row(journal, "operation, price") == ("cancel pending", "99")
    write(
        journal,
        f.OperationSettled(Q1, 3, OperationKind.CANCEL, "rejected", 2_500, code="too_late"),
        filled("2.5", "3", at_ns=2_600),
    )
    assert order_row(journal, "state, filled_quantity, reason, why") == ("filled", "3", "too_late", "cross up")


def test_an_order_may_end_without_a_fill_and_come_back(journal: JournalStore[f.Fact]) -> None:
    write(journal, intended(), f.OrderMoved(Q1, Trigger.CANCEL, 1_500, "by venue"))
    assert order_row(journal, "state, reason") == ("cancelled", "by venue")
    write(journal, f.OrderMoved(Q1, Trigger.REOPEN, 1_600))
    assert order_row(journal, "state, reason") == ("working", "by venue")


def test_a_held_order_is_shown_as_such_until_it_is_released_or_ends(journal: JournalStore[f.Fact]) -> None:
    write(journal, intended("q1", held=True), intended("q2", held=True))
    assert order_row(journal, "operation") == ("held",)
    released = OrderSpec(BTC, Side.BUY, D(2), OrderKind.MARKET)
    write(journal, f.OrderReleased(Q1, released, 0, 1_500), f.OrderMoved(Q2, Trigger.CANCEL, 1_500))
    assert order_row(journal, "operation, kind, price") == ("submit pending", "market", None)
    assert order_row(journal, "operation, state", "q2") == (None, "cancelled")


def test_foreign_orders_are_in_the_table(journal: JournalStore[f.Fact]) -> None:
    write(
        journal,
        f.ExternalOrderSeen(ClientOrderId("x1"), "v9", SPEC, D("0.5"), 1_000),
        f.ExternalOrderSeen(ClientOrderId("x2"), "v8", SPEC, D(0), 1),
    )
    assert order_row(journal, "strategy, origin, state, filled_quantity, venue_order_id", "x1") == (
        "", "external", "partially_filled", "0.5", "v9",
    )  # fmt: skip
    assert order_row(journal, "state", "x2") == ("working",)


def test_facts_of_orders_that_are_not_there_change_nothing(journal: JournalStore[f.Fact]) -> None:
    write(journal, filled("1", "1"), f.OrderMoved(Q1, Trigger.CANCEL, 1), f.PositionAdjusted(BTC, D(1), D(1), "x", 1))
    write(journal, f.FillCorrected(Q1, "sma", BTC, Side.BUY, Fill("a", D(1), D(1)), Fill("b", D(1), D(2)), 1))
    for table in ("orders", "books", "lots"):
        assert journal.query(f"SELECT * FROM {table}") == []


def test_a_corrected_fill_replaces_the_estimate(journal: JournalStore[f.Fact]) -> None:
    estimate = filled("1", "1", price="100.5")
    write(journal, f.InstrumentRecorded(RULES, 1), f.AccountRecorded(SPOT, 1), intended(), estimate)
    after = Fill("trade-7", D(1), D("100.25"), Quality.CONFIRMED, (("USD", D("0.10")), ("BNB", D(1))))
    write(journal, f.FillCorrected(Q1, "sma", BTC, Side.BUY, estimate.fill, after, 3_000))
    assert journal.query("SELECT fill_id, quantity, price, quality, fees, at_ns FROM fills") == [
        ("trade-7", "1", "100.25", "confirmed", '[["USD","0.10"],["BNB","1"]]', 3_000)
    ]
    assert journal.query("SELECT fill_id, open_price FROM lots") == [("trade-7", "100.25")]


def test_lots_are_closed_oldest_first_and_the_venues_own_before(journal: JournalStore[f.Fact]) -> None:
    write(journal, f.InstrumentRecorded(RULES, 1), f.AccountRecorded(SPOT, 1))
    for number, lot in enumerate(("a", "b", "c")):
        write(journal, filled("1", "1", price=str(100 + number), order=f"q{number}", lot=lot))
    write(journal, filled("1.25", "1.25", order="q8", side=Side.SELL, lot="b"))
    assert journal.query("SELECT venue_lot, quantity FROM lots ORDER BY seq") == [("a", "0.75"), ("c", "1")]
    write(journal, filled("2", "2", order="q9", side=Side.SELL, price="90", at_ns=5_000))
    assert journal.query("SELECT quantity, open_price, client_order_id, opened_at_ns FROM lots") == [
        ("-0.25", "90", "q9", 5_000)
    ]


def test_strategies_have_lots_and_books_of_their_own(journal: JournalStore[f.Fact]) -> None:
    write(journal, f.InstrumentRecorded(RULES, 1), filled("1", "1"), filled("2", "2", order="q2", strategy="rsi"))
    write(journal, f.PositionAdjusted(BTC, D(-3), D(99), "manual trade", 4_000))
    books = journal.query("SELECT strategy, quantity FROM books ORDER BY strategy")
    assert books == [("", "-3"), ("rsi", "2"), ("sma", "1")]
    assert journal.query("SELECT strategy, quantity FROM lots ORDER BY strategy") == books


TRADES = st.lists(
    st.tuples(
        st.sampled_from(Side),
        st.decimals("0.001", "5", places=3),
        st.decimals("1", "200", places=2),
        st.sampled_from([(), (("USD", D("0.07")),), (("BTC", D("0.0005")),), (("BNB", D("0.002")),)]),
        st.booleans(),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=40, deadline=None)
@given(TRADES)
def test_books_are_those_of_the_engine_and_lots_add_up_to_them(
    tmp_path_factory: pytest.TempPathFactory, trades: list[tuple[Side, D, D, Fees, bool]]
) -> None:
    portfolio = Portfolio()
    portfolio.listed(RULES)
    portfolio.account("paper").account = SPOT
    directory = tmp_path_factory.mktemp("books")
    with closing(
        JournalStore[f.Fact].create(
            directory / "q.db", RecordCodec(f.Fact), journal_id="k7", epoch=1, projections=projections()
        )
    ) as journal:
        write(journal, f.InstrumentRecorded(RULES, 1), f.AccountRecorded(SPOT, 1))
        for number, (side, quantity, price, fees, corrected) in enumerate(trades):
            fact = filled(str(quantity), str(quantity), price=str(price), order=f"q{number}", side=side, fees=fees)
            portfolio.fill("sma", BTC, side, fact.fill, fact.at_ns)
            write(journal, fact)
            if corrected:
                after = Fill(f"t{number}", quantity, price + 1, fees=fees)
                portfolio.correct("sma", BTC, side, (fact.fill, after), 3_000)
                write(journal, f.FillCorrected(fact.client_order_id, "sma", BTC, side, fact.fill, after, 3_000))
        book = portfolio.book("sma", BTC)
        (row,) = journal.query("SELECT quantity, cost, realised, costs FROM books")
        assert tuple(map(D, row[:3])) == (book.quantity, book.cost, book.realised)
        assert msgspec.json.decode(row[3], type=dict[str, D]) == book.costs
        lots = [D(text) for (text,) in journal.query("SELECT quantity FROM lots")]
        assert sum(lots) == book.quantity
        assert len({lot > 0 for lot in lots}) <= 1


def test_equity_and_balances_and_cash_flows_are_kept(journal: JournalStore[f.Fact]) -> None:
    write(journal, f.DayStarted("2024-05-01", {"all": D("5.5"), "strategy:sma": D(1)}, 1_000))
    write(journal, f.PeaksRecorded({"all": D("7.25")}, 2_000))
    write(journal, DayProfitsRecorded("2024-05-01", {"strategy:late": D(2)}, 2_500))
    assert journal.query("SELECT at_ns, day, scope, profit, peak FROM equity ORDER BY seq, scope") == [
        (1_000, "2024-05-01", "all", "5.5", None),
        (1_000, "2024-05-01", "strategy:sma", "1", None),
        (2_000, None, "all", None, "7.25"),
        (2_500, "2024-05-01", "strategy:late", "2", None),
    ]
    write(
        journal,
        f.BalancesRecorded("paper", (Balance("USD", D(10), D(8), D(2)), Balance("BTC", D(1), D(1), D(0))), 1, 2),
    )
    write(journal, f.BalancesRecorded("paper", (Balance("USD", D("10.50"), D(10), D("0.50")),), 3, 4))
    assert journal.query("SELECT * FROM balances") == [("paper", "USD", "10.50", "10", "0.50", 4)]
    flow = CashFlow("paper", "t1", CashFlowKind.DEPOSIT, "USD", D("100.00"), 3_000)
    write(journal, f.CashFlowRecorded(flow, 3_100), f.CashFlowRecorded(flow, 3_200))
    assert journal.query("SELECT venue, id, kind, asset, amount, occurred_at_ns FROM cash_flows") == [
        ("paper", "t1", "deposit", "USD", "100.00", 3_000)
    ]


def test_tables_built_anew_are_the_same(journal: JournalStore[f.Fact]) -> None:
    sources = {"sma": "1f", "grid": "2e"}  # as they are listed, which is not how they are sorted
    write(journal, f.RunStarted("1.0", "3d", sources, "k7", 1, 1))
    write(journal, f.InstrumentRecorded(RULES, 1), f.AccountRecorded(SPOT, 1), intended(), filled("1", "1"))
    write(journal, filled("1", "2", price="101", at_ns=2_500), f.DayStarted("2024-05-01", {"all": D(5)}, 1_000))
    assert verify_tables(journal) == ()

    def content() -> dict[str, list[Any]]:
        tables = (
            "orders",
            "fills",
            "lots",
            "books",
            "equity",
            "balances",
            "cash_flows",
            "instruments",
            "accounts",
            "runs",
        )
        return {table: journal.query(f"SELECT * FROM {table}") for table in tables}

    before = content()
    journal.rebuild_projections()
    assert content() == before
