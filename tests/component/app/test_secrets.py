"""Secrets: a strategy's objects lead to none, and none is in anything that a whole run writes or tells."""

import contextlib
import gc
import resource
import signal
import socket
import types
from collections.abc import Iterator, MutableMapping
from pathlib import Path

import pytest

from quantd.app import Daemon
from quantd.clock import SystemClock
from quantd.config import load
from quantd.telemetry.metrics import PrometheusObserver
from quantd.venues.http import VenueHttp
from tests.process.harness import ROOT, SIGTERM, free_port, quantd, until

KEY = "planted-key-8f2a61c0"
HOOK = "planted-hook-55d1e9b7"
TOKEN = "planted-token-0b7d42aa"
WRONG = "planted-wrong-7e3c91f0"
"""No secret of ours: what somebody else's key would look like, sent to us by mistake."""
LISTENING = ("health_listens", "webhooks_listen", "control_listens")
SECRETS = (KEY, HOOK, TOKEN, WRONG)

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
    params: {{levels: 2, step_bps: 8, requote_bps: 4, quantity: 0.01}}
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
        daemon._storage.close()


def test_what_every_venue_says_is_cleaned_before_it_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def clean(text: str) -> str:
        return text.replace(KEY, "[redacted]")

    monkeypatch.chdir(tmp_path)
    (tmp_path / "q.yaml").write_text(CONFIG.format(port=1, strategies=ROOT / "strategies"))
    daemon = Daemon(
        load([tmp_path / "q.yaml"], secrets()), clock=SystemClock(), observer=PrometheusObserver(), clean=clean
    )
    daemon.build()
    try:
        ways = [one for one in reachable(daemon.venues) if isinstance(one, VenueHttp)]
        assert [way.clean for way in ways] == [clean]
    finally:
        daemon._storage.close()


LISTENERS = """
webhooks: {{host: 127.0.0.1, port: {port}, public_url: "http://127.0.0.1:{port}"}}
control: {{port: 0, tokens: {{ops: {{scopes: [read, halt]}}}}}}
"""


def mistaken(port: int, paths: tuple[str, ...]) -> Iterator[str]:
    """Send a port everything that a confused or hostile client would, with secrets in it; the answers."""
    for secret in SECRETS:
        for path in paths:
            plain = f"{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
            yield exchange(port, f"GET {plain}Authorization: Bearer {secret}\x01\r\n\r\n")
            yield exchange(port, f"GET {plain}Authorization: Bearer {secret}\r\nX-{secret}: 1\r\n\r\n")
            yield exchange(port, f"GET /{secret}{plain}Authorization: Basic {secret}\r\n\r\n")
            yield exchange(port, f"GET {path}?token={secret} HTTP/1.1\r\nHost: {secret}\r\nConnection: close\r\n\r\n")
            body = f'{{"why": {secret}'
            for kind in ("application/json", secret):
                length = f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
                yield exchange(port, f"POST {plain}{length}X-Webhook-Signature: {secret}\r\n\r\n{body}")
                yield exchange(port, f"POST {plain}Authorization: Bearer {TOKEN}\r\n{length}\r\n{body}")
        yield exchange(port, f"{secret}\r\n\r\n")


def exchange(port: int, sent: str) -> str:
    """Send bytes to a port of this machine; all that comes back."""
    with socket.create_connection(("127.0.0.1", port), 10) as one:
        one.sendall(sent.encode("latin-1"))
        with contextlib.suppress(ConnectionResetError), one.makefile("rb") as answer:
            return answer.read().decode("latin-1")
    return ""


@pytest.fixture
def cores_are_written() -> Iterator[None]:
    """As in most containers: a process that is started now would write one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    if hard == 0:
        pytest.skip("this machine lets no process write a core")
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


@pytest.mark.usefixtures("cores_are_written")
def test_a_crash_leaves_no_core_with_the_keys_in_it(tmp_path: Path) -> None:
    (tmp_path / "q.yaml").write_text(CONFIG.format(port=free_port(), strategies=ROOT / "strategies"))
    with quantd(["run", "q.yaml"], tmp_path, **secrets()) as daemon:
        daemon.wait_line("health_listens")
        limits = Path(f"/proc/{daemon.pid}/limits").read_text()
        told = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
        assert told.split()[4] == "0"
        assert daemon.signal(signal.SIGSEGV) == -signal.SIGSEGV
    assert not list(tmp_path.rglob("core*"))


@pytest.mark.timeout(120)
def test_nothing_that_a_run_writes_or_tells_holds_a_secret(tmp_path: Path) -> None:
    hook = tmp_path / "hook"
    hook.write_text(HOOK)
    arguments = ["simulate", "ionloop", "--port", "0", "--key", KEY, "--seed", "3", "--webhook-http"]
    environ = secrets() | {"QUANTD__CONTROL__TOKENS__OPS__TOKEN": TOKEN}
    with quantd([*arguments, "--webhook-secret-file", str(hook)], tmp_path) as simulator:
        until(lambda: "admin on" in simulator.text(), 20, "the simulator")
        port = int(simulator.text().partition("127.0.0.1:")[2].partition(",")[0])
        text = CONFIG.format(port=port, strategies=ROOT / "strategies") + LISTENERS.format(port=free_port())
        (tmp_path / "q.yaml").write_text(text.replace("reconcile: adopt", "reconcile: adopt, register_webhook: true"))
        with quantd(["run", "q.yaml"], tmp_path, **environ) as daemon:
            daemon.wait_line("order_intended", 60)
            told = [daemon.get(path)[1] for path in ("/metrics", "/readyz", "/livez")]
            ports = {event: int(daemon.wait_line(event)["port"]) for event in LISTENING}
            told += mistaken(ports["health_listens"], ("/livez", "/metrics"))
            told += mistaken(ports["webhooks_listen"], ("/webhooks/ionloop",))
            told += mistaken(ports["control_listens"], ("/v1/status", "/v1/halt", "/v1/orders"))
            known = f"Host: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n\r\n"
            routes = ("status", "orders", "fills", "positions", "limits", "strategies", "denials")
            told += [exchange(ports["control_listens"], f"GET /v1/{route} HTTP/1.1\r\n{known}") for route in routes]
            assert "200 OK" in told[-len(routes)], "the token opens nothing, so the answers prove nothing"
            until(
                lambda: daemon.metric("quantd_webhook_events_total", result="taken") > 0, 30, "a notice of the venue's"
            )
            told.append(daemon.get("/metrics")[1])
            assert daemon.signal(SIGTERM) == 0
        with quantd(["config", "show", "q.yaml"], tmp_path, **environ) as shown:
            assert shown.popen.wait(20) == 0, shown.text()
        assert len(told) > 150
        for secret in SECRETS:
            assert not [one for one in told if secret in one]
            for path in (tmp_path / "var").rglob("*"):
                assert path.is_dir() or secret.encode() not in path.read_bytes(), f"{secret} in {path}"
            assert secret not in daemon.text()
            assert secret not in shown.text()
