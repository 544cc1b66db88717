"""A real Prometheus and a real Alertmanager on loopback, for tests that watch a running daemon."""

import json
import subprocess
import urllib.parse
from pathlib import Path
from typing import Any

from tests.deploy.tools import ROOT, RULES, tool
from tests.process.harness import free_port, get

SCRAPE = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [{rules}]
alerting: {{alertmanagers: [{{static_configs: [{{targets: [{alertmanager}]}}]}}]}}
scrape_configs:
  - job_name: quantd
    file_sd_configs: [{{files: [targets.json], refresh_interval: 1s}}]
"""


def ask(port: int, expr: str) -> list[dict[str, Any]]:
    """The series that an expression returns now from the Prometheus at a port; none before it listens."""
    query = urllib.parse.urlencode({"query": expr})
    try:
        status, text = get(f"http://127.0.0.1:{port}/api/v1/query?{query}")
    except OSError:
        return []
    if status == 503:  # it has begun, and is not ready yet
        return []
    answer = json.loads(text)
    assert status == 200, f"{expr}: {answer}"
    found: list[dict[str, Any]] = answer["data"]["result"]
    return found


class Server:
    """One process that is ended by its pid."""

    def __init__(self, folder: Path, name: str, *command: str) -> None:
        with (folder / f"{name}.log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=folder)

    def end(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(20)


class Prometheus(Server):
    """Scrapes daemons each second with the rules of the chart."""

    def __init__(self, folder: Path, *scraped: int, alertmanager: int | None = None, rules: Path = RULES) -> None:
        self.port = free_port()
        self._targets = folder / "targets.json"
        self.scrape(*scraped)
        target = "" if alertmanager is None else f'"127.0.0.1:{alertmanager}"'
        config = folder / "prometheus.yml"
        config.write_text(SCRAPE.format(rules=rules, alertmanager=target))
        super().__init__(
            folder,
            "prometheus",
            tool("prometheus"),
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'tsdb'}",
            "--rules.alert.resend-delay=1s",  # what fires before the Alertmanager is found is sent again at once
            f"--web.listen-address=127.0.0.1:{self.port}",
        )

    def scrape(self, *ports: int) -> None:
        """Scrape these from now on, and no others."""
        written = self._targets.with_suffix(".part")
        written.write_text(json.dumps([{"targets": [f"127.0.0.1:{port}" for port in ports]}]))
        written.rename(self._targets)

    def ask(self, expr: str) -> list[dict[str, Any]]:
        """The series that an expression returns now; none before it listens."""
        return ask(self.port, expr)


class Alertmanager(Server):
    """Routes as the example does, to a webhook on loopback."""

    def __init__(self, folder: Path, webhook: int) -> None:
        self.port = free_port()
        text = (ROOT / "deploy/alertmanager.yml").read_text()
        program, config = tool("alertmanager"), folder / "alertmanager.yml"
        config.write_text(
            text.replace("127.0.0.1:9095", f"127.0.0.1:{webhook}").replace("group_interval: 1m", "group_interval: 1s")
        )
        super().__init__(
            folder,
            "alertmanager",
            # Debian's build reads its templates from /usr/share, so it gets a view in which that is what was unpacked.
            "unshare",
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            'mount --bind "$0" /usr/share && exec "$@"',
            str(Path(program).parents[1] / "share"),
            program,
            f"--config.file={config}",
            f"--storage.path={folder / 'alertmanager'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--cluster.listen-address=",
        )
