"""The bar store on a real disk."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from quantd.domain.instruments import InstrumentId
from quantd.domain.market import Bar
from quantd.errors import BarStoreFailed
from quantd.feeds.store import RETIRED_AFTER_NS, BarStore

A, B = InstrumentId("ionloop:BTC-USDT"), InstrumentId("oanda:EUR_USD")
S = 1_000_000_000


def bar(
    minute: int, *, instrument: InstrumentId = A, close: float = 1.5, interval_s: int = 60, complete: bool = True
) -> Bar:
    closed = (minute + 1) * interval_s * S
    return Bar(instrument, closed - interval_s * S, closed, 1.0, 2.0, 0.5, close, 7.25, closed, complete)


@asynccontextmanager
async def opened(path: Path, keep: int = 5_000, now_ns: int | None = None) -> AsyncIterator[BarStore]:
    store = BarStore(path, keep=keep)
    await store.start(now_ns)
    try:
        yield store
    finally:
        await store.stop()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "var" / "bars.db"


async def test_the_last_bars_come_back_oldest_first_after_a_restart(path: Path) -> None:
    bars = [bar(minute, close=1 + minute / 1000) for minute in range(100)]
    async with opened(path) as store:
        for each in bars:
            store.append(each)
        assert await store.load(A, 60, 1_000) == tuple(bars)  # what waits is written first
    async with opened(path) as store:
        assert await store.load(A, 60, 10) == tuple(bars[-10:])
        assert await store.load(A, 60, 0) == ()
        assert await store.load(B, 60, 10) == ()
        assert await store.load(A, 300, 10) == ()


async def test_a_series_that_nobody_adds_to_goes_long_after_its_last_bar(path: Path) -> None:
    days = RETIRED_AFTER_NS // (60 * S)
    async with opened(path) as store:
        for each in (bar(0, instrument=B), bar(1), bar(1 + days), bar(1, interval_s=60 * 60)):
            store.append(each)
    async with opened(path) as store:
        assert await store.load(B, 60, 9) == ()
        assert len(await store.load(A, 60, 9)) == 2
        assert len(await store.load(A, 3600, 9)) == 1


async def test_bars_of_a_clock_that_was_years_ahead_go_once_it_is_right(path: Path) -> None:
    """They stood before every bar that came, so that no warm-up found one, and made every other series seem retired."""
    years = 4 * RETIRED_AFTER_NS // (60 * S) * 4
    async with opened(path, now_ns=0) as store:
        for each in (*map(bar, range(3)), bar(years), bar(years + 1), bar(2, instrument=B)):
            store.append(each)
    async with opened(path, now_ns=bar(2).closed_at_ns) as store:
        store.append(bar(3))
        assert await store.load(A, 60, 2) == (bar(2), bar(3))
        assert await store.load(B, 60, 9) == (bar(2, instrument=B),)


async def test_series_are_kept_apart_and_only_complete_bars_count(path: Path) -> None:
    async with opened(path) as store:
        kept = [bar(0), bar(0, instrument=B), bar(0, interval_s=300)]
        for each in [*kept, bar(1, complete=False)]:
            store.append(each)
        found = [await store.load(A, 60, 9), await store.load(B, 60, 9), await store.load(A, 300, 9)]
        assert found == [(each,) for each in kept]


async def test_a_bar_of_a_known_close_replaces_it(path: Path) -> None:
    async with opened(path) as store:
        store.append(bar(0, close=1.1))
        store.append(bar(0, close=1.2))
        assert [each.close for each in await store.load(A, 60, 9)] == [1.2]


async def test_each_series_is_bounded(path: Path) -> None:
    async with opened(path, keep=10) as store:
        for minute in range(1_000):
            store.append(bar(minute))
        store.append(bar(0, instrument=B))
        held = await store.load(A, 60, 100_000)
        assert 10 <= len(held) <= 10 + 64
        assert held[-1] == bar(999)
        assert len(await store.load(B, 60, 100_000)) == 1
    async with opened(path, keep=5) as store:
        store.append(bar(1_000))
        assert await store.load(A, 60, 100_000) == tuple(bar(minute) for minute in range(996, 1_001))


async def test_nothing_is_kept_when_nothing_shall_be(path: Path) -> None:
    async with opened(path, keep=0) as store:
        store.append(bar(0))
        assert await store.load(A, 60, 9) == ()


async def test_a_closed_store_answers_with_nothing(path: Path) -> None:
    store = BarStore(path)
    store.append(bar(0))
    assert await store.load(A, 60, 9) == ()
    await store.start()
    await store.stop()
    await store.stop()
    store.append(bar(0))
    assert await store.load(A, 60, 9) == ()


def write_a_letter(path: Path) -> None:
    path.write_bytes(b"this is no database at all, it is a letter" * 200)


def write_another_layout(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version=99")
    connection.close()


async def test_a_database_of_another_program_is_refused_and_stays_where_it_is(path: Path) -> None:
    """It may be the journal of a daemon, and in use."""
    path.parent.mkdir()
    other = sqlite3.connect(path)
    other.execute("PRAGMA application_id=1903127089")
    other.execute("PRAGMA user_version=2")
    other.close()
    before = read(path)
    with pytest.raises(BarStoreFailed, match=r"bars\.db: .* is the database of another program, perhaps a journal"):
        await BarStore(path).start()
    assert read(path) == before
    assert not path.with_name("bars.db.unusable").exists()


@pytest.mark.parametrize("write", [write_a_letter, write_another_layout])
async def test_an_unusable_file_is_put_aside_and_begun_anew(path: Path, write: Callable[[Path], None]) -> None:
    path.parent.mkdir()
    write(path)
    async with opened(path) as store:
        store.append(bar(0))
        assert await store.load(A, 60, 9) == (bar(0),)
    assert path.with_name("bars.db.unusable").exists()


def read(path: Path) -> bytes:
    return path.read_bytes()


def damage(path: Path) -> bytes:
    """Write over all but the first two pages; what they hold now."""
    content = read(path)
    rest = b"\xa5" * (len(content) - 8_192)
    path.write_bytes(content[:8_192] + rest)
    return rest


@pytest.mark.parametrize("found_by", ["start", "append"])
async def test_a_file_that_turns_out_to_be_damaged_is_put_aside_and_begun_anew(
    path: Path, monkeypatch: pytest.MonkeyPatch, found_by: str
) -> None:
    """Its first page is whole, so that it opens: every bar of every run to come was refused."""
    async with opened(path) as store:
        for minute in range(1_000):
            store.append(bar(minute))
    rest = damage(path)
    if found_by == "append":
        monkeypatch.setattr(BarStore, "_retire", lambda self, connection, now_ns: connection)
    async with opened(path) as store:
        store.append(bar(1_000))
        assert await store.load(A, 60, 9) == (bar(1_000),)
        assert store.dropped == 0
    assert read(path.with_name("bars.db.unusable"))[8_192:] == rest
    async with opened(path) as store:
        assert await store.load(A, 60, 9) == (bar(1_000),)


def spoil(path: Path) -> None:
    """Make every stored bar one that is none."""
    saboteur = sqlite3.connect(path, isolation_level=None)
    saboteur.execute("UPDATE bars SET close = x'01'")
    saboteur.close()


async def test_a_bar_that_is_none_any_more_is_damage(path: Path) -> None:
    async with opened(path) as store:
        store.append(bar(0))
        assert await store.load(A, 60, 9) == (bar(0),)
        spoil(path)
        assert await store.load(A, 60, 9) == ()
        store.append(bar(1))
        assert await store.load(A, 60, 9) == (bar(1),)


async def test_a_damaged_file_that_cannot_be_put_aside_costs_bars_and_not_the_daemon(path: Path) -> None:
    path.with_name("bars.db.unusable").mkdir(parents=True)
    async with opened(path) as store:
        store.append(bar(0))
        assert await store.load(A, 60, 9) == (bar(0),)
        spoil(path)
        assert await store.load(A, 60, 9) == ()
        store.append(bar(1))
        assert await store.load(A, 60, 9) == ()
        assert (store.stored, store.dropped) == (1, 1)


async def test_a_disk_that_refuses_costs_bars_and_not_the_daemon(path: Path) -> None:
    async with opened(path) as store:
        store.append(bar(0))
        assert await store.load(A, 60, 9) == (bar(0),)
        saboteur = sqlite3.connect(path)
        saboteur.execute("CREATE TRIGGER refuse BEFORE INSERT ON bars BEGIN SELECT RAISE(ABORT, 'disk full'); END")
        saboteur.commit()
        store.append(bar(1))
        assert await store.load(A, 60, 9) == (bar(0),)
        assert (store.stored, store.dropped) == (1, 1)
        saboteur.execute("DROP TRIGGER refuse")
        saboteur.commit()
        saboteur.close()
        store.append(bar(2))
        assert await store.load(A, 60, 9) == (bar(0), bar(2))


async def test_the_loop_goes_on_while_the_disk_is_busy(path: Path) -> None:
    async with opened(path) as store:
        blocker = sqlite3.connect(path, isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        for minute in range(50):
            store.append(bar(minute))
        async with asyncio.TaskGroup() as group:
            loading = group.create_task(store.load(A, 60, 100))
            await asyncio.sleep(0.05)
            assert not loading.done()
            blocker.execute("COMMIT")
            blocker.close()
        assert len(loading.result()) == 50
