"""A list of positions that is known not to be whole: what it lacks is not gone."""

import pytest

from quantd.domain.facts import PositionAdjusted
from quantd.domain.lots import Lot, LotProtection
from quantd.domain.orders import Limit, Side
from quantd.testing.builders import BTC, SECOND_NS, Puppet, make_snapshot
from tests.unit.engine.lots import STOP, D, enter, fill, held
from tests.unit.engine.test_reconcile_lots import looks, make_adopting


def test_lots_that_are_not_all_shown_take_nothing_from_a_strategy() -> None:
    rig = make_adopting()
    enter(rig, STOP)
    for _ in range(3):
        rig.now_ns += SECOND_NS
        lot = Lot("9", BTC, Side.BUY, D(5), D(100))
        rig.handle(make_snapshot({"USD": 1_000_000}, at_ns=rig.now_ns, lots=(lot,), lots_complete=False))
    assert held(rig) == 2


@pytest.mark.parametrize(("missing", "quantity"), [("7", 2), ("8", -1)])
def test_a_lot_that_a_list_does_not_show_yet_is_not_taken_from_the_position_whichever_side_it_is_on(
    missing: str, quantity: int
) -> None:
    """Without the short lot what is listed is more than the position, without the long one less."""
    rig = make_adopting(strategies={"s1": Puppet(), "s2": Puppet()})
    enter(rig, None, "7", 2)
    short = rig.do(lambda s: s.sell(BTC, 1, Limit(100)), "s2")
    assert short
    rig.accept(short)
    fill(rig, short, "8")
    listed = [one for one in rig.state.lots["paper"].all() if one.lot.venue_id != missing]
    assert len(listed) == 1
    for _ in range(3):
        rig.now_ns += SECOND_NS
        lots = tuple(one.lot for one in listed)
        rig.handle(make_snapshot({"USD": 1_000_000}, at_ns=rig.now_ns, lots=lots, lots_complete=False))
    assert rig.of(PositionAdjusted) == []
    assert (held(rig, "s1"), held(rig, "s2")) == (D(2), D(-1))
    looks(rig, *((one.lot.venue_id, one.lot.signed, LotProtection()) for one in listed))
    assert held(rig, "s1") + held(rig, "s2") == 1 - quantity, "a list that is whole proves that it is gone"
