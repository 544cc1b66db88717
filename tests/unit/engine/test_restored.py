"""After a backup was restored: an order that was amended since is worth what the venue shows of it."""

import pytest

from quantd.domain.events import TradingState
from quantd.domain.facts import OrderAmended
from quantd.domain.orders import Limit, OrderState
from quantd.engine.context import EngineSettings
from quantd.engine.orders import LiveOrder
from quantd.testing.builders import BTC, Rig
from tests.unit.engine.lots import D


def resumed(epoch: int) -> tuple[Rig, LiveOrder]:
    """Return a rig in another epoch, and an order for 8 of the first one; it was sent and its answer is lost."""
    before = Rig()
    order = before.do(lambda s: s.buy(BTC, 8, Limit(90)))
    assert order
    rig = Rig(facts=before.facts, settings=EngineSettings(journal_id="0test", epoch=epoch))
    rig.engine.lose_in_flight("restart", rig.now_ns)
    return rig, rig.live(order.id)


@pytest.mark.parametrize("state", [OrderState.FILLED, OrderState.PARTIALLY_FILLED])
def test_what_it_traded_beyond_the_terms_of_the_backup_is_booked_and_it_can_end(state: OrderState) -> None:
    rig, order = resumed(epoch=2)
    filled = D(16) if state is OrderState.FILLED else D(12)
    rig.report(order, filled_quantity=filled, quantity=D(16), price=D(91), state=state)
    assert (order.spec.quantity, order.spec.price, order.filled) == (D(16), D(91), filled)
    assert order.is_open is (state is not OrderState.FILLED)
    assert rig.state.portfolio.book("s1", BTC).quantity == filled
    assert not rig.state.latches


def test_while_it_works_its_worst_case_is_what_the_venue_shows() -> None:
    rig, order = resumed(epoch=2)
    rig.report(order, filled_quantity=D(0), quantity=D(16), state=OrderState.WORKING)
    assert rig.state.portfolio.nets[BTC].buys == 16
    rig.report(order, filled_quantity=D(0), quantity=D(4), state=OrderState.WORKING)
    assert rig.state.portfolio.nets[BTC].buys == 16, "less is believed when it has ended"


def test_within_an_epoch_the_journal_is_whole_and_more_than_it_says_is_refused() -> None:
    rig, order = resumed(epoch=1)
    rig.report(order, filled_quantity=D(16), quantity=D(16), state=OrderState.FILLED)
    assert rig.of(OrderAmended) == []
    assert order.filled == 0
    assert rig.state.latches[f"instrument:{BTC}"].state is TradingState.REDUCING
