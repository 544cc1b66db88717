"""The dead-man's switch of a real daemon: heard, then not, then heard and resumed."""

import threading
from pathlib import Path

import pytest

from tests.process.harness import ROOT, SIGTERM, free_port, quantd, until
from tests.process.test_paper_process import CONFIG

CONTROL = """
control:
  port: {port}
  dead_man_s: 5
  tokens:
    night-watch: {{token_file: token, scopes: [halt]}}
"""


@pytest.mark.timeout(90)
def test_a_daemon_that_nobody_watches_only_reduces_until_a_person_resumes(tmp_path: Path) -> None:
    text = CONFIG.format(strategies=ROOT / "strategies") + CONTROL.format(port=free_port())
    (tmp_path / "q.yaml").write_text(text)
    (tmp_path / "token").write_text("a-token-of-the-night-watch")
    (tmp_path / "token").chmod(0o600)
    with quantd(["run", "q.yaml"], tmp_path) as daemon:
        daemon.wait_line("control_listens", 30)
        with quantd(["heartbeat", "q.yaml", "--every", "1"], tmp_path) as watch:
            until(lambda: daemon.get("/readyz")[0] == 200, 40, "ready")
            threading.Event().wait(6)  # longer than the limit
            assert daemon.get("/readyz")[0] == 200, daemon.get("/readyz")[1]
            assert watch.popen.poll() is None, watch.text()
        missing = daemon.wait_line("heartbeat_missing", 20)
        assert 5 <= missing["silent_s"] < 8  # rounded
        assert until(lambda: daemon.get("/readyz")[0] == 503, 5, "not ready")
        assert "no heartbeat" in daemon.get("/readyz")[1]
        assert daemon.metric("quantd_halts_total", reason="dead_man") == 1
        with quantd(["heartbeat", "q.yaml", "--every", "1"], tmp_path):
            with quantd(["resume", "q.yaml", "--by", "ann", "--why", "back"], tmp_path) as resume:
                assert resume.popen.wait(20) == 0, resume.text()
            assert until(lambda: daemon.get("/readyz")[0] == 200, 10, "ready again")
        assert daemon.signal(SIGTERM) == 0
