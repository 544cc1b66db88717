"""The soak in short: everything of it but its length, which the campaign has."""

from pathlib import Path

import pytest

from tests.soak import lag, soak


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_ten_strategies_on_two_hundred_instruments_come_through_faults_without_a_429_or_an_unknown(
    tmp_path: Path,
) -> None:
    found = soak(20, tmp_path)
    print(found.words())
    assert found.problems == ()
    assert found.faults > 0
    assert found.orders > 100
    assert found.fills > 100
    # A shared machine in the middle of a test run: the promised bounds are held against a run of their own.
    assert found.lag_p99_s < 0.25
    assert found.growth_mib < 40


def test_a_percentile_is_read_from_the_buckets_by_proportion() -> None:
    text = "".join(
        f'quantd_loop_lag_seconds_bucket{{le="{bound}"}} {count}\n'
        for bound, count in (("0.001", 90), ("0.01", 98), ("0.025", 100), ("0.05", 100), ("+Inf", 100))
    )
    p99_s, highest_s = lag(text)
    assert p99_s == pytest.approx(0.0175)
    assert highest_s == 0.025
