"""What must be true of an engine at every moment: sums that are kept equal sums that are counted, and the fold is exact.

Used by the tests of the engine, of the gate and of the state machine, after every step or at the end of a test.
"""

from collections import Counter, defaultdict
from decimal import Decimal

import msgspec

from quantd.domain.capabilities import LotWrite
from quantd.domain.commands import CloseLot, Submit
from quantd.domain.facts import AmendIntended, CancelIntended, OrderIntended, OrderReleased
from quantd.domain.orders import ENDS, Origin, Side
from quantd.domain.protection_facts import ProtectionIntended
from quantd.engine.images import dump, restore
from quantd.engine.rates import Rates
from quantd.engine.reservations import reservation_of
from quantd.engine.state import State
from quantd.testing.builders import Rig
from quantd.testing.portrait import portrait

ZERO = Decimal(0)


def check_rig(rig: Rig) -> None:
    """Check a rig: its state, the fold of its facts, an image of its state, and what it sent.

    Raises:
        AssertionError: naming what does not hold.
    """
    check_state(rig.state)
    live = portrait(rig.state)
    assert portrait(rig.shadow) == live, "the fold of the facts differs from the live state"
    check_commands(rig)


def check_image(rig: Rig) -> None:
    """Check that a snapshot of the state brings it back, sums included."""
    restored = State(Rates(rig.risk.base_currency))
    restore(restored, dump(rig.state))
    check_state(restored)
    assert portrait(restored) == portrait(rig.state), "the restored image differs from the live state"


def check_state(state: State) -> None:
    """Compare every sum that the state keeps with the sum over the orders."""
    orders = list(state.orders.all_orders())
    portfolio = state.portfolio
    buys: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    sells: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    counts: Counter[str] = Counter()
    unknown: Counter[str] = Counter()
    reserved: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for order in orders:
        assert order.is_open == (order.state not in ENDS), f"{order.client_order_id}: open and {order.state}"
        if order.origin is not Origin.EXTERNAL:
            told = sum((fill.quantity for fill in order.fills.values()), ZERO)
            assert told == order.filled, f"{order.client_order_id}: fills of {told}, filled {order.filled}"
        if order.is_unknown:
            unknown[order.instrument] += 1
        if not order.is_open:
            assert order.remaining == 0
            assert order.reservation[1] == 0, f"{order.client_order_id} has ended and still reserves"
            continue
        sums = buys if order.spec.side is Side.BUY else sells
        sums[order.strategy, order.instrument] += order.remaining
        venue = order.instrument.partition(":")[0]
        for scope in (f"strategy:{order.strategy}", f"instrument:{order.instrument}", f"venue:{venue}", "account"):
            counts[scope] += 1
        account = portfolio.account(venue)
        expected = reservation_of(order, portfolio.instruments[order.instrument], account)
        assert order.reservation == expected, f"{order.client_order_id} reserves {order.reservation}, not {expected}"
        reserved[venue, expected[0]] += expected[1]
    for book in portfolio.books():
        key = (book.strategy, book.instrument.id)
        assert book.buys == buys.get(key, ZERO), f"buys of {key}"
        assert book.sells == sells.get(key, ZERO), f"sells of {key}"
    for instrument, net in portfolio.nets.items():
        books = list(portfolio.books(instrument))
        assert net.quantity == sum((book.quantity for book in books), ZERO), f"sum of books of {instrument}"
        assert net.buys == sum((book.buys for book in books), ZERO), f"sum of buys of {instrument}"
        assert net.sells == sum((book.sells for book in books), ZERO), f"sum of sells of {instrument}"
        assert net.unknown == unknown[instrument], f"unknown operations of {instrument}"
        if net.quantity or net.buys or net.sells:
            assert instrument in portfolio.exposed, f"{instrument} is held and not exposed"
    assert {scope: n for scope, n in portfolio.open_orders.items() if n} == dict(counts), "numbers of open orders"
    for venue, account in portfolio.accounts.items():
        kept = {asset: amount for asset, amount in account.reserved.items() if amount}
        summed = {asset: amount for (one, asset), amount in reserved.items() if one == venue and amount}
        assert kept == summed, f"reservations at {venue}"


def check_commands(rig: Rig) -> None:
    """Check that nothing was sent that is not among the facts, and no write twice."""
    intended = {fact.client_order_id for fact in rig.facts if isinstance(fact, OrderIntended | ProtectionIntended)}
    written = {(fact.client_order_id, fact.operation) for fact in rig.facts if isinstance(fact, AmendIntended)}
    written |= {(fact.client_order_id, fact.operation) for fact in rig.facts if isinstance(fact, CancelIntended)}
    released = {fact.client_order_id for fact in rig.facts if isinstance(fact, OrderReleased)}
    seen: set[tuple[str, int]] = set()
    for command in rig.commands:
        order_id, operation = getattr(command, "client_order_id", ""), getattr(command, "operation", 0)
        assert order_id in intended or order_id.startswith("x-"), f"sent without intent: {command}"
        if operation and not (isinstance(command, CloseLot) and _closes_nothing_twice(rig, command)):
            assert (order_id, operation) not in seen, f"sent twice: {command}"
            seen.add((order_id, operation))
        if isinstance(command, Submit):
            assert operation == 1 or order_id in released
        elif operation > 1:
            assert (order_id, operation) in written, f"sent without a fact: {command}"


def _closes_nothing_twice(rig: Rig, command: CloseLot) -> bool:
    """Whether a whole lot is closed where the venue says that this may be repeated."""
    capabilities = rig.engine.context.capabilities[command.instrument.partition(":")[0]]
    return command.quantity is None and LotWrite.CLOSE_WHOLE in capabilities.repeat_safe_lot_writes


def facts_as_json(rig: Rig) -> list[bytes]:
    """Return all facts as they are written."""
    return [msgspec.json.encode(fact) for fact in rig.facts]
