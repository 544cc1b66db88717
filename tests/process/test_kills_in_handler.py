"""The simulated venue kills the daemon from within its own request handler: a sample; the campaign kills 200 times."""

from pathlib import Path

import pytest

from tests.process.killing import WRITES, run_folder


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_killed_by_the_venue_before_and_after_each_kind_of_write_nothing_is_twice_lost_or_different(
    tmp_path: Path,
) -> None:
    result = run_folder(1, 10, tmp_path)
    assert result.problems == []
    assert set(result.kills) == {(write, when) for write in WRITES for when in ("before", "after")}
    assert result.kills.total() == 10
    assert result.fills > 0
    print(f"{dict(result.kills)}; {result.orders} orders, {result.replays} answered from their key")
