"""Control 22: state by command, scope by scope; latched over restarts; strictest wins; only a person loosens."""

from decimal import Decimal

import msgspec
import pytest

from quantd.domain.commands import Cancel
from quantd.domain.events import (
    ACCOUNT_CAUSE,
    CREDENTIALS_CAUSE,
    CancelOrdered,
    ClockJumped,
    FlattenOrdered,
    HaltOrdered,
    OrderOrdered,
    Resumed,
    ShutDown,
    Stopping,
    TradingState,
    VenueChanged,
)
from quantd.domain.facts import StateSet
from quantd.domain.instruments import InstrumentId
from quantd.domain.orders import Limit, Market, Origin, Side
from quantd.domain.outcomes import NotExecuted, Unknown
from quantd.engine.orders import Order
from quantd.engine.risk.gate import Gate
from quantd.engine.risk.order_controls import WellFormed
from quantd.engine.risk.wish import Denial, Denied, Wish
from quantd.testing.builders import BTC, Rig, make_instrument
from tests.unit.risk.cases import place, resting

D = Decimal
ACTIVE, REDUCING, HALTED = TradingState
SCOPES = ["all", "venue:paper", f"instrument:{BTC}", "strategy:s1"]


def code(answer: Order | Denied) -> Denial | None:
    return answer.code if isinstance(answer, Denied) else None


def order_state(rig: Rig, scope: str, state: TradingState, generation: int = 1) -> None:
    rig.handle(HaltOrdered(scope, state, "ann", "drill", generation, rig.now_ns))


@pytest.fixture
def rig() -> Rig:
    rig = Rig()
    rig.hold(4)
    return rig


@pytest.mark.parametrize("restarted", [False, True], ids=["at_once", "after_a_restart"])
@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("state", [REDUCING, HALTED])
def test_state_by_command(rig: Rig, scope: str, state: TradingState, restarted: bool) -> None:
    target = resting(rig, Side.SELL, "1", "110")
    rig.handle(HaltOrdered(scope, state, "ann", "drill", 1, rig.now_ns))
    entry_rig = rig
    if state is HALTED:
        rig.accept(target)
    if restarted:
        entry_rig = Rig(facts=rig.facts)
        assert entry_rig.state.latches[scope].state is state
    assert code(place(entry_rig, Side.BUY, "1", "97")) is Denial.TRADING_STATE
    exits = code(place(entry_rig, Side.SELL, "1", "103"))
    assert exits is (None if state is REDUCING else Denial.TRADING_STATE)
    if state is REDUCING:
        live = next(one for one in entry_rig.state.orders.open_orders() if one.client_order_id == target.id)
        assert live.operation is None, "an exit keeps working"


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("state", [REDUCING, HALTED])
def test_a_state_cancels_what_it_forbids(rig: Rig, scope: str, state: TradingState) -> None:
    entry, target = resting(rig, Side.BUY, "1", "90"), resting(rig, Side.SELL, "1", "110")
    order_state(rig, scope, state)
    cancelled = {one.client_order_id for one in rig.sent(Cancel)}
    assert cancelled == ({entry.id} if state is REDUCING else {entry.id, target.id})


def test_in_a_reducing_state_an_exit_may_be_amended_as_far_as_it_stays_one(rig: Rig) -> None:
    target = resting(rig, Side.SELL, "1", "110")
    order_state(rig, "all", REDUCING)
    assert code(rig.do(lambda s: s.amend(target, quantity=D("4.001")))) is Denial.TRADING_STATE
    assert code(rig.do(lambda s: s.amend(target, quantity=4, price=105))) is None
    rig.accept(target)
    order_state(rig, "strategy:s1", HALTED, 2)
    assert code(rig.do(lambda s: s.amend(target, quantity=1))) is not None


def test_an_entry_that_is_to_be_cancelled_cannot_be_amended_back_to_life(rig: Rig) -> None:
    entry = resting(rig, Side.BUY, "2", "90")
    order_state(rig, "all", REDUCING)
    rig.answer(entry, NotExecuted("rate_limited"))
    assert code(rig.do(lambda s: s.amend(entry, quantity=1))) is Denial.NOT_OPEN
    rig.wait()
    assert len(rig.sent(Cancel)) == 2, "the cancel is sent again"


@pytest.mark.parametrize("scope", ["venue:other", "instrument:paper:ETH-USD", "strategy:s2"])
def test_another_scope_s_state_is_none_of_ours(rig: Rig, scope: str) -> None:
    order_state(rig, scope, HALTED)
    assert code(place(rig, Side.BUY, "1", "97")) is None


def test_the_strictest_scope_wins_and_the_denial_names_it(rig: Rig) -> None:
    order_state(rig, "all", REDUCING)
    order_state(rig, "strategy:s1", HALTED, 2)
    denied = place(rig, Side.SELL, "1", "103")
    assert isinstance(denied, Denied)
    assert (denied.scope, denied.observed) == ("strategy:s1", "halted")


def test_a_weaker_order_does_not_loosen_and_a_repeated_one_changes_nothing(rig: Rig) -> None:
    order_state(rig, "all", HALTED)
    facts = len(rig.facts)
    order_state(rig, "all", HALTED)
    assert len(rig.facts) == facts
    order_state(rig, "all", REDUCING, 2)
    assert rig.state.latches["all"].state is HALTED
    assert rig.state.halt_generation == 2


def test_only_a_named_person_resumes_and_it_is_recorded(rig: Rig) -> None:
    order_state(rig, "all", HALTED)
    order_state(rig, "strategy:s1", HALTED, 2)
    rig.handle(Resumed("all", "ann", "fixed", rig.now_ns))
    assert code(place(rig, Side.BUY, "1", "97")) is Denial.TRADING_STATE
    rig.handle(Resumed("strategy:s1", "ann", "fixed", rig.now_ns))
    assert code(place(rig, Side.BUY, "1", "97")) is None
    assert [(one.by, one.why, one.state) for one in rig.of(StateSet)][-1] == ("ann", "fixed", ACTIVE)
    assert Rig(facts=rig.facts).state.latches == {}


def test_commands_carry_the_generation_of_the_halt_latch(rig: Rig) -> None:
    order_state(rig, "strategy:s2", HALTED, 7)
    place(rig, Side.BUY, "1", "97")
    assert rig.commands[-1].halt_generation == 7  # type: ignore[union-attr]  # a Submit


def test_an_operator_s_own_order_passes_the_same_gate(rig: Rig) -> None:
    rig.handle(OrderOrdered(BTC, Side.BUY, D(1), Limit(D(99)), "ann", rig.now_ns))
    order = next(one for one in rig.state.orders.open_orders() if one.origin is Origin.OPERATOR)
    assert (order.strategy, order.why) == ("", "by ann")
    order_state(rig, "all", REDUCING)
    before = len(rig.commands)
    rig.handle(OrderOrdered(BTC, Side.BUY, D(1), Limit(D(98)), "ann", rig.now_ns))
    assert len(rig.commands) == before


@pytest.mark.parametrize("scope", [*SCOPES, "strategy:s2"])
def test_cancel_and_flatten_keep_to_their_scope(rig: Rig, scope: str) -> None:
    order = resting(rig, Side.BUY, "1", "90")
    inside = scope != "strategy:s2"
    rig.handle(CancelOrdered(scope, "ann", rig.now_ns))
    assert (rig.live(order).operation is not None) == inside
    if inside:
        rig.accept(order)
    rig.handle(FlattenOrdered(scope, "ann", "enough", rig.now_ns))
    closing = [one for one in rig.state.orders.open_orders() if one.spec.side is Side.SELL]
    assert [one.remaining for one in closing] == ([D(4)] if inside else [])


def test_flatten_closes_what_no_strategy_holds_and_every_book_of_the_scope() -> None:
    other = InstrumentId("paper:ETH-USD")
    rig = Rig(
        instruments=[make_instrument(margin_rate=D("0.1")), make_instrument(other, margin_rate=D("0.1"))], margin=True
    )
    rig.hold(2, "s1")
    rig.hold(-3, "s2", other)
    rig.handle(OrderOrdered(BTC, Side.BUY, D(1), Market(), "ann", rig.now_ns))
    manual = next(iter(rig.state.orders.open_orders()))
    rig.accept(manual)
    rig.fill(manual)
    rig.handle(FlattenOrdered("all", "ann", "enough", rig.now_ns))
    closing = {(one.strategy, one.spec.side, one.remaining) for one in rig.state.orders.open_orders()}
    assert closing == {("s1", Side.SELL, D(2)), ("s2", Side.BUY, D(3)), ("", Side.SELL, D(1))}


def test_flatten_goes_on_when_a_working_exit_is_gone(rig: Rig) -> None:
    target = resting(rig, Side.SELL, "4", "110")
    rig.handle(FlattenOrdered("all", "ann", "enough", rig.now_ns))
    assert [one.client_order_id for one in rig.state.orders.open_orders()] == [target.id]
    rig.accept(target)
    (closing,) = rig.state.orders.open_orders()
    assert (closing.spec.side, closing.remaining) == (Side.SELL, D(4))


# -- what else stands: venue, unknown outcomes, clock, stopping ------------------------------------------------------


def test_a_venue_that_cannot_be_used_takes_exits_only(rig: Rig) -> None:
    rig.handle(VenueChanged("paper", REDUCING, "no_data", rig.now_ns))
    assert code(place(rig, Side.BUY, "1", "97")) is Denial.VENUE_NOT_READY
    assert code(place(rig, Side.SELL, "1", "103")) is None
    rig.handle(VenueChanged("paper", ACTIVE, "", rig.now_ns))
    assert code(place(rig, Side.BUY, "1", "97")) is None


def test_a_venue_takes_entries_again_only_once_no_cause_is_left(rig: Rig) -> None:
    """The end of one trouble says nothing about another's: the account answers, but the prices are still refused."""
    rig.handle(VenueChanged("paper", REDUCING, "snapshot: 503", rig.now_ns, ACCOUNT_CAUSE))
    rig.handle(VenueChanged("paper", REDUCING, "quotes stopped", rig.now_ns, "feed quotes"))
    denied = place(rig, Side.BUY, "1", "97")
    assert isinstance(denied, Denied)
    assert denied.observed == "snapshot: 503; quotes stopped", "each is named"
    rig.handle(VenueChanged("paper", ACTIVE, "", rig.now_ns, ACCOUNT_CAUSE))
    denied = place(rig, Side.BUY, "1", "97")
    assert isinstance(denied, Denied)
    assert denied.observed == "quotes stopped"
    rig.handle(VenueChanged("paper", ACTIVE, "", rig.now_ns, "feed quotes"))
    assert code(place(rig, Side.BUY, "1", "97")) is None


@pytest.mark.parametrize("scope", ["all", "venue:paper", "strategy:s1"])
def test_a_person_who_resumes_a_venue_has_its_credentials_tried_again_and_nothing_else(rig: Rig, scope: str) -> None:
    rig.handle(VenueChanged("paper", HALTED, "refused", rig.now_ns, CREDENTIALS_CAUSE))
    rig.handle(VenueChanged("paper", REDUCING, "quotes stopped", rig.now_ns, "feed quotes"))
    rig.handle(Resumed(scope, "ann", "a new key", rig.now_ns))
    left = {"feed quotes"} if scope != "strategy:s1" else {"feed quotes", CREDENTIALS_CAUSE}
    assert set(rig.engine.context.venue_reasons["paper"]) == left


def test_an_input_log_from_before_there_were_causes_replays_as_it_ran(rig: Rig) -> None:
    """They have one cause for all, which any recovery ended."""
    old = b'{"type":"VenueChanged","venue":"paper","state":"reducing","reason":"down","received_at_ns":1}'
    rig.handle(msgspec.structs.replace(msgspec.json.decode(old, type=VenueChanged), received_at_ns=rig.now_ns))
    assert code(place(rig, Side.BUY, "1", "97")) is Denial.VENUE_NOT_READY
    rig.handle(VenueChanged("paper", ACTIVE, "", rig.now_ns))
    assert code(place(rig, Side.BUY, "1", "97")) is None


def test_a_clock_jump_pauses_new_exposure(rig: Rig) -> None:
    rig.handle(ClockJumped(2_000_000_000, rig.now_ns))
    assert code(place(rig, Side.BUY, "1", "97")) is Denial.CLOCK
    assert code(place(rig, Side.SELL, "1", "103")) is None
    rig.wait(5)
    assert code(place(rig, Side.BUY, "1", "97")) is None


def test_after_a_step_backwards_nothing_is_opened_before_the_clock_is_right_again(rig: Rig) -> None:
    rig.handle(ClockJumped(-60_000_000_000, rig.now_ns))
    rig.wait(60)
    assert code(place(rig, Side.BUY, "1", "97")) is Denial.CLOCK
    rig.wait(5)
    assert code(place(rig, Side.BUY, "1", "97")) is None


@pytest.mark.parametrize("by_s", [2, -2], ids=["forwards", "backwards"])
def test_a_small_step_after_a_large_one_backwards_ends_no_pause_before_the_clock_is_right_again(
    rig: Rig, by_s: int
) -> None:
    rig.handle(ClockJumped(-3_600_000_000_000, rig.now_ns))
    rig.wait(60)
    rig.handle(ClockJumped(by_s * 1_000_000_000, rig.now_ns))
    rig.wait(3_530)
    assert code(place(rig, Side.BUY, "1", "97")) is Denial.CLOCK
    rig.wait(30)
    assert code(place(rig, Side.BUY, "1", "97")) is None


def test_a_step_that_puts_the_clock_right_ends_the_pause_that_waited_for_it(rig: Rig) -> None:
    rig.handle(ClockJumped(-3_600_000_000_000, rig.now_ns))
    rig.wait(60)
    rig.handle(ClockJumped(3_600_000_000_000, rig.now_ns))
    assert code(place(rig, Side.BUY, "1", "97")) is Denial.CLOCK
    rig.wait(6)
    assert code(place(rig, Side.BUY, "1", "97")) is None


def test_nothing_is_opened_while_the_daemon_stops(rig: Rig) -> None:
    rig.do(lambda s: s.target(BTC, 5, Limit(99)))
    entry = next(iter(rig.state.orders.open_orders()))
    rig.accept(entry)
    rig.handle(Stopping("signal", rig.now_ns))
    rig.handle(ShutDown(rig.now_ns))
    rig.accept(entry)
    rig.wait(2)
    assert list(rig.state.orders.open_orders()) == []
    assert code(place(rig, Side.BUY, "1", "97")) is Denial.TRADING_STATE
    assert code(place(rig, Side.SELL, "1", "103")) is None


def test_an_unknown_outcome_leaves_exits_possible_in_a_reducing_state(rig: Rig) -> None:
    order = place(rig, Side.BUY, "1", "97")
    assert isinstance(order, Order)
    rig.answer(order, Unknown("timeout"))
    order_state(rig, "all", REDUCING)
    assert code(place(rig, Side.SELL, "4", "103")) is None


def test_a_control_that_fails_denies(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: WellFormed, wish: Wish) -> None:
        raise LookupError("no such thing")

    monkeypatch.setattr(WellFormed, "check", fail)
    denied = place(rig, Side.BUY, "1", "97")
    assert isinstance(denied, Denied)
    assert (denied.code, denied.observed) == (Denial.CONTROL_FAILED, "LookupError")


def test_every_way_to_a_venue_asks_the_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a gate that denies everything, nothing but cancels leaves, whoever asks."""
    rig = Rig()
    rig.hold(4)
    order = resting(rig, Side.BUY, "1", "90")
    monkeypatch.setattr(
        Gate, "check", lambda self, wish: wish.deny(Denial.CONTROL_FAILED, 0, "order", "nothing", "everything")
    )
    before = len(rig.commands)
    rig.do(lambda s: s.buy(BTC, 1))
    rig.do(lambda s: s.sell(BTC, 1))
    rig.do(lambda s: s.amend(order, quantity=2))
    rig.do(lambda s: s.target(BTC, 9))
    rig.do(lambda s: s.close())
    rig.handle(OrderOrdered(BTC, Side.BUY, D(1), Market(), "ann", rig.now_ns))
    rig.handle(FlattenOrdered("all", "ann", "enough", rig.now_ns))
    assert {type(one) for one in rig.commands[before:]} == {Cancel}
