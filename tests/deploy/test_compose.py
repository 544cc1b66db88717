"""compose.yaml and what it mounts: everything is there, published to loopback only, and speaks of the same names."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.dashboards import boards
from tests.deploy.tools import ROOT, fails, run, tool

FILE = ROOT / "compose.yaml"


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load(FILE.read_text())["services"]
    return found


def test_everything_that_is_mounted_is_there() -> None:
    compose = yaml.safe_load(FILE.read_text())
    for name, service in compose["services"].items():
        for mount in service["volumes"]:
            source, _, target = mount.partition(":")
            assert target.startswith("/"), name
            if source.startswith("."):
                assert (ROOT / source).exists(), mount
                assert mount.endswith(":ro"), mount
            else:
                assert source in compose["volumes"], mount


def test_everything_is_published_to_this_machine_only_and_takes_no_rights() -> None:
    for name, service in services().items():
        assert all(port.startswith("127.0.0.1:") for port in service["ports"]), name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
    assert services()["quantd"]["read_only"] is True


def test_compose_reads_the_file_as_it_was_meant() -> None:
    effective = yaml.safe_load(run(tool("docker-compose"), "-f", str(FILE), "config"))["services"]
    assert set(effective) == set(services())
    for name, service in services().items():
        for key in ("image", "read_only", "cap_drop", "security_opt", "init"):
            assert effective[name].get(key) == service.get(key), (name, key)
        published = [f"{port['host_ip']}:{port['published']}:{port['target']}" for port in effective[name]["ports"]]
        assert published == service["ports"]
        assert len(effective[name]["volumes"]) == len(service["volumes"])


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("read_only: true", "readonly: true", "readonly"),
        ('ports: ["127.0.0.1:3000:3000"]', 'ports: ["127.0.0.1:3000:grafana"]', "grafana"),
        ("  prometheus: {}", "  prometheuses: {}", "undefined volume prometheus"),
    ],
)
def test_compose_tells_of_a_planted_mistake(tmp_path: Path, right: str, wrong: str, said: str) -> None:
    text = FILE.read_text()
    assert right in text
    wrong_one = tmp_path / "compose.yaml"
    wrong_one.write_text(text.replace(right, wrong))
    fails([tool("docker-compose"), "-f", str(wrong_one), "config", "--quiet"], said)


def test_prometheus_scrapes_the_daemon_with_the_rules_that_are_mounted() -> None:
    config = yaml.safe_load((ROOT / "deploy/compose/prometheus.yml").read_text())
    (job,) = config["scrape_configs"]
    assert job["static_configs"] == [{"targets": ["quantd:9464"]}]
    mounts = services()["prometheus"]["volumes"]
    (rules,) = config["rule_files"]
    assert f"./helm/quantd/files/alerts.yaml:/etc/prometheus/{rules}:ro" in mounts


def test_prometheus_reads_its_configuration(tmp_path: Any) -> None:
    for source, name in (
        ("deploy/compose/prometheus.yml", "prometheus.yml"),
        ("helm/quantd/files/alerts.yaml", "alerts.yaml"),
    ):
        (tmp_path / name).write_text((ROOT / source).read_text())
    said = run(tool("promtool"), "check", "config", str(tmp_path / "prometheus.yml"))
    text = (ROOT / "helm/quantd/files/alerts.yaml").read_text()
    rules = text.count("- alert:") + text.count("- record:")
    assert rules > 30
    assert f"SUCCESS: {rules} rules found" in said
    (tmp_path / "prometheus.yml").write_text("scrape_config: []\n")
    run(tool("promtool"), "check", "config", str(tmp_path / "prometheus.yml"), expect=1)


def test_grafana_finds_the_source_and_the_dashboards_where_they_are_mounted() -> None:
    grafana = services()["grafana"]
    provider = yaml.safe_load((ROOT / "deploy/compose/grafana/dashboards/quantd.yaml").read_text())["providers"][0]
    assert f"./helm/quantd/dashboards:{provider['options']['path']}:ro" in grafana["volumes"]
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home.removeprefix(f"{provider['options']['path']}/").removesuffix(".json") in boards()
    source = yaml.safe_load((ROOT / "deploy/compose/grafana/datasources/prometheus.yaml").read_text())["datasources"][0]
    assert source["url"] == "http://prometheus:9090"
    assert source["isDefault"]
