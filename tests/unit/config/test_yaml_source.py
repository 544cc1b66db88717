"""The YAML reader: text as it stands, with line and column of everything."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantd.config.problems import ConfigProblems, Problem
from quantd.config.tree import find
from quantd.config.yaml_source import read_text


def test_every_key_and_value_knows_its_line_and_column() -> None:
    root = read_text("a:\n  b: [1,\n     2]\n  c: {d: x}\n", "f.yaml")

    d = find(root, ("a", "c", "d"))
    second = find(root, ("a", "b", "1"))

    assert d is not None
    assert second is not None
    assert (str(d.key_origin), str(d.origin)) == ("f.yaml:4:7", "f.yaml:4:10")
    assert str(second.origin) == "f.yaml:3:6"


@pytest.mark.parametrize(
    "written", ["0.12345678901234567891", "1e400", "1_000", "0x10", "007", "1.10", "12:30", "2026-01-02", ".5", "+1"]
)
def test_numbers_and_dates_stay_as_they_are_written(written: str) -> None:
    assert read_text(f"a: {written}\n", "f").plain() == {"a": written}


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_no_digit_of_a_number_is_lost(value: object) -> None:
    assert read_text(f"a: {value}\n", "f").plain() == {"a": str(value)}


@given(st.text(alphabet=string.printable, max_size=60))
def test_any_text_is_read_or_refused_with_its_place(text: str) -> None:
    problems: tuple[Problem, ...] = ()
    try:
        read_text(text, "f.yaml")
    except ConfigProblems as error:
        problems = error.problems

    assert all(str(problem).startswith("f.yaml") for problem in problems)


def test_only_true_false_and_nothing_are_more_than_text() -> None:
    text = "{a: true, b: False, c: null, d: ~, e: , f: yes, g: on, h: 'true', i: \"null\", j: NO, k: n}"

    assert read_text(text, "f").plain() == {
        "a": True,
        "b": False,
        "c": None,
        "d": None,
        "e": None,
        "f": "yes",
        "g": "on",
        "h": "true",
        "i": "null",
        "j": "NO",
        "k": "n",
    }


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: 1\nb: 2\na: 3\n", "f:3:1: a: found the key twice, first in line 1"),
        ("a: {b: 1, b: 2}\n", "f:1:11: a.b: found the key twice"),
        ("a: &x 1\n", "f:1:4: found anchors and aliases"),
        ("a: *planted\n", "f:1:4: found anchors and aliases"),
        ("a: !planted 1\n", "f:1:4: found a tag"),
        ("a: !planted!planted 1\n", "f:1:4: found a tag"),
        ("? [a, b]\n: 1\n", "f:1:3: found a list or mapping as a key"),
        ("a: 'open\n", "f:"),
        ("a: 1\n b: 2\n", "f:2:3: found mapping values are not allowed here"),
        ("a: \x07planted\n", "f:1: found the character U+0007"),
        ("[" * 5_000, "f: found endless nesting"),
        ("[" * 40 + "]" * 40, "f:1:26: found endless nesting"),
    ],
)
def test_what_is_no_plain_yaml_is_refused_with_its_place_and_without_its_text(text: str, says: str) -> None:
    with pytest.raises(ConfigProblems) as caught:
        read_text(text, "f")

    assert str(caught.value).startswith(says)
    assert "planted" not in str(caught.value)


def test_a_node_does_not_show_its_value_in_a_traceback() -> None:
    assert "planted" not in repr(read_text("a: planted\n", "f"))
