"""The grid maker: even steps around the middle, inventory kept in bounds, refusals survived."""

from decimal import Decimal
from typing import Any

import pytest

from quantd.domain.instruments import FeeSchedule
from quantd.domain.orders import OrderState, Side
from quantd.engine.risk.limits import Limits, RateLimit
from quantd.testing.builders import make_instrument
from quantd.testing.kit import Trial
from strategies.grid_maker import GridMaker
from tests.unit.strategies.markets import synthetic

PARAMS: dict[str, Any] = {"levels": 2, "step_bps": 100, "requote_bps": 50, "quantity": "0.1", "rest_s": 0}


def grid(**params: Any) -> Trial:
    return Trial(GridMaker, PARAMS | params).quote(999.9, 1000.1)


def standing(trial: Trial) -> list[tuple[str, Decimal, Decimal | None]]:
    orders = sorted(trial.orders, key=lambda order: order.price or 0)
    return [(order.side.value, order.quantity, order.price) for order in orders]


BUYS = [("buy", Decimal("0.1"), Decimal(980)), ("buy", Decimal("0.1"), Decimal(990))]


def test_it_buys_below_the_middle_and_sells_nothing_that_it_does_not_hold() -> None:
    assert standing(grid()) == BUYS


def test_a_small_move_leaves_the_grid_alone() -> None:
    trial = grid()
    before = [order.id for order in trial.orders]
    trial.quote(1001.9, 1002.1)
    assert [order.id for order in trial.orders] == before


def test_a_large_move_moves_the_whole_grid() -> None:
    trial = grid().quote(1009.9, 1010.1)
    assert [price for _, _, price in standing(trial)] == [Decimal("989.8"), Decimal("999.9")]


def test_a_market_that_creeps_trades_with_every_level_of_a_plain_grid() -> None:
    trial = grid(requote_bps=0)
    for bps in (*range(0, -249, -1), *range(-249, 249)):
        middle = 1000 + bps / 10
        trial.quote(middle - 0.1, middle + 0.1)
    assert [side for side, _, _ in trial.trades] == ["buy", "buy", "sell", "sell"]
    assert [price for _, _, price in trial.trades] == [990, 980, 1010, 1020]


@pytest.mark.parametrize("levels", [1, 3])
def test_a_plain_grid_follows_a_market_that_has_left_it(levels: int) -> None:
    trial = grid(requote_bps=0, levels=levels, step_bps=10)
    before = {order.id for order in trial.orders}
    beyond = 1000 + levels + 0.5
    trial.quote(beyond - 0.2, beyond - 0.2)
    assert {order.id for order in trial.orders} == before
    trial.quote(beyond, beyond)
    assert before.isdisjoint(order.id for order in trial.orders)


def test_what_was_bought_is_offered_at_once_a_step_above_the_middle() -> None:
    trial = grid().quote(989.9, 990)
    assert trial.trades == [("buy", Decimal("0.1"), Decimal(990))]
    # The middle is now 989.95, a step lower: a new grid stands around it.
    assert ("sell", Decimal("0.1"), Decimal("999.85")) in standing(trial)
    trial.quote(1000, 1000.2)
    assert trial.trades[-1] == ("sell", Decimal("0.1"), Decimal("999.85"))
    assert trial.position() == 0


def test_a_level_that_traded_stays_empty_until_the_grid_moves() -> None:
    trial = grid(requote_bps=5_000).quote(989.9, 990)
    assert standing(trial) == [BUYS[0], ("sell", Decimal("0.1"), Decimal(1010))]
    trial.quote(989.9, 990).quote(995, 995.2).quote(989.9, 990)
    assert len(trial.trades) == 1


def test_it_never_holds_more_than_its_inventory() -> None:
    trial = grid(levels=3, max_inventory="0.25")
    assert [quantity for _, quantity, _ in standing(trial)] == [Decimal("0.05"), Decimal("0.1"), Decimal("0.1")]
    price = 1000.0
    for _ in range(40):
        price *= 0.985
        trial.quote(price, price)
        assert trial.position() <= Decimal("0.25")
    assert trial.position() == Decimal("0.25"), "the last level takes what is left of the room"


def test_fees_in_the_base_asset_leave_something_to_sell_and_no_crumbs() -> None:
    costly = make_instrument(
        "paper:BTC-USD", lot=Decimal("0.0001"), fees=FeeSchedule(Decimal("0.01"), Decimal("0.01"), "received")
    )
    trial = Trial(GridMaker, PARAMS, instruments=[costly]).quote(999.9, 1000.1).quote(989.9, 990)
    assert trial.position() == Decimal("0.099")
    assert [order.quantity for order in trial.orders if order.side is Side.SELL] == [Decimal("0.099")]
    trial.quote(1000, 1000.2)
    assert trial.position() == 0
    assert trial.denials == []


def test_on_margin_it_may_sell_first() -> None:
    trial = Trial(GridMaker, PARAMS | {"short": True}, margin=True).quote(999.9, 1000.1)
    assert [(side, price) for side, _, price in standing(trial)] == [
        *(("buy", Decimal(980)), ("buy", Decimal(990)), ("sell", Decimal(1010)), ("sell", Decimal(1020))),
    ]


def test_a_refusal_that_lasts_is_not_repeated_until_the_grid_moves() -> None:
    trial = Trial(GridMaker, PARAMS, limits=Limits(max_position=Decimal("0.1")))
    for _ in range(20):
        trial.quote(999.9, 1000.1)
    assert [denied.code for denied in trial.denials] == ["position"]
    assert len(trial.orders) == 1
    trial.quote(1050, 1050.2).quote(1050, 1050.2)
    assert len(trial.denials) == 2
    assert trial.faults == []


def test_a_refusal_that_passes_is_tried_again() -> None:
    limits = Limits(submit_rate=RateLimit(count=1, per_s=10))
    trial = Trial(GridMaker, PARAMS, limits=limits).quote(999.9, 1000.1)
    assert len(trial.orders) == 1
    assert len(trial.denials) == 1, "one is enough to know"
    trial.wait(11).quote(999.9, 1000.1)
    assert standing(trial) == BUYS


def test_a_fast_market_moves_the_grid_no_more_often_than_it_rests() -> None:
    trial = grid(rest_s=2)
    before = [order.id for order in trial.orders]
    trial.wait(1).quote(1009.9, 1010.1)
    assert [order.id for order in trial.orders] == before
    trial.wait(1).quote(1009.9, 1010.1)
    assert [price for _, _, price in standing(trial)] == [Decimal("989.8"), Decimal("999.9")]


def test_a_restart_lays_a_new_grid_in_place_of_the_old_one() -> None:
    trial = grid().restart()
    assert trial.orders == []
    trial.quote(999.9, 1000.1)
    assert standing(trial) == BUYS


def test_while_halted_it_places_nothing_and_goes_on_living() -> None:
    trial = grid().halt()
    assert trial.orders == []
    trial.quote(1050, 1050.2).quote(1050, 1050.2)
    assert trial.orders == []
    assert trial.faults == []


def test_on_a_synthetic_market_it_earns_steps_and_keeps_its_bounds() -> None:
    trial = Trial(GridMaker, {"levels": 3, "step_bps": 8, "quantity": "0.1"})
    for event in synthetic("paper:BTC-USD", hours=1):
        trial.play([event])
        assert 0 <= trial.position() <= Decimal("0.3")
        assert len(trial.orders) <= 6
    sides = [side for side, _, _ in trial.trades]
    assert sides.count("buy") >= 20
    assert sides.count("sell") >= 20
    assert trial.denials == []
    ended = [order.state for order in trial.engine.state.orders.all_orders() if not order.is_open]
    assert set(ended) == {OrderState.FILLED, OrderState.CANCELLED}
