"""What operators do through the control API: each action reaches engine, journal and latch, under the token's name."""

from decimal import Decimal

import msgspec
import pytest

from quantd.domain.commands import Cancel, Submit
from quantd.domain.events import CREDENTIALS_CAUSE, TradingState, VenueChanged
from quantd.domain.facts import (
    ExternalOrderSeen,
    OperationSettled,
    OrderIntended,
    Reconciled,
    RequestDenied,
    StateSet,
)
from quantd.domain.orders import Limit, OrderState, Side
from quantd.domain.outcomes import Unknown
from quantd.domain.reports import AccountSnapshot, OrderReport
from quantd.journal.latch import HaltLatch
from quantd.testing.builders import BTC, make_snapshot
from tests.component.control.house import House
from tests.unit.engine.acts import buy

D = Decimal


async def test_a_halt_is_in_the_latchs_file_in_the_engine_and_in_the_journal(house: House) -> None:
    order = house.rig.do(lambda s: s.buy(BTC, 1, Limit(D(90))))
    house.rig.accept(order)
    status, told = await house.ask("POST", "/v1/halt", {"why": "drill"}, by="halter")
    assert (status, told["done"], told["state"], told["by"]) == (200, True, "halted", "halter")
    (halt,) = HaltLatch(house.latch.path).read().halts
    assert (halt.scope, halt.state, halt.by, halt.why) == ("all", TradingState.HALTED, "halter", "drill")
    assert house.rig.state.latches["all"].by == "halter"
    assert isinstance(house.rig.commands[-1], Cancel)
    fact = house.audit[-1]
    assert (fact.by, fact.action, fact.result) == ("halter", "halt", "accepted")
    assert msgspec.json.decode(fact.detail) == {"why": "drill", "scope": "all", "state": "halted"}


async def test_a_halt_does_not_wait_for_an_engine_that_stands_still(house: House) -> None:
    house.is_stalled = True
    status, told = await house.ask("POST", "/v1/halt", {"why": "it hangs", "scope": "venue:paper"})
    assert (status, told["done"], told["state"]) == (200, False, "halted")
    assert house.latch.read().state_of(("venue:paper",)) is TradingState.HALTED
    house.is_stalled = False
    house.step()
    assert house.rig.state.latches["venue:paper"].state is TradingState.HALTED


async def test_a_halt_holds_though_the_latchs_disk_refuses(house: House) -> None:
    house.latch.path.parent.write_text("in the way")
    status, told = await house.ask("POST", "/v1/halt", {"why": "drill"})
    assert (status, told["done"], told["state"]) == (200, True, "halted")
    assert house.rig.state.latches["all"].state is TradingState.HALTED


async def test_reducing_does_not_loosen_a_halt(house: House) -> None:
    await house.ask("POST", "/v1/halt", {"why": "drill"})
    _, told = await house.ask("POST", "/v1/halt", {"why": "less", "state": "reducing"})
    assert told["state"] == "halted"
    assert house.latch.read().state is TradingState.HALTED


async def test_resuming_clears_file_and_engine_in_the_callers_name(house: House) -> None:
    await house.ask("POST", "/v1/halt", {"why": "drill", "scope": "strategy:s1"})
    status, told = await house.ask("POST", "/v1/resume", {"scope": "strategy:s1", "why": "over"}, by="halter")
    assert (status, told["state"], told["by"]) == (200, "active", "halter")
    assert not house.latch.read().halts
    assert not house.rig.state.latches
    fact = house.rig.of(StateSet)[-1]
    assert (fact.state, fact.by, fact.why) == (TradingState.ACTIVE, "halter", "over")


async def test_only_an_admin_resumes_in_anothers_name_and_the_token_stays_visible(house: House) -> None:
    await house.ask("POST", "/v1/halt", {"why": "drill"})
    body = {"scope": "all", "why": "over", "by": "Carla"}
    status, problem = await house.ask("POST", "/v1/resume", body, by="halter")
    assert (status, problem["code"]) == (403, "scope_missing")
    assert house.rig.state.latches
    status, told = await house.ask("POST", "/v1/resume", body)
    assert (status, told["by"]) == (200, "Carla")
    fact = house.rig.of(StateSet)[-1]
    assert (fact.by, fact.why) == ("Carla", "over (by token ann)")
    assert house.audit[-1].by == "ann"


async def test_resuming_what_is_not_halted_is_a_conflict(house: House) -> None:
    status, problem = await house.ask("POST", "/v1/resume", {"scope": "all", "why": "over"})
    assert (status, problem["code"]) == (409, "not_halted")


async def test_a_venue_that_refused_our_credentials_is_resumed_though_nothing_is_latched(house: House) -> None:
    house.rig.handle(VenueChanged("paper", TradingState.HALTED, "refused", house.rig.now_ns, CREDENTIALS_CAUSE))
    status, told = await house.ask("POST", "/v1/resume", {"scope": "venue:paper", "why": "the key is mended"})
    assert (status, told["state"]) == (200, "active")
    assert not house.rig.engine.context.venue_reasons
    status, _ = await house.ask("POST", "/v1/resume", {"scope": "venue:paper", "why": "again"})
    assert status == 409


async def test_cancelling_names_the_orders_of_the_scope_and_leaves_the_others(house: House) -> None:
    mine = house.rig.do(lambda s: s.buy(BTC, 1, Limit(D(90))))
    other = house.rig.do(lambda s: s.buy(BTC, 1, Limit(D(91))), "s2")
    house.rig.accept(mine)
    house.rig.accept(other)
    status, told = await house.ask("POST", "/v1/cancel", {"scope": "strategy:s1"}, by="trader")
    assert (status, told["orders"], told["done"]) == (200, [mine.id], True)
    assert [one.client_order_id for one in house.rig.commands if isinstance(one, Cancel)] == [mine.id]


async def test_flattening_takes_two_steps(house: House) -> None:
    house.rig.hold(2)
    body = {"scope": "strategy:s1", "why": "weekend"}
    _, plan = await house.ask("POST", "/v1/flatten", body, by="trader")
    assert plan["executed"] is False
    assert [(one["strategy"], D(one["quantity"]), D(one["value"])) for one in plan["positions"]] == [
        ("s1", D(2), D(200))
    ]
    assert not house.audit
    sent = len(house.rig.commands)
    _, told = await house.ask("POST", "/v1/flatten", body | {"confirm": plan["confirm"]}, by="trader")
    assert (told["executed"], told["done"]) == (True, True)
    (command,) = house.rig.commands[sent:]
    assert isinstance(command, Submit)
    assert (command.spec.quantity, command.exit) == (D(2), True)
    assert plan["confirm"] not in house.audit[-1].detail


@pytest.mark.parametrize("scope", ["all", "venue:paper", "strategy:s1", f"instrument:{BTC}"])
async def test_flattening_says_which_halt_keeps_positions_open_and_goes_on_when_that_only_reduces(
    house: House, scope: str
) -> None:
    house.rig.hold(2)
    await house.ask("POST", "/v1/halt", {"why": "drill", "scope": scope})
    await house.ask("POST", "/v1/halt", {"why": "another", "scope": "strategy:s2"})
    body, sent = {"scope": "all", "why": "drill"}, len(house.rig.commands)
    _, plan = await house.ask("POST", "/v1/flatten", body, by="trader")
    _, told = await house.ask("POST", "/v1/flatten", body | {"confirm": plan["confirm"]}, by="trader")
    assert plan["halted"] == told["halted"] == [scope], "s2 holds nothing: its halt keeps nothing open"
    assert len(house.rig.commands) == sent, "not even an exit leaves"
    # As the runbook says: no moment in which anything may open.
    for other in ("venue:paper", "strategy:s1"):
        if other != scope:
            await house.ask("POST", "/v1/halt", {"why": "exits only", "scope": other, "state": "reducing"})
    await house.ask("POST", "/v1/resume", {"scope": scope, "why": "exits only"})
    house.rig.wait(6)
    (command,) = house.rig.commands[sent:]
    assert isinstance(command, Submit)
    assert (command.spec.quantity, command.exit) == (D(2), True)


@pytest.mark.parametrize("how", ["again", "late", "by_another", "of_another_scope", "made_up"])
async def test_a_confirmation_serves_once_soon_and_for_its_own_plan(house: House, how: str) -> None:
    house.rig.hold(2)
    body = {"scope": "all", "why": "drill"}
    _, plan = await house.ask("POST", "/v1/flatten", body, by="trader")
    confirmed, by = body | {"confirm": plan["confirm"]}, "trader"
    if how == "again":
        assert (await house.ask("POST", "/v1/flatten", confirmed, by=by))[0] == 200
    elif how == "late":
        house.clock.set(house.clock.now_ns() + 60_000_000_001)
    elif how == "by_another":
        by = "ann"
    elif how == "of_another_scope":
        confirmed["scope"] = "strategy:s1"
    else:
        confirmed["confirm"] = "confirm-9"
    sent = len(house.rig.commands)
    status, problem = await house.ask("POST", "/v1/flatten", confirmed, by=by)
    assert (status, problem["code"]) == (409, "not_confirmed")
    assert len(house.rig.commands) == sent


ORDER = {"instrument": BTC, "side": "buy", "quantity": "1.5", "why": "by hand", "kind": "market"}


async def test_an_order_by_hand_passes_the_gate_and_is_named(house: House) -> None:
    body = ORDER | {"kind": "limit", "price": "99.5", "time_in_force": "ioc"}
    status, told = await house.ask("POST", "/v1/orders", body, by="trader")
    assert (status, told["done"]) == (200, True)
    fact = house.rig.of(OrderIntended)[-1]
    assert told["client_order_id"] == fact.client_order_id
    assert (fact.spec.quantity, fact.spec.price, fact.strategy) == (D("1.5"), D("99.5"), "")
    assert fact.why == "by trader: by hand"
    assert told["order"]["origin"] == "operator"
    chain = (await house.ask("GET", f"/v1/why/order/{fact.client_order_id}"))[1]
    assert chain["steps"][0]["summary"].startswith("trader asked by the API: order")


async def test_an_order_that_the_gate_denies_says_which_limit_and_what_was_seen(house: House) -> None:
    await house.ask("POST", "/v1/halt", {"why": "drill", "scope": "venue:paper"})
    sent = len(house.rig.commands)
    status, problem = await house.ask("POST", "/v1/orders", ORDER, by="trader")
    assert (status, problem["code"]) == (409, "denied")
    assert problem["denial"]["code"] == "trading_state"
    assert problem["denial"]["scope"] == "venue:paper"
    assert len(house.rig.of(RequestDenied)) == 1
    assert len(house.rig.commands) == sent
    assert [fact.result for fact in house.audit] == ["accepted", "accepted"], "the denial has a fact of its own"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"quantity": "1e3"}, "bad_body"),
        ({"quantity": "NaN"}, "bad_body"),
        ({"quantity": "-1"}, "bad_body"),
        ({"quantity": 1}, "bad_body"),
        ({"quantity": "9" * 16}, "bad_body"),
        ({"quantity": "0"}, "denied"),
        ({"price": "1"}, "bad_body"),
        ({"kind": "limit"}, "bad_body"),
        ({"kind": "stop", "price": "1"}, "bad_body"),
        ({"kind": "stop_limit", "trigger": "1"}, "bad_body"),
        ({"post_only": True}, "bad_body"),
        ({"instrument": "paper:NOTHING"}, "unknown_instrument"),
        ({"instrument": "BTC-USD"}, "bad_body"),
        ({"side": "hold"}, "bad_body"),
        ({"why": " "}, "bad_body"),
    ],
)
async def test_an_order_that_makes_no_sense_is_not_sent(house: House, changes: dict[str, object], code: str) -> None:
    sent = len(house.rig.commands)
    status, problem = await house.ask("POST", "/v1/orders", ORDER | changes)
    assert 400 <= status < 500
    assert problem["code"] == code
    assert len(house.rig.commands) == sent


async def test_reconciling_shows_the_plan_and_applies_it_only_by_a_policy_of_an_admin(house: House) -> None:
    house.snapshot = make_snapshot({"USD": 5, "BTC": 1}, at_ns=house.rig.now_ns + 1)
    status, told = await house.ask("POST", "/v1/reconcile", {"venue": "paper"}, by="trader")
    assert (status, told["applied"]) == (200, "")
    assert {one["subject"]: D(one["theirs"]) for one in told["differences"]} == {"USD": 5, "BTC": 1}
    assert not house.rig.of(Reconciled)
    body = {"venue": "paper", "apply": "adopt", "plan": told["plan"]}
    assert (await house.ask("POST", "/v1/reconcile", body, by="trader"))[0] == 403
    status, told = await house.ask("POST", "/v1/reconcile", body)
    assert (status, told["applied"], told["done"]) == (200, "adopt", True)
    assert house.rig.state.portfolio.accounts["paper"].totals == {"USD": 5, "BTC": 1}
    assert (await house.ask("POST", "/v1/reconcile", {"venue": "paper"}))[1]["differences"] == []


def _foreign(house: House, venue_order_id: str, at_ns: int) -> AccountSnapshot:
    order = OrderReport(BTC, venue_order_id, OrderState.WORKING, D(0), at_ns, side=Side.BUY, quantity=D(2), price=D(95))
    return make_snapshot({"USD": 1_000_000, "BTC": 1_000}, at_ns=at_ns, orders=(order,))


async def test_a_plan_is_applied_only_by_its_digest_and_only_if_the_venue_still_shows_it(house: House) -> None:
    house.snapshot = _foreign(house, "f1", house.rig.now_ns + 1)
    status, told = await house.ask("POST", "/v1/reconcile", {"venue": "paper"})
    assert [(one["kind"], one["action"]) for one in told["differences"]] == [("foreign_order", "refuse")]
    body = {"venue": "paper", "apply": "adopt"}
    assert (await house.ask("POST", "/v1/reconcile", body))[1]["code"] == "plan_missing"
    house.snapshot = _foreign(house, "f2", house.rig.now_ns + 2)
    status, problem = await house.ask("POST", "/v1/reconcile", body | {"plan": told["plan"]})
    assert (status, problem["code"]) == (409, "plan_changed")
    assert not house.rig.of(ExternalOrderSeen)
    told = (await house.ask("POST", "/v1/reconcile", {"venue": "paper"}))[1]
    house.snapshot = _foreign(house, "f2", house.rig.now_ns + 3)
    status, told = await house.ask("POST", "/v1/reconcile", body | {"plan": told["plan"]})
    assert (status, told["applied"]) == (200, "adopt")
    assert [one.venue_order_id for one in house.rig.of(ExternalOrderSeen)] == ["f2"]
    assert (await house.ask("POST", "/v1/reconcile", {"venue": "paper"}))[1]["differences"] == []


async def test_what_was_not_applied_since_something_happened_there_is_named(house: House) -> None:
    """An event in the instrument takes the proof from the plan; the answer said that it was applied, and it was not."""
    rig = house.rig
    house.snapshot = _foreign(house, "f1", rig.now_ns + 1)
    plan = (await house.ask("POST", "/v1/reconcile", {"venue": "paper"}))[1]["plan"]
    rig.wait()
    own = buy(rig)
    rig.accept(own)
    rig.wait()
    shown = _foreign(house, "f1", rig.now_ns + 1)
    house.snapshot = msgspec.structs.replace(shown, orders=(*shown.orders, rig.report_of(own)))
    body = {"venue": "paper", "apply": "adopt", "plan": plan}
    status, told = await house.ask("POST", "/v1/reconcile", body)
    assert (status, [one["subject"] for one in told["left"]]) == (200, ["f1"])
    assert not house.rig.of(ExternalOrderSeen)
    told = (await house.ask("POST", "/v1/reconcile", {"venue": "paper"}))[1]
    house.snapshot = msgspec.structs.replace(house.snapshot, asked_at_ns=rig.now_ns + 2)
    told = (await house.ask("POST", "/v1/reconcile", body | {"plan": told["plan"]}))[1]
    assert (told["done"], told["left"]) == (True, [])
    assert [one.venue_order_id for one in house.rig.of(ExternalOrderSeen)] == ["f1"]


async def test_a_look_that_was_overtaken_by_another_applies_nothing(house: House) -> None:
    """Its balances are older: what was spent since would have counted as there again."""
    rig = house.rig
    house.snapshot = _foreign(house, "f1", rig.now_ns + 1)
    plan = (await house.ask("POST", "/v1/reconcile", {"venue": "paper"}))[1]["plan"]
    house.snapshot = _foreign(house, "f1", rig.now_ns + 2)
    rig.handle(msgspec.structs.replace(make_snapshot({"USD": 400}, at_ns=rig.now_ns + 3)))
    body = {"venue": "paper", "apply": "ignore", "plan": plan}
    status, told = await house.ask("POST", "/v1/reconcile", body)
    assert (status, told["done"]) == (200, False)
    assert rig.state.portfolio.accounts["paper"].totals["USD"] == 400


async def test_what_a_venue_tells_only_once_reaches_the_engine_though_a_plan_was_all_that_was_asked_for(
    house: House,
) -> None:
    orders = [buy(house.rig) for _ in range(2)]
    for order in orders:
        house.rig.accept(order)
    bodies: tuple[dict[str, str], ...] = ({}, {"apply": "adopt", "plan": "0123456789abcdef"})
    for order, more in zip(orders, bodies, strict=True):
        told = house.rig.report_of(order, state=OrderState.FILLED, filled_quantity=order.quantity)
        house.snapshot = make_snapshot({"USD": 1_000_000}, at_ns=house.rig.now_ns + 1, orders=(told,))
        status, _ = await house.ask("POST", "/v1/reconcile", {"venue": "paper"} | more)
        assert status == (409 if more else 200)
        assert order.state is OrderState.FILLED


async def test_a_named_person_ends_an_unknown_outcome_and_the_journal_says_who(house: House) -> None:
    order = buy(house.rig)
    body = {"order": order.id, "outcome": "not_executed", "why": "not in the venue's list", "by": "eve"}
    assert (await house.ask("POST", "/v1/resolve", body))[1]["code"] == "not_unknown"
    house.rig.answer(order, Unknown("timeout"))
    assert (await house.ask("POST", "/v1/resolve", body, by="trader"))[0] == 403
    status, told = await house.ask("POST", "/v1/resolve", body)
    assert (status, told["by"], told["done"]) == (200, "eve", True)
    assert order.state is OrderState.DENIED
    assert house.rig.of(OperationSettled)[-1].by == "eve"
    assert house.rig.state.portfolio.nets[BTC].unknown == 0


async def test_an_outcome_that_a_person_calls_accepted_takes_the_venues_id_and_is_followed(house: House) -> None:
    order = buy(house.rig)
    house.rig.answer(order, Unknown("timeout"))
    body = {"order": order.id, "outcome": "accepted", "why": "seen there"}
    assert (await house.ask("POST", "/v1/resolve", body))[1]["code"] == "venue_order_id_missing"
    status, _ = await house.ask("POST", "/v1/resolve", body | {"venue_order_id": "v77"})
    live = house.rig.live(order)
    assert (status, live.is_unknown, live.venue_order_ids[-1]) == (200, False, "v77")
    assert order.state is OrderState.WORKING


async def test_the_journal_with_the_audit_folds_to_the_same_state(house: House) -> None:
    await house.ask("POST", "/v1/halt", {"why": "drill"})
    await house.ask("POST", "/v1/resume", {"scope": "all", "why": "over"})
    await house.ask("POST", "/v1/orders", ORDER)
    assert [house.codec.decode(record) for record in house.store.records()] == house.rig.facts
    assert house.rig.shadow.latches == house.rig.state.latches
