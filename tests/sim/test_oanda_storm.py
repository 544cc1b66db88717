"""A sample of OANDA's storms, netting and hedging, and the proof that a seed repeats itself to the byte."""

import os

import pytest

from tests.sim.oanda_storm import storm

SAMPLE = int(os.environ.get("QUANTD_OANDA_SEEDS", "14"))


@pytest.mark.parametrize("seed", range(SAMPLE))
def test_orders_lots_and_money_are_the_venues_after_every_storm(seed: int) -> None:
    assert storm(seed).orders > 0


def test_the_same_seed_gives_the_same_journal_to_the_byte() -> None:
    assert storm(3).fingerprint == storm(3).fingerprint
