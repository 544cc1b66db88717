"""The alert rules, judged by promtool: each fires, stays silent just below, and resolves; each has its runbook."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from quantd.telemetry.catalogue import CATALOGUE
from tests.deploy.alert_cases import CASES, Series
from tests.deploy.tools import CHART, ROOT, RULES, fails, run, tool

RUNBOOKS = ROOT / "docs/operations/runbooks"
OTHERS = {"up"}
"""Metrics that Prometheus makes itself."""
_HEADINGS = ("## What it means", "## Impact", "## First look", "## Action", "## Escalation")


def rules(file: Path = RULES) -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]]


def alerts() -> list[dict[str, Any]]:
    return [rule for rule in rules() if "alert" in rule]


def metrics_of(expression: str) -> set[str]:
    """Names in an expression that could be metrics of quantd."""
    return set(re.findall(r"(?<![:\w])quantd_\w+", expression))


def known_metrics() -> set[str]:
    names = set(CATALOGUE)
    return names | {f"{name}{suffix}" for name in names for suffix in ("_bucket", "_count", "_sum")}


def one(series: Series, alert: str, asked: Iterable[tuple[str, int]]) -> dict[str, Any]:
    """A test of promtool: at each time asked for, how many alerts of that name fire."""
    expected = [
        {
            "expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"}})',
            "eval_time": at,
            "exp_samples": [{"value": count, "labels": "{}"}] if count else [],
        }
        for at, count in asked
    ]
    given = [{"series": name, "values": values} for name, values in series.items()]
    return {"name": alert, "interval": "15s", "input_series": given, "promql_expr_test": expected}


def written(alert: str, tests: list[dict[str, Any]], folder: Path, rules_file: Path = RULES) -> str:
    """Write the tests of one alert, and beside them its rule alone, since promtool evaluates all that it is given."""
    found = [rule for rule in rules(rules_file) if "record" in rule or rule["alert"] == alert]
    alone, path = folder / f"{alert}.rules.yaml", folder / f"{alert}.yaml"
    alone.write_text(json.dumps({"groups": [{"name": alert, "rules": found}]}))
    path.write_text(json.dumps({"rule_files": [str(alone)], "evaluation_interval": "30s", "tests": tests}))
    return str(path)


def test_promtool_has_nothing_to_say_about_the_rules() -> None:
    run(tool("promtool"), "check", "rules", "--lint=all", "--lint-fatal", str(RULES))


def test_promtool_tells_of_a_planted_mistake(tmp_path: Path) -> None:
    wrong = tmp_path / "alerts.yaml"
    wrong.write_text(RULES.read_text().replace("== 0'", "== '", 1))
    fails([tool("promtool"), "check", "rules", str(wrong)], "parse error")


@pytest.mark.timeout(120)
def test_each_alert_fires_stays_silent_just_below_and_resolves(tmp_path: Path) -> None:
    files = []
    for case in CASES:
        tests = [one(case.bad, case.alert, [(case.fires_at, 1), (case.resolved_at, 0)])]
        tests += [one(series, case.alert, [(case.fires_at, 0), ("75m", 0)]) for series in case.below]
        files.append(written(case.alert, tests, tmp_path))
    run(tool("promtool"), "test", "rules", *files, timeout_s=120)


def test_a_rule_with_another_threshold_fails_its_tests(tmp_path: Path) -> None:
    case = next(case for case in CASES if case.alert == "QuantdPositionNaked")
    for change in ("> 9'", "> 11'"):
        wrong = tmp_path / "alerts.yaml"
        text = RULES.read_text()
        assert "quantd_naked_longest_seconds > 10'" in text
        wrong.write_text(text.replace("quantd_naked_longest_seconds > 10'", f"quantd_naked_longest_seconds {change}"))
        tests = [one(case.bad, case.alert, [(case.fires_at, 1)]), one(case.below[0], case.alert, [(case.fires_at, 0)])]
        fails([tool("promtool"), "test", "rules", written(case.alert, tests, tmp_path, wrong)], "FAILED")


@pytest.mark.timeout(120)
def test_what_each_alert_says_can_be_filled_in(tmp_path: Path) -> None:
    """promtool shows the words of an alert that nobody expected; a template that fails would stand in them."""
    files = []
    for case in CASES:
        asked = [{"eval_time": case.fires_at, "alertname": case.alert, "exp_alerts": []}]
        tests = [{**one(case.bad, case.alert, []), "alert_rule_test": asked}]
        files.append(written(case.alert, tests, tmp_path))
    said = run(tool("promtool"), "test", "rules", *files, expect=1, timeout_s=120)
    assert said.count("runbook_url") >= len(CASES)
    assert not re.search(r"error expanding|<no value>|%!|\{\{", said)


def test_every_alert_has_a_case_but_the_one_that_always_fires() -> None:
    assert {case.alert for case in CASES} | {"QuantdWatchdog"} == {rule["alert"] for rule in alerts()}
    assert len(CASES) == len({case.alert for case in CASES})


def test_rules_use_only_metrics_that_are_in_the_catalogue() -> None:
    unknown = {name for rule in rules() for name in metrics_of(rule["expr"])} - known_metrics()
    assert not unknown
    assert metrics_of("rate(quantd_no_such_total[5m])") - known_metrics()


def test_every_alert_has_severity_words_a_dashboard_and_a_runbook_that_says_all() -> None:
    boards = {json.loads(path.read_text())["uid"] for path in CHART.glob("dashboards/*.json")}
    for rule in alerts():
        notes, name = rule["annotations"], rule["alert"]
        assert rule["labels"]["severity"] in ("page", "ticket", "none"), name
        assert notes["summary"], name
        assert notes["description"], name
        assert notes["dashboard"] in boards, name
        assert notes["runbook_url"] == f"docs/operations/runbooks/{name}.md"
        page = (ROOT / notes["runbook_url"]).read_text()
        assert page.startswith(f"# {name}\n")
        assert [heading for heading in _HEADINGS if heading not in page] == [], name
        assert rule["expr"] in page, f"{name}: the page shows another condition"
        assert f"Severity: {rule['labels']['severity']}." in page


def test_every_runbook_belongs_to_an_alert() -> None:
    pages = {path.stem for path in RUNBOOKS.glob("*.md")} - {"README"}
    assert pages == {rule["alert"] for rule in alerts()}
    index = (RUNBOOKS / "README.md").read_text()
    assert [name for name in sorted(pages) if f"({name}.md)" not in index] == []
