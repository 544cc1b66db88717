"""The dashboards: made by code, valid for Grafana, asking only for what the daemon exports."""

import json
import re
from pathlib import Path

import pytest

from quantd.telemetry.catalogue import CATALOGUE
from tests.deploy.dashboards import boards, expressions, panels
from tests.deploy.test_alerts import known_metrics, metrics_of
from tests.deploy.tools import CHART, OPS, ROOT, fails, run, tool

NAMES = ("overview", "strategy", "venue", "risk", "execution", "process")
STANDARD = {"process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"}


def test_the_committed_dashboards_are_what_the_code_makes(tmp_path: Path) -> None:
    run(tool("dashboards python"), "-m", "scripts.dashboards.build", str(tmp_path))
    made = {path.name: path.read_text() for path in tmp_path.glob("*.json")}
    kept = {path.name: path.read_text() for path in CHART.glob("dashboards/*.json")}
    assert made == kept, "run: make dashboards"


def test_there_is_one_for_each_question() -> None:
    assert set(boards()) == {f"quantd-{name}" for name in NAMES}
    for name, board in boards().items():
        assert board["uid"] == name
        assert board["description"].endswith("?")
        assert board["timezone"] == "utc"
        assert not board["editable"]


def test_every_panel_has_a_title_a_description_a_unit_and_an_id_of_its_own() -> None:
    for name, board in boards().items():
        ids = [panel["id"] for panel in board["panels"]]
        assert len(ids) == len(set(ids)), name
        for panel in panels(board):
            assert panel["title"], name
            assert panel["description"].endswith((".", "...")), f"{name}: {panel['title']}"
            assert panel["fieldConfig"]["defaults"]["unit"], f"{name}: {panel['title']}"
            assert panel["targets"], f"{name}: {panel['title']}"


def test_latencies_of_orders_show_the_orders_behind_them_once_a_panel() -> None:
    asked = [target for board in boards().values() for panel in panels(board) for target in panel["targets"]]
    named = {target["expr"] for target in asked if target["exemplar"]}
    for metric in ("quantd_order_ack_seconds", "quantd_order_fill_seconds", "quantd_tick_to_order_seconds"):
        assert any(metric in expr for expr in named), metric
    assert all(expr.startswith("histogram_quantile(0.99") for expr in named)


def test_panels_fill_the_width_and_do_not_lie_over_each_other() -> None:
    for name, board in boards().items():
        taken: set[tuple[int, int]] = set()
        for place in (panel["gridPos"] for panel in board["panels"]):
            cells = {
                (x, y)
                for x in range(place["x"], place["x"] + place["w"])
                for y in range(place["y"], place["y"] + place["h"])
            }
            assert max(x for x, _ in cells) < 24, name
            assert not cells & taken, f"{name}: {place}"
            taken |= cells


def test_the_data_source_is_a_variable_and_variables_follow_the_time_range() -> None:
    for name, board in boards().items():
        variables = {one["name"]: one for one in board["templating"]["list"]}
        assert {"datasource", "job", "instance"} <= set(variables), name
        assert all(one["refresh"] == 2 for one in variables.values() if one["type"] == "query"), name
        for panel in panels(board):
            sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
            assert {one["uid"] for one in sources} == {"${datasource}"}, f"{name}: {panel['title']}"


def test_every_expression_narrows_by_job_and_instance_and_rates_over_grafanas_interval() -> None:
    for asked in expressions():
        where = f"{asked.board}: {asked.panel}"
        selectors = re.findall(r"(?:quantd|process)_\w+(\{[^}]*\})?", asked.expr)
        assert all(
            'job=~"$job"' in one and 'instance=~"$instance"' in one for one in selectors if "ALERTS" not in asked.expr
        ), where
        ranges = set(re.findall(r"\[([^\]]+)\]", asked.expr))
        assert ranges <= {"$__rate_interval", "$__range"}, where


def test_only_metrics_and_labels_of_the_catalogue_are_asked_for() -> None:
    known = known_metrics()
    for asked in expressions():
        where = f"{asked.board}: {asked.panel}"
        names = metrics_of(asked.expr) | set(re.findall(r"process_\w+", asked.expr))
        assert names <= known | STANDARD, where
        labels = {"job", "instance", "le", "alertname", "alertstate"}
        for name in names - STANDARD:
            labels |= set(
                CATALOGUE[re.sub(r"_(?:bucket|count|sum)$", "", name) if name not in CATALOGUE else name].labels
            )
        used = set(re.findall(r"(\w+)(?:=~|!=|!~|=)\"", asked.expr))
        for group in re.findall(r"by \(([^)]*)\)", asked.expr):
            used |= {label.strip() for label in group.split(",")}
        assert used <= labels, f"{where}: {used - labels}"


def test_prometheus_can_read_every_expression(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:expression:n{number}", "expr": asked.sent} for number, asked in enumerate(expressions())
    ]
    path = tmp_path / "rules.yaml"
    path.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    run(tool("promtool"), "check", "rules", str(path))
    rules[0]["expr"] += ")"
    path.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    fails([tool("promtool"), "check", "rules", str(path)], "unexpected right parenthesis")


@pytest.mark.timeout(120)
def test_the_dashboards_are_valid_by_grafanas_own_types(tmp_path: Path) -> None:
    node, schema = tool("node"), tool("grafana schema")
    command = [node, str(ROOT / "tests/deploy/validate_dashboard.js"), str(OPS / "npm/node_modules"), schema]
    run(*command, *(str(path) for path in CHART.glob("dashboards/*.json")))
    wrong = tmp_path / "wrong.json"
    board = next(iter(boards().values()))
    board["panels"][1]["title"] = 7
    wrong.write_text(json.dumps(board))
    fails([*command, str(wrong)], "title")
