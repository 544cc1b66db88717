"""A real Prometheus scrapes a daemon that trades on a simulated venue: every expression of every panel returns data."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.deploy.dashboards import boards, expressions
from tests.deploy.prometheus import Prometheus
from tests.deploy.tools import ROOT, figures, tool
from tests.process.harness import Process, quantd, until
from tests.process.site import port_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[tuple[Process, Prometheus]]:
    """A daemon on the simulated ionloop, and a Prometheus that scrapes it."""
    tool("prometheus")
    shutil.copytree(ROOT / "strategies", tmp_path / "strategies")
    shutil.copytree(ROOT / "config", tmp_path / "config")
    with ExitStack() as stack:
        venue = stack.enter_context(quantd(["simulate", "ionloop", "--port", "0"], tmp_path))
        port = until(partial(port_of, venue), 20, "the simulator's address")
        environ = {
            "QUANTD__VENUES__IONLOOP__BASE_URL": f"http://127.0.0.1:{port}",
            "QUANTD__HEALTH__PORT": "0",
            "QUANTD__LOGGING__FORMAT": "json",
        }
        daemon = stack.enter_context(quantd(["run", "config/ionloop-sim.yaml"], tmp_path, **environ))
        prometheus = Prometheus(tmp_path, daemon.port())
        stack.callback(prometheus.end)
        yield daemon, prometheus


def test_every_panel_shows_data_of_a_daemon_that_trades(watched: tuple[Process, Prometheus]) -> None:
    daemon, prometheus = watched
    until(lambda: len(daemon.lines("order_filled")) >= 3, 120, "three fills")
    wanted = list(expressions())
    without = wanted

    def all_answer() -> bool:
        nonlocal without
        without = [asked for asked in without if not prometheus.ask(asked.sent)]
        return not without

    try:
        until(all_answer, 90, "data for every expression")
    except AssertionError:
        raise AssertionError(
            "no data:\n" + "\n".join(f"{one.board}: {one.panel}: {one.sent}" for one in without)
        ) from None
    assert prometheus.ask('ALERTS{alertname="QuantdWatchdog",alertstate="firing"}')
    figures.append(f"{len(wanted)} expressions of {len(boards())} dashboards answered by a live Prometheus")
