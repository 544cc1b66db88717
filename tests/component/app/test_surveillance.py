"""Surveillance beside the daemon and over a journal: findings are counted, logged and printed, and no order waits for them."""

import json
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import structlog
from typer.testing import CliRunner, Result

from quantd.app.shared import Shared
from quantd.app.storage import codec
from quantd.app.surveillance import Lookout, marketplaces
from quantd.cli import app
from quantd.clock import ManualClock
from quantd.config import Settings, load
from quantd.config.models import SurveillanceSection
from quantd.domain.facts import DayStarted, Fact
from quantd.domain.orders import OrderSpec
from quantd.journal.projections import projections
from quantd.journal.store import Append, JournalStore
from quantd.surveillance.findings import Finding, Thresholds
from quantd.testing.observer import RecordingObserver
from tests.unit.surveillance.tape import Tape
from tests.unit.surveillance.test_shows import spoof

CONFIG = """
journal: {path: q.db}
venues:
  a: {type: paper, balances: {USD: 1000}, data: {synthetic: {instruments: [{symbol: BTC-USD, price: 100}]}}}
  hb: {type: hummingbot, real_money: false, connector: binance, account: main, base_url: "http://127.0.0.1:1", username: u, password_file: p}
  ion1: {type: ionloop, environment: custom, base_url: "http://127.0.0.1:2", api_key_file: k}
  ion2: {type: ionloop, environment: custom, base_url: "http://127.0.0.1:2", api_key_file: k2}
risk: {base_currency: USD}
surveillance: {repeats: 2}
"""


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.chdir(tmp_path)
    for name in ("p", "k", "k2"):
        (tmp_path / name).write_text(f"secret of {name}")
    (tmp_path / "q.yaml").write_text(CONFIG)
    return load([Path("q.yaml")], {})


class Site:
    """The daemon's parts that surveillance is given."""

    def __init__(self, settings: Settings, working: Iterable[Any] = ()) -> None:
        self.observer = RecordingObserver()
        self.clock = ManualClock(0)
        self.readers: list[Any] = []
        orders = SimpleNamespace(open_orders=lambda: list(working))
        parts = SimpleNamespace(
            settings=settings,
            observer=self.observer,
            clock=self.clock,
            engine=SimpleNamespace(state=SimpleNamespace(orders=orders)),
            fact_readers=self.readers,
        )
        self.lookout = Lookout(cast("Shared", parts))

    def record(self, tape: Tape) -> None:
        """Hand over the facts, as the daemon does once they are on disk."""
        for fact in tape.facts:
            for reader in self.readers:
                reader([fact])
        self.clock.set(round(tape.now_s * 1e9))

    def flagged(self) -> float:
        return self.observer.counted("quantd_abuse_patterns_total", pattern="spoofing", strategy="one")


def test_a_pattern_is_counted_and_logged_at_the_next_tick_and_not_while_orders_wait(settings: Settings) -> None:
    site, tape = Site(settings), Tape()
    spoof(tape)
    spoof(tape)
    site.record(tape)
    assert site.flagged() == 0, "handing facts over only keeps them"
    with structlog.testing.capture_logs() as logs:
        site.lookout.look()
        site.lookout.look()
    assert site.flagged() == 1
    (line,) = logs
    assert (line["event"], line["log_level"]) == ("abuse_pattern", "warning")
    assert (line["pattern"], line["market"], line["strategies"]) == ("spoofing", "a:BTC-USD", ["one"])
    assert len(line["orders"]) == 4


def test_orders_that_worked_before_the_start_are_known(settings: Settings) -> None:
    tape = Tape()
    shown = tape.place("sell", 6, 101)
    spec: OrderSpec = tape.facts[0].spec  # type: ignore[union-attr]  # an OrderIntended
    order = SimpleNamespace(
        held=False, client_order_id=shown, strategy="one", spec=spec, filled=0, intended_at_ns=tape.facts[0].at_ns
    )
    tape.facts.clear()
    site = Site(settings, [order])
    tape.wait(1)
    tape.fill(tape.place("buy", 1, 100), 100)
    tape.cancel(shown)
    tape.wait(30)
    spoof(tape)
    site.record(tape)
    site.lookout.look()
    assert site.flagged() == 1


def test_accounts_at_one_marketplace_are_one_market_and_paper_is_nobodys(settings: Settings) -> None:
    assert marketplaces(settings) == {
        "a": "a",
        "hb": "hummingbot/practice/binance",
        "ion1": "ionloop/practice",
        "ion2": "ionloop/practice",
    }


def test_the_configuration_has_the_thresholds_that_the_detectors_know() -> None:
    assert SurveillanceSection().thresholds() == Thresholds()
    assert set(SurveillanceSection.model_fields) == set(Thresholds.__struct_fields__)


def surveil(*arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, ["surveil", "q.yaml", *arguments])


def write(facts: list[Fact]) -> None:
    with closing(
        JournalStore[Fact].create(Path("q.db"), codec(), journal_id="k7", epoch=3, projections=projections())
    ) as store:
        store.write([Append([store.codec.encode(fact) for fact in facts], facts)])


def test_a_journal_is_looked_through_and_the_exit_code_tells(settings: Settings) -> None:
    tape = Tape()
    spoof(tape)
    spoof(tape)
    write(tape.facts)
    result = surveil()
    assert result.exit_code == 1
    assert "spoofing" in result.stdout
    assert f"1 patterns flagged in {len(tape.facts)} records" in result.stdout
    (line,) = surveil("--json").stdout.splitlines()[:1]
    assert json.loads(line)["orders"] == ["q1-one", "q2-one", "q3-one", "q4-one"]
    later = surveil("--since", "2001-01-01")
    assert (later.exit_code, later.stdout) == (0, f"0 patterns flagged in {len(tape.facts)} records\n")


def test_a_clean_journal_is_said_to_be_clean_and_a_missing_one_named(settings: Settings) -> None:
    missing = surveil()
    assert missing.exit_code == 1
    assert "q.db: there is no journal here" in missing.output
    tape = Tape()
    spoof(tape)
    write(tape.facts)
    assert surveil().exit_code == 0


def test_a_fault_of_surveillance_is_logged_and_neither_ends_the_daemon_nor_hides_what_follows(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, tape = Site(settings), Tape()
    spoof(tape)
    spoof(tape)
    site.record(tape)
    take_in, bad = site.lookout._surveillance.facts, DayStarted("2026-11-28", {}, 0)

    def fails_at_one(facts: Iterable[Fact]) -> list[Finding]:
        if bad in facts:
            raise ZeroDivisionError
        return take_in(facts)

    monkeypatch.setattr(site.lookout._surveillance, "facts", fails_at_one)
    site.lookout._waiting.insert(0, bad)
    with structlog.testing.capture_logs() as logs:
        site.lookout.look()
    assert [(line["event"], line["log_level"]) for line in logs] == [
        ("surveillance_failed", "error"), ("abuse_pattern", "warning"),
    ]  # fmt: skip
    assert site.flagged() == 1
