"""The image, built and run for real by a Docker engine of the tests' own.

It trades on the embedded paper market and at a simulated venue, is healthy, cannot write outside its volume, ends with 0 on
SIGTERM, and goes on where its journal ends, also after a kill.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.deploy.engine import BASE, IMAGE, USER, Container, Engine
from tests.process.harness import quantd, until
from tests.process.site import port_of
from tests.process.test_ionloop_process import CONFIG
from tests.process.truth import Venue, differences, folded

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]

SIZE_MAX = 80_000_000
"""Bytes that the image may add to its base."""


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    made = tmp_path / "volume"
    made.mkdir()
    os.chown(made, USER, USER)
    return made


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


def fills(container: Container) -> int:
    return len(container.lines("order_filled"))


def healthy(container: Container) -> bool:
    return container.health() == "healthy"


def test_the_image_is_small_and_has_no_pip_and_no_compiler(engine: Engine) -> None:
    assert engine.size(IMAGE) - engine.size(BASE) < SIZE_MAX
    tried = "import importlib.util, shutil; print([shutil.which(n) for n in ('pip', 'pip3', 'gcc', 'cc')], importlib.util.find_spec('pip'))"
    said = engine.do("run", "--rm", "--network", "none", "--read-only", "--entrypoint", "python", IMAGE, "-c", tried)
    assert said.strip() == "[None, None, None, None] None"
    said = engine.do("run", "--rm", "--network", "none", "--entrypoint", "python", BASE, "-c", tried)
    assert "pip" in said, "the base has one, so the question can tell"


def test_the_image_trades_as_nobody_on_a_read_only_root_and_goes_on_after_a_restart(
    engine: Engine, volume: Path, stack: ExitStack
) -> None:
    first = Container(engine, volume)
    stack.callback(first.remove)
    until(first.ready, 60, "ready")
    until(lambda: fills(first) >= 1, 90, "a fill")
    until(partial(healthy, first), 60, "healthy")
    status = first.inside("python", "-c", "print(open('/proc/1/status').read())")
    assert f"Uid:\t{USER}\t{USER}" in status
    assert "CapEff:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status
    assert "Read-only file system" in first.inside("python", "-c", "open('/opt/quantd/x', 'w')", expect=1)
    assert first.stop() == 0
    before = fills(first)
    again = Container(engine, volume)
    stack.callback(again.remove)
    until(again.ready, 60, "ready again")
    assert again.lines("venue_ready")
    told = again.inside(
        "quantd", "journal", "show", "var/paper.db", "--kind", "FillRecorded", "--json", "--tail", "999"
    )
    assert len(told.splitlines()) >= before, told
    assert again.stop() == 0


def test_a_daemon_that_does_not_answer_is_told_unhealthy_and_healthy_when_it_does_again(
    engine: Engine, volume: Path, stack: ExitStack
) -> None:
    container = Container(
        engine, volume, "--health-retries", "1", "--health-start-period", "0s", "--health-timeout", "2s"
    )
    stack.callback(container.remove)
    until(partial(healthy, container), 60, "healthy")
    container.signal("STOP")
    until(lambda: container.health() == "unhealthy", 60, "unhealthy")
    container.signal("CONT")
    until(partial(healthy, container), 60, "healthy again")


def test_killed_at_a_simulated_venue_it_agrees_with_it_after_the_restart(
    engine: Engine, volume: Path, tmp_path: Path, stack: ExitStack
) -> None:
    simulator = stack.enter_context(quantd(["simulate", "ionloop", "--port", "0"], tmp_path))
    port = int(until(lambda: port_of(simulator), 20, "the simulator's address"))
    venue = Venue(port)
    text = CONFIG.format(port=port, strategies="strategies", idempotency="true", register="false")
    (tmp_path / "mine.yaml").write_text(text.replace("webhook_secret_file: secret", ""))
    (tmp_path / "key").write_text("sim-key")
    os.chown(tmp_path / "key", USER, USER)
    (tmp_path / "key").chmod(0o400)
    mounts = ("-v", f"{tmp_path}/mine.yaml:/opt/quantd/config/mine.yaml:ro", "-v", f"{tmp_path}/key:/opt/quantd/key:ro")
    first = Container(engine, volume, *mounts, command=("run", "config/mine.yaml"))
    stack.callback(first.remove)
    until(lambda: fills(first) >= 3, 120, "three fills")
    first.kill()
    again = Container(engine, volume, *mounts, command=("run", "config/mine.yaml"))
    stack.callback(again.remove)
    until(again.ready, 60, "ready again")
    assert again.lines("venue_ready")
    until(lambda: fills(again) >= 1, 120, "a fill after the kill")
    venue.freeze()
    until(lambda: not differences(folded(volume / "q.db"), venue.read("state")), 60, "agreement with the venue")
    assert again.stop() == 0


def test_an_image_of_three_lines_adds_a_strategy(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies" / "mine.py").write_text(
        'from quantd import Strategy\n\n\nclass Mine(Strategy):\n    """Only looks."""\n'
    )
    (tmp_path / "my.yaml").write_text(
        "venues: {paper: {type: paper, data: {synthetic: {instruments: [{symbol: BTC-USD, price: 1}]}}, balances: {USD: 9}}}\n"
        "risk: {base_currency: USD, account: {max_gross_notional: 1}}\n"
        "strategies: [{id: mine, use: mine.Mine, instruments: [paper:BTC-USD]}]\n"
    )
    guide = (Path(__file__).parents[2] / "docs/operations/container.md").read_text()
    text = guide.partition("```Dockerfile\n")[2].partition("```")[0]
    assert len(text.splitlines()) == 3
    (tmp_path / "Dockerfile").write_text(text)
    engine.build(tmp_path, "derived:test")
    arguments = ("run", "--rm", "--network", "none", "--read-only", "--cap-drop", "ALL", "derived:test")
    said = engine.do(*arguments, "check", "--fast", "config/my.yaml")
    assert "mine" in said or "ok" in said
    assert "nothing.yaml" in engine.do(*arguments, "check", "--fast", "config/nothing.yaml", expect=2)
