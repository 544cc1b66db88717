"""Views of the exchange's state: books, orders, lots, snapshots. Reads only.

Used by `Exchange`, which documents what each returns.
"""

from collections.abc import Iterator
from decimal import Decimal
from heapq import merge

from quantd.domain.instruments import InstrumentId
from quantd.domain.market import Bar, Book, Quote
from quantd.domain.numbers import ZERO
from quantd.domain.orders import Role
from quantd.domain.reports import AccountSnapshot, OrderReport
from quantd.exchange.accounts import AccountBook
from quantd.exchange.lots import MarginLot
from quantd.exchange.margin import MarginAccount
from quantd.exchange.market import MarketState
from quantd.exchange.orders import ExchangeOrder
from quantd.exchange.views import LotView, OrderView


def orders(account: AccountBook, working: bool | None) -> tuple[OrderView, ...]:
    """Return an account's orders in order of their placing."""
    chosen: list[ExchangeOrder] = []
    if working is not True:
        chosen += account.ended.values()
    if working is not False:
        chosen += account.open.values()
    prefix = len(account.rules.order_prefix)
    return tuple(order.view() for order in sorted(chosen, key=lambda order: int(order.id[prefix:])))


def report(order: ExchangeOrder, now_ns: int) -> OrderReport:
    """Return the domain's report of an order; leaves alone what the next event's report will tell."""
    return OrderReport(
        instrument=order.instrument, venue_order_id=order.id, state=order.state, filled_quantity=order.filled,
        received_at_ns=now_ns, client_order_id=order.client_order_id,
        side=order.spec.side, quantity=order.quantity, price=order.price, average_price=order.average_price,
        fills=tuple(order.fills), fees=order.fees, occurred_at_ns=order.updated_at_ns,
        created_at_ns=order.accepted_at_ns, reason=order.reason,
        kind=None if order.trail is not None else order.kind, trigger=order.trigger, lot=order.lot,
    )  # fmt: skip


def lots(account: AccountBook, instrument: InstrumentId | None) -> tuple[LotView, ...]:
    """Return the open lots of a margin account."""
    if not isinstance(account, MarginAccount):
        return ()
    return tuple(
        _lot(account, lot) for lot in account.lots.values() if instrument is None or lot.instrument == instrument
    )


def _lot(account: MarginAccount, lot: MarginLot) -> LotView:
    position = account.positions[lot.instrument]
    exits = {role: order.id for role, order in lot.exits.items() if order.is_open}
    return LotView(
        lot=position.show(lot), opened_at_ns=lot.opened_at_ns, opened_by=lot.opened_by,
        opening_quantity=lot.opening_quantity, realised=lot.realised,
        unrealised=account.unrealised(position, lot), margin_used=account.margin_for(position.market, lot.quantity),
        financing=lot.financing, stop_order=exits.get(Role.STOP, ""), take_order=exits.get(Role.TARGET, ""),
        trail_order=exits.get(Role.TRAIL, ""),
    )  # fmt: skip


def snapshot(account: AccountBook, venue: str, now_ns: int) -> AccountSnapshot:
    """Return the whole account as a connector would read it."""
    used = available = None
    if isinstance(account, MarginAccount):
        sums = account.sums()
        used, available = sums.used, sums.available
    return AccountSnapshot(
        venue=venue, asked_at_ns=now_ns, answered_at_ns=now_ns, received_at_ns=now_ns, balances=account.balances(),
        lots=tuple(view.lot for view in lots(account, None)),
        orders=tuple(report(order, now_ns) for order in account.open.values()),
        margin_used=used, margin_available=available,
    )  # fmt: skip


def _merged(market: MarketState, asks: bool, depth: int, resting: bool) -> tuple[tuple[float, float], ...]:
    levels: dict[Decimal, Decimal] = {}
    for price, quantity in merge(
        _own(market, asks), _resting(market, asks) if resting else (), key=_price, reverse=not asks
    ):
        if len(levels) == depth and price not in levels:
            break
        levels[price] = levels.get(price, ZERO) + quantity
    return tuple((float(price), float(quantity)) for price, quantity in levels.items())


def _own(market: MarketState, asks: bool) -> Iterator[tuple[Decimal, Decimal]]:
    """Yield (price, quantity) of the market's own levels, best first."""
    for price, remaining in market.levels(asks):
        assert price is not None
        # A level of unlimited size is shown with none, as a quote that tells no size is.
        if remaining is None or remaining > 0:
            yield price, remaining or ZERO


def _resting(market: MarketState, asks: bool) -> Iterator[tuple[Decimal, Decimal]]:
    """Yield (price, quantity) of the accounts' resting limits, best first."""
    for _, _, order in market.sell_limits if asks else market.buy_limits:
        assert order.price is not None
        yield order.price, order.remaining


def _price(level: tuple[Decimal, Decimal]) -> Decimal:
    return level[0]


def book(market: MarketState, depth: int, *, resting: bool = True) -> Book:
    """Return the book as of the present event: the market's levels, merged with the accounts' limits where `resting`."""
    event = market.event
    at_ns = 0 if event is None else event.received_at_ns
    return Book(
        instrument=market.instrument.id, bids=_merged(market, False, depth, resting),
        asks=_merged(market, True, depth, resting),
        received_at_ns=at_ns, occurred_at_ns=None if event is None or isinstance(event, Bar) else event.occurred_at_ns,
        sequence=event.sequence if isinstance(event, Book) else 0,
    )  # fmt: skip


def quote(market: MarketState) -> Quote | None:
    """Return the merged top of book."""
    top = book(market, 1)
    if not top.bids or not top.asks:
        return None
    (bid, bid_size), (ask, ask_size) = top.bids[0], top.asks[0]
    return Quote(market.instrument.id, bid, ask, top.received_at_ns, top.occurred_at_ns, bid_size, ask_size)
