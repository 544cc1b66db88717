"""What others wrote has no say over a terminal."""

import pytest

from quantd.telemetry.terminal import visible, visible_tree


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain, wörd 価格 \N{CHART WITH UPWARDS TREND}", "plain, wörd 価格 \N{CHART WITH UPWARDS TREND}"),
        ("a\x1b[2Jb", r"a\x1b[2Jb"),
        ("a\x9b31mb", r"a\x9b31mb"),
        ("a\u202eb", r"a\u202eb"),
        ("over\rwritten", r"over\rwritten"),
        ("half \ud83d", r"half \ud83d"),
        ("lines\n\tare kept", "lines\n\tare kept"),
    ],
)
def test_what_would_steer_a_terminal_is_written_out(text: str, expected: str) -> None:
    assert visible(text) == expected


def test_in_a_table_a_text_stays_on_one_line() -> None:
    assert visible_tree({"why": ["a\nquantd: ready", 1, None]}) == {"why": [r"a\nquantd: ready", 1, None]}
