"""Laying one file over another."""

from quantd.config.merge import merged
from quantd.config.tree import Node, find
from quantd.config.yaml_source import read_text

BASE = "a: {b: 1, c: 2}\nlist: [1, 2]\nstrategies: [{id: x, p: {q: 1, r: 2}}, {id: y}]\n"


def over(text: str, base: str = BASE) -> Node:
    return merged(read_text(base, "base"), read_text(text, "site"))


def test_the_later_file_wins_key_by_key_and_each_value_keeps_its_place() -> None:
    tree = over("a: {c: 3}\n")

    assert find(tree, ("a",)) is not None
    assert tree.mapping["a"].plain() == {"b": "1", "c": "3"}
    assert tree.mapping["a"].mapping["b"].origin.place == "base:1"
    assert tree.mapping["a"].mapping["c"].origin.place == "site:1"


def test_a_list_replaces_the_earlier_one() -> None:
    assert over("list: [3]\n").mapping["list"].plain() == ["3"]


def test_strategies_merge_by_id_and_new_ones_follow() -> None:
    tree = over("strategies: [{id: z}, {id: x, p: {q: 5}}]\n")

    assert tree.mapping["strategies"].plain() == [{"id": "x", "p": {"q": "5", "r": "2"}}, {"id": "y"}, {"id": "z"}]


def test_an_id_that_one_file_has_twice_stays_twice() -> None:
    tree = over("strategies: [{id: x, p: 1}, {id: x, p: 2}]\n")

    assert tree.mapping["strategies"].plain() == [{"id": "x", "p": "1"}, {"id": "y"}, {"id": "x", "p": "2"}]


def test_nothing_takes_back_what_an_earlier_file_said() -> None:
    assert over("a:\n").mapping["a"].plain() is None


def test_neither_file_is_changed() -> None:
    base, site = read_text(BASE, "base"), read_text("a: {c: 3}\n", "site")

    merged(base, site)

    assert base.mapping["a"].plain() == {"b": "1", "c": "2"}
