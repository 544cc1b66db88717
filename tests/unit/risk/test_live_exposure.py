"""Control 29: exposure, profit and equity of the book that the log gives back equal the live ones, to the last digit."""

from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from quantd.domain.fills import Fill
from quantd.domain.instruments import FeeSchedule
from quantd.domain.orders import OrderState, Side
from quantd.engine.images import dump, restore
from quantd.engine.orders import Order
from quantd.engine.rates import Rates
from quantd.engine.risk.limits import Limits
from quantd.engine.state import State
from quantd.testing.builders import BTC, Rig, make_instrument
from tests.unit.risk.cases import D, place

ETH = "paper:ETH-USD"
trades = st.lists(
    st.tuples(
        st.sampled_from(["s1", "s2"]),
        st.sampled_from(Side),
        st.integers(1, 4_999).map(lambda n: D(n) / 1_000),
        st.integers(9_500, 10_500).map(lambda n: D(n) / 100),
        st.sampled_from(["whole", "half", "estimated", "open"]),
    ),
    max_size=12,
)


def made(margin: bool, **more: Any) -> Rig:
    fees = FeeSchedule(taker=D("0.0013"), asset="quote" if margin else "received")
    rules: dict[str, Any] = {"fees": fees} | ({"margin_rate": D("0.05")} if margin else {})
    instruments = [make_instrument(BTC, **rules), make_instrument(ETH, **rules)]
    return Rig(instruments=instruments, margin=margin, defaults=Limits(), **more)


def trade(rig: Rig, strategy: str, side: Side, terms: tuple[Decimal, Decimal], how: str) -> None:
    """Place an order and let the venue tell of its execution in one of its ways."""
    quantity, price = terms
    order = place(rig, side, str(quantity), str(price), strategy)
    if not isinstance(order, Order):
        return
    rig.accept(order)
    if how == "half" and quantity > D("0.001"):
        part = (quantity / 2).quantize(D("0.001"))
        rig.report(order, filled_quantity=part, fills=(Fill(f"t{order.id}", part, price),))
    elif how == "estimated":
        rig.report(order, filled_quantity=quantity, state=OrderState.FILLED)
        told: dict[str, Any] = {"average_price": price - D("0.37"), "fees": (("USD", D("0.0421")),)}
        rig.report(order, filled_quantity=quantity, state=OrderState.FILLED, **told)
    elif how == "whole":
        rig.fill(order)


def figures(state: State) -> dict[str, Any]:
    """Return what monitoring and the limits read, as exact text."""
    price = state.rates.marks[BTC].exact()
    assert price is not None
    books = {
        f"{book.strategy}|{book.instrument.id}": (
            book.quantity,
            book.buys,
            book.sells,
            book.realised,
            book.unrealised(price),
        )
        for book in state.portfolio.books()
        if book.quantity or book.buys or book.sells or book.realised
    }
    worst = {name: net.worst for name, net in state.portfolio.nets.items() if net.worst}
    return {
        "books": {name: tuple(str(one.normalize()) for one in values) for name, values in books.items()},
        "worst": {name: str(quantity.normalize()) for name, quantity in worst.items()},
        "equity": str(state.equity("paper")),
    }


@settings(max_examples=60, deadline=None)
@given(margin=st.booleans(), wanted=trades, last=st.integers(9_000, 11_000))
def test_the_book_rebuilt_from_the_log_is_the_live_book(margin: bool, wanted: list[Any], last: int) -> None:
    rig = made(margin)
    for strategy, side, quantity, price, how in wanted:
        trade(rig, strategy, side, (quantity, price), how)
    folded = made(margin, facts=rig.facts, price=None)
    stored = State(Rates("USD"))
    restore(stored, dump(rig.state))
    for state in (rig.state, folded.state, stored):
        for mark in state.rates.marks.values():
            mark.set_quote(last / 100, last / 100, rig.now_ns)
    assert figures(folded.state) == figures(rig.state)
    assert figures(stored) == figures(rig.state)
    scopes = ("account", "strategy:s1", "strategy:s2")
    live, again = rig.engine.guards.losses, folded.engine.guards.losses
    assert [again.profit(scope) for scope in scopes] == [live.profit(scope) for scope in scopes]
