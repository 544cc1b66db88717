"""A halt stays until a named person clears it, whatever happens to process, disk or file."""

import errno
import fcntl
import os
import tempfile
import threading
from pathlib import Path

import pytest

from quantd.domain.events import ALL, TradingState
from quantd.errors import JournalError
from quantd.journal.latch import UNREADABLE, Halt, HaltLatch, LatchContent
from tests.component.journal.kit import as_nobody

HALTED, REDUCING, ACTIVE = TradingState.HALTED, TradingState.REDUCING, TradingState.ACTIVE
OPERATOR = Halt(ALL, HALTED, "ann", "news", 5)


@pytest.fixture
def latch(tmp_path: Path) -> HaltLatch:
    return HaltLatch(tmp_path / "state" / "halt.json")


def test_no_file_means_active(latch: HaltLatch) -> None:
    assert latch.read() == LatchContent(0)
    assert latch.read().state is ACTIVE


def test_a_halt_is_there_for_the_next_process(latch: HaltLatch) -> None:
    latch.halt(OPERATOR)
    again = HaltLatch(latch.path)
    assert again.read() == LatchContent(1, (OPERATOR,))
    assert again.read().state is HALTED
    assert b'"why": "news"' in latch.path.read_bytes()


def test_only_a_named_person_with_a_reason_clears(latch: HaltLatch) -> None:
    latch.halt(OPERATOR)
    for by, why in (("", "fine"), ("bob", " ")):
        with pytest.raises(JournalError, match="a named person who says why"):
            latch.clear(ALL, by=by, why=why, at_ns=9)
    content = latch.clear(ALL, by="bob", why="over", at_ns=9)
    assert content == LatchContent(2, (), (Halt(ALL, HALTED, "bob", "over", 9),))
    assert HaltLatch(latch.path).read() == content
    with pytest.raises(JournalError, match="nothing is halted with scope 'all'"):
        latch.clear(ALL, by="bob", why="again", at_ns=10)


def test_scopes_are_latched_and_cleared_one_by_one_and_the_strictest_wins(latch: HaltLatch) -> None:
    latch.halt(Halt("venue:oanda", REDUCING, "ann", "maintenance", 1))
    latch.halt(Halt("strategy:a", HALTED, "quantd", "loss", 2))
    content = latch.read()
    assert content.state is ACTIVE
    assert content.state_of(("venue:oanda",)) is REDUCING
    assert content.state_of(("venue:oanda", "strategy:a")) is HALTED
    assert content.state_of(("venue:other", "strategy:b")) is ACTIVE
    latch.halt(Halt(ALL, REDUCING, "ann", "slow down", 3))
    assert latch.read().state_of(("strategy:b",)) is REDUCING
    assert latch.clear("strategy:a", by="ann", why="looked", at_ns=4).state_of(("strategy:a",)) is REDUCING


def test_the_last_clearing_of_each_scope_is_kept_also_one_of_a_file_that_kept_a_single_one(latch: HaltLatch) -> None:
    latch.path.parent.mkdir(parents=True, exist_ok=True)
    halts = ",".join(f'{{"scope":"venue:{one}","state":"halted","by":"ann","why":"x","at_ns":5}}' for one in "bc")
    old = '{"scope":"venue:a","state":"halted","by":"ann","why":"looked","at_ns":4}'
    latch.path.write_text(f'{{"generation":7,"halts":[{halts}],"cleared":[{old}]}}')
    latch.clear("venue:b", by="ann", why="looked", at_ns=8)
    latch.clear("venue:c", by="ann", why="looked", at_ns=9)
    latch.halt(Halt("venue:b", HALTED, "ann", "again", 10))
    content = latch.clear("venue:b", by="ann", why="looked", at_ns=11)
    assert [(note.scope, note.at_ns) for note in content.cleared] == [("venue:a", 4), ("venue:c", 9), ("venue:b", 11)]


def test_a_weaker_order_does_not_loosen_a_halt(latch: HaltLatch) -> None:
    latch.halt(OPERATOR)
    content = latch.halt(Halt(ALL, REDUCING, "bob", "softly", 6))
    assert content.halts == (OPERATOR,)
    stricter = Halt(ALL, HALTED, "bob", "more", 7)
    assert latch.halt(stricter).halts == (stricter,)


def test_active_is_no_halt(latch: HaltLatch) -> None:
    with pytest.raises(ValueError, match="a halt is REDUCING or HALTED"):
        latch.halt(Halt(ALL, ACTIVE, "ann", "", 1))


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b'{"generation": "x"}', b'{"halts": []}'])
def test_a_file_that_cannot_be_read_counts_as_halted_until_cleared(latch: HaltLatch, content: bytes) -> None:
    latch.halt(Halt("venue:a", HALTED, "ann", "x", 1))
    latch.path.write_bytes(content)
    for one in (latch, HaltLatch(latch.path)):
        assert one.read().state is HALTED
        assert one.generation == UNREADABLE
        assert "cannot be read" in one.read().halts[0].why
    assert latch.halt(Halt("venue:b", HALTED, "ann", "x", 2)).generation == 2
    assert HaltLatch(latch.path).read().state is HALTED
    assert latch.clear(ALL, by="ann", why="looked at it", at_ns=3).state is ACTIVE


def test_a_change_by_another_process_is_seen_at_the_next_look(latch: HaltLatch) -> None:
    other = HaltLatch(latch.path)
    for generation in range(1, 40):
        if generation % 2:
            other.halt(OPERATOR)
        else:
            other.clear(ALL, by="bob", why="over", at_ns=9)
        assert latch.generation == generation
        assert latch.read().state is (HALTED if generation % 2 else ACTIVE)


def test_a_halt_that_the_disk_refuses_holds_in_this_process(latch: HaltLatch) -> None:
    latch.path.parent.mkdir()
    latch.path.with_name("halt.json." + str(os.getpid()) + ".tmp").mkdir()  # makes the write fail
    with pytest.raises(JournalError, match="the halt could not be written"):
        latch.halt(OPERATOR)
    assert latch.read() == LatchContent(UNREADABLE, (OPERATOR,))
    with pytest.raises(JournalError, match="could not be cleared"):
        latch.clear(ALL, by="ann", why="x", at_ns=1)
    assert latch.read().state is HALTED
    latch.path.with_name("halt.json." + str(os.getpid()) + ".tmp").rmdir()
    latch.halt(Halt("venue:a", REDUCING, "ann", "y", 2))
    assert {halt.scope for halt in HaltLatch(latch.path).read().halts} == {ALL, "venue:a"}


def test_a_folder_that_cannot_be_looked_at_counts_as_halted(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file, no folder")
    latch = HaltLatch(tmp_path / "state" / "halt.json")
    assert latch.read().state is HALTED
    with pytest.raises(JournalError, match="could not be written"):
        latch.halt(OPERATOR)


def test_halting_does_not_wait_for_a_process_that_is_stopped_but_clearing_does(latch: HaltLatch) -> None:
    latch.halt(Halt("venue:a", HALTED, "ann", "x", 1))
    stuck = os.open(latch.path.with_name("halt.json.lock"), os.O_RDWR)
    fcntl.flock(stuck, fcntl.LOCK_EX)
    try:
        assert latch.halt(OPERATOR).state is HALTED
        with pytest.raises(JournalError, match="could not be cleared"):
            latch.clear(ALL, by="ann", why="x", at_ns=1)
    finally:
        os.close(stuck)
    assert HaltLatch(latch.path).read().state is HALTED


def test_threads_that_halt_at_once_lose_no_halt(latch: HaltLatch) -> None:
    halts = [Halt(f"strategy:{n}", HALTED, "quantd", "x", n) for n in range(12)]
    threads = [threading.Thread(target=HaltLatch(latch.path).halt, args=(halt,)) for halt in halts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    content = latch.read()
    assert set(content.halts) == set(halts)
    assert content.generation == 12


def test_a_halt_is_kept_on_a_disk_that_has_no_room_left(latch: HaltLatch, monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal fails because the disk is full: that is when its halt must be there for the next process."""
    latch.reserve()
    opened, wrote = os.open, os.write
    fresh: set[int] = set()

    def open_(path: os.PathLike[str], flags: int, mode: int = 0o777) -> int:
        is_new = not os.path.exists(path) or bool(flags & os.O_TRUNC)
        descriptor = opened(path, flags, mode)
        (fresh.add if is_new else fresh.discard)(descriptor)
        return descriptor

    def write(descriptor: int, data: bytes) -> int:
        if descriptor in fresh:
            raise OSError(errno.ENOSPC, "No space left on device")
        return wrote(descriptor, data)

    monkeypatch.setattr(os, "open", open_)
    monkeypatch.setattr(os, "write", write)
    latch.halt(OPERATOR)
    assert HaltLatch(latch.path).read() == LatchContent(1, (OPERATOR,))
    with pytest.raises(JournalError, match="No space left"):
        latch.halt(Halt("venue:a", HALTED, "ann", "x", 6))
    monkeypatch.undo()
    latch.reserve()
    assert HaltLatch(latch.path).read().state is HALTED
    assert latch.halt(Halt("venue:a", HALTED, "ann", "x", 7)).state_of(("venue:a",)) is HALTED


@pytest.mark.parametrize("text", ["J\udcf6rg", "\ud83d", "Jörg"])
def test_words_of_a_terminal_that_speaks_no_utf_8_keep_nobody_from_halting(latch: HaltLatch, text: str) -> None:
    latch.halt(Halt(ALL, HALTED, text, text, 1))
    assert HaltLatch(latch.path).read().state is HALTED
    latch.clear(ALL, by=text, why=text, at_ns=2)
    assert HaltLatch(latch.path).read().state is ACTIVE


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can leave files of another user")
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_what_root_has_made_in_the_folder_keeps_the_daemon_neither_from_halting_nor_from_reading(umask: int) -> None:
    # Not under tmp_path, whose parents another user may not enter.
    with tempfile.TemporaryDirectory(prefix="quantd-") as name:
        folder = Path(name) / "state"
        folder.mkdir()
        os.chown(folder, 65_534, 65_534)
        os.chown(name, 65_534, 65_534)
        path = folder / "halt.json"
        before = os.umask(umask)
        try:
            HaltLatch(path).halt(OPERATOR)
        finally:
            os.umask(before)
        with as_nobody():
            latch = HaltLatch(path)
            assert latch.read().halts == (OPERATOR,)
            latch.reserve()
            latch.halt(Halt("venue:a", HALTED, "journal", "x", 2))
            if umask == 0o022:
                latch.clear(ALL, by="ann", why="looked", at_ns=3)
        assert HaltLatch(path).read().state_of(("venue:a",)) is HALTED


def test_a_file_system_without_locks_keeps_nobody_from_halting(
    latch: HaltLatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr("quantd.journal.latch.fcntl.flock", no_locks)
    assert latch.halt(OPERATOR).state is HALTED
    with pytest.raises(JournalError, match="could not be cleared: no locks available"):
        latch.clear(ALL, by="ann", why="x", at_ns=1)
    assert HaltLatch(latch.path).read().state is HALTED
