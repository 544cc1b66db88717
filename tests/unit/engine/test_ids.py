"""Client order ids: derived, ordered, never repeated."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantd.domain.events import TimePassed
from quantd.domain.orders import Stop
from quantd.engine.context import EngineSettings
from quantd.engine.ids import LENGTH_MAX, ClientOrderIds, base32, from_base32
from quantd.testing.builders import BTC, Rig, make_plain_capabilities


@given(st.integers(0, 2**80))
def test_base32_is_read_back(number: int) -> None:
    assert from_base32(base32(number)) == number


def test_ids_are_of_the_form_that_every_venue_takes() -> None:
    ids = ClientOrderIds("0abc", 7)
    made = [ids.next() for _ in range(2_000)]
    assert len(set(made)) == 2_000
    assert all(re.fullmatch(r"q[a-z0-9-]+", one) and len(one) <= LENGTH_MAX for one in made)
    assert all(ids.is_ours(one) for one in made)


def test_what_was_seen_is_never_counted_out_again() -> None:
    before = ClientOrderIds("0abc", 1)
    used = {before.next() for _ in range(100)}
    after = ClientOrderIds("0abc", 1)
    for one in used:
        after.seen(one)
    assert after.next() not in used


def test_a_new_epoch_starts_anew_and_never_meets_the_old_one() -> None:
    old, new = ClientOrderIds("0abc", 1), ClientOrderIds("0abc", 2)
    used = {old.next() for _ in range(50)}
    new.seen(max(used))
    assert new.next() not in used
    assert new.is_ours(next(iter(used)))


def test_foreign_ids_are_not_ours_and_change_nothing() -> None:
    ids = ClientOrderIds("0abc", 1)
    ids.seen("x-paper-99")
    assert ids.next() == "q0abc-1-1"
    assert not ids.is_ours("q0xyz-1-1")


@pytest.mark.parametrize("journal_id", ["UPPER", "has-dash", "a" * 30, "ü"])
def test_a_journal_id_that_would_not_fit_is_refused(journal_id: str) -> None:
    with pytest.raises(ValueError, match="journal id"):
        ClientOrderIds(journal_id, 1)


def test_a_held_order_of_a_restored_backup_is_not_sent_a_second_time() -> None:
    rig = Rig(capabilities=make_plain_capabilities())
    order = rig.do(lambda s: s.buy(BTC, 1, Stop(110)))
    for epoch, held in ((1, True), (2, False)):
        settings = EngineSettings(journal_id="0test", epoch=epoch)
        again = Rig(facts=rig.facts, settings=settings, capabilities=make_plain_capabilities())
        again.engine.lose_in_flight("restart", again.now_ns)
        again.handle(TimePassed(again.now_ns))
        assert again.live(order.id).is_open is held
