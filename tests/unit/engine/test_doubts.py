"""A balance that the venue tells in several ways: ours stays, exits leave, nothing new is begun with that asset."""

from decimal import Decimal

import pytest

from quantd.domain.events import ReconcileAction
from quantd.domain.facts import BalancesRecorded, CashFlowRecorded
from quantd.domain.instruments import InstrumentId
from quantd.domain.orders import Limit
from quantd.domain.soundness import flaw_of_snapshot
from quantd.engine.differences import Policies
from quantd.engine.orders import Order
from quantd.engine.risk.wish import Denial, Denied
from quantd.testing.builders import BTC, Rig, make_balance, make_instrument, make_snapshot
from tests.unit.engine.acts import buy

D = Decimal
ETH = InstrumentId("paper:ETH-USD")


def rig_of_two() -> Rig:
    """Return a rig that holds 2 BTC of its strategy's."""
    rig = Rig(instruments=[make_instrument(), make_instrument(ETH)], balances={"USD": 1_000, "BTC": 1, "ETH": 1})
    rig.engine.context.policies["paper"] = Policies(ReconcileAction.ADOPT)
    order = buy(rig, 2, 100)
    rig.accept(order)
    rig.fill(order, 2, 100)
    rig.wait(5)
    look(rig, USD=800, BTC=3, ETH=1)
    return rig


def look(rig: Rig, *doubtful: str, **totals: int) -> None:
    rig.handle(make_snapshot(totals, at_ns=rig.now_ns, doubtful=doubtful))


def denial(answer: object) -> tuple[Denial, str, str] | None:
    return (answer.code, str(answer.limit), str(answer.observed)) if isinstance(answer, Denied) else None


def test_nothing_new_is_begun_with_the_asset_all_else_goes_on_and_exits_leave() -> None:
    rig = rig_of_two()
    rig.wait(5)
    look(rig, "BTC", USD=800, ETH=1)
    told = denial(rig.do(lambda s: s.buy(BTC, 1, Limit(100))))
    assert told == (Denial.RECONCILING, "one balance of BTC", "several")
    assert isinstance(rig.do(lambda s: s.buy(ETH, 1, Limit(100))), Order)
    assert isinstance(rig.do(lambda s: s.sell(BTC, 2, Limit(101))), Order), "an exit, of what we know to be there"
    rig.wait(5)
    look(rig, USD=800, BTC=3, ETH=1)
    assert isinstance(rig.do(lambda s: s.buy(BTC, 1, Limit(100))), Order), "the venue agrees with itself again"


def test_an_asset_that_pays_holds_up_all_that_it_pays_for() -> None:
    rig = rig_of_two()
    look(rig, "USD", BTC=3, ETH=1)
    both = rig.do(lambda s: [s.buy(one, 1, Limit(100)) for one in (BTC, ETH)])
    assert [denial(one) for one in both] == [(Denial.RECONCILING, "one balance of USD", "several")] * 2


def test_our_own_figures_stay_through_fills_and_looks_and_no_money_comes_or_goes() -> None:
    rig = rig_of_two()
    account = rig.state.portfolio.account("paper")
    order = rig.do(lambda s: s.sell(BTC, 2, Limit(101)))
    rig.accept(order)
    rig.wait(5)
    look(rig, "BTC", USD=800, ETH=1)
    assert [account.totals["BTC"], account.free("BTC")] == [D(3), D(1)], "what our order holds is not counted twice"
    asked_at_ns = rig.now_ns
    rig.wait(1)
    rig.fill(order, 1, 101)
    shown = (make_balance("USD", 800), make_balance("ETH", 1))
    rig.handle(make_snapshot({}, at_ns=rig.now_ns, asked_at_ns=asked_at_ns, balances=shown, doubtful=("BTC",)))
    assert account.totals["BTC"] == 2, "a fill since the venue was asked is taken off once"
    for _ in range(3):
        rig.wait(5)
        look(rig, "BTC", USD=901, ETH=1)
    assert account.totals["BTC"] == 2
    told = len(rig.of(BalancesRecorded))
    rig.wait(5)
    look(rig, "BTC", USD=901, ETH=1)
    assert len(rig.of(BalancesRecorded)) == told, "the same look again changes nothing"
    for _ in range(3):
        rig.wait(5)
        look(rig, USD=901, BTC=2, ETH=1)
    assert not rig.of(CashFlowRecorded)


@pytest.mark.parametrize("sure", [True, False])
def test_what_one_look_seemed_to_show_is_not_confirmed_by_one_that_cannot_tell(sure: bool) -> None:
    rig = rig_of_two()
    for _ in range(2):
        rig.wait(5)
        look(rig, USD=800, BTC=3, ETH=1)
    rig.wait(5)
    look(rig, USD=800, BTC=9, ETH=1)
    rig.wait(5)
    if sure:
        look(rig, USD=800, BTC=9, ETH=1)
    else:
        look(rig, "BTC", USD=800, ETH=1)
    assert len(rig.of(CashFlowRecorded)) == int(sure)


def test_a_first_look_that_cannot_tell_counts_as_nothing() -> None:
    rig = Rig(instruments=[make_instrument()], balances={"USD": 1_000})
    rig.wait(5)
    look(rig, "BTC", USD=1_000)
    assert "BTC" not in rig.state.portfolio.account("paper").totals
    assert denial(rig.do(lambda s: s.buy(BTC, 1, Limit(100)))) is not None


def test_a_snapshot_that_doubts_what_it_tells_is_unsound() -> None:
    snapshot = make_snapshot({"USD": 1}, at_ns=1, doubtful=("USD",))
    assert flaw_of_snapshot(snapshot) == "balance of USD twice"
