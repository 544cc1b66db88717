"""The catalogue keeps its own rules, the documentation is made from it, and the code counts nothing else."""

import ast
from collections.abc import Iterator
from enum import Enum
from pathlib import Path

import pytest

import quantd
from quantd.domain.fills import Quality
from quantd.domain.orders import ENDS, OperationKind
from quantd.engine.risk.wish import Denial
from quantd.feeds.quality import Anomaly, DataKind
from quantd.runtime.watcher import CONTROLS
from quantd.telemetry.catalogue import CATALOGUE
from quantd.telemetry.metric import LABELS, Kind, Metric, bound, faults
from quantd.telemetry.reference import metrics_page
from quantd.venues.budget.limits import Lane

ROOT = Path(__file__).parents[3]
SOURCE = Path(next(iter(quantd.__path__)))
CALLS = {"count": Kind.COUNTER, "gauge": Kind.GAUGE, "observe": Kind.HISTOGRAM}


@pytest.mark.parametrize("metric", CATALOGUE.values(), ids=lambda metric: metric.name)
def test_every_declaration_keeps_the_rules_of_naming(metric: Metric) -> None:
    assert faults(metric) == []


def test_a_bad_declaration_is_found_out() -> None:
    bad = Metric("quantd_Orders", Kind.COUNTER, "No", ("colour",), {"size": ("s",)}, "seconds", (2.0, 1.0))
    assert len(faults(bad)) == 8


def test_names_and_labels_are_unique_and_every_label_is_used() -> None:
    assert all(len(set(metric.labels)) == len(metric.labels) for metric in CATALOGUE.values())
    assert {label for metric in CATALOGUE.values() for label in metric.labels} == set(LABELS)


def test_the_page_in_the_documentation_is_the_catalogue() -> None:
    """If this fails, run `quantd metrics > docs/metrics.md` and read the difference."""
    assert (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8") == metrics_page()


def test_the_number_of_series_is_told_in_words() -> None:
    assert bound(CATALOGUE["quantd_inbox_depth"]) == "1"
    assert bound(CATALOGUE["quantd_orders_total"]) == "venues x (strategies + 1) x 5"
    assert bound(CATALOGUE["quantd_fills_total"]).endswith(" x 2")


@pytest.mark.parametrize(
    ("metric", "label", "enum"),
    [
        ("quantd_denials_total", "reason", Denial),
        ("quantd_feed_anomalies_total", "kind", Anomaly),
        ("quantd_feed_last_event_timestamp_seconds", "kind", DataKind),
        ("quantd_fills_total", "quality", Quality),
    ],
)
def test_closed_sets_of_label_values_are_those_of_the_code(metric: str, label: str, enum: type[Enum]) -> None:
    assert set(CATALOGUE[metric].values[label]) == {member.value for member in enum}


def test_closed_sets_that_differ_in_form_agree_too() -> None:
    assert set(CATALOGUE["quantd_orders_total"].values["outcome"]) == {state.value for state in ENDS}
    assert set(CATALOGUE["quantd_rate_wait_seconds"].values["lane"]) == {lane.name.lower() for lane in Lane}
    assert set(CATALOGUE["quantd_halts_total"].values["reason"]) == {*CONTROLS, "operator"}
    assert {kind.value for kind in OperationKind} <= set(CATALOGUE["quantd_order_operations_total"].values["operation"])


def names_in(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield every string that is a metric's name and nothing else."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("quantd_"):
            yield node.lineno, node.value


def calls_in(tree: ast.AST) -> Iterator[tuple[ast.Call, str, str]]:
    """Yield calls that count something: ``observer.count("quantd_...", ...)``, also by a local alias ``observe(...)``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args:
            function, first = node.func, node.args[0]
            called = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
            if called in CALLS and isinstance(first, ast.Constant) and isinstance(first.value, str):
                # `text.count("x")` is no observer's; an observer's name must be one of ours even if misspelt.
                receiver = ast.unparse(function.value) if isinstance(function, ast.Attribute) else ""
                if first.value.startswith("quantd_") or "observer" in receiver or "metrics" in receiver:
                    yield node, called, first.value


def wrongs(path: Path, root: Path = SOURCE) -> Iterator[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    where = path.relative_to(root)
    for line, name in names_in(tree):
        if name not in CATALOGUE:
            yield f"{where}:{line}: {name} is not in the catalogue"
    for call, method, name in calls_in(tree):
        metric = CATALOGUE.get(name)
        if metric is None:
            yield f"{where}:{call.lineno}: {name} is not in the catalogue"
            continue
        if metric.kind is not CALLS[method]:
            yield f"{where}:{call.lineno}: {name} is a {metric.kind.value}, but {method}() is called"
        given = {keyword.arg for keyword in call.keywords}
        if given - {None} - set(metric.labels) or (None not in given and given != set(metric.labels)):
            yield f"{where}:{call.lineno}: {name} has the labels {metric.labels}, given {sorted(map(str, given))}"


def test_the_code_counts_only_what_is_declared_with_the_labels_declared() -> None:
    sources = [path for path in SOURCE.rglob("*.py") if path.name not in ("catalogue.py", "metric.py")]
    assert len(sources) > 20
    assert [wrong for path in sources for wrong in wrongs(path)] == []


def test_everything_that_is_declared_is_counted_somewhere() -> None:
    counted = {
        name
        for path in SOURCE.rglob("*.py")
        if path.name not in ("catalogue.py", "metric.py")
        for _, name in names_in(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert set(CATALOGUE) - counted == set()


def test_a_name_or_label_that_was_never_declared_is_found_in_the_code(tmp_path: Path) -> None:
    planted = tmp_path / "planted.py"
    planted.write_text(
        "self._observer.count('quantd_fils_total')\n"
        "observe('quantd_inbox_depth', 1)\n"
        "observer.gauge('inbox_depth', 1)\n"
        "observer.count('quantd_rate_limited_total', order='1')\n"
        "observer.count('quantd_rate_limited_total', **labels)\n"
        "text.count('x')\n"
    )
    assert [wrong.split(": ")[0] for wrong in wrongs(planted, tmp_path)] == [
        "planted.py:1",
        "planted.py:1",
        "planted.py:2",
        "planted.py:3",
        "planted.py:4",
    ]
