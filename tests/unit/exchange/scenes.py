"""Builders for the exchange's tests: one spot pair, one margin pair, events at whole seconds."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from quantd.domain.cash import AccountKind, PositionMode
from quantd.domain.instruments import FeeSchedule, Instrument, InstrumentId, TickTier
from quantd.domain.market import Bar, Book, Quote
from quantd.domain.orders import OrderKind, OrderSpec, Side, TimeInForce
from quantd.exchange import AccountSetup, Exchange, ExchangeReport, ExchangeRules, NewOrder, OrderView, Placed

D = Decimal
BTC = InstrumentId("paper:BTC-USD")
EUR = InstrumentId("paper:EUR-USD")
SECOND = 1_000_000_000
BUY, SELL = Side.BUY, Side.SELL


def instrument(
    symbol: InstrumentId = BTC,
    *,
    tick: str = "0.01",
    fees: FeeSchedule | None = None,
    margin_rate: str | None = None,
    **rules: Any,
) -> Instrument:
    """Return an instrument named like ``paper:BASE-QUOTE``."""
    base, _, quote = symbol.partition(":")[2].partition("-")
    made = Instrument(
        id=symbol, base=base, quote=quote, ticks=(TickTier(D(0), D(tick)),), lot=D("0.001"),
        fees=fees or FeeSchedule(), margin_rate=None if margin_rate is None else D(margin_rate),
    )  # fmt: skip
    return _with(made, rules)


def _with(made: Instrument, rules: Mapping[str, Any]) -> Instrument:
    fields = {name: getattr(made, name) for name in made.__struct_fields__}
    return Instrument(**(fields | dict(rules)))


def spot(**balances: str) -> AccountSetup:
    """Return a spot account's setup."""
    return AccountSetup(balances={asset: D(amount) for asset, amount in balances.items()})


def margin(balance: str = "1000", **more: Any) -> AccountSetup:
    """Return a margin account's setup in USD."""
    given: dict[str, Any] = {"mode": PositionMode.NETTING, **more}
    return AccountSetup(kind=AccountKind.MARGIN, balances={"USD": D(balance)}, **given)


def exchange(
    *accounts: AccountSetup, rules: ExchangeRules | None = None, instruments: tuple[Instrument, ...] = ()
) -> Exchange:
    """Return an exchange with accounts ``a``, ``b``, ..."""
    names = "abcdefgh"
    return Exchange(instruments or (instrument(),), dict(zip(names, accounts, strict=False)), rules=rules)


def quote(second: int, bid: float, ask: float, *, size: float = 0.0, symbol: InstrumentId = BTC) -> Quote:
    """Return a quote at a whole second."""
    return Quote(symbol, bid, ask, second * SECOND, None, size, size)


def bar(minute: int, prices: tuple[float, float, float, float], volume: float = 100.0) -> Bar:
    """Return the one-minute bar (open, high, low, close) that begins at a whole minute."""
    opened = minute * 60 * SECOND
    closed = opened + 60 * SECOND
    return Bar(BTC, opened, closed, *prices, volume, closed)


def book(second: int, bids: list[tuple[float, float]], asks: list[tuple[float, float]]) -> Book:
    """Return a book at a whole second."""
    return Book(BTC, tuple(bids), tuple(asks), second * SECOND)


def spec(
    side: Side, quantity: str, price: str | None = None, *, trigger: str | None = None,
    tif: TimeInForce = TimeInForce.GTC, symbol: InstrumentId = BTC, **flags: Any,
) -> OrderSpec:  # fmt: skip
    """Return an order's terms; what is given decides its kind."""
    kinds = {
        (False, False): OrderKind.MARKET, (True, False): OrderKind.LIMIT,
        (False, True): OrderKind.STOP, (True, True): OrderKind.STOP_LIMIT,
    }  # fmt: skip
    return OrderSpec(
        symbol, side, D(quantity), kinds[price is not None, trigger is not None],
        None if price is None else D(price), None if trigger is None else D(trigger), tif, **flags,
    )  # fmt: skip


def place(venue: Exchange, account: str, terms: OrderSpec, now_ns: int = 0, *, name: str = "") -> str:
    """Place an order that must be accepted; return its id."""
    answer = venue.submit(account, NewOrder(name, terms), now_ns)
    assert isinstance(answer, Placed), answer
    return answer.venue_order_id


def shown(venue: Exchange, account: str, order_id: str) -> OrderView:
    """Return an order that must be known."""
    view = venue.order(account, order_id)
    assert view is not None
    return view


def total(venue: Exchange, account: str, asset: str) -> Decimal:
    """Return one balance's total."""
    return {balance.asset: balance.total for balance in venue.balances(account)}.get(asset, D(0))


def free(venue: Exchange, account: str, asset: str) -> Decimal:
    """Return what of one balance is free."""
    return {balance.asset: balance.free for balance in venue.balances(account)}.get(asset, D(0))


def told(reports: "list[ExchangeReport] | tuple[ExchangeReport, ...] | object") -> list[tuple[str, str]]:
    """Return (order id, state) of each report."""
    assert isinstance(reports, list | tuple)
    return [(report.report.venue_order_id, report.report.state.value) for report in reports]
