"""The journal's query tables: orders, fills, lots and books, equity and balances, runs.

Written by the store in the transaction of the facts that they come from, so that a query never sees more or less than
the records; read by the control API, reports and people with a SQLite shell. Nothing that decides reads them: the
engine's state comes from the fold alone. Amounts are decimal text, times UTC nanoseconds, instruments ``venue:SYMBOL``;
strategy ``''`` is EXTERNAL.
"""

import sqlite3
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from quantd.domain import facts as f
from quantd.domain.cash import Account
from quantd.domain.fills import Fill
from quantd.domain.instruments import Instrument, InstrumentId
from quantd.domain.limit_facts import DayProfitsRecorded
from quantd.domain.orders import ENDS, ORDER_TRANSITIONS, OrderSpec, OrderState, Origin, Trigger
from quantd.engine.portfolio import Portfolio
from quantd.journal.projecting import Projection
from quantd.journal.tables import EQUITY, FILLS, LOTS, ORDERS, RUNS, Handler, Tables


def projections() -> tuple[Projection[f.Fact], ...]:
    """Return the projections that every journal of the daemon keeps."""
    return (
        Tables("orders", 1, ORDERS, _ORDER_HANDLERS),
        Tables("fills", 1, FILLS, {f.FillRecorded: _fill, f.FillCorrected: _fill_corrected}),
        Tables("lots", 2, LOTS, _LOT_HANDLERS),
        Tables("equity", 1, EQUITY, _EQUITY_HANDLERS),
        Tables("runs", 2, RUNS, {f.RunStarted: _run}),
    )


# -- orders ------------------------------------------------------------------------------------------------------------


def _order_row(seq: int, client_order_id: str, spec: OrderSpec, at_ns: int) -> dict[str, Any]:
    return {
        "client_order_id": client_order_id,
        **_terms(spec),
        "state": OrderState.WORKING.value,
        "filled_quantity": "0",
        "venue_order_id": "",
        "parent": "",
        "why": "",
        "reason": "",
        "created_at_ns": at_ns,
        "changed_at_ns": at_ns,
        "seq": seq,
    }


def _terms(spec: OrderSpec) -> dict[str, Any]:
    return {
        "instrument": spec.instrument,
        "side": spec.side.value,
        "kind": spec.kind.value,
        "quantity": str(spec.quantity),
        "price": _text(spec.price),
        "trigger_price": _text(spec.trigger),
    }


def _intended(connection: sqlite3.Connection, seq: int, fact: f.OrderIntended) -> None:
    row = _order_row(seq, fact.client_order_id, fact.spec, fact.at_ns)
    row |= {"strategy": fact.strategy, "origin": fact.origin.value, "role": fact.role.value}
    row |= {"parent": fact.parent, "why": fact.why, "operation": "held" if fact.held else "submit pending"}
    _insert(connection, "orders", row)


def _external(connection: sqlite3.Connection, seq: int, fact: f.ExternalOrderSeen) -> None:
    row = _order_row(seq, fact.client_order_id, fact.spec, fact.at_ns)
    origin = Origin.VENUE if fact.lot else Origin.EXTERNAL
    row |= {"strategy": fact.strategy, "origin": origin.value, "role": fact.role.value, "operation": None}
    row |= {"venue_order_id": fact.venue_order_id, "filled_quantity": str(fact.filled_quantity)}
    if fact.filled_quantity:
        row["state"] = OrderState.PARTIALLY_FILLED.value
    _insert(connection, "orders", row)


def _released(connection: sqlite3.Connection, seq: int, fact: f.OrderReleased) -> None:
    _order(connection, seq, fact, **_terms(fact.spec), operation="submit pending")


def _moved(connection: sqlite3.Connection, seq: int, fact: f.OrderMoved) -> None:
    state = _next_state(connection, fact.client_order_id, fact.trigger)
    if state is not None:
        reason = {"reason": fact.reason} if fact.reason else {}
        _order(connection, seq, fact, state=state, **reason)
        if OrderState(state) in ENDS:
            connection.execute(
                "UPDATE orders SET operation = NULL WHERE client_order_id = ? AND operation = 'held'",
                (fact.client_order_id,),
            )


def _order_filled(connection: sqlite3.Connection, seq: int, fact: f.FillRecorded) -> None:
    found = connection.execute(
        "SELECT quantity FROM orders WHERE client_order_id = ?", (fact.client_order_id,)
    ).fetchone()
    if found is None:
        return
    trigger = Trigger.FILL_WHOLE if fact.cumulative >= Decimal(found[0]) else Trigger.FILL
    state = _next_state(connection, fact.client_order_id, trigger)
    _order(connection, seq, fact, state=state, filled_quantity=str(fact.cumulative))


def _settled(connection: sqlite3.Connection, seq: int, fact: f.OperationSettled) -> None:
    reason = {"reason": fact.code} if fact.code else {}
    _order(connection, seq, fact, operation=None, **reason)


def _next_state(connection: sqlite3.Connection, client_order_id: str, trigger: Trigger) -> str | None:
    row = connection.execute("SELECT state FROM orders WHERE client_order_id = ?", (client_order_id,)).fetchone()
    if row is None:
        return None
    # The engine has asserted the step already: a table for queries never stops the daemon by being stricter.
    state = OrderState(row[0])
    return ORDER_TRANSITIONS.get((state, trigger), state).value


def _operation(connection: sqlite3.Connection, seq: int, fact: Any, phase: str) -> None:
    """Move the phase of the write in flight and leave its kind."""
    connection.execute(
        "UPDATE orders SET operation = substr(operation, 1, instr(operation, ' ')) || ?, changed_at_ns = ?, seq = ?"
        " WHERE client_order_id = ? AND operation IS NOT NULL",
        (phase, fact.at_ns, seq, fact.client_order_id),
    )


def _cancel_intended(connection: sqlite3.Connection, seq: int, fact: f.CancelIntended) -> None:
    # Operation 0 is a wish that waits for the write in flight, which the row goes on to show.
    changes = {"operation": "cancel pending"} if fact.operation else {}
    _order(connection, seq, fact, **changes)


def _amended(connection: sqlite3.Connection, seq: int, fact: f.OrderAmended) -> None:
    changes = {} if fact.price is None else {"price": str(fact.price)}
    _order(connection, seq, fact, quantity=str(fact.quantity), **changes)


def _order(connection: sqlite3.Connection, seq: int, fact: Any, **changes: Any) -> None:
    changes |= {"changed_at_ns": fact.at_ns, "seq": seq}
    columns = ", ".join(f"{column} = ?" for column in changes)
    connection.execute(
        f"UPDATE orders SET {columns} WHERE client_order_id = ?", (*changes.values(), fact.client_order_id)
    )


_ORDER_HANDLERS: dict[type, Handler] = {
    f.OrderIntended: _intended,
    f.OrderReleased: _released,
    f.ExternalOrderSeen: _external,
    f.AmendIntended: lambda connection, seq, fact: _order(connection, seq, fact, operation="amend pending"),
    f.CancelIntended: _cancel_intended,
    f.OperationSentRecorded: lambda connection, seq, fact: _operation(connection, seq, fact, "sent"),
    f.OperationLost: lambda connection, seq, fact: _operation(connection, seq, fact, "unknown"),
    f.OperationSettled: _settled,
    f.OrderAcknowledged: lambda connection, seq, fact: _order(
        connection, seq, fact, venue_order_id=fact.venue_order_id
    ),
    f.OrderAmended: _amended,
    f.OrderMoved: _moved,
    f.FillRecorded: _order_filled,
}

# -- fills -------------------------------------------------------------------------------------------------------------


def _fill(connection: sqlite3.Connection, seq: int, fact: f.FillRecorded) -> None:
    _insert_fill(connection, seq, fact, fact.fill)


def _fill_corrected(connection: sqlite3.Connection, seq: int, fact: f.FillCorrected) -> None:
    connection.execute(
        "DELETE FROM fills WHERE client_order_id = ? AND fill_id = ?", (fact.client_order_id, fact.before.id)
    )
    _insert_fill(connection, seq, fact, fact.after)


def _insert_fill(connection: sqlite3.Connection, seq: int, fact: f.FillRecorded | f.FillCorrected, fill: Fill) -> None:
    row = {"client_order_id": fact.client_order_id, "fill_id": fill.id, "strategy": fact.strategy}
    row |= {"instrument": fact.instrument, "side": fact.side.value, "quantity": str(fill.quantity)}
    row |= {"price": str(fill.price), "quality": fill.quality.value, "liquidity": fill.liquidity.value}
    fees = msgspec.json.encode(fill.fees).decode()
    times = {"occurred_at_ns": fill.occurred_at_ns, "at_ns": fact.at_ns, "seq": seq}
    _insert(connection, "fills", {**row, "fees": fees, **times})


# -- lots and books ----------------------------------------------------------------------------------------------------


def _instrument(connection: sqlite3.Connection, seq: int, fact: f.InstrumentRecorded) -> None:
    _insert(connection, "instruments", {"id": fact.instrument.id, "rules": msgspec.msgpack.encode(fact.instrument)})


def _account(connection: sqlite3.Connection, seq: int, fact: f.AccountRecorded) -> None:
    _insert(connection, "accounts", {"venue": fact.account.venue, "account": msgspec.msgpack.encode(fact.account)})


def _book_filled(connection: sqlite3.Connection, seq: int, fact: f.FillRecorded) -> None:
    portfolio = _portfolio(connection, fact.strategy, fact.instrument)
    if portfolio is None:
        return
    book = portfolio.book(fact.strategy, fact.instrument)
    before = book.quantity
    portfolio.fill(
        fact.strategy, fact.instrument, fact.side, fact.fill, fact.at_ns, fact.opened_at, fact.settled, fact.earned
    )
    _save_book(connection, portfolio, fact)
    opening: dict[str, Any] = {
        "client_order_id": fact.client_order_id,
        "fill_id": fact.fill.id,
        "venue_lot": fact.fill.lot,
    }
    opening |= {"seq": seq, "opened_at_ns": fact.at_ns, "open_price": str(fact.fill.price)}
    _trade_lots(connection, book.quantity - before, fact.strategy, fact.instrument, opening)


def _book_corrected(connection: sqlite3.Connection, seq: int, fact: f.FillCorrected) -> None:
    portfolio = _portfolio(connection, fact.strategy, fact.instrument)
    if portfolio is None:
        return
    portfolio.correct(fact.strategy, fact.instrument, fact.side, (fact.before, fact.after), fact.at_ns)
    _save_book(connection, portfolio, fact)
    connection.execute(
        "UPDATE lots SET open_price = ?, fill_id = ? WHERE client_order_id = ? AND fill_id = ?",
        (str(fact.after.price), fact.after.id, fact.client_order_id, fact.before.id),
    )


def _book_adjusted(connection: sqlite3.Connection, seq: int, fact: f.PositionAdjusted) -> None:
    portfolio = _portfolio(connection, fact.strategy, fact.instrument)
    if portfolio is None:
        return
    portfolio.adjust(fact.strategy, fact.instrument, fact.quantity, fact.price)
    _save_book(connection, portfolio, fact)
    opening: dict[str, Any] = {"client_order_id": "", "fill_id": "", "venue_lot": "", "seq": seq}
    opening |= {"opened_at_ns": fact.at_ns, "open_price": str(fact.price)}
    _trade_lots(connection, fact.quantity, fact.strategy, fact.instrument, opening)


def _portfolio(connection: sqlite3.Connection, strategy: str, instrument: InstrumentId) -> Portfolio | None:
    """Return a portfolio with just this book in it: the engine's own arithmetic, so that the two cannot differ."""
    rules = connection.execute("SELECT rules FROM instruments WHERE id = ?", (instrument,)).fetchone()
    if rules is None:
        return None
    portfolio = Portfolio()
    rules_now = msgspec.msgpack.decode(rules[0], type=Instrument)
    portfolio.listed(rules_now)
    account = connection.execute("SELECT account FROM accounts WHERE venue = ?", (rules_now.venue,)).fetchone()
    if account is not None:
        portfolio.account(rules_now.venue).account = msgspec.msgpack.decode(account[0], type=Account)
    found = connection.execute(
        "SELECT quantity, cost, realised, costs FROM books WHERE strategy = ? AND instrument = ?",
        (strategy, instrument),
    ).fetchone()
    if found is not None:
        book = portfolio.book(strategy, instrument)
        book.quantity, book.cost, book.realised = map(Decimal, found[:3])
        book.costs = msgspec.json.decode(found[3], type=dict[str, Decimal])
    return portfolio


def _save_book(connection: sqlite3.Connection, portfolio: Portfolio, fact: Any) -> None:
    for book in portfolio.books(fact.instrument):
        row = {"strategy": book.strategy, "instrument": fact.instrument, "changed_at_ns": fact.at_ns}
        row |= {"quantity": str(book.quantity), "cost": str(book.cost), "realised": str(book.realised)}
        row["costs"] = msgspec.json.encode(book.costs, order="sorted").decode()
        _insert(connection, "books", row)


def _trade_lots(
    connection: sqlite3.Connection, signed: Decimal, strategy: str, instrument: InstrumentId, opening: dict[str, Any]
) -> None:
    """Close opposite lots, the venue's own one first and then the oldest, and open one with the rest."""
    rows = connection.execute(
        "SELECT seq, quantity FROM lots WHERE strategy = ? AND instrument = ?"
        " ORDER BY venue_lot != '' AND venue_lot = ? DESC, seq",
        (strategy, instrument, opening["venue_lot"]),
    ).fetchall()
    for seq, text in rows:
        held = Decimal(text)
        if not signed or (held > 0) == (signed > 0):
            break
        closed = min(abs(held), abs(signed)).copy_sign(signed)
        signed -= closed
        if held + closed:
            connection.execute("UPDATE lots SET quantity = ? WHERE seq = ?", (str(held + closed), seq))
        else:
            connection.execute("DELETE FROM lots WHERE seq = ?", (seq,))
    if signed:
        row = {"strategy": strategy, "instrument": instrument, "quantity": str(signed)}
        _insert(connection, "lots", row | opening)


_LOT_HANDLERS: dict[type, Handler] = {
    f.InstrumentRecorded: _instrument,
    f.AccountRecorded: _account,
    f.FillRecorded: _book_filled,
    f.FillCorrected: _book_corrected,
    f.PositionAdjusted: _book_adjusted,
}

# -- equity ------------------------------------------------------------------------------------------------------------


def _day(connection: sqlite3.Connection, seq: int, fact: f.DayStarted | DayProfitsRecorded) -> None:
    for scope, profit in sorted(fact.profits.items()):
        row: dict[str, Any] = {"seq": seq, "at_ns": fact.at_ns, "day": fact.day, "scope": scope, "profit": str(profit)}
        _insert(connection, "equity", row)


def _peaks(connection: sqlite3.Connection, seq: int, fact: f.PeaksRecorded) -> None:
    for scope, peak in sorted(fact.peaks.items()):
        _insert(connection, "equity", {"seq": seq, "at_ns": fact.at_ns, "scope": scope, "peak": str(peak)})


def _balances(connection: sqlite3.Connection, seq: int, fact: f.BalancesRecorded) -> None:
    connection.execute("DELETE FROM balances WHERE venue = ?", (fact.venue,))
    for balance in fact.balances:
        row = {"venue": fact.venue, "asset": balance.asset, "total": str(balance.total), "at_ns": fact.at_ns}
        _insert(connection, "balances", row | {"free": str(balance.free), "locked": str(balance.locked)})


def _cash_flow(connection: sqlite3.Connection, seq: int, fact: f.CashFlowRecorded) -> None:
    flow = fact.flow
    row = {"venue": flow.venue, "id": flow.id, "kind": flow.kind.value, "asset": flow.asset, "seq": seq}
    row |= {"amount": str(flow.amount), "instrument": flow.instrument, "occurred_at_ns": flow.occurred_at_ns}
    _insert(connection, "cash_flows", row)


_EQUITY_HANDLERS: dict[type, Handler] = {
    f.DayStarted: _day,
    DayProfitsRecorded: _day,
    f.PeaksRecorded: _peaks,
    f.BalancesRecorded: _balances,
    f.CashFlowRecorded: _cash_flow,
}


def _run(connection: sqlite3.Connection, seq: int, fact: f.RunStarted) -> None:
    # In the order of the record, whatever order its strategies were listed in: the tables are held against the records.
    run = msgspec.msgpack.encode(fact, order="deterministic")
    _insert(connection, "runs", {"seq": seq, "at_ns": fact.at_ns, "run": run})


def _insert(connection: sqlite3.Connection, table: str, row: Mapping[str, Any]) -> None:
    marks = ", ".join("?" * len(row))
    connection.execute(f"INSERT OR REPLACE INTO {table} ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))


def _text(value: Decimal | None) -> str | None:
    return None if value is None else str(value)
