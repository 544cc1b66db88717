"""The engine's state as the control API shows it: status, open orders, positions, balances.

Called in the loop's thread between two steps of the runner, so that each answer is one consistent look. Changes
nothing; what it shows may be ahead of the disk by the commit that is under way.
"""

from collections.abc import Iterable
from decimal import Decimal

from quantd.control.action_answers import ClosingView
from quantd.control.answers import (
    AccountView,
    Balances,
    BalanceView,
    BudgetView,
    FeedView,
    LatchView,
    OrderView,
    Positions,
    PositionView,
    Status,
    StrategyView,
    VenueView,
)
from quantd.control.daemon_access import DaemonAccess
from quantd.domain.events import TradingState
from quantd.domain.numbers import ZERO
from quantd.engine.books import Book
from quantd.engine.desk import Desk
from quantd.engine.orders import LiveOrder
from quantd.engine.risk.profits import ACCOUNT
from quantd.engine.state import State


def status(daemon: DaemonAccess) -> Status:
    """Return the daemon at a glance."""
    engine, state = daemon.engine, daemon.engine.state
    profit = engine.guards.losses.profit(ACCOUNT)
    lost = engine.guards.losses.day_loss(ACCOUNT)
    reasons = tuple(daemon.reasons())
    settings = engine.context.settings
    orders = list(state.orders.open_orders())
    return Status(
        version=daemon.version,
        config_hash=state.run.config_hash if state.run is not None else "",
        journal_id=settings.journal_id,
        epoch=settings.epoch,
        now_ns=daemon.clock.now_ns(),
        ready=not reasons,
        reasons=reasons,
        venues=tuple(_venue(daemon, name) for name in daemon.venues),
        strategies=tuple(_strategy(daemon, desk) for desk in engine.desks.values()),
        failures=tuple(daemon.failures),
        latches=tuple(
            LatchView(scope, latch.state.value, latch.by, latch.why, latch.at_ns)
            for scope, latch in state.latches.items()
        ),
        base_currency=daemon.risk().base_currency,
        equity=equity(daemon),
        profit=profit,
        profit_today=None if lost is None else -lost,
        open_orders=len(orders),
        unknown_outcomes=sum(order.is_unknown for order in orders),
        budgets=tuple(
            BudgetView(name, limit, round(left, 4))
            for name, venue in daemon.venues.items()
            for limit, left in venue.budget_left().items()
        ),
        feeds=tuple(feeds(daemon)),
    )


def equity(daemon: DaemonAccess) -> Decimal | None:
    """Return what all venues hold, in the base currency; None while a rate or an account is missing."""
    equities = [_equity(daemon.engine.state, name) for name in daemon.venues]
    return None if None in equities else sum((one for one in equities if one is not None), ZERO)


def _equity(state: State, venue: str) -> Decimal | None:
    account = state.portfolio.accounts.get(venue)
    return state.equity(venue) if account is not None and account.asked_at_ns else None


def _venue(daemon: DaemonAccess, name: str) -> VenueView:
    venue, state = daemon.venues[name], daemon.engine.state
    ready, reason = venue.readiness()
    trading = state.trading_state(("all", f"venue:{name}")).value
    return VenueView(name, venue.kind, ready, reason, trading, _equity(state, name))


def _strategy(daemon: DaemonAccess, desk: Desk) -> StrategyView:
    state = daemon.engine.state
    fault = state.quarantined.get(desk.id)
    return StrategyView(
        id=desk.id,
        state=strategy_state(desk),
        started=desk.is_started,
        warm=desk.is_warm,
        fault="" if fault is None else f"{fault.hook}: {fault.error}",
        instruments=tuple(desk.instruments),
        open_orders=state.portfolio.open_orders.get(f"strategy:{desk.id}", 0),
        profit=daemon.engine.guards.losses.profit(f"strategy:{desk.id}"),
    )


def strategy_state(desk: Desk) -> str:
    """Return in a word what a strategy does."""
    if desk.is_quarantined:
        return "quarantined"
    return desk.read.trading_state().value if desk.is_started else "warming_up"


def feeds(daemon: DaemonAccess) -> Iterable[FeedView]:
    """Yield how fresh each instrument's prices are."""
    now_ns = daemon.clock.now_ns()
    for instrument, mark in daemon.engine.state.rates.marks.items():
        age_s = round((now_ns - mark.at_ns) / 1e9, 3) if mark.at_ns else None
        yield FeedView(instrument, mark.status.value, mark.last, age_s)


def blockers(daemon: DaemonAccess, desk: Desk) -> list[str]:
    """Return what keeps a strategy from trading now, in sentences."""
    state, context = daemon.engine.state, daemon.engine.context
    found = []
    fault = state.quarantined.get(desk.id)
    if fault is not None:
        found.append(f"quarantined: {fault.hook}: {fault.error}")
    if not desk.is_warm:
        found += [
            f"warming up: {one.instrument} has {one.count} of {one.needed} bars"
            for one in desk.series
            if not one.is_ready
        ]
    elif not desk.is_started:
        found.append("not started yet")
    venues = sorted({one.partition(":")[0] for one in desk.instruments})
    scopes = ["all", f"strategy:{desk.id}", *(f"venue:{one}" for one in venues)]
    scopes += [f"instrument:{one}" for one in desk.instruments]
    for scope in scopes:
        latch = state.latches.get(scope)
        if latch is not None and latch.state is not TradingState.ACTIVE:
            found.append(f"{scope} is {latch.state.value}, by {latch.by}: {latch.why}")
    found += [f"venue {one}: {why}" for one in venues for why in context.venue_reasons.get(one, {}).values()]
    for instrument in desk.instruments:
        mark, net = state.rates.marks.get(instrument), state.portfolio.nets.get(instrument)
        if mark is None or not mark.last > 0:
            found.append(f"{instrument}: no price")
        if net is not None and net.unknown:
            found.append(f"{instrument}: {net.unknown} writes of unknown outcome")
    return found


def order_view(order: LiveOrder) -> OrderView:
    """Return an order of the engine as it is shown."""
    spec, operation = order.spec, order.operation
    phase = "held" if order.held else None
    return OrderView(
        client_order_id=order.client_order_id,
        strategy=order.strategy,
        instrument=spec.instrument,
        side=spec.side.value,
        kind=spec.kind.value,
        quantity=str(spec.quantity),
        price=None if spec.price is None else str(spec.price),
        trigger=None if spec.trigger is None else str(spec.trigger),
        state=order.state.value,
        filled=str(order.filled),
        operation=phase if operation is None else f"{operation.kind.value} {operation.phase.value}",
        venue_order_id=order.venue_order_id,
        origin=order.origin.value,
        role=order.role.value,
        parent=order.parent,
        why=order.why,
        reason=order.reason,
        created_at_ns=order.intended_at_ns,
    )


def positions(state: State) -> Positions:
    """Return every book that holds or has held something."""
    books = [book for book in state.portfolio.books() if book.has_result]
    return Positions(tuple(_position(state, book) for book in books))


def _position(state: State, book: Book) -> PositionView:
    rules = book.instrument
    price = state.rates.marks[rules.id].exact()
    target = state.targets.get((book.strategy, rules.id))
    return PositionView(
        strategy=book.strategy,
        instrument=rules.id,
        quantity=book.quantity,
        average_price=book.average_price,
        price=price,
        value=_value(state, book),
        unrealised=None if price is None else book.unrealised(price),
        realised=book.realised,
        costs=book.costs,
        currency=rules.settlement_currency,
        target=None if target is None else target.quantity,
    )


def _value(state: State, book: Book) -> Decimal | None:
    price = state.rates.marks[book.instrument.id].exact()
    return None if price is None else state.rates.notional(book.instrument, book.quantity, price)


def closing(state: State, scope: str) -> tuple[ClosingView, ...]:
    """Return the books that flattening a scope closes."""
    return tuple(
        ClosingView(book.strategy, book.instrument.id, book.quantity, _value(state, book))
        for book in state.portfolio.books()
        if book.quantity and in_scope(scope, book.strategy, book.instrument.id)
    )


def halted_scopes(state: State, books: Iterable[ClosingView]) -> tuple[str, ...]:
    """Return the scopes that are halted over some of these books: not even what closes them leaves."""
    covering = ["all"] if books else []
    for book in books:
        venue = book.instrument.partition(":")[0]
        covering += [f"venue:{venue}", f"instrument:{book.instrument}", f"strategy:{book.strategy}"]
    latched = (state.latches.get(scope) for scope in dict.fromkeys(covering))
    return tuple(one.scope for one in latched if one is not None and one.state is TradingState.HALTED)


def in_scope(scope: str, strategy: str, instrument: str) -> bool:
    """Whether what a strategy does in an instrument belongs to a scope, as the engine sees it."""
    venue = instrument.partition(":")[0]
    return scope in ("all", f"strategy:{strategy}", f"instrument:{instrument}", f"venue:{venue}")


def balances(state: State) -> Balances:
    """Return what the accounts hold."""
    accounts, rows = [], []
    for venue, account in state.portfolio.accounts.items():
        kind = "" if account.account is None else account.account.kind.value
        told = (account.margin_used, account.margin_available)
        accounts.append(AccountView(venue, kind, account.asked_at_ns, _equity(state, venue), *told))
        for asset, total in sorted(account.totals.items()):
            reserved, foreign = account.reserved.get(asset, ZERO), account.foreign.get(asset, ZERO)
            rows.append(BalanceView(venue, asset, total, account.free(asset), reserved, foreign))
    return Balances(tuple(accounts), tuple(rows))
