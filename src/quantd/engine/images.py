"""The whole state as one value, for the journal's snapshots: what `dump` writes, `restore` brings back exactly.

Sums over open orders (worst cases, reservations, counts) are counted anew from the orders; only their digits are stored. An image
names the shape that it was written in: one of another version is refused whole, and the fold begins at an older one or at
the first record. Read otherwise, a field that this version has added would silently be empty.
"""

import hashlib
from decimal import Decimal
from functools import cache

import msgspec

from quantd.domain import facts as f
from quantd.domain.cash import Account, Balance
from quantd.domain.fills import Fill
from quantd.domain.instruments import Instrument, InstrumentId
from quantd.domain.numbers import ZERO
from quantd.domain.orders import OperationKind, OperationPhase, OrderState
from quantd.domain.protection_facts import ProtectionHeld, ProtectionIntended, ProtectionOverdue
from quantd.domain.strategy_facts import StrategyFaulted, StrategySaved
from quantd.engine.lots import HeldLot, Lots
from quantd.engine.orders import LiveOrder, Operation
from quantd.engine.portfolio import Portfolio
from quantd.engine.state import State
from quantd.engine.tallies import TalliesImage
from quantd.errors import SnapshotOutdated


class OperationImage(msgspec.Struct, frozen=True):
    """A write in flight."""

    kind: OperationKind
    number: int
    phase: OperationPhase
    since_ns: int
    quantity: Decimal | None
    price: Decimal | None
    cause: str


class OrderImage(msgspec.Struct, frozen=True):
    """One order: its intent with the terms as they are now, and what became of it."""

    intent: f.OrderIntended
    state: OrderState
    filled: Decimal
    fills: tuple[Fill, ...]
    venue_order_ids: tuple[str, ...]
    operation: OperationImage | None
    operations: int
    reason: str
    cancel_wanted: bool
    cancelled_for: str = ""
    followed_by: str = ""


class BookImage(msgspec.Struct, frozen=True):
    """One book. What open orders may still trade is the sum of theirs, but for its digits; see `_with_digits`."""

    strategy: str
    instrument: InstrumentId
    quantity: Decimal
    cost: Decimal
    realised: Decimal
    costs: dict[str, Decimal]
    buys: Decimal
    sells: Decimal


class NetImage(msgspec.Struct, frozen=True):
    """What an instrument's books come to where they close each other; quantities are the sums of theirs, but for their digits."""

    instrument: InstrumentId
    quantity: Decimal
    cost: Decimal
    realised: Decimal
    buys: Decimal
    sells: Decimal


class AccountImage(msgspec.Struct, frozen=True):
    """One account's balances."""

    venue: str
    account: Account | None
    totals: dict[str, Decimal]
    foreign: dict[str, Decimal]
    flows: dict[str, Decimal]
    told: tuple[Balance, ...]
    asked_at_ns: int
    margin_used: Decimal | None
    margin_available: Decimal | None
    since: tuple[tuple[int, str, Decimal], ...]
    reserved: dict[str, Decimal]


class StateImage(msgspec.Struct, frozen=True):
    """Everything."""

    instruments: tuple[Instrument, ...]
    orders: tuple[OrderImage, ...]
    sequence: tuple[dict[InstrumentId, tuple[str, ...]], tuple[str, ...]]
    """See `OrderBlotter.sequence`."""
    books: tuple[BookImage, ...]
    nets: tuple[NetImage, ...]
    accounts: tuple[AccountImage, ...]
    lots: tuple[tuple[str, tuple[HeldLot, ...]], ...]
    latches: tuple[f.StateSet, ...]
    halt_generation: int
    targets: tuple[f.TargetSet, ...]
    protections: tuple[ProtectionHeld, ...]
    day: str
    day_profits: dict[str, Decimal]
    peaks: dict[str, Decimal]
    prices: dict[InstrumentId, Decimal]
    """The last good ones of what is held."""
    saves: tuple[StrategySaved, ...]
    cursors: tuple[tuple[str, str, str], ...]
    timers: tuple[tuple[str, str, int], ...]
    quarantined: tuple[StrategyFaulted, ...]
    run: f.RunStarted | None
    last_order_id: str
    last_order_event_ns: dict[InstrumentId, int]
    tallies: TalliesImage = TalliesImage()
    gone: tuple[tuple[str, tuple[HeldLot, ...]], ...] = ()
    """Lots that snapshots showed no more."""
    protecting: tuple[ProtectionIntended, ...] = ()
    overdue: tuple[ProtectionOverdue, ...] = ()
    last_write_id: str = ""
    """Of the newest write of a lot's exits."""
    shape: str = ""
    """See `shape`; images of before it existed have none."""


class _Shaped(msgspec.Struct):
    """What is read of an image first."""

    shape: str = ""


@cache
def shape() -> str:
    """Return a name for the fields and types of this version's images."""
    schema = msgspec.json.encode(msgspec.json.schema(StateImage), order="sorted")
    return hashlib.blake2b(schema, digest_size=8).hexdigest()


def dump(state: State) -> bytes:
    """Return the state as msgspec JSON."""
    portfolio = state.portfolio
    booked = {book.instrument.id for book in portfolio.books()}
    image = StateImage(
        instruments=tuple(portfolio.instruments.values()),
        orders=tuple(_order_image(order) for order in state.orders.all_orders()),
        sequence=state.orders.sequence(),
        books=tuple(
            BookImage(
                book.strategy,
                book.instrument.id,
                book.quantity,
                book.cost,
                book.realised,
                book.costs,
                book.buys,
                book.sells,
            )
            for book in portfolio.books()
        ),
        nets=tuple(
            NetImage(instrument, net.quantity, net.cost, net.realised, net.buys, net.sells)
            for instrument, net in portfolio.nets.items()
            if instrument in booked
        ),
        accounts=tuple(
            AccountImage(
                one.venue,
                one.account,
                one.totals,
                one.foreign,
                one.flows,
                one.told,
                one.asked_at_ns,
                one.margin_used,
                one.margin_available,
                one.since,
                one.reserved,
            )
            for one in portfolio.accounts.values()
        ),
        lots=tuple((venue, lots.all()) for venue, lots in state.lots.items()),
        latches=tuple(state.latches.values()),
        halt_generation=state.halt_generation,
        targets=tuple(state.targets.values()),
        protections=tuple(state.protections.values()),
        day=state.baselines.day,
        day_profits=state.baselines.begun,
        peaks=state.baselines.peaks,
        prices=state.rates.recorded,
        saves=tuple(state.saves.values()),
        cursors=tuple((*key, value) for key, value in state.cursors.items()),
        timers=tuple((*key, value) for key, value in state.timers.items()),
        quarantined=tuple(state.quarantined.values()),
        run=state.run,
        last_order_id=state.last_order_id,
        last_order_event_ns=state.last_order_event_ns,
        tallies=state.tallies.dump(),
        gone=tuple((venue, lots.gone()) for venue, lots in state.lots.items()),
        protecting=tuple(state.guarding.writes.values()),
        overdue=tuple(state.guarding.overdue.values()),
        last_write_id=state.guarding.last_id,
        shape=shape(),
    )
    return msgspec.json.encode(image)


def restore(state: State, data: bytes) -> None:
    """Bring an empty state to what `dump` wrote.

    Raises:
        SnapshotOutdated: `data` was written by a version whose images have another shape; the state is as it was.
        msgspec.DecodeError: when `data` is no image.
    """
    found = msgspec.json.decode(data, type=_Shaped).shape
    if found != shape():
        raise SnapshotOutdated(f"a snapshot of shape {found or 'unnamed'}, this quantd writes {shape()}")
    image = msgspec.json.decode(data, type=StateImage)
    portfolio = state.portfolio
    for instrument in image.instruments:
        portfolio.listed(instrument)
        state.rates.listed(instrument)
    for account_image in image.accounts:
        portfolio.account(account_image.venue).restore(account_image)
    for book_image in image.books:
        book = portfolio.book(book_image.strategy, book_image.instrument)
        book.quantity, book.cost, book.realised = book_image.quantity, book_image.cost, book_image.realised
        book.costs = book_image.costs
        portfolio.exposed[book_image.instrument] = None
    for net_image in image.nets:
        net = portfolio.nets[net_image.instrument]
        net.quantity, net.cost, net.realised = net_image.quantity, net_image.cost, net_image.realised
    for order_image in image.orders:
        state.take_in(_order(order_image))
    state.orders.arrange(*image.sequence)
    _with_digits(portfolio, image)
    gone = dict(image.gone)
    for venue, held in image.lots:
        state.lots.setdefault(venue, Lots()).restore(held, gone.get(venue, ()))
    state.latches = {latch.scope: latch for latch in image.latches}
    state.halt_generation = image.halt_generation
    state.targets = {(target.strategy, target.instrument): target for target in image.targets}
    state.protections.update((guard.parent, guard) for guard in image.protections)
    state.guarding.writes.update((write.client_order_id, write) for write in image.protecting)
    state.guarding.last_id = image.last_write_id
    state.guarding.overdue.update((one.entry, one) for one in image.overdue)
    baselines = state.baselines
    baselines.day, baselines.begun, baselines.peaks = image.day, image.day_profits, image.peaks
    state.rates.recorded = image.prices
    state.saves = {save.strategy: save for save in image.saves}
    state.cursors = {(venue, name): value for venue, name, value in image.cursors}
    state.timers = {(strategy, name): at_ns for strategy, name, at_ns in image.timers}
    state.quarantined = {fault.strategy: fault for fault in image.quarantined}
    state.run = image.run
    state.last_order_id = image.last_order_id
    state.last_order_event_ns = image.last_order_event_ns
    state.tallies.restore(image.tallies)


def _with_digits(portfolio: Portfolio, image: StateImage) -> None:
    """Give what is summed over the open orders the digits that it had: 1.000 and 1 are one quantity, but two texts.

    A replay folds the journal from its first record on, and what a denial says would differ from what the run wrote.
    """
    for book_image in image.books:
        book = portfolio.book(book_image.strategy, book_image.instrument)
        book.buys, book.sells = _as(book.buys, book_image.buys), _as(book.sells, book_image.sells)
    for net_image in image.nets:
        net = portfolio.nets[net_image.instrument]
        net.buys, net.sells = _as(net.buys, net_image.buys), _as(net.sells, net_image.sells)
    for account_image in image.accounts:
        account = portfolio.account(account_image.venue)
        kept = {
            asset: _as(account.reserved.get(asset, ZERO), amount) for asset, amount in account_image.reserved.items()
        }
        account.reserved = kept | {asset: amount for asset, amount in account.reserved.items() if asset not in kept}


def _as(summed: Decimal, written: Decimal) -> Decimal:
    return written if written == summed else summed


def _order_image(order: LiveOrder) -> OrderImage:
    intent = f.OrderIntended(
        client_order_id=order.client_order_id,
        strategy=order.strategy,
        spec=order.spec,
        origin=order.origin,
        role=order.role,
        deadline_at_ns=order.deadline_at_ns,
        at_ns=order.intended_at_ns,
        exit=order.exit,
        why=order.why,
        parent=order.parent,
        group=order.group,
        lot=order.lot,
        protect=order.protect,
        reference=order.reference,
        held=order.held,
        for_target=order.for_target,
    )
    operation = order.operation
    return OrderImage(
        intent,
        order.state,
        order.filled,
        tuple(order.fills.values()),
        tuple(order.venue_order_ids),
        None
        if operation is None
        else OperationImage(
            operation.kind,
            operation.number,
            operation.phase,
            operation.since_ns,
            operation.quantity,
            operation.price,
            operation.cause,
        ),
        order.operations,
        order.reason,
        order.cancel_wanted,
        order.cancelled_for,
        order.followed_by,
    )


def _order(image: OrderImage) -> LiveOrder:
    order = LiveOrder(image.intent)
    order.state = image.state
    order.filled = image.filled
    order.fills = {fill.id: fill for fill in image.fills}
    order.venue_order_ids = list(image.venue_order_ids)
    order.operations = image.operations
    order.reason = image.reason
    order.cancel_wanted = image.cancel_wanted
    order.cancelled_for, order.followed_by = image.cancelled_for, image.followed_by
    order.operation = None
    if image.operation is not None:
        told = image.operation
        order.operation = Operation(told.kind, told.number, told.since_ns)
        order.operation.phase = told.phase
        order.operation.quantity = told.quantity
        order.operation.price = told.price
        order.operation.cause = told.cause
    return order
