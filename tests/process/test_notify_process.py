"""A real daemon that notifies: a halt arrives in time, receivers that hang or are gone change nothing, a kill repeats little."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from quantd.domain.events import TradingState
from quantd.journal.latch import Halt, HaltLatch
from tests.process.harness import ROOT, SIGKILL, SIGTERM, free_port, quantd, until
from tests.process.receiver import Receiver, receiver
from tests.process.test_paper_process import CONFIG, fills

SECRET = "planted-5e0b-receiver"
NOTIFY = """
notify:
  source: desk-1
  webhooks:
    desk: {{secret_url_file: desk-url, least: info}}
    hangs: {{url: "{url}/hang", least: info, timeout_s: 120}}
    dead: {{url: "http://127.0.0.1:{dead}", least: info}}
  heartbeat: {{url_file: beat-url, every_s: 1}}
"""
WITHIN_S = 5.0
"""From a halt to its notice at the receiver."""
FINISH_S = 3.0
"""What an end may wait for receivers."""


@pytest.fixture
def told() -> Iterator[Receiver]:
    """The receiver that answers."""
    with receiver() as one:
        yield one


@pytest.fixture
def folder(tmp_path: Path, told: Receiver) -> Path:
    """A working folder: a strategy on paper, inputs recorded, three receivers of which one answers, a limit to be broken."""
    text = CONFIG.format(strategies=ROOT / "strategies").replace("fast: 2, slow: 3", "fast: 1, slow: 2")
    (tmp_path / "plain.yaml").write_text(text)
    (tmp_path / "loss.yaml").write_text("risk: {account: {max_daily_loss: 0.01, loss_action: halt}}\n")
    (tmp_path / "q.yaml").write_text(text + NOTIFY.format(url=told.url, dead=free_port()))
    for name, path in (("desk-url", "notices"), ("beat-url", "beat")):
        (tmp_path / name).write_text(f"{told.url}/{path}?key={SECRET}")
        (tmp_path / name).chmod(0o600)
    return tmp_path


@pytest.mark.timeout(120)
def test_a_halt_is_told_in_time_whatever_other_receivers_do_and_a_kill_repeats_only_what_still_stands(
    folder: Path, told: Receiver
) -> None:
    """Two lives of one daemon, of whose three receivers one answers, one hangs and one is not there."""
    latch = HaltLatch(folder / "var/state/halt.json")
    with quantd(["run", "q.yaml", "loss.yaml"], folder) as daemon:
        until(lambda: told.beats() >= 1, 60, "heartbeats of a daemon that is ready")
        latch.halt(Halt("strategy:cross", TradingState.HALTED, "ann", "a drill that is over", time.time_ns()))
        until(lambda: told.states("state strategy:cross") == ["halted"], WITHIN_S, "the notice of a person's halt")
        latch.clear("strategy:cross", by="ann", why="over", at_ns=time.time_ns())
        until(lambda: told.states("state strategy:cross") == ["halted", "active"], WITHIN_S, "its end")
        until(lambda: told.states("state all") == ["halted"], 45, "the notice of a loss above its limit")
        until(lambda: daemon.get("/readyz")[0] == 503, 5, "not ready")
        time.sleep(0.3)  # a beat may be under way
        silent = len(told.came)
        time.sleep(2.2)  # two intervals and some
        assert told.beats(silent) == 0, "the monitor was told of a daemon that is not ready"
        daemon.signal(SIGKILL)
    breach = next(one for one in told.came if one.body and one.body["notices"][0]["key"] == "state all")
    took_s = (breach.at_ns - breach.body["notices"][0]["since_ns"]) / 1e9
    print(f"from the breach of a limit to its notice at the receiver: {took_s:.3f} s")
    assert 0 <= took_s < WITHIN_S
    assert breach.body["text"].startswith("[CRITICAL] desk-1: trading halted (all)\nwhy: loss_limit: daily loss")
    assert "runbook: docs/operations/runbooks/QuantdHalted.md" in breach.body["text"]
    killed = len(told.came)
    with quantd(["run", "q.yaml"], folder) as daemon:
        until(lambda: told.states("state all") == ["halted", "halted"], 40, "the halt that stands")
        latch.clear("all", by="ann", why="over", at_ns=time.time_ns())
        until(lambda: fills(daemon) >= 1, 45, "a fill after the resume")
        until(lambda: told.beats(silent) >= 1, 10, "the heartbeat again")
        assert daemon.metric("quantd_notifications_total", channel="webhooks.desk", outcome="sent") == 3
        assert daemon.metric("quantd_notification_seconds_count", channel="webhooks.desk") == 3
        assert daemon.metric("quantd_notification_attempts_failed_total", channel="webhooks.dead") >= 1
        assert 'quantd_notifications_total{channel="webhooks.hangs",outcome="dropped"} 0.0' in daemon.get("/metrics")[1]
        begun_s = time.monotonic()
        assert daemon.signal(SIGTERM) == 0
        ended_s = time.monotonic() - begun_s
        print(f"from SIGTERM to the end, two receivers gone: {ended_s:.2f} s")
        assert ended_s < FINISH_S + 4
        assert daemon.lines("notification_failed")
    again = told.notices(since=killed)
    assert sorted(again) == [
        ("daemon", "ended"),
        ("daemon", "started"),
        ("state all", "active"),
        ("state all", "halted"),
    ]
    ids = [came.body["id"] for came in told.came if came.body]
    assert len(set(ids)) == len(ids), "two runs used one id: a receiver would drop the second"
    for path in (*folder.glob("run-*.log"), *(folder / "var").rglob("*")):
        assert path.is_dir() or SECRET.encode() not in path.read_bytes(), path
    _replays(folder)


def _replays(folder: Path) -> None:
    """The same inputs, without anybody to tell, give the journal of the second life to the byte."""
    inputs = max(folder.glob("var/q.db.inputs-*"), key=lambda one: one.stat().st_mtime_ns)
    with quantd(["replay", "plain.yaml", "--inputs", str(inputs)], folder) as replay:
        assert replay.popen.wait(60) == 0, replay.text()
        assert "byte for byte" in replay.text()
