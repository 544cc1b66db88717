"""A start on a machine whose clock was set back since the run before it: time goes on from where the journal ends."""

from pathlib import Path

import pytest

from quantd.app.storage import Storage, codec, open_storage
from quantd.clock import ManualClock, SystemClock
from quantd.config import load
from quantd.domain.facts import CursorMoved, Fact
from quantd.errors import JournalError
from quantd.journal.store import Append
from quantd.ports import Clock
from tests.component.shop import shop

HOUR_NS = 3_600_000_000_000


def opened(root: Path, clock: Clock) -> Storage:
    (root / "q.yaml").write_text(shop(root))
    return open_storage(load([root / "q.yaml"], {}), {"shop": "1"}, clock)


def write_at(root: Path, at_ns: int) -> None:
    """Let a run before have written its last record then."""
    storage = opened(root, ManualClock(1))
    fact: Fact = CursorMoved("shop", "until", "1", at_ns)
    storage.store.write([Append([codec().encode(fact)], [fact])])
    storage.close()


def test_a_journal_that_is_an_hour_ahead_is_gone_on_from(tmp_path: Path) -> None:
    """Else all that it knows of that hour were newer than what the venue shows, and no difference to it would count."""
    clock = SystemClock()
    ahead_ns = clock.now_ns() + HOUR_NS
    write_at(tmp_path, ahead_ns)
    storage = opened(tmp_path, clock)
    assert ahead_ns <= clock.now_ns() < ahead_ns + HOUR_NS
    storage.close()


def test_a_journal_that_is_days_ahead_is_refused(tmp_path: Path) -> None:
    clock = SystemClock()
    write_at(tmp_path, clock.now_ns() + 48 * HOUR_NS)
    with pytest.raises(JournalError, match=r"record 1 \(CursorMoved\) is 48\.0 h ahead of this machine's clock"):
        opened(tmp_path, clock)


def test_a_journal_of_the_past_changes_no_time(tmp_path: Path) -> None:
    clock = SystemClock()
    write_at(tmp_path, clock.now_ns() - HOUR_NS)
    opened(tmp_path, clock).close()
    assert abs(clock.now_ns() - clock.wall_ns()) < HOUR_NS // 3_600
