"""What a venue shows that our books do not: a pure plan, each difference with its answer, and which of them count.

`plan` compares one snapshot with the state and changes nothing. One look proves little, as a report may be on its way: a
difference counts when a second look shows the same and nothing happened to its instrument in between (`Suspicions`).
Until then it only blocks new exposure in that instrument.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from hashlib import sha256

import msgspec

from quantd.domain.cash import PositionMode
from quantd.domain.events import ReconcileAction
from quantd.domain.instruments import InstrumentId
from quantd.domain.lots import Lot
from quantd.domain.numbers import ZERO, plain
from quantd.domain.orders import OrderState
from quantd.domain.reports import AccountSnapshot, OrderReport
from quantd.engine.orders import LiveOrder
from quantd.engine.state import State

UNLISTED = "unlisted"
"""Said of ours where the instrument is none that we know: nobody can repair that but a person."""
ASK = "ask"
"""The answer to what our own order may explain: the venue is asked for the order, whose worst case stays reserved."""
TAKE = "take"
"""The answer to balances: the venue's word is taken as it is."""
_LISTS_LAG_NS = 30_000_000_000
"""Longest time for which a venue's list of open orders may still show one that has ended: the longest quiet period."""
COUNTED = frozenset({"adopt", "close", "refuse"})
"""Answers that change something, and wait for a second look."""


class Policies(msgspec.Struct, frozen=True):
    """What differences of one venue are answered with."""

    default: ReconcileAction
    instruments: Mapping[str, ReconcileAction] = {}
    """By instrument id, where it is another answer than the venue's."""

    def of(self, instrument: str) -> ReconcileAction:
        """Return the answer to differences of an instrument."""
        return self.instruments.get(instrument, self.default)


class Difference(msgspec.Struct, frozen=True):
    """One thing in which we and a venue do not agree."""

    kind: str
    """``foreign_order``, ``missing_order``, ``ended_order``, ``position``, ``lot`` or ``balance``."""
    subject: str
    """Venue order id, our order id, instrument, venue lot id or asset."""
    ours: str
    theirs: str
    action: str
    """``adopt``, ``close``, ``ignore``, ``refuse``, `ASK` or `TAKE`."""
    instrument: str = ""


def plan(ours: State, theirs: AccountSnapshot, policies: Policies) -> list[Difference]:
    """Return all differences; pure. What changed after the venue was asked is no difference yet."""
    return [
        *_orders(ours, theirs, policies),
        *_positions(ours, theirs, policies),
        *_lots(ours, theirs, policies),
        *_balances(ours, theirs),
    ]


def digest(differences: Iterable[Difference]) -> str:
    """Return what a plan is confirmed by: it changes when any difference does. Balances, which are taken as
    they come and move with every fee, are not in it.
    """
    told = (one for one in differences if one.action != TAKE)
    lines = sorted(msgspec.json.encode((one.kind, one.subject, one.ours, one.theirs)) for one in told)
    return sha256(b"\n".join(lines)).hexdigest()[:16]


def is_quiet(state: State, instrument: str, since_ns: int) -> bool:
    """Whether nothing has happened to an instrument's orders from `since_ns` on, and nothing is in flight."""
    return state.last_order_event_ns.get(InstrumentId(instrument), 0) < since_ns and not any(
        order.operation is not None for order in state.orders.open_orders(InstrumentId(instrument))
    )


# -- orders ------------------------------------------------------------------------------------------------------------


def _orders(state: State, snapshot: AccountSnapshot, policies: Policies) -> Iterable[Difference]:
    shown: set[str] = set()
    for report in snapshot.orders:
        shown.add(report.venue_order_id)
        known = state.orders.by_venue_id(snapshot.venue, report.venue_order_id)
        if known is None and report.client_order_id is not None:
            known = state.orders.get(report.client_order_id)
        # An exit that hangs on a lot has no exposure of its own: the lot's difference speaks for it.
        if known is None and not report.lot and not _may_be_ours(state, report):
            strange = report.instrument not in state.portfolio.instruments
            action = _action(policies, report.instrument, strange)
            ours = UNLISTED if strange else ""
            yield Difference("foreign_order", report.venue_order_id, ours, _told(report), action, report.instrument)
        elif known is not None and _is_alive(state, known, report, snapshot.asked_at_ns):
            action = ReconcileAction.CLOSE.value
            yield Difference(
                "ended_order", known.client_order_id, known.state.value, _told(report), action, known.instrument
            )
    if not snapshot.orders_complete:
        return
    for order in state.orders.open_orders():
        settled = order.is_acknowledged and order.operation is None and not order.held
        quiet = state.last_order_event_ns.get(order.instrument, 0) < snapshot.asked_at_ns
        mine = order.instrument.partition(":")[0] == snapshot.venue
        if mine and settled and quiet and not shown.intersection(order.venue_order_ids):
            yield Difference(
                "missing_order", order.client_order_id, order.state.value, "not open", ASK, order.instrument
            )


def _is_alive(state: State, order: LiveOrder, report: OrderReport, asked_at_ns: int) -> bool:
    """Whether an order that has ended for us is open at the venue, by a list that is too new to be a stale one.

    It was called not executed and came late, or its cancel did not hold: nobody waits for it any more.
    """
    changed_at_ns = state.last_order_event_ns.get(order.instrument, 0)
    is_shown = report.state in (OrderState.WORKING, OrderState.PARTIALLY_FILLED)
    return (
        is_shown
        and not order.is_open
        and order.state is not OrderState.FILLED
        and asked_at_ns - changed_at_ns > _LISTS_LAG_NS
    )


def _may_be_ours(state: State, report: OrderReport) -> bool:
    """Whether an unknown submit of ours has these terms: then it is the resolution's business, not a foreigner."""
    return any(
        order.operation is not None
        and not order.is_acknowledged
        and order.spec.side is report.side
        and order.spec.quantity == report.quantity
        and (order.spec.price is None or report.price is None or order.spec.price == report.price)
        for order in state.orders.open_orders(report.instrument)
    )


def _told(report: OrderReport) -> str:
    """Return an order's terms as the venue tells them, with what no word of ours tells."""
    side = report.side.value if report.side else "?"
    kind = report.kind.value if report.kind else "order"
    trigger = f" trigger {report.trigger}" if report.trigger is not None else ""
    return f"{kind} {side} {report.quantity} {report.instrument} at {report.price}{trigger}"


def _action(policies: Policies, instrument: str, strange: bool) -> str:
    """Return the answer to a difference; what is not listed cannot be repaired, and only ignored or refused."""
    action = policies.of(instrument)
    if strange and action is not ReconcileAction.IGNORE:
        return ReconcileAction.REFUSE.value
    return action.value


# -- positions and lots ------------------------------------------------------------------------------------------------


def _positions(state: State, snapshot: AccountSnapshot, policies: Policies) -> Iterable[Difference]:
    account = state.portfolio.account(snapshot.venue)
    if not account.is_margin:
        return
    theirs: dict[InstrumentId, Decimal] = {}
    for lot in (*snapshot.lots, *_unlisted(state, snapshot)):
        theirs[lot.instrument] = theirs.get(lot.instrument, ZERO) + lot.signed
    for instrument, net in state.portfolio.nets.items():
        if instrument.partition(":")[0] != snapshot.venue or not is_quiet(state, instrument, snapshot.asked_at_ns):
            continue
        held = theirs.get(instrument, ZERO)
        change = held - net.quantity
        if not change or (not snapshot.lots_complete and abs(held) < abs(net.quantity)):
            continue  # a list that is not whole proves no absence
        explained = ZERO < change <= net.buys or ZERO < -change <= net.sells
        action = ASK if explained else policies.of(instrument).value
        yield Difference("position", instrument, plain(net.quantity), plain(held), action, instrument)
    for instrument, quantity in theirs.items():
        if quantity and instrument not in state.portfolio.nets:
            yield Difference(
                "position", instrument, UNLISTED, plain(quantity), _action(policies, instrument, True), instrument
            )


def _unlisted(state: State, snapshot: AccountSnapshot) -> Iterable[Lot]:
    """Return our lots that a list lacks which is not whole: on a hedging account one may be missing on either side."""
    known = state.lots.get(snapshot.venue)
    if snapshot.lots_complete or known is None or not state.portfolio.account(snapshot.venue).is_hedging:
        return ()
    shown = {lot.venue_id for lot in snapshot.lots}
    return (held.lot for held in known.all() if held.lot.venue_id not in shown)


def _lots(state: State, snapshot: AccountSnapshot, policies: Policies) -> Iterable[Difference]:
    """On a hedging account the sum may agree while the lots do not: what is to be closed is another one then."""
    account = state.portfolio.account(snapshot.venue).account
    known = state.lots.get(snapshot.venue)
    if account is None or account.mode is not PositionMode.HEDGING or known is None:
        return
    ours = {held.lot.venue_id: held.lot for held in known.all()}
    theirs = {lot.venue_id: lot for lot in snapshot.lots}
    for lot_id in ours | theirs:
        mine, shown = ours.get(lot_id), theirs.get(lot_id)
        if (shown is None and not snapshot.lots_complete) or _text(mine) == _text(shown):
            continue
        one = shown or mine
        assert one is not None
        if one.instrument not in state.portfolio.nets or not is_quiet(state, one.instrument, snapshot.asked_at_ns):
            continue
        action = ASK if _is_expected(state, one.instrument) else policies.of(one.instrument).value
        yield Difference("lot", lot_id, _text(mine), _text(shown), action, one.instrument)


def changes_of_owners(
    state: State, snapshot: AccountSnapshot, instrument: InstrumentId, change: Decimal
) -> dict[str, Decimal]:
    """Return by strategy what of a position's change is the coming or going of its own lots; the rest is EXTERNAL's.

    Somebody closed a lot by hand, or the venue did and never says so: the book of whose lot it was has nothing more to
    exit. Only where each lot is the work of one strategy: not where the account's oldest lot goes first, nor where several
    share the one position of a netting account. There an order may also have closed another's lot than its own, so that
    no more is taken for a strategy's than the position itself has changed.
    """
    account, lots = state.portfolio.account(snapshot.venue).account, state.lots.get(snapshot.venue)
    if account is None or lots is None or account.first_in_first_out or not snapshot.lots_complete:
        return {}
    theirs = {held.strategy: ZERO for held in (*lots.all(), *lots.gone()) if held.lot.instrument == instrument}
    for lot in snapshot.lots:
        if lot.instrument == instrument:
            owner = lots.owner_of(lot, state.orders)
            theirs[owner] = theirs.get(owner, ZERO) + lot.signed
    theirs.pop("", None)
    is_netting = account.mode is PositionMode.NETTING
    if is_netting:
        sharing = [book for book in state.portfolio.books(instrument) if book.strategy and book.quantity]
        if len(theirs) > 1 or len(sharing) > 1:
            return {}
    found: dict[str, Decimal] = {}
    for owner, quantity in theirs.items():
        missing = quantity - state.portfolio.book(owner, instrument).quantity
        if is_netting:
            missing = min(missing, change, key=abs) if missing * change > 0 else ZERO
        if missing:
            found[owner] = missing
    return found


def _is_expected(state: State, instrument: InstrumentId) -> bool:
    """Whether an order of ours may have changed the lots without our knowing yet."""
    net = state.portfolio.nets[instrument]
    return bool(net.buys or net.sells)


def _text(lot: Lot | None) -> str:
    """Tell what is compared of a lot; 0.10 and 0.1 are one quantity."""
    return "" if lot is None else f"{lot.side.value} {plain(lot.quantity)} {lot.instrument}"


def _balances(state: State, snapshot: AccountSnapshot) -> Iterable[Difference]:
    account = state.portfolio.account(snapshot.venue)
    if not account.asked_at_ns:
        return
    for balance in snapshot.balances:
        ours = account.totals.get(balance.asset, ZERO)
        if ours != balance.total:
            yield Difference("balance", balance.asset, plain(ours), plain(balance.total), TAKE)


# -- which of them count -----------------------------------------------------------------------------------------------


class _Seen(msgspec.Struct, frozen=True):
    difference: Difference
    asked_at_ns: int
    """Of the look that showed it first."""


class Suspicions:
    """What one look has shown and a second has not yet confirmed, by venue. Not kept over a restart: the start looks."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._seen: dict[str, dict[tuple[str, str], _Seen]] = {}
        self._blocked: dict[str, int] = {}
        """Instrument -> when the look was asked for that made it suspect."""

    def confirmed(
        self, differences: Iterable[Difference], snapshot: AccountSnapshot, agreed_at_ns: int = 0
    ) -> list[Difference]:
        """Take in a look's differences and return those that an earlier look has shown alike.

        Args:
            differences: What this look shows.
            snapshot: Where it shows it.
            agreed_at_ns: When a look was asked for that is known to have shown the same; 0 without one.
        """
        before = self._seen.get(snapshot.venue, {})
        differences = list(differences)
        if agreed_at_ns:
            before = {(one.kind, one.subject): _Seen(one, agreed_at_ns) for one in differences}
        now: dict[tuple[str, str], _Seen] = {}
        certain = []
        for one in differences:
            if one.action not in COUNTED:
                continue
            key = (one.kind, one.subject)
            known = before.get(key)
            same = known is not None and (known.difference.ours, known.difference.theirs) == (one.ours, one.theirs)
            if known is None or not same or not is_quiet(self._state, one.instrument, known.asked_at_ns):
                now[key] = _Seen(one, snapshot.asked_at_ns)
                continue
            now[key] = known
            if known.asked_at_ns < snapshot.asked_at_ns:
                certain.append(one)
        self._seen[snapshot.venue] = now
        self._block(snapshot.venue)
        return certain

    def settled(self, venue: str, differences: Iterable[Difference]) -> None:
        """Forget differences that were repaired."""
        seen = self._seen.get(venue, {})
        for one in differences:
            seen.pop((one.kind, one.subject), None)
        self._block(venue)

    def blocks(self, instrument: str) -> bool:
        """Whether new exposure must wait; an order's event since then asks for a new look before it blocks again."""
        since_ns = self._blocked.get(instrument)
        return since_ns is not None and self._state.last_order_event_ns.get(InstrumentId(instrument), 0) < since_ns

    def of(self, venue: str) -> tuple[Difference, ...]:
        """Return what is suspected at a venue."""
        return tuple(one.difference for one in self._seen.get(venue, {}).values())

    def _block(self, venue: str) -> None:
        self._blocked = {key: at for key, at in self._blocked.items() if key.partition(":")[0] != venue}
        for one in self._seen[venue].values() if venue in self._seen else ():
            self._blocked[one.difference.instrument] = one.asked_at_ns
