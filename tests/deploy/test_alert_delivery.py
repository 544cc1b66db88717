"""From a halt to a person: the daemon, a real Prometheus with the rules, a real Alertmanager with the example's routes, a webhook."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml

from tests.deploy.prometheus import Alertmanager, Prometheus
from tests.deploy.test_alerts import alerts
from tests.deploy.tools import ROOT, figures, run, tool
from tests.process.harness import SIGTERM, quantd, until
from tests.process.test_paper_process import CONFIG

EXAMPLE = ROOT / "deploy/alertmanager.yml"


class Webhook:
    """Keeps what Alertmanager delivers, by path."""

    def __init__(self) -> None:
        self.delivered: list[tuple[str, dict[str, Any]]] = []
        kept = self.delivered

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                kept.extend((self.path, alert) for alert in json.loads(body)["alerts"])
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def got(self, path: str, alert: str, status: str) -> list[dict[str, Any]]:
        """Deliveries of an alert at a path."""
        return [
            one
            for at, one in self.delivered
            if (at, one["labels"]["alertname"], one["status"]) == (path, alert, status)
        ]

    def end(self) -> None:
        """Close the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_halt_reaches_the_pager_with_its_runbook_and_a_resume_clears_it(tmp_path: Path, stack: ExitStack) -> None:
    tool("prometheus"), tool("alertmanager")
    (tmp_path / "q.yaml").write_text(CONFIG.format(strategies=ROOT / "strategies"))
    daemon = stack.enter_context(quantd(["run", "q.yaml"], tmp_path))
    webhook = Webhook()
    stack.callback(webhook.end)
    manager = Alertmanager(tmp_path, webhook.port)
    stack.callback(manager.end)
    prometheus = Prometheus(tmp_path, daemon.port(), alertmanager=manager.port)
    stack.callback(prometheus.end)
    until(lambda: webhook.got("/alive", "QuantdWatchdog", "firing"), 60, "the way there works")
    assert not webhook.got("/pages", "QuantdHalted", "firing")
    began = time.monotonic()
    with quantd(["halt", "q.yaml", "--by", "ann", "--why", "drill"], tmp_path) as halt:
        assert halt.popen.wait(20) == 0
    (page,) = until(lambda: webhook.got("/pages", "QuantdHalted", "firing"), 60, "the page")[:1]
    figures.append(f"from the halt to the pager: {time.monotonic() - began:.1f} s")
    assert page["annotations"]["runbook_url"] == "docs/operations/runbooks/QuantdHalted.md"
    assert page["annotations"]["summary"] == "Trading is halted: account"
    with quantd(["resume", "q.yaml", "--by", "ann", "--why", "drill"], tmp_path) as resume:
        assert resume.popen.wait(20) == 0
    until(lambda: webhook.got("/pages", "QuantdHalted", "resolved"), 90, "the all-clear")
    assert daemon.signal(SIGTERM) == 0


def test_amtool_reads_the_example_and_routes_by_severity(tmp_path: Path) -> None:
    amtool = tool("amtool")
    run(amtool, "check-config", str(EXAMPLE))
    wanted = {"page": "pages", "ticket": "tickets", "none": "outside-monitor"}
    for severity, receiver in wanted.items():
        said = run(amtool, "config", "routes", "test", f"--config.file={EXAMPLE}", f"severity={severity}")
        assert said.split()[0] == receiver
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(EXAMPLE.read_text().replace("receiver: pages", "receiver: nobody"))
    run(amtool, "check-config", str(wrong), expect=1)


def test_inhibitions_name_alerts_that_exist() -> None:
    names = {rule["alert"] for rule in alerts()}
    for rule in yaml.safe_load(EXAMPLE.read_text())["inhibit_rules"]:
        (source,) = rule["source_matchers"]
        assert source.partition("=")[2].strip('"') in names
        for target in rule["target_matchers"]:
            if "~" not in target:
                assert target.partition("=")[2].strip('"') in names
