"""What a venue has locked: our working orders explain it once a calm look shows them, and are not counted twice."""

from decimal import Decimal

from quantd.domain.facts import BalancesRecorded
from quantd.testing.builders import BTC, Rig, make_balance, make_snapshot
from tests.unit.engine.acts import buy

D = Decimal


def look(rig: Rig, usd: int, locked: int, asked_at_ns: int | None = None) -> None:
    shown = (make_balance("USD", usd, locked), make_balance("BTC", 1))
    asked = rig.now_ns if asked_at_ns is None else asked_at_ns
    rig.handle(make_snapshot({}, at_ns=rig.now_ns, asked_at_ns=asked, balances=shown))


def free(rig: Rig) -> Decimal:
    return rig.state.portfolio.account("paper").free("USD")


def test_an_order_that_was_accepted_while_the_venue_was_asked_is_not_counted_twice_for_ever() -> None:
    rig = Rig(balances={"USD": 1_000, "BTC": 1})
    order = buy(rig, 2, 99)
    (reserved,) = {rig.state.orders[order.id].reservation[1]}
    asked_at_ns = rig.now_ns
    rig.wait(1)
    rig.accept(order)
    look(rig, 1_000, 198, asked_at_ns)
    assert free(rig) == 1_000 - reserved - 198, "ours may not be among what is locked"
    rig.wait(5)
    look(rig, 1_000, 198)
    assert free(rig) == 1_000 - max(reserved, D(198)), "by now it is"
    told = len(rig.of(BalancesRecorded))
    rig.wait(5)
    look(rig, 1_000, 198)
    assert len(rig.of(BalancesRecorded)) == told, "the same look again changes nothing"


def test_money_that_the_venue_keeps_locked_after_our_order_is_not_free() -> None:
    rig = Rig(balances={"USD": 1_000, "BTC": 1})
    order = buy(rig, 2, 99)
    rig.accept(order)
    rig.wait(5)
    look(rig, 1_000, 198)
    rig.do(lambda s: s.cancel_all(BTC))
    rig.accept(order)
    assert free(rig) == 1_000
    rig.wait(5)
    look(rig, 1_000, 198)
    assert free(rig) == 802, "whoever holds it, it cannot be used"
