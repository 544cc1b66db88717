"""From the venue's entries to the domain's words: rules, fills, exits of trades, cash flows, lots; pure.

Units come signed and in the base currency, money in the account's home currency.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from quantd.domain.cash import Balance, CashFlow, CashFlowKind
from quantd.domain.fills import Fill, Liquidity
from quantd.domain.instruments import FeeSchedule, Instrument, QuantityUnit, TickTier, instrument_id
from quantd.domain.lots import Lot, LotProtection
from quantd.domain.numbers import ONE, ZERO
from quantd.domain.orders import OrderKind, OrderState
from quantd.domain.reports import OrderReport
from quantd.errors import Unavailable
from quantd.venues.oanda import wire
from quantd.venues.oanda.formats import instant_ns, side_of

DEPENDENT_KINDS: Mapping[str, OrderKind | None] = {
    "TAKE_PROFIT": OrderKind.LIMIT,
    "STOP_LOSS": OrderKind.STOP,
    "GUARANTEED_STOP_LOSS": OrderKind.STOP,
    "TRAILING_STOP_LOSS": None,
}
"""Orders that hang on a trade, and what kind each is to the engine; a trailing stop is told by no word of ours."""
_ROUNDING = Decimal("0.01")
"""By how much each part of a day's financing may be rounded off the whole: more is something else."""
_FUNDING = {"CLIENT_FUNDING": CashFlowKind.DEPOSIT, "ACCOUNT_TRANSFER": CashFlowKind.TRANSFER}


def instrument(venue: str, rules: wire.Rules, account_rate: Decimal | None, home: str) -> Instrument:
    """Return an instrument's rules.

    Args:
        venue: Its key in the configuration.
        rules: The venue's.
        account_rate: The account's own margin rate. The stricter of the two counts: assumed, the documents say "lesser".
        home: The account's currency, in which commission is charged.

    Raises:
        Unavailable: the name is not of two currencies.
    """
    base, _, quote = rules.name.rpartition("_")
    if not base or not quote:
        raise Unavailable(venue, "instruments", f"expected a name BASE_QUOTE, found {rules.name!r}")
    fees = FeeSchedule()
    if rules.commission is not None and rules.commission.units_traded > 0:
        per_unit = rules.commission.commission / rules.commission.units_traded
        fees = FeeSchedule(per_unit=per_unit, per_unit_asset=home)
    return Instrument(
        instrument_id(venue, rules.name),
        base=base,
        quote=quote,
        ticks=(TickTier(ZERO, ONE.scaleb(-rules.display_precision)),),
        lot=ONE.scaleb(-rules.trade_units_precision),
        quantity_unit=QuantityUnit.UNITS,
        min_quantity=rules.minimum_trade_size,
        max_quantity=rules.maximum_order_units,
        margin_rate=max(rules.margin_rate, account_rate or ZERO),
        fees=fees,
        max_position=rules.maximum_position_size or None,
        min_trail=rules.minimum_trailing_stop_distance,
        max_trail=rules.maximum_trailing_stop_distance,
    )


# -- fills -------------------------------------------------------------------------------------------------------------


def changes_of(entry: wire.Transaction) -> tuple[wire.TradeChange, ...]:
    """Return what a fill did to trades: those that it closed first, then the one that it reduced, then the one opened."""
    more = (one for one in (entry.trade_reduced, entry.trade_opened) if one is not None)
    return (*entry.trades_closed, *more)


def fills_of(entry: wire.Transaction, home: str) -> tuple[Fill, ...]:
    """Return one execution for each trade that an ORDER_FILL opened, reduced or closed; its costs are on the first.

    The profit of what was closed is the venue's own figure, converted at its own rate; what opens a trade settles nothing.
    """
    costs = entry.commission + entry.guaranteed_execution_fee
    average = entry.full_vwap or entry.price or ZERO
    at_ns = instant_ns(entry.time)
    rows = changes_of(entry)
    if not rows:  # a fill always names its trades; told by its sums if one day it does not
        return (_fill(entry.id, abs(entry.units or ZERO), average, at_ns, fees=_fees(home, costs)),)
    fills = []
    for row in rows:
        fills.append(
            _fill(
                f"{entry.id}/{row.trade_id}",
                abs(row.units),
                row.price or average,
                at_ns,
                fees=_fees(home, costs),
                lot=row.trade_id,
                settled=(home, row.realized_pl),
            )
        )
        costs = ZERO
    return tuple(fills)


def _fill(  # noqa: PLR0913 - the fields of a fill
    fill_id: str,
    quantity: Decimal,
    price: Decimal,
    at_ns: int | None,
    *,
    fees: tuple[tuple[str, Decimal], ...],
    lot: str = "",
    settled: tuple[str, Decimal] | None = None,
) -> Fill:
    return Fill(
        fill_id, quantity, price, fees=fees, liquidity=Liquidity.TAKER, occurred_at_ns=at_ns, lot=lot, settled=settled
    )


def _fees(home: str, amount: Decimal) -> tuple[tuple[str, Decimal], ...]:
    return ((home, amount),) if amount else ()


def exits_of(venue: str, entry: wire.Transaction, home: str, received_at_ns: int) -> tuple[OrderReport, ...]:
    """Return what a fill of an order that is not ours took from trades: a stop, a target, a closeout, a person's hand.

    One report for each trade, as each is another's lot; what it opened shows in the next snapshot.
    """
    taken = tuple(row for row in changes_of(entry) if row is not entry.trade_opened)
    word = entry.reason.removesuffix("_ORDER")
    kind = DEPENDENT_KINDS.get(word, OrderKind.MARKET)
    fills = {fill.lot: fill for fill in fills_of(entry, home)}
    return tuple(
        OrderReport(
            instrument_id(venue, entry.instrument),
            entry.order_id if len(taken) == 1 else f"{entry.order_id}.{row.trade_id}",
            OrderState.FILLED,
            abs(row.units),
            received_at_ns,
            side=side_of(row.units),
            quantity=abs(row.units),
            fills=(fills[row.trade_id],),
            occurred_at_ns=instant_ns(entry.time),
            reason=entry.reason.lower()[:60],
            kind=kind,
            lot=row.trade_id,
        )
        for row in taken
    )


# -- money -------------------------------------------------------------------------------------------------------------


def flows_of(venue: str, entry: wire.Transaction, home: str) -> tuple[CashFlow, ...]:
    """Return the money that an entry moved apart from profit and fees; none for most."""
    at_ns = instant_ns(entry.time) or 0

    def flow(kind: CashFlowKind, amount: Decimal, name: str = "", instrument: str = "") -> tuple[CashFlow, ...]:
        id = f"{entry.id}/{name}" if name else entry.id
        symbol = instrument_id(venue, instrument) if instrument else ""
        return (CashFlow(venue, id, kind, home, amount, at_ns, symbol),) if amount else ()

    if entry.type == "ORDER_FILL":
        return flow(CashFlowKind.FINANCING, entry.financing, "financing", entry.instrument)
    if entry.type == "DAILY_FINANCING":
        parts = entry.position_financings
        rest = entry.financing - sum((part.financing for part in parts), ZERO)
        if abs(rest) > _ROUNDING * len(parts):
            return flow(CashFlowKind.FINANCING, entry.financing)
        told = [(part.financing, part.instrument, part.instrument) for part in parts]
        return tuple(one for part in (*told, (rest, "rounding", "")) for one in flow(CashFlowKind.FINANCING, *part))
    if entry.type == "DIVIDEND_ADJUSTMENT":
        return flow(CashFlowKind.DIVIDEND, entry.dividend_adjustment, "", entry.instrument)
    if entry.type == "TRANSFER_FUNDS":
        kind = _FUNDING.get(entry.funding_reason, CashFlowKind.ADJUSTMENT)
        if kind is CashFlowKind.DEPOSIT and entry.amount < 0:
            kind = CashFlowKind.WITHDRAWAL
        return flow(kind, entry.amount)
    return ()


def balance(account: wire.Summary) -> Balance:
    """Return the account's one balance; what its positions need is locked."""
    locked = min(max(account.margin_used, ZERO), max(account.balance, ZERO))
    return Balance(account.currency, account.balance, account.balance - locked, locked)


# -- trades ------------------------------------------------------------------------------------------------------------


def exits_by_trade(orders: Iterable[wire.Order]) -> dict[str, LotProtection]:
    """Return what hangs on each trade, from the account's pending orders."""
    found: dict[str, dict[str, Decimal | None]] = {}
    for one in orders:
        if one.type not in DEPENDENT_KINDS or not one.trade_id:
            continue
        exits = found.setdefault(one.trade_id, {})
        if one.type == "TAKE_PROFIT":
            exits["take"] = one.price
        elif one.type == "TRAILING_STOP_LOSS":
            exits["trail"] = one.distance
        else:
            exits["stop"] = one.price
    return {trade: LotProtection(**exits) for trade, exits in found.items()}


def lot(venue: str, trade: wire.Trade, protection: LotProtection) -> Lot:
    """Return an open trade as a lot; its tag names the order of ours that opened it."""
    return Lot(
        trade.id,
        instrument_id(venue, trade.instrument),
        side_of(trade.current_units),
        abs(trade.current_units),
        trade.price,
        protection,
        tag=trade.client_extensions.tag if trade.client_extensions is not None else "",
        opened_at_ns=instant_ns(trade.open_time),
    )


def dependent_report(venue: str, order: wire.Order, trade: wire.Trade, received_at_ns: int) -> OrderReport:
    """Return an exit that hangs on a trade and has not traded."""
    kind = DEPENDENT_KINDS.get(order.type)
    return OrderReport(
        instrument_id(venue, trade.instrument),
        order.id,
        OrderState.WORKING,
        ZERO,
        received_at_ns,
        side=side_of(-trade.current_units),
        quantity=abs(trade.current_units),
        price=order.price if kind is OrderKind.LIMIT else None,
        created_at_ns=instant_ns(order.create_time),
        kind=kind,
        trigger=order.trailing_stop_value if kind is None else order.price if kind is OrderKind.STOP else None,
        lot=trade.id,
    )
