"""Control 35: a journal of a newer version, or of another journal, is refused; what changed since is told."""

from decimal import Decimal

import msgspec
import pytest

from quantd.domain.facts import DayStarted, PeaksRecorded, RunStarted
from quantd.engine.rates import Rates
from quantd.engine.runs import check_run, version_key
from quantd.engine.state import State
from quantd.errors import JournalError

RUN = RunStarted("1.2.0", "c" * 64, {"a": "1" * 64, "b": "2" * 64}, "0test", 7, 1)


@pytest.mark.parametrize("newer", ["1.2.1", "1.10.0", "2", "1.2.0.1"])
def test_a_journal_that_a_newer_quantd_wrote_is_refused(newer: str) -> None:
    before = msgspec.structs.replace(RUN, version=newer)
    with pytest.raises(JournalError, match=f"quantd {newer}, which is newer than this 1.2.0"):
        list(check_run(before, RUN))


@pytest.mark.parametrize("older", ["1.2", "1.2.0", "1.1.99", "0.9"])
def test_the_same_version_and_older_ones_are_taken(older: str) -> None:
    told = list(check_run(msgspec.structs.replace(RUN, version=older), RUN))
    assert told == ([] if older == "1.2.0" else [f"quantd was {older} and is 1.2.0"])


def test_another_journal_and_a_backup_that_was_copied_back_are_refused() -> None:
    with pytest.raises(JournalError, match="of journal 0test, this is 1test"):
        list(check_run(RUN, msgspec.structs.replace(RUN, journal_id="1test")))
    with pytest.raises(JournalError, match="of epoch 7, this is 6: a backup comes back by journal restore"):
        list(check_run(RUN, msgspec.structs.replace(RUN, epoch=6)))
    assert list(check_run(RUN, msgspec.structs.replace(RUN, epoch=8))) == []


def test_changed_sources_are_named_one_by_one() -> None:
    now = msgspec.structs.replace(RUN, config_hash="d" * 64, strategy_sources={"b": "3" * 64, "c": "4" * 64})
    assert list(check_run(RUN, now)) == [
        "the configuration was cccccccccccc and is dddddddddddd",
        "strategy a ran last time and is no longer configured",
        "the source of strategy b was 222222222222 and is 333333333333",
        "strategy c is new",
    ]


def test_a_new_journal_has_no_run_before() -> None:
    assert list(check_run(None, RUN)) == []


def test_versions_compare_as_numbers() -> None:
    assert version_key("1.9.2") < version_key("1.10") == version_key("1.10.0rc1")


@pytest.mark.parametrize(("now", "kept"), [("USD", True), ("JPY", False)])
def test_losses_count_anew_in_another_base_currency(now: str, kept: bool) -> None:
    """A thousand yen that the day began with are no thousand dollars that were lost since."""
    state = State(Rates(now))
    before = msgspec.structs.replace(RUN, base_currency="USD")
    for fact in (
        before,
        DayStarted("2026-01-05", {"account": Decimal(100)}, 2),
        PeaksRecorded({"account": Decimal(1_000)}, 3),
        msgspec.structs.replace(RUN, base_currency=now),
    ):
        state.apply(fact)
    assert state.baselines.day == "2026-01-05"
    assert state.baselines.begun == ({"account": Decimal(100)} if kept else {})
    assert state.baselines.peaks == ({"account": Decimal(1_000)} if kept else {})
    told = list(check_run(before, msgspec.structs.replace(RUN, base_currency=now)))
    assert [one.partition(":")[0] for one in told] == ([] if kept else ["the base currency was USD and is JPY"])
