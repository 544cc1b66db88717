"""Any order of fills by lot, snapshots, exits set and refused, and closes by the venue: books and lots stay one.

The machine of `test_engine_machine` on a hedging account whose venue holds exits: each entry opens a lot, each reduction
closes one, and the venue closes lots by itself, in parts too.
"""

from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from quantd.domain.capabilities import LotWrite, Support
from quantd.domain.events import OutcomeReceived
from quantd.domain.fills import Fill
from quantd.domain.instruments import InstrumentId
from quantd.domain.lots import Lot, LotProtection
from quantd.domain.orders import ClientOrderId, Market, OrderKind, OrderState, Origin, Protect, Side
from quantd.domain.outcomes import Accepted, NotExecuted, Rejected, Unknown
from quantd.domain.reports import OrderReport
from quantd.engine.lots import HeldLot
from quantd.engine.orders import LiveOrder
from quantd.testing.builders import Rig, make_lot_capabilities, make_snapshot
from tests.property.limits import STRATEGIES
from tests.property.test_engine_machine import EngineMachine, instruments_, prices, sides, strategies_

D = Decimal
_OUTCOMES = st.sampled_from([Accepted(), Accepted(), Rejected("no"), NotExecuted("rate_limited"), Unknown("timeout")])


class LotMachine(EngineMachine):
    """One engine and one hedging account."""

    @initialize(native=st.booleans(), repeats=st.booleans())
    def start(self, native: bool, repeats: bool) -> None:
        self.margin = True
        support = Support.NATIVE if native else Support.EMULATED
        self.capabilities = make_lot_capabilities(
            bracket=support,
            trailing=support,
            repeat_safe_lot_writes=frozenset({LotWrite.CLOSE_WHOLE, LotWrite.PROTECT} if repeats else ()),
        )
        self.closes = 0
        self.rig = self.make()

    def make(self, kind: type[Rig] = Rig, **more: Any) -> Rig:
        return super().make(kind, hedging=True, **more)

    # -- the venue's lots ----------------------------------------------------------------------------------------

    def lots(self) -> tuple[HeldLot, ...]:
        known = self.rig.state.lots.get("paper")
        return () if known is None else known.all()

    def fill_by(self, order: LiveOrder, most: Decimal, told: int, *, repeat: bool = False) -> None:
        """Fill an order in its lot: the one that it closes, else one of its own."""
        quantity = min(most, order.spec.quantity - order.filled)
        if order.lot:
            held = next((one for one in self.lots() if one.lot.venue_id == order.lot), None)
            quantity = min(quantity, D(0) if held is None else held.lot.quantity)
        if quantity <= 0:
            return
        filled = order.filled + quantity
        price = order.spec.price or self.marks[order.instrument]
        lot = order.lot or f"L{order.client_order_id}"
        if not order.lot and any(one.lot.venue_id == lot for one in self.rig.state.lots["paper"].gone()):
            lot = f"{lot}-{len(order.fills)}"  # what is closed stays closed: the rest of an order opens another
        fill = Fill(f"t{len(order.fills)}-{order.client_order_id}", quantity, price, lot=lot)
        state = OrderState.FILLED if filled == order.spec.quantity else OrderState.PARTIALLY_FILLED
        report = self.report(order, filled_quantity=filled, state=state, fills=(fill,))
        self.step(lambda: self.rig.handle(report))
        if repeat:
            facts = len(self.rig.facts)
            self.rig.handle(report)
            assert len(self.rig.facts) == facts, "a duplicate report changed something"

    @rule(name=strategies_, where=instruments_, side=sides, trail=st.none() | st.integers(1, 9), whole=st.booleans())
    def enter(self, name: str, where: InstrumentId, side: Side, trail: int | None, whole: bool) -> None:
        """Open a lot under exits, in the way that most entries go."""
        away = -10 if side is Side.BUY else 10
        protect = Protect(stop=self.marks[where] + away, trail=trail)
        act = "buy" if side is Side.BUY else "sell"
        order: Any = None

        def placing() -> None:
            nonlocal order
            order = self.rig.do(lambda s: getattr(s, act)(where, D(1), Market(), protect=protect), name)

        self.step(placing)
        if order and self.rig.live(order).operation is not None:
            self.step(lambda: self.rig.accept(order))
            self.fill_by(self.rig.live(order), D(1) if whole else D("0.5"), 0)

    @rule(data=st.data(), part=st.integers(1, 4), kind=st.sampled_from([OrderKind.STOP, OrderKind.LIMIT]))
    def venue_closes(self, data: st.DataObject, part: int, kind: OrderKind) -> None:
        """The venue closes a lot by an exit of its own, or a part of it; told twice."""
        if not self.lots():
            return
        held = data.draw(st.sampled_from(self.lots()))
        lot = held.lot
        quantity = lot.quantity if part > 2 else (lot.quantity * part / 4).quantize(D("0.001"))
        if not 0 < quantity <= lot.quantity:
            return
        self.closes += 1
        before = self.rig.state.portfolio.book(held.strategy, lot.instrument).quantity
        report = OrderReport(
            lot.instrument,
            f"exit{self.closes}",
            OrderState.FILLED,
            quantity,
            self.rig.now_ns,
            side=lot.side.opposite,
            quantity=quantity,
            price=self.marks[lot.instrument],
            fills=(Fill(f"x{self.closes}", quantity, self.marks[lot.instrument], lot=lot.venue_id),),
            kind=kind,
            lot=lot.venue_id,
        )
        for _ in range(2):
            self.step(lambda: self.rig.handle(report))
        after = self.rig.state.portfolio.book(held.strategy, lot.instrument).quantity
        assert abs(before - after) == quantity, "booked on whose lot it is, once"

    @rule(data=st.data(), older=st.booleans())
    def show(self, data: st.DataObject, older: bool) -> None:
        """A snapshot of the lots, with or without their exits; it may have been asked for before what came last."""
        shown = [
            one.lot if data.draw(st.booleans()) else shown_otherwise(one.lot, data.draw(st.booleans()))
            for one in self.lots()
        ]
        if not older:
            self.rig.now_ns += 1
        at_ns = self.rig.now_ns - 1 if older else self.rig.now_ns
        snapshot = make_snapshot({"USD": 1_000}, at_ns=at_ns, lots=tuple(shown))
        self.step(lambda: self.rig.handle(snapshot))

    @rule(data=st.data(), outcome=_OUTCOMES)
    def answer_exits(self, data: st.DataObject, outcome: Any) -> None:
        """Answer a write of exits."""
        writes = list(self.rig.state.guarding.writes)
        if writes:
            write = data.draw(st.sampled_from(writes))
            event = OutcomeReceived(ClientOrderId(write), 1, outcome, self.rig.now_ns)
            self.step(lambda: self.rig.handle(event))

    @rule(name=strategies_, where=instruments_, stop=st.none() | prices, trail=st.none() | st.integers(1, 9))
    def change_exits(self, name: str, where: InstrumentId, stop: Decimal | None, trail: int | None) -> None:
        self.step(lambda: self.rig.do(lambda s: s.protect(where, Protect(stop=stop, trail=trail)), name))

    # -- what must hold ------------------------------------------------------------------------------------------

    @invariant()
    def lots_and_books_are_one(self) -> None:
        for name in STRATEGIES:
            for book in self.rig.state.portfolio.books():
                if book.strategy == name:
                    mine = [
                        one.lot.signed
                        for one in self.lots()
                        if one.strategy == name and one.lot.instrument == book.instrument.id
                    ]
                    assert sum(mine, D(0)) == book.quantity, f"{name} {book.instrument.id}"

    @invariant()
    def guards_are_as_large_as_their_lots(self) -> None:
        for guard in self.rig.state.guarding.held.values():
            mine = sum((one.lot.signed for one in self.lots() if one.entry == guard.parent), D(0))
            assert abs(guard.quantity) <= abs(mine), f"{guard.parent} guards {guard.quantity} of {mine}"

    @invariant()
    def no_lot_is_closed_by_two_orders(self) -> None:
        closing = [
            order.lot for order in self.rig.state.orders.open_orders() if order.lot and order.origin is not Origin.VENUE
        ]
        assert len(closing) == len(set(closing))


def shown_otherwise(lot: Lot, bare: bool) -> Lot:
    """Return a lot with no exits, or with a stop that nobody asked for."""
    return msgspec.structs.replace(lot, protection=LotProtection() if bare else LotProtection(stop=D(50)))


LotMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestLots = LotMachine.TestCase
