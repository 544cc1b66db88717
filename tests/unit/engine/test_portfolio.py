"""Books: average cost, flips, fees, corrections; the numbers are worked out by hand."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantd.domain.cash import CashFlow, CashFlowKind
from quantd.domain.fills import Fill, Quality
from quantd.domain.instruments import Instrument
from quantd.domain.orders import Side
from quantd.engine.books import Book
from quantd.engine.portfolio import AccountBalances, Portfolio
from quantd.engine.positions import positions
from quantd.testing.builders import BTC, make_account, make_balance, make_instrument

D = Decimal
NOW = 1_000


def make_portfolio(*, margin: bool = False, rules: Instrument | None = None) -> Portfolio:
    portfolio = Portfolio()
    portfolio.listed(rules or make_instrument())
    portfolio.account("paper").account = make_account(margin=margin)
    return portfolio


def fill(quantity: str, price: str, *, fees: tuple[tuple[str, Decimal], ...] = (), id: str = "1") -> Fill:
    return Fill(id, D(quantity), D(price), fees=fees)


def test_adding_averages_the_price_and_realises_nothing() -> None:
    book = Book("s", make_instrument())
    book.trade(D(1), D(100))
    book.trade(D(3), D(200))
    assert (book.quantity, book.average_price, book.realised) == (D(4), D(175), D(0))
    assert book.unrealised(D(180)) == 20


def test_a_partial_close_realises_its_share_and_keeps_the_average() -> None:
    book = Book("s", make_instrument())
    book.trade(D(4), D(175))
    book.trade(D(-1), D(195))
    assert (book.quantity, book.average_price, book.realised) == (D(3), D(175), D(20))


def test_a_short_gains_when_it_is_bought_back_cheaper() -> None:
    book = Book("s", make_instrument())
    book.trade(D(-2), D(100))
    book.trade(D(1), D(90))
    assert (book.quantity, book.average_price, book.realised) == (D(-1), D(100), D(10))
    assert book.unrealised(D(110)) == -10


@given(
    st.decimals("0.01", "100", places=2),
    st.decimals("0.01", "100", places=2),
    st.decimals("0.01", "100", places=2),
    st.decimals("1", "1000", places=2),
    st.decimals("1", "1000", places=2),
    st.sampled_from([1, -1]),
)
def test_after_a_flip_the_average_price_is_the_flip_price(
    held: Decimal, more: Decimal, beyond: Decimal, entry: Decimal, flip: Decimal, sign: int
) -> None:
    book = Book("s", make_instrument())
    book.trade(sign * held, entry)
    book.trade(sign * more, entry + 1)
    book.trade(-sign * (held + more + beyond), flip)
    assert book.quantity == -sign * beyond
    assert book.average_price is not None
    assert abs(book.average_price - flip) < D("1e-20")
    assert book.realised == sign * (flip * (held + more) - entry * held - (entry + 1) * more)


@given(
    st.lists(
        st.tuples(st.integers(-50, 50).filter(bool), st.integers(1, 500)),
        min_size=1,
        max_size=30,
    ),
    st.integers(1, 500),
    st.booleans(),
)
def test_profit_is_the_worth_of_what_is_held_less_all_that_was_paid(
    trades: list[tuple[int, int]], mark: int, inverse: bool
) -> None:
    rules = make_instrument(inverse=inverse, units_per_quantity=D(10))
    book = Book("s", rules)
    paid = held = D(0)
    for quantity, price in trades:
        book.trade(D(quantity), D(price))
        paid += rules.worth(D(quantity), D(price))
        held += quantity
    assert book.quantity == held
    expected = (rules.worth(held, D(mark)) if held else D(0)) - paid
    assert abs(book.realised + (book.unrealised(D(mark)) if held else 0) - expected) < D("1e-15")
    assert book.profit_float(float(mark)) == pytest.approx(float(expected), abs=1e-6)


def test_a_fill_on_spot_moves_both_assets_and_a_fee_in_quote_costs_profit() -> None:
    portfolio = make_portfolio()
    portfolio.account("paper").replace([make_balance("USD", 1_000)], 0, {})
    portfolio.fill("s", BTC, Side.BUY, fill("2", "100", fees=(("USD", D("0.5")),)), NOW)
    account, book = portfolio.account("paper"), portfolio.book("s", BTC)
    assert account.totals == {"USD": D("799.5"), "BTC": D(2)}
    assert (book.quantity, book.average_price, book.realised) == (D(2), D(100), D("-0.5"))


def test_a_fee_in_base_shrinks_the_spot_position_at_its_cost() -> None:
    portfolio = make_portfolio()
    portfolio.account("paper").replace([make_balance("USD", 1_000)], 0, {})
    portfolio.fill("s", BTC, Side.BUY, fill("2", "100", fees=(("BTC", D("0.002")),)), NOW)
    account, book = portfolio.account("paper"), portfolio.book("s", BTC)
    assert account.totals == {"USD": D(800), "BTC": D("1.998")}
    assert book.quantity == portfolio.nets[BTC].quantity == D("1.998")
    assert (book.average_price, book.realised) == (D(100), D("-0.2"))


def test_a_fee_in_base_of_a_sale_takes_what_it_cost_off_the_position_and_leaves_nothing_behind_when_that_is_all() -> (
    None
):
    """Of a coin that pays its own fees. 1.001 bought at 100; one sold at 200, and the rest went as the fee."""
    portfolio = make_portfolio()
    portfolio.fill("s", BTC, Side.BUY, fill("1.001", "100"), NOW)
    portfolio.fill("s", BTC, Side.SELL, fill("1", "200", fees=(("BTC", D("0.001")),), id="2"), NOW)
    for holding in (portfolio.book("s", BTC), portfolio.nets[BTC]):
        assert (holding.quantity, holding.cost) == (D(0), D(0))
    assert portfolio.book("s", BTC).realised == D("200") - D("100.1")
    portfolio.fill("s", BTC, Side.BUY, fill("1", "50", id="3"), NOW)
    assert portfolio.book("s", BTC).average_price == 50


@given(
    st.lists(
        st.tuples(st.integers(-9, 9).filter(bool), st.integers(1, 500), st.integers(-2, 9)), min_size=1, max_size=30
    ),
    st.integers(1, 500),
)
def test_whatever_fees_in_base_were_taken_profit_is_what_is_owned_less_what_was_paid(
    trades: list[tuple[int, int, int]], mark: int
) -> None:
    portfolio, owned, paid = make_portfolio(), D(0), D(0)
    for number, (quantity, price, thousandths) in enumerate(trades):
        fee, side = D(thousandths) / 1000, Side.BUY if quantity > 0 else Side.SELL
        portfolio.fill("s", BTC, side, fill(str(abs(quantity)), str(price), fees=(("BTC", fee),), id=str(number)), NOW)
        owned += quantity - fee
        paid += quantity * price
    book, net = portfolio.book("s", BTC), portfolio.nets[BTC]
    assert book.quantity == net.quantity == owned
    assert book.quantity or not book.cost
    assert abs(net.cost - book.cost) < D("1e-20")
    assert abs(book.realised + book.unrealised(D(mark)) - (owned * mark - paid)) < D("1e-20")


def test_a_margin_account_moves_by_profit_and_fees_only() -> None:
    portfolio = make_portfolio(margin=True)
    portfolio.account("paper").replace([make_balance("USD", 1_000)], 0, {})
    portfolio.fill("s", BTC, Side.SELL, fill("2", "100", fees=(("USD", D(1)),)), NOW)
    assert portfolio.account("paper").totals == {"USD": D(999)}
    portfolio.fill("s", BTC, Side.BUY, fill("1", "90", id="2"), NOW)
    assert portfolio.account("paper").totals == {"USD": D(1_009)}
    assert portfolio.book("s", BTC).quantity == -1


def test_books_that_close_each_other_at_the_venue_earn_their_profit_once() -> None:
    portfolio = make_portfolio(margin=True)
    portfolio.account("paper").replace([make_balance("USD", 1_000)], 0, {})
    portfolio.fill("one", BTC, Side.BUY, fill("1", "100"), NOW)
    portfolio.fill("other", BTC, Side.SELL, fill("1", "110", id="2"), NOW)
    assert portfolio.account("paper").totals == {"USD": D(1_010)}, "the venue has closed the one against the other"
    assert list(positions(portfolio, {}, "paper")) == []
    assert portfolio.book("one", BTC).unrealised(D(120)) + portfolio.book("other", BTC).unrealised(D(120)) == 10
    portfolio.fill("one", BTC, Side.SELL, fill("1", "120", id="3"), NOW)
    [held] = positions(portfolio, {}, "paper")
    assert (held.quantity, held.cost, held.unrealised(D(120))) == (D(-1), D(-120), D(0))
    assert portfolio.account("paper").totals == {"USD": D(1_010)}


@given(
    st.lists(
        st.tuples(st.sampled_from(["one", "other", ""]), st.integers(-9, 9).filter(bool), st.integers(1, 500)),
        max_size=30,
    ),
    st.integers(1, 500),
    st.booleans(),
)
def test_an_accounts_worth_is_its_start_and_every_books_profit(
    trades: list[tuple[str, int, int]], mark: int, hedging: bool
) -> None:
    portfolio = make_portfolio(margin=True)
    account = portfolio.account("paper")
    account.account = make_account(margin=True, hedging=hedging)
    account.replace([make_balance("USD", 1_000)], 0, {})
    for number, (strategy, signed, price) in enumerate(trades):
        side = Side.BUY if signed > 0 else Side.SELL
        portfolio.fill(strategy, BTC, side, fill(str(abs(signed)), str(price), id=str(number)), NOW)
    profit = sum((book.realised + book.unrealised(D(mark)) for book in portfolio.books()), D(0))
    open_profit = sum((held.unrealised(D(mark)) for held in positions(portfolio, {}, "paper")), D(0))
    assert abs(account.totals["USD"] + open_profit - 1_000 - profit) < D("1e-15")


@pytest.mark.parametrize("margin", [False, True])
def test_a_correction_moves_profit_and_balance_but_no_quantity(margin: bool) -> None:
    portfolio = make_portfolio(margin=margin)
    portfolio.account("paper").replace([make_balance("USD", 1_000)], 0, {})
    before = Fill("1", D(2), D(100), Quality.ESTIMATED, (("USD", D("0.2")),))
    after = Fill("1", D(2), D(99), Quality.CONFIRMED, (("USD", D("0.1")),))
    portfolio.fill("s", BTC, Side.BUY, before, NOW)
    profit = portfolio.book("s", BTC).realised + portfolio.book("s", BTC).unrealised(D(110))
    usd = portfolio.account("paper").totals["USD"]
    portfolio.correct("s", BTC, Side.BUY, (before, after), NOW)
    book = portfolio.book("s", BTC)
    assert book.quantity == portfolio.nets[BTC].quantity == 2
    assert book.realised + book.unrealised(D(110)) == profit + D("2.1")
    assert portfolio.account("paper").totals["USD"] == usd + D("0.1" if margin else "2.1"), "settled is what was closed"


def test_a_fee_in_another_currency_is_kept_apart_and_a_correction_moves_it() -> None:
    portfolio = make_portfolio()
    before, after = (fill("2", "100", fees=(("BNB", D(fee)), ("USD", D("0.1")))) for fee in ("0.02", "0.03"))
    portfolio.fill("s", BTC, Side.BUY, before, NOW)
    book = portfolio.book("s", BTC)
    assert (book.realised, book.costs) == (D("-0.1"), {"BNB": D("0.02")})
    portfolio.correct("s", BTC, Side.BUY, (before, after), NOW)
    assert (book.realised, book.costs) == (D("-0.1"), {"BNB": D("0.03")})
    portfolio.correct("s", BTC, Side.BUY, (after, fill("2", "100", fees=(("USD", D("0.1")),))), NOW)
    assert book.costs == {}
    assert portfolio.account("paper").totals["BNB"] == 0


def test_an_external_flow_changes_the_balance_and_no_profit_and_financing_does_both() -> None:
    portfolio = make_portfolio(margin=True)
    portfolio.flow(CashFlow("paper", "1", CashFlowKind.DEPOSIT, "USD", D(500), NOW), NOW)
    portfolio.flow(CashFlow("paper", "2", CashFlowKind.FINANCING, "USD", D(-3), NOW, BTC), NOW)
    account = portfolio.account("paper")
    assert account.totals == {"USD": D(497)}
    assert account.flows == {"USD": D(500)}
    assert portfolio.book("", BTC).realised == -3


def test_what_left_since_a_snapshot_was_asked_for_is_subtracted_again() -> None:
    account = AccountBalances("paper")
    account.replace([make_balance("USD", 1_000)], 100, {})
    account.move("USD", D(-200), 150)
    account.move("USD", D(50), 160)
    account.replace([make_balance("USD", 1_000)], 140, {})
    assert account.free("USD") == 800, "the loss at 150 may not be in a snapshot asked at 140; the gain is not counted"
    account.replace([make_balance("USD", 850)], 200, {})
    assert account.free("USD") == 850


def test_only_reservations_that_are_certainly_inside_count_once() -> None:
    account = AccountBalances("paper")
    account.reserve("USD", D(300))
    account.replace([make_balance("USD", 1_000, locked=300)], 100, {"USD": D(300)})
    assert account.free("USD") == 700
    account.replace([make_balance("USD", 1_000, locked=300)], 100, {})
    assert account.free("USD") == 400, "locked by others as far as we can prove"


def test_free_is_never_negative() -> None:
    account = AccountBalances("paper")
    account.reserve("USD", D(1))
    assert account.free("USD") == 0


def test_flat_instruments_are_no_exposure() -> None:
    portfolio = make_portfolio()
    portfolio.fill("s", BTC, Side.BUY, fill("1", "100"), NOW)
    assert portfolio.exposures() == [BTC]
    portfolio.fill("s", BTC, Side.SELL, fill("1", "100", id="2"), NOW)
    assert portfolio.exposures() == []
