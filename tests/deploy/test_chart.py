"""The Helm chart under helm 3 and 4: lint, schema, golden renders, and what it refuses."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from quantd.config.schema import schema
from scripts.chart_readme import comments, readme, value_of
from tests.conftest import Golden
from tests.deploy.charts import HELMS, NEWEST, OLDEST, SETS, objects, of_kind, refused, rendered
from tests.deploy.tools import CHART, OPS, ROOT, RULES, fails, run, tool

ALL = (
    "--set",
    "metrics.serviceMonitor.enabled=true,metrics.prometheusRule.enabled=true,metrics.dashboards.enabled=true",
)
OPERATOR = ("ServiceMonitor", "PrometheusRule")


@pytest.mark.parametrize("helm", HELMS)
@pytest.mark.parametrize("values", SETS)
def test_lint_has_nothing_to_say(helm: str, values: str) -> None:
    run(tool(helm), "lint", "--strict", str(CHART), *SETS[values])


@pytest.mark.parametrize("helm", HELMS)
def test_lint_tells_of_a_planted_mistake(helm: str, tmp_path: Path) -> None:
    import shutil

    wrong = tmp_path / "quantd"
    shutil.copytree(CHART, wrong)
    service = wrong / "templates/service.yaml"
    service.write_text(service.read_text().replace('include "quantd.fullname"', 'include "quantd.fulname"'))
    fails([tool(helm), "lint", "--strict", str(wrong)], "quantd.fulname")


@pytest.mark.parametrize("values", SETS)
def test_both_helms_render_the_same(values: str) -> None:
    assert objects(values, helm="helm 3") == objects(values, helm="helm 4")


@pytest.mark.parametrize("values", SETS)
def test_what_is_rendered_is_what_was_reviewed(values: str, golden: Golden) -> None:
    golden(f"helm/{values}.yaml", rendered(values))


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("values", SETS)
def test_kubernetes_knows_every_field(version: str, values: str, tmp_path: Path) -> None:
    path = tmp_path / "rendered.yaml"
    path.write_text(rendered(values, "--kube-version", version))
    said = run(tool("kubernetes-validate"), "-k", version, "--strict", str(path))
    unknown = [line for line in said.splitlines() if "Couldn't find schema" in line]
    assert all(any(kind in line for kind in OPERATOR) for line in unknown), unknown
    assert "statefulset/main-quantd" in said


def test_a_field_that_kubernetes_does_not_know_is_told(tmp_path: Path) -> None:
    path = tmp_path / "rendered.yaml"
    path.write_text(rendered("default").replace("serviceName:", "servicename:"))
    fails([tool("kubernetes-validate"), "-k", NEWEST, "--strict", str(path)], "servicename")


def test_an_older_kubernetes_is_refused() -> None:
    assert "1.27" in refused("--kube-version", "1.26")


def test_the_objects_of_the_prometheus_operator_are_valid_by_its_own_schemas() -> None:
    node, _ = tool("node"), tool("crd models")
    ours: list[Any] = [one for one in objects("practice", *ALL) if one["kind"] in OPERATOR]
    assert len(ours) == 2
    command = [node, str(ROOT / "tests/deploy/validate_crd.mjs"), str(OPS / "npm/node_modules")]
    run(*command, stdin=json.dumps(ours))
    ours[0]["spec"]["groups" if ours[0]["kind"] == "PrometheusRule" else "endpoints"] = "wrong"
    fails(command, "must be array", stdin=json.dumps(ours))


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--set", "replicaCount=2"], "replicaCount"),
        (["--set", "replicas=1"], "replicas"),
        (["--set", "image.tagg=1"], "tagg"),
        (["--set", "persistence.accessMode=ReadWriteMany"], "accessMode"),
        ([*SETS["practice"], "--set", "config.journal.path=x"], "/config"),
        (["--set", "config.venues.a.type=paper"], "/config"),
        (["--set", "terminationGracePeriodSeconds=5"], "terminationGracePeriodSeconds"),
        ([*SETS["practice"], "--set", "config.venues.ionloop.api_key=abc"], "config.venues.ionloop.api_key: found a secret"),
        ([*SETS["practice"], "--set", "config.control.tokens.ann.token=abc"], "config.control.tokens.ann.token: found a secret"),
        ([*SETS["practice"], "--set", "config.notify.telegram.me.token=abc"], "config.notify.telegram.me.token: found a secret"),
        ([*SETS["practice"], "--set", "config.notify.slack.desk.url=https://h/x"], "config.notify.slack.desk.url: found a secret"),
        ([*SETS["practice"], "--set", "config.notify.heartbeat.url=https://h/x"], "config.notify.heartbeat.url: found a secret"),
        (["--set", "strategies.a\\.py=x,existingStrategiesConfigMap=y"], "found both"),
        (["--set", "strategies.a\\.sh=x"], "strategies"),
        ([*SETS["live"], "--set", "config.risk.account.max_daily_loss=null"], "config.risk.account.max_daily_loss: found nothing"),
        ([*SETS["live"], "--set", "config.risk.account=null"], "max_gross_notional: found nothing"),
        ([*SETS["live"], "--set", "config.strategies[0].stage=paper"], "btc-cross has no stage"),
    ],
)  # fmt: skip
def test_values_that_make_no_sense_are_refused(arguments: list[str], word: str) -> None:
    assert word in refused(*arguments)


def test_the_chart_knows_every_secret_of_the_configuration_by_its_name() -> None:
    """The pattern by which a template refuses secrets among the values, against the fields of the daemon's own models."""
    names = set()
    for node in walk(schema()):
        names |= {name.removesuffix("_file") for name in node.get("properties", {}) if name.endswith("_file")}
    names -= {"kill", "url"}  # most addresses are no secret; where one is, the daemon refuses it in the file
    assert {"api_key", "webhook_secret", "password", "token"} <= names
    (pattern,) = re.findall(r'regexMatch "([^"]+)"', (CHART / "templates/_helpers.tpl").read_text())
    assert [name for name in sorted(names) if not re.search(pattern, name)] == []
    assert not re.search(pattern, "api_key_file")


def walk(node: Any) -> Iterator[dict[str, Any]]:
    """Every mapping in a JSON schema."""
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from walk(value)
    elif isinstance(node, list):
        for value in node:
            yield from walk(value)


def test_no_key_stands_twice_in_the_values() -> None:
    class Strict(yaml.SafeLoader):
        pass

    def mapping(loader: Any, node: Any) -> dict[Any, Any]:
        keys = [loader.construct_object(key) for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"twice: {keys} {node.start_mark}"
        return dict(loader.construct_pairs(node, deep=True))

    Strict.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
    for path in [CHART / "values.yaml", *CHART.glob("ci/*.yaml")]:
        yaml.load(path.read_text(), Strict)
    with pytest.raises(AssertionError, match="twice"):
        yaml.load("{a: 1, a: 2}", Strict)


def leaves(values: Any, path: str = "") -> list[str]:
    """Paths of the values that an operator sets; what stands under a commented path belongs to it."""
    if path in comments() or not isinstance(values, dict) or not values:
        return [path]
    return [leaf for key, value in values.items() for leaf in leaves(value, f"{path}.{key}" if path else key)]


def test_every_value_says_what_it_is_for_and_the_readme_shows_it() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    known = comments()
    silent = [path for path in leaves(values) if path not in known and not path.startswith("resources.")]
    assert not silent
    for path in known:
        value_of(values, path)
    assert (CHART / "README.md").read_text() == readme(), "run: python scripts/chart_readme.py"


def test_every_value_is_in_the_schema() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = json.loads((CHART / "values.schema.json").read_text())
    assert set(values) == set(schema["properties"]) - {"global"}
    for name, part in schema["properties"].items():
        if "properties" in part and name not in ("config", "resources"):
            assert set(part["properties"]) == set(values[name]), name
            assert part["additionalProperties"] is False, name


def test_the_chart_has_the_version_of_the_project() -> None:
    import quantd

    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"] == quantd.__version__


def test_alerts_and_dashboards_are_the_files_themselves() -> None:
    rule = of_kind("PrometheusRule", "default", *ALL)
    assert rule["spec"] == yaml.safe_load(RULES.read_text())
    boards = next(one for one in objects("default", *ALL) if one["metadata"]["name"].endswith("-dashboards"))
    kept = {path.name: json.loads(path.read_text()) for path in CHART.glob("dashboards/*.json")}
    assert {name: json.loads(text) for name, text in boards["data"].items()} == kept
    links = json.dumps(of_kind("PrometheusRule", "practice"))
    assert "https://git.example.com/quantd/blob/main/docs/operations/runbooks/QuantdDown.md" in links


def test_the_daemon_accepts_every_configuration_that_the_chart_renders(tmp_path: Path) -> None:
    """The same text that the ConfigMap holds, with the variables of the container, through the daemon's own loader."""
    from quantd.config import load

    (tmp_path / "key").write_text("k")
    (tmp_path / "key").chmod(0o400)
    for values in SETS:
        (held,) = [one for one in objects(values) if one["kind"] == "ConfigMap" and "quantd.yaml" in one["data"]]
        path = tmp_path / f"{values}.yaml"
        path.write_text(held["data"]["quantd.yaml"].replace("/run/secrets/ionloop/api-key", str(tmp_path / "key")))
        container = of_kind("StatefulSet", values)["spec"]["template"]["spec"]["containers"][0]
        environ = {one["name"]: one["value"] for one in container["env"]}
        settings = load([path], environ)
        assert len(settings.venues) == 1, "what the defaults trade with is not merged into other configurations"
        assert str(settings.journal.path).startswith("/var/lib/quantd/")
        assert settings.health.host == "0.0.0.0"
        assert any(venue.is_production for venue in settings.venues.values()) == (values == "live")


def test_every_change_of_configuration_restarts_the_pod() -> None:
    def checksum(*more: str) -> str:
        pod = of_kind("StatefulSet", "default", *more)["spec"]["template"]
        found: str = pod["metadata"]["annotations"]["checksum/config"]
        return found

    assert checksum() == checksum("--set", "persistence.size=20Gi")
    assert checksum() != checksum(*SETS["practice"])


def test_the_test_of_the_release_asks_the_service_that_there_is() -> None:
    pod, service = of_kind("Pod", "default"), of_kind("Service", "default")
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    address = f"http://{service['metadata']['name']}.{service['metadata']['namespace']}.svc:{service['spec']['ports'][0]['port']}"
    assert address in pod["spec"]["containers"][0]["command"][2]
    compile(pod["spec"]["containers"][0]["command"][2], "test", "exec")


def test_the_notes_say_the_mode_in_plain_sight() -> None:
    notes = (CHART / "templates/NOTES.txt").read_text()
    assert re.search(r"moves real money", notes)
    said = run(
        tool("helm 4"), "install", "main", str(CHART), "--dry-run=client", *SETS["live"], "--namespace", "trading"
    )
    assert ": LIVE." in said
    assert "moves real money" in said
    said = run(tool("helm 4"), "install", "main", str(CHART), "--dry-run=client", "--namespace", "trading")
    assert ": PAPER OR PRACTICE." in said
    assert "moves real money" not in said
