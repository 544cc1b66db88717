"""The input log gives back what went in; a torn tail is reported, damage before it is refused."""

import os

import pytest

from quantd.errors import JournalCorrupt, JournalError
from quantd.journal.inputlog import InputLogHeader, InputLogReader, InputLogWriter, TornTail

HEADER = InputLogHeader("k7", 3, 120, 1_700_000_000_000_000_000, "0.1.0")


@pytest.fixture
def written(kit, tmp_path):
    path = tmp_path / "inputs" / "1.log"
    with InputLogWriter(path, HEADER) as log:
        for event in kit.buys(10):
            log.append(event)
        assert log.count == 10
    return path


def test_inputs_come_back_in_order_as_often_as_asked(kit, written):
    reader = InputLogReader(written, kit.Small)
    assert reader.header == HEADER
    assert list(reader) == kit.buys(10)
    assert list(reader) == kit.buys(10)
    assert reader.torn is None


def test_what_was_flushed_survives_without_a_close(kit, tmp_path):
    log = InputLogWriter(tmp_path / "1.log", HEADER)
    log.append(kit.buys(1)[0])
    log.flush()
    assert list(InputLogReader(log.path, kit.Small)) == kit.buys(1)
    log.close()


def test_a_tail_torn_at_any_byte_is_left_out_and_reported(kit, written):
    whole = written.read_bytes()
    with InputLogWriter(written.with_name("9.log"), HEADER) as log:
        for event in kit.buys(9):
            log.append(event)
    end_of_ninth = log.path.stat().st_size
    for size in range(end_of_ninth + 1, len(whole)):
        os.truncate(written, size)
        reader = InputLogReader(written, kit.Small)
        assert list(reader) == kit.buys(9)
        assert reader.torn == TornTail(end_of_ninth, size - end_of_ninth)
        written.write_bytes(whole)


def test_a_last_frame_of_the_wrong_bytes_is_a_torn_tail(kit, written):
    whole = written.read_bytes()
    written.write_bytes(whole[:-1] + b"\0")
    reader = InputLogReader(written, kit.Small)
    assert list(reader) == kit.buys(9)
    assert reader.torn is not None


def test_damage_with_whole_frames_behind_it_is_refused(kit, written):
    whole = bytearray(written.read_bytes())
    place = whole.index(b"q-3")
    whole[place] ^= 1
    written.write_bytes(whole)
    with pytest.raises(JournalCorrupt, match=r"the frame at byte \d+ does not match its checksum"):
        list(InputLogReader(written, kit.Small))


def test_an_input_of_another_kind_is_named(kit, tmp_path):
    with InputLogWriter(tmp_path / "1.log", HEADER) as log:
        log.append(kit.buys(1)[0])
        log.append(HEADER)
    with pytest.raises(JournalCorrupt, match=r"input 2 at byte \d+ cannot be read"):
        list(InputLogReader(log.path, kit.Small))


def test_an_existing_log_is_not_continued(written):
    with pytest.raises(JournalError, match="cannot be created: File exists"):
        InputLogWriter(written, HEADER)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an input log"),
        (b"something else, long enough", "not an input log"),
        (b"quantd input log 1\n", "no whole header"),
        (b"quantd input log 1\n\0\0", "no whole header"),
    ],
)
def test_what_is_no_input_log_is_refused(kit, tmp_path, content, message):
    path = tmp_path / "1.log"
    path.write_bytes(content)
    with pytest.raises(JournalError, match=message):
        InputLogReader(path, kit.Small)


def test_a_log_whose_header_is_something_else_is_refused(kit, tmp_path):
    InputLogWriter(tmp_path / "1.log", kit.buys(1)[0]).close()
    with pytest.raises(JournalCorrupt, match="the header of the input log cannot be read"):
        InputLogReader(tmp_path / "1.log", kit.Small)


def test_a_missing_log_is_named(kit, tmp_path):
    with pytest.raises(JournalError, match=r"1\.log: the input log cannot be read: No such file"):
        InputLogReader(tmp_path / "1.log", kit.Small)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_named(kit, tmp_path):
    log = InputLogWriter(tmp_path / "1.log", HEADER)
    with open("/dev/full", "wb") as full:
        os.dup2(full.fileno(), log._file.fileno())
    log.append(kit.buys(1)[0])
    with pytest.raises(JournalError, match="cannot be written: No space left"):
        log.flush()
    with pytest.raises(JournalError, match="cannot be written: No space left"):
        log.append(kit.Noted("x" * 1_000_000, 1))
    with pytest.raises(OSError, match="No space left"):
        log._file.close()
