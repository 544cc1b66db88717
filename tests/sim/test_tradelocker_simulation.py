"""A sample of TradeLocker's simulations, among them the seeds that once found something."""

import pytest

from tests.sim.tradelocker import simulate

FOUND = (5, 40, 81, 92, 538)
"""5, 92: a snapshot that failed after its history was read forgot what had closed; 40: a close that the history showed late
after a restart; 81: a lot that nobody owned for want of such a close; 538: a session that ended twice in a row stopped the venue for good."""


@pytest.mark.parametrize("seed", [*FOUND, 1, 46])
def test_a_seed_comes_through_with_orders_lots_and_money_as_the_server_has_them(seed: int) -> None:
    outcome = simulate(seed)
    assert outcome.fills
    assert outcome.struck
