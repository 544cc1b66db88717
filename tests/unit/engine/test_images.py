"""A snapshot of the state brings it back exactly: not only does it look the same, it goes on the same."""

import random
from decimal import Decimal

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from quantd.domain.cash import Account, AccountKind, Balance, PositionMode
from quantd.domain.facts import (
    AccountRecorded,
    BalancesRecorded,
    CancelIntended,
    Fact,
    FillRecorded,
    InstrumentRecorded,
    OperationLost,
    OperationSentRecorded,
    OperationSettled,
    OrderAcknowledged,
    OrderIntended,
    OrderMoved,
)
from quantd.domain.fills import Fill, Quality
from quantd.domain.instruments import InstrumentId
from quantd.domain.orders import ClientOrderId, OperationKind, OrderKind, OrderSpec, Origin, Role, Side, Trigger
from quantd.engine.images import dump, restore
from quantd.engine.rates import Rates
from quantd.engine.state import State
from quantd.testing.builders import BTC, make_instrument
from quantd.testing.portrait import portrait

ETH = InstrumentId("paper:ETH-USD")
KEEP_ENDED = 4
SECOND = 1_000_000_000


def empty() -> State:
    """Return a state that forgets ended orders soon, as a real one does after thousands."""
    state = State(Rates("USD"))
    state.orders._keep_ended = KEEP_ENDED
    return state


class Teller:
    """Tells what could happen next, drawn from a seed, and lets it happen to a state."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now_ns = SECOND
        self.count = 0

    def opening(self) -> list[Fact]:
        plenty = tuple(Balance(asset, Decimal(10**6), Decimal(10**6), Decimal(0)) for asset in ("USD", "BTC"))
        return [
            *(InstrumentRecorded(make_instrument(one), self.now_ns) for one in (BTC, ETH)),
            AccountRecorded(Account("paper", "1", AccountKind.SPOT, PositionMode.NETTING, "USD"), self.now_ns),
            BalancesRecorded("paper", plenty, self.now_ns, self.now_ns),
        ]

    def next(self, state: State) -> list[Fact]:
        """Return the facts of one step: a new order, or something that befalls an old one."""
        self.now_ns += SECOND
        orders = list(state.orders.all_orders())
        if not orders or self.random.random() < 0.35:
            return self._intend()
        order = self.random.choice(orders)
        id, now_ns = order.client_order_id, self.now_ns
        operation = order.operation
        if operation is not None:
            if not order.is_unknown and self.random.random() < 0.3:
                return [OperationLost(id, operation.number, "timeout", now_ns)]
            done: list[Fact] = [OperationSettled(id, operation.number, operation.kind, "accepted", now_ns)]
            if operation.kind is OperationKind.CANCEL and order.is_open:
                return [*done, OrderMoved(id, Trigger.CANCEL, now_ns)]
            return [OrderAcknowledged(id, f"v{id}", now_ns), *done]
        if not order.is_open:
            ended = order.state.value == "cancelled"
            return [OrderMoved(id, Trigger.REOPEN, now_ns, "alive")] if ended else []
        if self.random.random() < 0.4:
            return [
                CancelIntended(id, order.operations + 1, now_ns),
                OperationSentRecorded(id, order.operations + 1, now_ns),
            ]
        return [self._fill(order)]

    def _intend(self) -> list[Fact]:
        self.count += 1
        side = self.random.choice([Side.BUY, Side.SELL])
        instrument = self.random.choice([BTC, BTC, ETH])
        spec = OrderSpec(instrument, side, Decimal(3), OrderKind.LIMIT, Decimal(self.random.randint(90, 110)))
        id = ClientOrderId(f"q0test-1-{self.count}")
        return [OrderIntended(id, "s1", spec, Origin.STRATEGY, Role.ENTRY, 0, self.now_ns)]

    def _fill(self, order: object) -> Fact:
        id, spec, filled = (getattr(order, name) for name in ("client_order_id", "spec", "filled"))
        quality = self.random.choice(list(Quality))
        fill = Fill(f"{id}/{filled}", Decimal(1), spec.price, quality, (("USD", Decimal("0.01")),))
        return FillRecorded(id, "s1", spec.instrument, spec.side, fill, filled + 1, self.now_ns)


@example(seed=883656697, before=58, after=14)  # a net of zero with a digit
@given(seed=st.integers(0, 2**32), before=st.integers(0, 60), after=st.integers(0, 40))
def test_a_restored_state_goes_on_as_the_one_that_was_never_stored(seed: int, before: int, after: int) -> None:
    teller, state = Teller(seed), empty()
    for fact in teller.opening():
        state.apply(fact)
    for _ in range(before):
        for fact in teller.next(state):
            state.apply(fact)
    restored = empty()
    restore(restored, dump(state))
    assert dump(restored) == dump(state)
    for _ in range(after):
        for fact in teller.next(state):
            state.apply(fact)
            restored.apply(msgspec.json.decode(msgspec.json.encode(fact), type=Fact))
        opened = [[order.client_order_id for order in one.orders.open_orders()] for one in (state, restored)]
        assert opened[0] == opened[1], "open orders in another order"
        known = [[order.client_order_id for order in one.orders.all_orders()] for one in (state, restored)]
        assert known[0] == known[1], "other orders are remembered"
    assert portrait(restored) == portrait(state)
    assert dump(restored) == dump(state)
