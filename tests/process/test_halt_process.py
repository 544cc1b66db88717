"""A halt over kill -9: seen from the venue, and in the records that a person reads afterwards."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from quantd.app.storage import codec
from quantd.domain.events import TradingState
from quantd.domain.facts import Fact, StateSet
from quantd.journal.store import JournalStore
from tests.process.harness import SIGKILL, SIGTERM, quantd, until
from tests.process.site import fills
from tests.process.test_ionloop_process import Site
from tests.process.test_ionloop_process import site as ionloop

site = ionloop


def created(site: Site) -> int:
    """How many orders the venue has ever had."""
    return int(site.venue.read("counters")["orders"]["created"])


def asked(site: Site, *arguments: str) -> tuple[int, str]:
    """Run a command on the site's configuration; its exit code and what it said."""
    with quantd([arguments[0], "q.yaml", *arguments[1:]], site.directory) as command:
        return command.popen.wait(20), command.text()


def states(path: Path) -> Iterator[StateSet]:
    """What the journal says of halts and their ends."""
    store: JournalStore[Fact] = JournalStore.open(path, codec(), read_only=True)
    try:
        for record in store.records():
            fact = store.codec.decode(record)
            if isinstance(fact, StateSet):
                yield fact
    finally:
        store.close()


@pytest.mark.timeout(180)
def test_halted_killed_and_started_no_order_leaves_until_a_named_person_says_why(site: Site) -> None:
    site.configure()
    with quantd(["run", "q.yaml"], site.directory) as daemon:
        until(lambda: fills(daemon) >= 1, 60, "a fill")
        assert asked(site, "halt", "--by", "ann", "--why", "drill")[0] == 0
        daemon.wait_line("state_set", 10)
        before = created(site)
        daemon.signal(SIGKILL)
    for _ in range(2):
        with quantd(["run", "q.yaml"], site.directory) as daemon:
            daemon.wait_line("venue_ready", 60)
            until(lambda: len(daemon.lines("order_denied")) >= 3, 60, "three denials")
            assert {line["reason"] for line in daemon.lines("order_denied")} == {"trading_state"}
            daemon.signal(SIGKILL)
        assert created(site) == before, "an order left while halted"
    with quantd(["run", "q.yaml"], site.directory) as daemon:
        daemon.wait_line("strategy_started", 60)
        for arguments in (
            (),
            ("--by", "bob"),
            ("--why", "over"),
            ("--by", " ", "--why", "over"),
            ("--by", "bob", "--why", ""),
        ):
            code, text = asked(site, "resume", *arguments)
            assert code != 0, text
        time.sleep(1.5)  # longer than the daemon takes to follow the latch
        assert created(site) == before, "an order left while halted"
        assert asked(site, "resume", "--by", "bob", "--why", "drill over")[0] == 0
        until(lambda: created(site) > before, 60, "an order after the resume")
        assert daemon.signal(SIGTERM) == 0
    told = [(fact.state, fact.by, fact.why) for fact in states(site.directory / "var/q.db") if fact.scope == "all"]
    assert told == [(TradingState.HALTED, "ann", "drill"), (TradingState.ACTIVE, "bob", "drill over")]
    with quantd(["journal", "show", "var/q.db", "--kind", "StateSet"], site.directory) as show:
        assert show.popen.wait(20) == 0, show.text()
        assert "bob" in show.text()
