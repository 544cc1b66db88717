"""Any order of orders, answers, fills, price moves and restarts: the gate's limits hold, the sums are right, the fold is exact.

A `RuleBasedStateMachine` drives `Engine.handle` as strategies, a venue and an operator would, with every outcome a venue
can have. After each step the invariants are checked against naive recounting; after each approval the worst case is held
against every hard limit.
"""

from collections.abc import Collection
from decimal import Decimal
from functools import partial
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from quantd.domain.capabilities import Capabilities
from quantd.domain.events import (
    CancelOrdered,
    FlattenOrdered,
    HaltOrdered,
    OperationResolved,
    OperationSent,
    OutcomeReceived,
    Resumed,
    TradingState,
)
from quantd.domain.facts import AmendIntended, OrderIntended
from quantd.domain.fills import Fill
from quantd.domain.instruments import FeeSchedule, InstrumentId
from quantd.domain.orders import (
    ENDS,
    Limit,
    Market,
    OperationKind,
    OperationPhase,
    OrderState,
    Protect,
    Side,
    Stop,
)
from quantd.domain.outcomes import Accepted, Ambiguous, Found, NotExecuted, NotFound, Rejected, StillUnknown, Unknown
from quantd.engine.orders import LiveOrder
from quantd.testing.builders import (
    SECOND_NS,
    Puppet,
    Rig,
    make_capabilities,
    make_instrument,
    make_plain_capabilities,
)
from tests.invariants import check_image, check_rig
from tests.property.limits import (
    ETH,
    GROSS,
    INSTRUMENTS,
    NET,
    NET_POSITION,
    OPEN_NOTIONAL,
    OPEN_ORDERS,
    OWN,
    POSITION,
    RATE,
    RISK,
    STRATEGIES,
)

D = Decimal
quantities = st.integers(1, 45).map(lambda n: D(n) / 10)
prices = st.integers(90, 110).map(D)
sides = st.sampled_from(Side)
strategies_ = st.sampled_from(STRATEGIES)
instruments_ = st.sampled_from(INSTRUMENTS)


class EngineMachine(RuleBasedStateMachine):
    """One engine, one venue of two instruments, two strategies."""

    def __init__(self) -> None:
        super().__init__()
        self.rig: Rig
        self.margin = False
        self.capabilities: Capabilities
        self.marks = dict.fromkeys(INSTRUMENTS, D(100))
        self.ids: set[str] = set()
        self.submits: list[tuple[int, bool]] = []

    @initialize(margin=st.booleans(), plain=st.booleans())
    def start(self, margin: bool, plain: bool) -> None:
        self.margin = margin
        self.capabilities = make_plain_capabilities() if plain else make_capabilities()
        self.rig = self.make()

    def make(self, kind: type[Rig] = Rig, **more: Any) -> Rig:
        rules: dict[str, Any] = {"fees": FeeSchedule(taker=D("0.001"))}
        if self.margin:
            rules["margin_rate"] = D("0.2")
        return kind(
            instruments=[make_instrument(one, **rules) for one in INSTRUMENTS],
            risk=RISK,
            limits=OWN,
            strategies={name: Puppet() for name in STRATEGIES},
            capabilities=self.capabilities,
            margin=self.margin,
            balances={"USD": 1_000} if self.margin else {"USD": 1_000, "BTC": 3, "ETH": 3},
            **more,
        )

    # -- what strategies do --------------------------------------------------------------------------------------

    @rule(
        name=strategies_,
        where=instruments_,
        side=sides,
        quantity=quantities,
        price=prices,
        kind=st.integers(0, 6),
        then=st.sampled_from(["accept", "accept", "fill", "fill", "leave"]),
    )
    def place(
        self, name: str, where: InstrumentId, side: Side, quantity: Decimal, price: Decimal, kind: int, then: str
    ) -> None:
        """Place an order, which the venue mostly takes at once."""
        how: Any = (Market(), Market(reduce_only=True), Stop(price))[kind] if kind < 3 else Limit(price)
        protect = Protect(stop=price - 10, take=price + 10) if kind == 6 else None
        act = "buy" if side is Side.BUY else "sell"
        order: Any = None

        def placing() -> None:
            nonlocal order
            order = self.rig.do(lambda s: getattr(s, act)(where, quantity, how, protect=protect), name)

        self.step(placing)
        if order and then != "leave" and self.rig.live(order).operation is not None:
            self.step(lambda: self.rig.accept(order))
            if then == "fill":
                self.fill_by(self.rig.live(order), quantity / 2, 0)

    @rule(name=strategies_, where=instruments_, quantity=st.integers(-6, 6), limit=st.none() | prices)
    def target(self, name: str, where: InstrumentId, quantity: int, limit: Decimal | None) -> None:
        how: Any = Market() if limit is None else Limit(limit)
        self.step(lambda: self.rig.do(lambda s: s.target(where, quantity, how), name))
        for order in list(self.rig.state.orders.open_orders(where)):
            operation = order.operation
            if limit is None and operation is not None and operation.kind is OperationKind.SUBMIT and order.strategy:
                told = Accepted((self.report(order, state=OrderState.WORKING),))
                self.step(partial(self.rig.answer, order, told))

    @rule(data=st.data(), quantity=st.none() | quantities, price=st.none() | prices)
    def amend(self, data: st.DataObject, quantity: Decimal | None, price: Decimal | None) -> None:
        order = self.pick(data, lambda one: one.is_open and bool(one.strategy))
        if order is not None:
            view = next(
                one
                for one in self.rig.do(lambda s: s.orders(), order.strategy) or []
                if one.id == order.client_order_id
            )
            self.step(lambda: self.rig.do(lambda s: s.amend(view, quantity, price), order.strategy))

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        order = self.pick(data, lambda one: one.is_open and bool(one.strategy))
        if order is not None:
            self.step(lambda: self.rig.do(lambda s: s.cancel_all(order.instrument), order.strategy))

    # -- what the venue answers ----------------------------------------------------------------------------------

    @rule(data=st.data())
    def send(self, data: st.DataObject) -> None:
        order = self.pick(data, lambda one: one.operation is not None and one.operation.phase is OperationPhase.PENDING)
        if order is not None and order.operation is not None:
            event = OperationSent(order.client_order_id, order.operation.number, self.rig.now_ns)
            self.step(lambda: self.rig.handle(event))

    @rule(data=st.data(), outcome=st.integers(0, 5))
    def answer(self, data: st.DataObject, outcome: int) -> None:
        order = self.pick(data, lambda one: one.operation is not None)
        if order is None or order.operation is None:
            return
        operation = order.operation
        cancels = operation.kind is OperationKind.CANCEL or (
            operation.kind is OperationKind.AMEND and self.capabilities.amend.value != "native"
        )
        if not cancels and operation.quantity is not None and operation.quantity < order.filled:
            outcome = 3  # no venue amends below what is filled
        working = OrderState.PARTIALLY_FILLED if order.filled else OrderState.WORKING
        state = OrderState.CANCELLED if cancels else working
        told: Any = (
            Accepted((self.report(order, state=state if order.is_open else order.state),)),
            Accepted((self.report(order, state=state if order.is_open else order.state),)),
            Accepted(),
            Rejected("no"),
            NotExecuted("rate_limited"),
            Unknown("timeout"),
        )[outcome]
        event = OutcomeReceived(order.client_order_id, operation.number, told, self.rig.now_ns)
        self.step(lambda: self.rig.handle(event))

    @rule(data=st.data(), resolution=st.integers(0, 4))
    def resolve(self, data: st.DataObject, resolution: int) -> None:
        order = self.pick(data, lambda one: one.is_unknown)
        if order is None or order.operation is None:
            return
        working = OrderState.PARTIALLY_FILLED if order.filled else OrderState.WORKING
        told: Any = (
            Found(self.report(order, state=working if order.is_open else order.state)),
            Found(self.report(order, state=OrderState.CANCELLED if order.is_open else order.state)),
            NotFound(),
            StillUnknown("timeout"),
            Ambiguous(("a", "b")),
        )[resolution]
        event = OperationResolved(order.client_order_id, order.operation.number, told, self.rig.now_ns)
        self.step(lambda: self.rig.handle(event))

    @rule(data=st.data(), tenths=st.integers(1, 60), told=st.integers(0, 2), repeat=st.booleans())
    def fill(self, data: st.DataObject, tenths: int, told: int, repeat: bool) -> None:
        """Fill a part or all of an order that may be at the venue, told one by one, in sum, or in sum with average."""
        order = self.pick(data, lambda one: one.is_open and not one.held and one.remaining > 0)
        if order is None:
            return
        self.fill_by(order, D(tenths) / 10, told, repeat=repeat)

    def fill_by(self, order: LiveOrder, most: Decimal, told: int, *, repeat: bool = False) -> None:
        quantity = min(most, order.spec.quantity - order.filled)
        if quantity <= 0:
            return
        filled = order.filled + quantity
        price = order.spec.price or self.marks[order.instrument]
        fields: dict[str, Any] = {}
        if told == 0:
            fields["fills"] = (Fill(f"t{len(order.fills)}-{order.client_order_id}", quantity, price),)
        elif told == 1:
            paid = sum((one.quantity * one.price for one in order.fills.values()), D(0)) + quantity * price
            fields["average_price"] = paid / filled
        state = OrderState.FILLED if filled == order.spec.quantity else OrderState.PARTIALLY_FILLED
        report = self.report(order, filled_quantity=filled, state=state, **fields)
        self.step(lambda: self.rig.handle(report))
        if repeat:
            facts = len(self.rig.facts)
            self.rig.handle(report)
            assert len(self.rig.facts) == facts, "a duplicate report changed something"

    @rule(data=st.data(), state=st.sampled_from([OrderState.CANCELLED, OrderState.EXPIRED, OrderState.REJECTED]))
    def end(self, data: st.DataObject, state: OrderState) -> None:
        order = self.pick(data, lambda one: one.is_open and one.is_acknowledged)
        if order is not None:
            self.step(lambda: self.rig.handle(self.report(order, state=state)))

    def report(self, order: LiveOrder, **fields: Any) -> Any:
        return self.rig.report_of(order, **fields)

    # -- what time, the market and people do ---------------------------------------------------------------------

    @rule(where=instruments_, price=st.integers(70, 130))
    def move(self, where: InstrumentId, price: int) -> None:
        self.marks[where] = D(price)
        self.step(lambda: self.rig.quote(float(price), instrument=where))

    @rule(tenths=st.integers(1, 50))
    def wait(self, tenths: int) -> None:
        self.step(lambda: self.rig.wait(tenths / 10))

    @rule(
        scope=st.sampled_from(["all", "strategy:s1", f"instrument:{ETH}"]),
        halted=st.booleans(),
        rarely=st.integers(0, 4),
    )
    def halt(self, scope: str, halted: bool, rarely: int) -> None:
        if rarely:
            return
        state = TradingState.HALTED if halted else TradingState.REDUCING
        generation = self.rig.state.halt_generation + 1
        self.step(lambda: self.rig.handle(HaltOrdered(scope, state, "ann", "drill", generation, self.rig.now_ns)))

    @rule(scope=st.sampled_from(["strategy:s2", "venue:paper"]), flatten=st.booleans(), rarely=st.integers(0, 2))
    def clear(self, scope: str, flatten: bool, rarely: int) -> None:
        if rarely:
            return
        now = self.rig.now_ns
        event: Any = FlattenOrdered(scope, "ann", "enough", now) if flatten else CancelOrdered(scope, "ann", now)
        self.step(lambda: self.rig.handle(event))

    @precondition(lambda self: bool(self.rig.state.latches))
    @rule()
    def resume(self) -> None:
        for scope in list(self.rig.state.latches):
            self.rig.handle(Resumed(scope, "ann", "fixed", self.rig.now_ns))

    @rule(data=st.data(), image=st.booleans())
    def restart(self, data: st.DataObject, image: bool) -> None:
        """Fold the facts into a new engine; what was on its way has an unknown outcome from then on."""
        if image:
            check_image(self.rig)
        before = self.rig
        self.rig = self.begin_again(before)
        self.rig.now_ns = before.now_ns
        for order in list(self.rig.state.orders.all_orders()):
            operation = order.operation
            if operation is not None and operation.phase is not OperationPhase.UNKNOWN:
                lost = Unknown("restart")
                self.rig.handle(OutcomeReceived(order.client_order_id, operation.number, lost, self.rig.now_ns))
            if order.is_unknown and data.draw(st.booleans()):
                working = OrderState.PARTIALLY_FILLED if order.filled else OrderState.WORKING
                found = Found(self.report(order, state=working if order.is_open else order.state))
                assert order.operation is not None
                event = OperationResolved(order.client_order_id, order.operation.number, found, self.rig.now_ns)
                self.step(partial(self.rig.handle, event))
        for where in INSTRUMENTS:
            self.step(partial(self.rig.quote, float(self.marks[where]), instrument=where))

    def begin_again(self, before: Rig) -> Rig:
        return self.make(facts=before.facts, price=None)

    # -- what must hold ------------------------------------------------------------------------------------------

    def pick(self, data: st.DataObject, wanted: Any) -> LiveOrder | None:
        found = [one for one in self.rig.state.orders.all_orders() if wanted(one)]
        return data.draw(st.sampled_from(found)) if found else None

    def step(self, act: Any) -> None:
        """Do something; if an order or amendment that adds exposure was approved, every hard limit must hold."""
        before = len(self.rig.facts)
        act()
        told = self.rig.facts[before:]
        for number, fact in enumerate(told):
            later = {one.client_order_id for one in told[number + 1 :] if isinstance(one, OrderIntended) and one.exit}
            if isinstance(fact, OrderIntended):
                assert fact.client_order_id not in self.ids, f"id repeated: {fact.client_order_id}"
                self.ids.add(fact.client_order_id)
                self.submits.append((fact.at_ns, fact.exit))
                if not fact.exit:
                    self.check_limits(fact.strategy, fact.spec.instrument, fact.spec.side, later)
            elif isinstance(fact, AmendIntended):
                order = self.rig.state.orders[fact.client_order_id]
                if fact.quantity > order.spec.quantity:
                    self.check_limits(order.strategy, order.instrument, order.spec.side, later)

    def check_limits(self, strategy: str, instrument: InstrumentId, side: Side, later: Collection[str]) -> None:
        """Compare the worst case of what is held, works and is on its way, with every hard limit, counted naively.

        Exits that left `later` in the same step are not counted: no such limit holds for them.
        """
        state = self.rig.state
        open_orders = [one for one in state.orders.open_orders() if one.client_order_id not in later]
        assert len(open_orders) <= OPEN_ORDERS
        held: dict[tuple[str, str], Decimal] = {}
        for book in state.portfolio.books():
            held[book.strategy, book.instrument.id] = book.quantity
        sums: dict[tuple[str, str, Side], Decimal] = {}
        for order in open_orders:
            key = (order.strategy, order.instrument, order.spec.side)
            sums[key] = sums.get(key, D(0)) + order.remaining
        own = held.get((strategy, instrument), D(0))
        sign = 1 if side is Side.BUY else -1
        added = sums.get((strategy, instrument, side), D(0))
        if strategy:
            assert sign * own + added <= POSITION, "a strategy's position"
        gross = longs = shorts = D(0)
        for one in INSTRUMENTS:
            net = sum((quantity for (_, where), quantity in held.items() if where == one), D(0))
            buys = sum((amount for (_, where, way), amount in sums.items() if where == one and way is Side.BUY), D(0))
            sells = sum((amount for (_, where, way), amount in sums.items() if where == one and way is Side.SELL), D(0))
            if one == instrument:
                assert (net + buys if side is Side.BUY else sells - net) <= NET_POSITION, "the instrument's position"
            gross += max(abs(net + buys), abs(net - sells)) * self.marks[one]
            longs += (net + buys) * self.marks[one]
            shorts += (sells - net) * self.marks[one]
        assert gross <= GROSS, f"gross of {gross}"
        assert max(longs, shorts) <= NET, f"net of {longs} and {shorts}"
        worth = [
            one.remaining * (one.spec.price or one.spec.trigger or one.reference or self.marks[one.instrument])
            for one in open_orders
        ]
        assert sum(worth, D(0)) <= OPEN_NOTIONAL, f"open orders worth {sum(worth, D(0))}"

    @invariant()
    def holds(self) -> None:
        check_rig(self.rig)
        for account in self.rig.state.portfolio.accounts.values():
            assert all(account.free(asset) >= 0 for asset in account.totals)

    @invariant()
    def no_window_is_overfull(self) -> None:
        length = round(RATE.per_s * SECOND_NS)
        entries = [at for at, is_exit in self.submits if not is_exit]
        for start in entries[-RATE.count - 1 :]:
            inside = [at for at in entries if start <= at < start + length]
            assert len(inside) <= RATE.count, "more new orders in a window than allowed"

    @invariant()
    def ends_are_ends(self) -> None:
        for order in self.rig.state.orders.all_orders():
            assert order.filled <= max(order.worst_quantity, order.spec.quantity)
            assert (order.state in ENDS) != order.is_open


EngineMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestEngine = EngineMachine.TestCase
