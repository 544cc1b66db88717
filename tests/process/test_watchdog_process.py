"""The watchdog and the kill path of the daemon as a process: on paper, and against the simulated ionloop.

The simulator of the kill tests allows 250 order requests a second, so that cancelling many does not take minutes.
"""

import resource
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from quantd.journal.latch import HaltLatch
from tests.process.harness import ROOT, SIGKILL, SIGTERM, Process, python, quantd, until
from tests.process.site import port_of
from tests.process.test_paper_process import CONFIG as PAPER
from tests.process.truth import Venue
from tests.report import write_section

STUCK = """
  - id: stuck
    use: stuck.Stuck
    instruments: [paper:BTC-USDT]
    bars: 1s
    params: {{count: 1, how: {how}, at_bar: 3}}
    restarts_max: 1
    restart_after_s: 2
    risk: {{max_position: 1}}
"""

FAST = """
import functools
import quantd.cli.simulate as simulate
from quantd.cli import app
from quantd.simulators.ionloop.options import RateRules

rates = RateRules(key_per_minute=10**6, orders_per_second=250, public_per_minute=10**6)
simulate.Setup = functools.partial(simulate.Setup, rates=rates)
app()
"""

KILL = """
journal: {{path: var/q.db, state_dir: var/state}}
venues:
{venues}
risk:
  base_currency: USDT
  account: {{max_gross_notional: 500000, max_daily_loss: 5000, max_open_orders: 5000}}
  order: {{max_order_notional: 5000, price_collar_bps: 1000, passive_collar_bps: 1000}}
strategies:
  - id: stuck
    use: stuck.Stuck
    instruments: [{instruments}]
    params: {{count: {count}, how: {how}}}
    callback_deadline_s: {deadline_s}
    at_shutdown: keep
strategies_dir: strategies
feeds: {{quote_every_s: 1, max_age_s: 5, bar_store: var/bars.db}}
health: {{port: 0}}
logging: {{format: json}}
"""

VENUE = """
  {name}:
    type: ionloop
    environment: custom
    base_url: http://127.0.0.1:{port}
    api_key_file: key
    reconcile: adopt
    rates: {{orders: {{rate: 200, burst: 20}}, key: {{limit: 1000000, seconds: 60}}}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working folder with the strategies."""
    shutil.copytree(ROOT / "strategies", tmp_path / "strategies")
    shutil.copy(Path(__file__).with_name("stuck.py"), tmp_path / "strategies" / "stuck.py")
    (tmp_path / "key").write_text("sim-key")
    return tmp_path


# -- callbacks past their deadline ------------------------------------------------------------------------------------


def orders_of(daemon: Process, strategy: str) -> list[str]:
    """Orders of a strategy that the gate let through."""
    return [line["client_order_id"] for line in daemon.lines("order_intended") if line["strategy"] == strategy]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("how", ["spin", "sleep"])
def test_a_stuck_strategy_is_quarantined_and_renewed_the_other_trades_on_and_the_replay_is_the_same(
    folder: Path, how: str
) -> None:
    text = PAPER.format(strategies="strategies")
    (folder / "q.yaml").write_text(
        text.replace("strategies_dir:", STUCK.format(how=how).lstrip("\n") + "strategies_dir:")
    )
    with quantd(["run", "q.yaml"], folder) as daemon:
        told = daemon.wait_line("callback_interrupted", 60)
        assert (told["strategy"], told["hook"], told["acts"]) == ("stuck", "on_bar", 1)
        fault = daemon.wait_line("strategy_quarantined")
        assert fault["error"] == "overran its deadline of 0.25 s"
        assert fault["orders"] == orders_of(daemon, "stuck")
        before = len(daemon.lines("order_filled"))
        until(lambda: len(daemon.lines("order_filled")) >= before + 2, 60, "two fills of the other strategy")
        assert daemon.metric("quantd_strategy_interruptions_total", strategy="stuck") == 1
        assert len(daemon.lines("callback_interrupted")) == 1
        daemon.wait_line("strategy_renewed")
        latch = HaltLatch(folder / "var/state/halt.json")
        until(lambda: not latch.read().halts, 10, "the file to lose the fault's halt")
        until(lambda: len(orders_of(daemon, "stuck")) == 2, 30, "the fresh object's order")
        assert [line["state"] for line in daemon.lines("state_set")] == ["reducing", "active"]
        assert daemon.signal(SIGTERM) == 0
    inputs = next(folder.glob("var/q.db.inputs-*"))
    with quantd(["replay", "q.yaml", "--inputs", str(inputs)], folder) as replay:
        assert replay.popen.wait(60) == 0, replay.text()
        assert "byte for byte" in replay.text()


# -- kill -------------------------------------------------------------------------------------------------------------


class Site:
    """A folder with simulators and a daemon that has orders working at each of them."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self._stack = stack
        self.simulators: list[Process] = []
        self.venues: list[Venue] = []
        self._ports: list[int] = []

    def open(self, count: int) -> None:
        """Start simulators."""
        for _ in range(count):
            arguments = ["simulate", "ionloop", "--port", "0", "--seed", "7", "--balance", "USDT=10000000"]
            process = self._stack.enter_context(python(FAST, arguments, self.folder))
            port = int(until(partial(port_of, process), 20, "the simulator's address"))
            self.simulators.append(process)
            self.venues.append(Venue(port))
            self._ports.append(port)

    def configure(self, *, count: int, how: str = "no", deadline_s: float = 0.25) -> None:
        """Write the daemon's configuration."""
        names = ["a", "b"][: len(self.venues)]
        text = KILL.format(
            venues="".join(VENUE.format(name=name, port=port) for name, port in zip(names, self._ports, strict=True)),
            instruments=", ".join(f"{name}:BTC-USDT" for name in names),
            count=count,
            how=how,
            deadline_s=deadline_s,
        )
        (self.folder / "q.yaml").write_text(text)

    def run(self, count: int) -> Process:
        """Start the daemon, and wait until each venue has that many orders of it and it knows them."""
        daemon = self._stack.enter_context(quantd(["run", "q.yaml"], self.folder))
        daemon.wait_line("strategy_started", 30)
        total = count * len(self.venues)
        accepted = {"operation": "submit", "outcome": "accepted"}
        until(lambda: daemon.metric("quantd_order_operations_total", **accepted) >= total, 60, f"{total} orders")
        assert [self.working(one) for one in self.venues] == [count] * len(self.venues)
        return daemon

    def working(self, venue: Venue) -> int:
        """Orders that work at a venue."""
        return int(venue.read("counters")["orders"]["open"])

    def refused(self, venue: Venue) -> int:
        """Requests that a venue refused as too many."""
        return int(venue.read("counters")["rate_limited"]["total"])


@pytest.fixture
def site(folder: Path) -> Iterator[Site]:
    with ExitStack() as stack:
        yield Site(folder, stack)


def by_signal(site: Site, daemon: Process) -> None:
    daemon.popen.send_signal(signal.SIGUSR1)


def by_file(site: Site, daemon: Process) -> None:
    (site.folder / "var/state/kill").touch()


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("how", "kill"), [("no", by_signal), ("spin", by_signal), ("spin", by_file)])
def test_a_kill_cancels_every_order_and_stays_halted_also_while_a_strategy_spins(
    site: Site, how: str, kill: Callable[[Site, Process], None]
) -> None:
    site.open(1)
    site.configure(count=20, how=how, deadline_s=60)
    daemon = site.run(20)
    if how == "spin":
        (site.folder / "go").touch()
        daemon.wait_line("sits", 20)
    began = time.monotonic()
    kill(site, daemon)
    until(lambda: site.working(site.venues[0]) == 0, 10, f"no working order\n{daemon.text()[-2000:]}")
    print(f"20 orders gone after {time.monotonic() - began:.2f} s")
    told = daemon.wait_line("kill_ended", 10)
    assert told["duration_s"] < 5
    assert site.refused(site.venues[0]) == 0
    daemon.signal(SIGKILL)
    (site.folder / "go").unlink(missing_ok=True)
    with quantd(["run", "q.yaml"], site.folder) as again:
        again.wait_line("strategy_started", 40)
        until(lambda: again.lines("order_denied"), 20, "a denial")
        assert {line["reason"] for line in again.lines("order_denied")} == {"trading_state"}
        assert not again.lines("order_intended")
        assert site.working(site.venues[0]) == 0
        assert again.signal(SIGTERM) == 0


@pytest.mark.timeout(60)
def test_a_process_that_stood_still_and_goes_on_has_not_been_killed(folder: Path) -> None:
    """As under a debugger, or after Ctrl-Z and fg."""
    (folder / "q.yaml").write_text(PAPER.format(strategies="strategies"))
    with quantd(["run", "q.yaml"], folder) as daemon:
        daemon.wait_line("strategy_started", 30)
        for _ in range(10):
            daemon.popen.send_signal(signal.SIGSTOP)
            time.sleep(0.1)
            daemon.popen.send_signal(signal.SIGCONT)
            time.sleep(0.05)
        assert daemon.metric("quantd_ready") == 1
        assert not daemon.lines("kill_began")
        daemon.popen.send_signal(signal.SIGUSR1)
        daemon.wait_line("kill_ended")
        assert daemon.signal(SIGTERM) == 0


@pytest.mark.timeout(180)
@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGSTOP], ids=["refuses", "accepts-and-never-answers"])
def test_a_thousand_orders_are_cancelled_within_the_rate_while_another_venue_is_dead(site: Site, death: int) -> None:
    site.open(2)
    site.configure(count=500)
    daemon = site.run(500)
    live, late = site.venues
    site.simulators[1].popen.send_signal(death)
    began = time.monotonic()
    by_signal(site, daemon)
    until(lambda: site.working(live) == 0, 30, f"no working order\n{daemon.text()[-3000:]}")
    took_s = time.monotonic() - began
    done = daemon.wait_line("kill_venue_done", 10)
    words = f"500 orders gone after {took_s:.2f} s, the other venue having got {signal.Signals(death).name}"
    print(words)
    write_section(words)
    assert (done["venue"], done["cancelled"]) == ("a", 500)
    assert 500 / 250 < took_s < 500 / 200 + 3, "at the rate of the budget, which is 200 a second"
    assert site.refused(live) == 0
    assert not daemon.lines("kill_ended"), "it goes on trying at the dead venue"
    assert daemon.get("/livez")[0] == 200
    if death == signal.SIGKILL:
        assert daemon.wait_line("kill_venue_failing")["venue"] == "b"
    else:
        site.simulators[1].popen.send_signal(signal.SIGCONT)
        began = time.monotonic()
        until(lambda: site.working(late) == 0, 40, f"no working order at the other\n{daemon.text()[-3000:]}")
        print(f"the other 500 gone {time.monotonic() - began:.2f} s after their venue came back")
        daemon.wait_line("kill_ended", 20)
        assert site.refused(late) == 0
    assert daemon.signal(SIGTERM) == 0


@pytest.mark.timeout(120)
def test_a_kill_cancels_though_the_disk_is_full_and_a_strategy_spins(site: Site) -> None:
    site.open(1)
    site.configure(count=20, how="spin", deadline_s=60)
    daemon = site.run(20)
    (site.folder / "go").touch()
    daemon.wait_line("sits", 20)
    resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    by_signal(site, daemon)
    until(lambda: site.working(site.venues[0]) == 0, 10, "no working order")
    assert not (site.folder / "var/state/halt.json").exists(), "the disk took nothing"
    assert daemon.popen.poll() is None


@pytest.mark.timeout(120)
def test_c_code_that_blocks_the_loop_trips_the_kill_path_and_is_named(site: Site) -> None:
    site.open(1)
    site.configure(count=5, how="hash")
    daemon = site.run(5)
    (site.folder / "go").touch()
    daemon.wait_line("sits", 20)
    until(lambda: site.working(site.venues[0]) == 0, 30, f"no working order\n{daemon.text()[-2000:]}")
    assert daemon.wait_line("loop_blocked")["reason"] == "stuck.on_quote.sit"
    assert "stuck.on_quote.sit" in (site.folder / "var/state/halt.json").read_text()
