"""Whether what a venue says can be: numbers of a size to reckon with, quantities and prices above zero, times that exist.

Held against every piece of evidence before the engine believes it, whichever connector brings it. Judges single values and
those that contradict each other; what an order may have traded at most is the engine's to know. Each `flaw_of` returns what
is wrong in words, or nothing. Market data are judged in `feeds.quality`.
"""

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Final, TypeVar

from quantd.domain.cash import Balance, CashFlow
from quantd.domain.fills import Fill
from quantd.domain.instruments import FeeSchedule, Instrument
from quantd.domain.lots import Lot
from quantd.domain.numbers import ONE, ZERO, is_sound
from quantd.domain.orders import OrderState
from quantd.domain.reports import AccountSnapshot, OrderReport
from quantd.errors import Unsound

_T = TypeVar("_T")
FINEST_STEP: Final = Decimal("1e-18")
"""Smallest tick or lot: the largest sound number divided by it still has no more digits than money arithmetic keeps."""
LATEST_NS: Final = 2**63 - 1
"""The last nanosecond that the journal's tables can hold, in the year 2262."""


def vouch(venue: str, operation: str, told: Iterable[_T], flaw_of: Callable[[_T], str]) -> None:
    """Check all that was read.

    Raises:
        Unsound: one of them cannot be; names it and what is wrong.
    """
    for one in told:
        if flaw := flaw_of(one):
            raise Unsound(venue, operation, f"the answer cannot be: {flaw}")


def flaw_of_report(report: OrderReport) -> str:
    """Return what is wrong with a report of an order."""
    filled = report.filled_quantity
    return (
        _number("filled_quantity", filled, least=ZERO)
        or _number("quantity", report.quantity, least=ZERO)
        or _number("price", report.price, least=ZERO)
        or _number("trigger", report.trigger, least=ZERO)
        or (_above("average_price", report.average_price) if filled else _number("average_price", report.average_price))
        or _first(_flaw_of_fill(one) for one in report.fills)
        or _first(_number(f"fees in {asset}", amount) for asset, amount in report.fees or ())
        or _first(_time(name, getattr(report, name)) for name in ("occurred_at_ns", "created_at_ns"))
        or ("" if report.venue_order_id or report.client_order_id else "no id")
        or ("filled without a quantity" if report.state is OrderState.FILLED and not filled else "")
    )


def flaw_of_snapshot(snapshot: AccountSnapshot) -> str:
    """Return what is wrong with a picture of an account."""
    figures = ("margin_used", "margin_available", "equity", "margin_closeout")
    return (
        _first(_flaw_of_balance(one) for one in snapshot.balances)
        or _twice("balance of", (*(one.asset for one in snapshot.balances), *snapshot.doubtful))
        or _first(_flaw_of_lot(one) for one in snapshot.lots)
        or _twice("lot", (one.venue_id for one in snapshot.lots))
        or _first(_of(f"order {one.venue_order_id}", flaw_of_report(one)) for one in snapshot.orders)
        or _first(_number(name, getattr(snapshot, name)) for name in figures)
        or _first(flaw_of_flow(one) for one in snapshot.flows)
    )


def flaw_of_instrument(instrument: Instrument) -> str:
    """Return what is wrong with trading rules: by wrong ones every price and quantity would be wrong."""
    one, limits = instrument, [tier.from_price for tier in instrument.ticks]
    flaw = (
        ("" if one.base and one.quote else f"no currencies: {one.base!r} and {one.quote!r}")
        or ("" if limits[:1] == [ZERO] and limits == sorted(set(limits)) else f"tiers of ticks from {limits}")
        or _first(_step("tick", tier.tick) or _number("tier", tier.from_price) for tier in one.ticks)
        or _step("lot", one.lot)
        or _step("units_per_quantity", one.units_per_quantity)
        or _first(
            _number(name, getattr(one, name), least=ZERO) for name in ("min_quantity", "min_notional", "min_trail")
        )
        or _first(
            _above(name, getattr(one, name))
            for name in ("max_quantity", "max_notional", "margin_rate", "price_band", "max_position", "max_trail")
        )
        or _first(_order(one, name) for name in ("quantity", "notional", "trail"))
        or _flaw_of_fees(one.fees)
    )
    return _of(instrument.id, flaw)


def flaw_of_flow(flow: CashFlow) -> str:
    """Return what is wrong with a movement of money."""
    flaw = _number("amount", flow.amount) or _time("occurred_at_ns", flow.occurred_at_ns)
    return _of(f"cash flow {flow.id}", flaw or ("" if flow.id and flow.asset else "no id or asset"))


def _flaw_of_fill(fill: Fill) -> str:
    flaw = (
        _number("quantity", fill.quantity, least=ZERO)
        or (_above("price", fill.price) if fill.quantity else "")
        or _first(_number(f"fee in {asset}", amount) for asset, amount in fill.fees)
        or _number("settled", fill.settled[1] if fill.settled is not None else None)
        or ("" if all(asset for asset, _ in (*fill.fees, fill.settled or ("-", None))) else "money in no currency")
        or _time("occurred_at_ns", fill.occurred_at_ns)
    )
    return _of(f"fill {fill.id}", flaw)


def _flaw_of_balance(balance: Balance) -> str:
    figures = ("total", "free", "locked")
    return _of(f"balance of {balance.asset}", _first(_number(name, getattr(balance, name)) for name in figures))


def _flaw_of_lot(lot: Lot) -> str:
    exits = lot.protection
    flaw = (
        _above("quantity", lot.quantity)
        or _above("open_price", lot.open_price)
        or _first(_above(name, getattr(exits, name)) for name in ("stop", "take", "trail"))
        or _time("opened_at_ns", lot.opened_at_ns)
    )
    return _of(f"lot {lot.venue_id}", flaw or ("" if lot.venue_id else "no id"))


def _flaw_of_fees(fees: FeeSchedule) -> str:
    for name in ("maker", "taker"):
        if not is_sound(getattr(fees, name)) or abs(getattr(fees, name)) >= ONE:
            return f"{name} fee: expected a fraction, found {getattr(fees, name):.6}"
    return _number("fee per_unit", fees.per_unit)


def _number(name: str, value: Decimal | None, *, least: Decimal | None = None) -> str:
    if value is None:
        return ""
    if not is_sound(value):
        return f"{name}: no number to reckon with, {value!s:.32}"
    return "" if least is None or value >= least else f"{name}: expected at least {least}, found {value}"


def _above(name: str, value: Decimal | None) -> str:
    return _number(name, value) or ("" if value is None or value > 0 else f"{name}: expected above 0, found {value}")


def _step(name: str, value: Decimal) -> str:
    return _above(name, value) or ("" if value >= FINEST_STEP else f"{name}: finer than {FINEST_STEP}")


def _order(instrument: Instrument, name: str) -> str:
    least, most = getattr(instrument, f"min_{name}"), getattr(instrument, f"max_{name}")
    if least is None or most is None or least <= most:
        return ""
    return f"{name}: at least {least} and at most {most}"


def _time(name: str, at_ns: int | None) -> str:
    return "" if at_ns is None or 0 <= at_ns <= LATEST_NS else f"{name}: no time, {at_ns}"


def _twice(what: str, names: Iterable[str]) -> str:
    seen = set[str]()
    for name in names:
        if name in seen:
            return f"{what} {name} twice"
        seen.add(name)
    return ""


def _of(what: str, flaw: str) -> str:
    return f"{what}: {flaw}" if flaw else ""


def _first(flaws: Iterable[str]) -> str:
    return next((flaw for flaw in flaws if flaw), "")
