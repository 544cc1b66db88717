"""What a venue's cumulative words imply of single executions: derived fills, their fees, and later corrections.

Used by the intake. Pure: an order, a report and the instrument's rules in, fills out.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Final

import msgspec

from quantd.domain.fills import Fill, Quality
from quantd.domain.instruments import Instrument
from quantd.domain.numbers import ONE, ZERO
from quantd.domain.orders import OrderSpec, Side
from quantd.domain.reports import OrderReport
from quantd.engine.orders import LiveOrder
from quantd.engine.state import State

Fees = tuple[tuple[str, Decimal], ...]


def scheduled_fees(rules: Instrument, spec: OrderSpec, quantity: Decimal, price: Decimal) -> Fees:
    """Return the fees by the instrument's schedule: the taker's, unless the order may only make."""
    schedule = rules.fees
    rate = schedule.maker if spec.post_only else schedule.taker
    fees: list[tuple[str, Decimal]] = []
    if rate:
        in_base = schedule.asset == "base" or (schedule.asset == "received" and spec.side is Side.BUY)
        if in_base and not rules.inverse:  # the worth of an inverse contract is in base already, its quantity is not
            fees.append((rules.base, quantity * rules.units_per_quantity * rate))
        else:
            asset = rules.settlement_currency if schedule.asset == "settlement" or rules.inverse else rules.quote
            fees.append((asset, rules.notional(quantity, price) * rate))
    if schedule.per_unit:
        fees.append((rules.commission_currency, quantity * schedule.per_unit))
    return tuple(fees)


def executed(report: OrderReport) -> Iterator[Fill]:
    """Yield the executions that a report tells; one of nothing, as a venue may round one to, is none."""
    return (fill for fill in report.fills if fill.quantity > 0)


def stood_for(order: LiveOrder, report: OrderReport) -> frozenset[str]:
    """Return the ids of fills that a report tells and derived ones stand for already: the first, where it tells them all."""
    if not order.fills:
        return frozenset()
    fills = tuple(executed(report))
    if sum((fill.quantity for fill in fills), ZERO) != report.filled_quantity:
        return frozenset()
    left = order.filled - sum((fill.quantity for fill in fills if fill.id in order.fills), ZERO)
    found = []
    for fill in fills:
        if left <= 0:
            break
        if fill.id not in order.fills:
            left -= fill.quantity
            found.append(fill.id)
    return frozenset(found)


def likely_price(state: State, order: LiveOrder) -> Decimal | None:
    """Return what an execution is taken to have cost where no word names it: the last good price, else what its book paid.

    At another price, or at none, the next quote would show a profit or loss that never was.
    """
    price = state.rates.last_good(state.rates.marks[order.instrument])
    return state.portfolio.book(order.strategy, order.instrument).average_price if price is None else price


def derived(order: LiveOrder, report: OrderReport, rules: Instrument, mark: Decimal | None) -> Fill:
    """Return the fill that a grown cumulative quantity implies: at the told average, else at the order's bound.

    Where the report tells of fills that do not add up to it, it is taken for the newest one's lot.
    """
    quantity = report.filled_quantity - order.filled
    average, spec = report.average_price, order.spec
    if average is not None:
        if all(fill.quality is Quality.CONFIRMED for fill in order.fills.values()):
            price, quality = _implied(order, average, report.filled_quantity, rules), Quality.CONFIRMED
        else:
            # Bounds in the sum would leave this fill with their error, perhaps below zero; `corrections` shares it out.
            price, quality = average, Quality.ESTIMATED
    else:
        price, quality = spec.price or report.price or order.reference or mark or ZERO, Quality.ESTIMATED
    fees = scheduled_fees(rules, spec, quantity, price)
    if report.fees is not None:
        fees = _less(report.fees, order.fills.values())
    fill_id = f"{report.venue_order_id}/{report.filled_quantity}"
    lot = report.fills[-1].lot if report.fills else ""
    return Fill(fill_id, quantity, price, quality, fees, occurred_at_ns=report.occurred_at_ns, lot=lot)


def _implied(order: LiveOrder, average: Decimal, filled: Decimal, rules: Instrument) -> Decimal:
    """Return the price at which all but the confirmed fills make the average of `filled` true.

    The average itself, where that is a price at which nothing can have traded and no more than the rounding of averages:
    half a tick of all that was filled, laid upon a small part, is many times its price, or below zero.
    """
    confirmed = [fill for fill in order.fills.values() if fill.quality is Quality.CONFIRMED]
    known = sum((fill.quantity for fill in confirmed), ZERO)
    quantity = filled - known
    price = (average * filled - sum((fill.quantity * fill.price for fill in confirmed), ZERO)) / quantity
    limit, off = order.spec.price, abs(price - average)
    if limit is None:
        is_far = off > average * _FAR
    else:
        is_far = price > limit if order.spec.side is Side.BUY else price < limit
    rounding = min(rules.tick(average), ONE.scaleb(int(average.as_tuple().exponent))) / 2
    return average if (is_far or price <= 0) and off <= rounding * (filled + known) / quantity else price


_FAR: Final = Decimal("0.01")
"""Share of the average by which one part of a market order is taken to differ from it at the most."""


def corrections(order: LiveOrder, report: OrderReport, rules: Instrument) -> Iterator[tuple[Fill, Fill]]:
    """Yield (before, after) for what a report with no new quantity knows better.

    Every estimated fill gets the one price that makes the told average true; told fees count for the whole order, what
    they differ by is put on the last fill.
    """
    fills = list(order.fills.values())
    after = {fill.id: fill for fill in fills}
    estimated = [fill for fill in fills if fill.quality is Quality.ESTIMATED]
    if report.average_price is not None and estimated:
        price = _implied(order, report.average_price, order.filled, rules)
        for fill in estimated:
            fees = scheduled_fees(rules, order.spec, fill.quantity, price) if report.fees is None else fill.fees
            after[fill.id] = msgspec.structs.replace(fill, price=price, quality=Quality.CONFIRMED, fees=fees)
    if report.fees is not None and fills:
        last = fills[-1]
        fees = _less(report.fees, fills[:-1])
        if _sums(fees) != _sums(last.fees):
            after[last.id] = msgspec.structs.replace(after[last.id], fees=fees)
    for fill in fills:
        if after[fill.id] != fill:
            yield fill, after[fill.id]


def is_told(order: LiveOrder, report: OrderReport) -> bool:
    """Whether a report certainly knows nothing better of an order's fills: the cheap look before `corrections`."""
    if len(order.fills) != 1:
        return False
    (fill,) = order.fills.values()
    return fill.quality is Quality.CONFIRMED and (report.fees is None or report.fees == fill.fees)


def _less(told: Fees, fills: Iterable[Fill]) -> Fees:
    """Return what is left of cumulative fees after those of `fills`."""
    left = _sums(told)
    for fill in fills:
        for asset, amount in fill.fees:
            left[asset] = left.get(asset, ZERO) - amount
    return tuple((asset, amount) for asset, amount in left.items() if amount)


def _sums(fees: Fees) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = {}
    for asset, amount in fees:
        sums[asset] = sums.get(asset, ZERO) + amount
    return {asset: amount for asset, amount in sums.items() if amount}
