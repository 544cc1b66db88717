"""Secrets: a strategy's objects lead to none, and none is in anything that a whole run writes or tells."""

import gc
import types
from collections.abc import MutableMapping
from pathlib import Path

import pytest

from quantd.app import Daemon
from quantd.clock import SystemClock
from quantd.config import load
from quantd.telemetry.metrics import PrometheusObserver
from tests.process.harness import ROOT, SIGTERM, quantd, until

KEY = "planted-key-8f2a61c0"
HOOK = "planted-hook-55d1e9b7"

CONFIG = """
journal: {{path: var/q.db, state_dir: var/state}}
venues:
  ionloop: {{type: ionloop, environment: custom, base_url: "http://127.0.0.1:{port}", reconcile: adopt}}
risk:
  base_currency: USDT
  account: {{max_gross_notional: 50000, max_daily_loss: 5000, max_open_orders: 30}}
strategies:
  - id: grid
    use: grid_maker.GridMaker
    instruments: [ionloop:BTC-USDT]
    params: {{levels: 2, step_bps: 8, quantity: 0.01}}
strategies_dir: {strategies}
feeds: {{bar_store: var/bars.db}}
health: {{port: 0}}
logging: {{format: json, level: debug}}
"""


def secrets() -> dict[str, str]:
    """The environment that holds the planted secrets."""
    return {"QUANTD__VENUES__IONLOOP__API_KEY": KEY, "QUANTD__VENUES__IONLOOP__WEBHOOK_SECRET": HOOK}


def reachable(root: object) -> list[object]:
    """Every object that attributes, items and closures lead to from `root`; modules and classes are the open source."""
    seen: dict[int, object] = {}
    waiting = [root]
    while waiting:
        here = waiting.pop()
        if id(here) in seen or isinstance(here, types.ModuleType | type):
            continue
        seen[id(here)] = here
        if isinstance(here, types.FunctionType):
            waiting += [cell.cell_contents for cell in here.__closure__ or ()]
            waiting += list(here.__defaults__ or ())
        else:
            waiting += gc.get_referents(here)
    return list(seen.values())


def test_no_object_that_a_strategy_is_handed_leads_to_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "q.yaml").write_text(CONFIG.format(port=1, strategies=ROOT / "strategies"))
    environ: MutableMapping[str, str] = secrets()
    settings = load([tmp_path / "q.yaml"], environ)
    assert environ == {}, "secret variables leave the environment at load"
    daemon = Daemon(settings, clock=SystemClock(), observer=PrometheusObserver())
    daemon.build()
    try:
        for desk in daemon.engine.desks.values():
            found = reachable(desk.strategy)
            assert len(found) > 200, "the walk went nowhere"
            texts = [one for one in found if isinstance(one, str | bytes)]
            assert not [one for one in texts if KEY in str(one) or HOOK in str(one)]
        held = [one for one in reachable(daemon.venues) if isinstance(one, str) and KEY in one]
        assert held, "the walk would not find the key even where it is"
    finally:
        daemon._storage.store.close()
        daemon._storage.locks.close()


@pytest.mark.timeout(90)
def test_nothing_that_a_run_writes_or_tells_holds_a_secret(tmp_path: Path) -> None:
    arguments = ["simulate", "ionloop", "--port", "0", "--key", KEY, "--seed", "3"]
    with quantd(arguments, tmp_path) as simulator:
        until(lambda: "admin on" in simulator.text(), 20, "the simulator")
        port = int(simulator.text().partition("127.0.0.1:")[2].partition(",")[0])
        (tmp_path / "q.yaml").write_text(CONFIG.format(port=port, strategies=ROOT / "strategies"))
        with quantd(["run", "q.yaml"], tmp_path, **secrets()) as daemon:
            daemon.wait_line("order_intended", 60)
            told = daemon.get("/metrics")[1] + daemon.get("/readyz")[1] + daemon.get("/livez")[1]
            assert daemon.signal(SIGTERM) == 0
        with quantd(["config", "show", "q.yaml"], tmp_path, **secrets()) as shown:
            assert shown.popen.wait(20) == 0, shown.text()
        for secret in (KEY, HOOK):
            assert secret not in told
            for path in (tmp_path / "var").rglob("*"):
                assert path.is_dir() or secret.encode() not in path.read_bytes(), f"{secret} in {path}"
            assert secret not in daemon.text()
            assert secret not in shown.text()
