"""compose.yaml brought up by the real compose: the daemon trades, Prometheus scrapes it and reads the chart's rules.

The tests' engine makes no bridge, so an override puts both on this machine's network, on free ports. The image of Prometheus
is made here of `make ops`'s program under the name that the file asks for. Grafana cannot be had as a program, so that
nothing runs of it; what it is given is checked in `test_compose`.
"""

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.engine import BASE, Engine
from tests.deploy.prometheus import ask
from tests.deploy.test_alerts import alerts
from tests.deploy.test_compose import FILE, services
from tests.deploy.tools import ROOT, figures, tool
from tests.process.harness import free_port, get, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]

PROMETHEUS = f"""
FROM {BASE}
COPY prometheus /bin/prometheus
RUN install -d -o 65534 -g 65534 /prometheus
USER 65534:65534
WORKDIR /prometheus
VOLUME /prometheus
ENTRYPOINT ["/bin/prometheus"]
"""
"""As the true image is: its user, its volume, its entry point."""
OVERRIDE = """
services:
  quantd:
    build: {{network: host, args: {{PYTHON_IMAGE: "{base}"}}}}
    network_mode: host
    ports: !reset []
    environment: {{QUANTD__HEALTH__PORT: "{health}", QUANTD__HEALTH__HOST: 127.0.0.1}}
  prometheus:
    network_mode: host
    extra_hosts: ["quantd:127.0.0.1"]
    ports: !reset []
    command: {command}
    volumes: ["{folder}/prometheus.yml:/etc/prometheus/prometheus.yml:ro"]
"""


class Project:
    """The services of compose.yaml that can be had, on ports of their own."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.health, self.port = free_port(), free_port()
        self._engine, self._override = engine, folder / "override.yaml"
        shutil.copy(tool("prometheus"), folder)
        (folder / "Dockerfile").write_text(PROMETHEUS)
        engine.build(folder, services()["prometheus"]["image"])
        config = (ROOT / "deploy/compose/prometheus.yml").read_text()
        (folder / "prometheus.yml").write_text(config.replace("quantd:9464", f"quantd:{self.health}"))
        command = [*services()["prometheus"]["command"], f"--web.listen-address=127.0.0.1:{self.port}"]
        self._override.write_text(
            OVERRIDE.format(base=BASE, health=self.health, command=json.dumps(command), folder=folder)
        )

    def do(self, *arguments: str) -> str:
        """Run compose on it."""
        return self._engine.compose("-p", "quantd-test", "-f", str(FILE), "-f", str(self._override), *arguments)

    def exit_code(self, service: str) -> int:
        """How a service ended."""
        (told,) = [json.loads(line) for line in self.do("ps", "--all", "--format", "json", service).splitlines()]
        return int(told["ExitCode"])


@pytest.fixture
def project(engine: Engine, tmp_path: Path) -> Iterator[Project]:
    made = Project(engine, tmp_path)
    try:
        yield made
    finally:
        made.do("down", "--volumes", "--timeout", "60")


def test_one_command_brings_up_a_daemon_that_trades_and_a_prometheus_that_watches_it(project: Project) -> None:
    began = time.monotonic()
    project.do("up", "--build", "--detach", "--wait", "quantd", "prometheus")  # waits until the daemon is healthy
    until(lambda: ask(project.port, 'up{job="quantd"} == 1'), 60, "a scrape")
    until(lambda: ask(project.port, "sum(quantd_fills_total) > 0"), 90, "a fill that Prometheus has seen")
    figures.append(f"compose up to a fill seen by Prometheus: {time.monotonic() - began:.0f} s, layers built before")
    groups = json.loads(get(f"http://127.0.0.1:{project.port}/api/v1/rules")[1])["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert {rule["name"] for rule in rules if rule["type"] == "alerting"} == {alert["alert"] for alert in alerts()}
    assert {rule["health"] for rule in rules} <= {"ok", "unknown"}, "one cannot be evaluated"
    project.do("stop", "--timeout", "60", "quantd")
    assert project.exit_code("quantd") == 0
