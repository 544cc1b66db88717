"""The input log gives back what went in; a torn tail is reported, damage before it is refused."""

import os
from pathlib import Path
from typing import cast

import pytest

from quantd.errors import JournalCorrupt, JournalError
from quantd.journal.inputlog import InputLogHeader, InputLogReader, InputLogWriter, TornTail
from tests.component.journal.kit import Noted, Small, buys

HEADER = InputLogHeader("k7", 3, 120, 1_700_000_000_000_000_000, "0.1.0")


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "inputs" / "1.log"
    with InputLogWriter[Small](path, HEADER) as log:
        for event in buys(10):
            log.append(event)
        assert log.count == 10
    return path


def test_inputs_come_back_in_order_as_often_as_asked(written: Path) -> None:
    reader = InputLogReader[Small](written, Small)
    assert reader.header == HEADER
    assert list(reader) == buys(10)
    assert list(reader) == buys(10)
    assert reader.torn is None


def test_what_was_flushed_survives_without_a_close(tmp_path: Path) -> None:
    log = InputLogWriter[Small](tmp_path / "1.log", HEADER)
    log.append(buys(1)[0])
    log.flush()
    assert list(InputLogReader[Small](log.path, Small)) == buys(1)
    log.close()


def test_a_tail_torn_at_any_byte_is_left_out_and_reported(written: Path) -> None:
    whole = written.read_bytes()
    with InputLogWriter[Small](written.with_name("9.log"), HEADER) as log:
        for event in buys(9):
            log.append(event)
    end_of_ninth = log.path.stat().st_size
    for size in range(end_of_ninth + 1, len(whole)):
        os.truncate(written, size)
        reader = InputLogReader[Small](written, Small)
        assert list(reader) == buys(9)
        assert reader.torn == TornTail(end_of_ninth, size - end_of_ninth)
        written.write_bytes(whole)


def test_a_last_frame_of_the_wrong_bytes_is_a_torn_tail(written: Path) -> None:
    whole = written.read_bytes()
    written.write_bytes(whole[:-1] + b"\0")
    reader = InputLogReader[Small](written, Small)
    assert list(reader) == buys(9)
    assert reader.torn is not None


def test_damage_with_whole_frames_behind_it_is_refused(written: Path) -> None:
    whole = bytearray(written.read_bytes())
    place = whole.index(b"q-3")
    whole[place] ^= 1
    written.write_bytes(whole)
    with pytest.raises(JournalCorrupt, match=r"the frame at byte \d+ does not match its checksum"):
        list(InputLogReader[Small](written, Small))


def test_an_input_of_another_kind_is_named(tmp_path: Path) -> None:
    with InputLogWriter[Small](tmp_path / "1.log", HEADER) as log:
        log.append(buys(1)[0])
        log.append(cast("Small", HEADER))
    with pytest.raises(JournalCorrupt, match=r"input 2 at byte \d+ cannot be read"):
        list(InputLogReader[Small](log.path, Small))


def test_an_existing_log_is_not_continued(written: Path) -> None:
    with pytest.raises(JournalError, match="cannot be created: File exists"):
        InputLogWriter[Small](written, HEADER)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an input log"),
        (b"something else, long enough", "not an input log"),
        (b"quantd input log 1\n", "no whole header"),
        (b"quantd input log 1\n\0\0", "no whole header"),
    ],
)
def test_what_is_no_input_log_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "1.log"
    path.write_bytes(content)
    with pytest.raises(JournalError, match=message):
        InputLogReader[Small](path, Small)


def test_a_log_whose_header_is_something_else_is_refused(tmp_path: Path) -> None:
    InputLogWriter[Small](tmp_path / "1.log", cast("InputLogHeader", buys(1)[0])).close()
    with pytest.raises(JournalCorrupt, match="the header of the input log cannot be read"):
        InputLogReader[Small](tmp_path / "1.log", Small)


def test_a_missing_log_is_named(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match=r"1\.log: the input log cannot be read: No such file"):
        InputLogReader[Small](tmp_path / "1.log", Small)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_named(tmp_path: Path) -> None:
    log = InputLogWriter[Small](tmp_path / "1.log", HEADER)
    with open("/dev/full", "wb") as full:
        os.dup2(full.fileno(), log._file.fileno())
    log.append(buys(1)[0])
    with pytest.raises(JournalError, match="cannot be written: No space left"):
        log.flush()
    with pytest.raises(JournalError, match="cannot be written: No space left"):
        log.append(Noted("x" * 1_000_000, 1))
    with pytest.raises(OSError, match="No space left"):
        log._file.close()
