"""Notices as text: what a person reads first, templates of an operator's own, summaries, and no way for content to break it."""

import pytest

from quantd.notify.notice import Message, Weight
from quantd.notify.templates import FIELDS, faults, subject, text
from tests.unit.notify.receiving import notice

HALT = notice(
    "state all",
    state="halted",
    what="trading halted",
    where="all",
    why="loss_limit: 120 USD lost, limit 100",
    do="Decide about open positions.",
    runbook="QuantdHalted",
)


def test_the_built_in_text_says_what_where_why_since_when_and_what_to_do() -> None:
    assert text(Message("1", "desk", (HALT,))).splitlines() == [
        "[CRITICAL] desk: trading halted (all)",
        "why: loss_limit: 120 USD lost, limit 100",
        "since: 2023-11-14 22:13:20 UTC",
        "do: Decide about open positions.",
        "runbook: docs/operations/runbooks/QuantdHalted.md",
    ]


def test_rows_without_content_are_left_out() -> None:
    told = text(Message("1", "desk", (notice("a", Weight.INFO),)))
    assert told.splitlines() == ["[INFO] desk: what a (all)", "since: 2023-11-14 22:13:20 UTC"]


def test_a_template_of_ones_own_may_use_every_field() -> None:
    template = "|".join(f"${name}" for name in FIELDS) + " costs $$5"
    assert not faults(template)
    assert text(Message("1", "desk", (HALT,)), template) == (
        "CRITICAL|desk|trading halted|all|loss_limit: 120 USD lost, limit 100|2023-11-14 22:13:20 UTC|"
        "Decide about open positions.|QuantdHalted|state all|halted costs $5"
    )


@pytest.mark.parametrize(("template", "wrong"), [("$wat", "wat"), ("5 $", "begins no field"), ("${what", "begins no")])
def test_a_template_that_would_fail_later_is_refused_at_once(template: str, wrong: str) -> None:
    assert wrong in faults(template)


@pytest.mark.parametrize("hostile", ["$what ${x} $$ $", "%s {0} {what}", "line\r\nBcc: all@example.com", "\x00\ud83d"])
def test_what_a_notice_says_is_never_read_as_a_template(hostile: str) -> None:
    one = notice(what=hostile, why=hostile, where=hostile)
    assert hostile in text(Message("1", "desk", (one,)), "$why")
    assert len(subject(Message("1", "desk", (one,))).splitlines()) == 1, "a subject is one line"


def test_a_summary_counts_and_lists_the_most_urgent_first() -> None:
    many = [notice(f"w{number}", Weight.WARNING) for number in range(30)]
    many.insert(17, HALT)
    lines = text(Message("1", "desk", tuple(many)), "$what").splitlines()
    assert lines[0] == "[CRITICAL] desk: 31 notices held back by the rate limit"
    assert lines[1] == "- 2023-11-14 22:13:20 UTC [CRITICAL] trading halted (all): loss_limit: 120 USD lost, limit 100"
    assert lines[2].endswith("[WARNING] what w0 (all)")
    assert len(lines) == 22
    assert lines[-1] == "and 11 more, in the log as notice_told"
    assert subject(Message("1", "desk", tuple(many))) == "[CRITICAL] desk: trading halted (all) and 30 more"
