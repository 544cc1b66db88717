"""Limits: exact numbers, ranges, scopes, and defaults."""

from decimal import Decimal
from typing import get_args

import msgspec
import pytest

from quantd.config.limits import LIMIT_TYPES, limit_keys, read_day_ends, read_limits
from quantd.config.problems import Problem
from quantd.config.yaml_source import read_text
from quantd.domain.orders import OrderKind, Side
from quantd.engine.risk.limits import SCOPES, DayEnd, Limits, RateLimit, Scope, expectation

NUMBERS = [name for name in SCOPES if expectation(name) is not None]


def read(text: str, scope: Scope) -> tuple[Limits, list[Problem]]:
    problems: list[Problem] = []
    return read_limits(read_text(text, "f"), scope, ("risk",), problems), problems


def test_every_limit_has_scopes_and_every_scope_is_known() -> None:
    assert set(SCOPES) == set(Limits.__struct_fields__)
    assert {scope for scopes in SCOPES.values() for scope in scopes} == set(get_args(Scope))


def test_limits_are_read_exactly() -> None:
    limits, problems = read(
        "{max_position: 0.12345678901234567891, order_types: [limit], sides: [buy], long_only: true,"
        " submit_rate: {count: 5, per_s: 0.5, policy: queue}, loss_action: halt, max_open_orders: 3}",
        "strategy",
    )

    assert problems == []
    assert limits == Limits(
        max_position=Decimal("0.12345678901234567891"),
        order_types=(OrderKind.LIMIT,),
        sides=(Side.BUY,),
        long_only=True,
        submit_rate=RateLimit(count=5, per_s=0.5, policy="queue"),
        loss_action="halt",
        max_open_orders=3,
    )


@pytest.mark.parametrize("name", NUMBERS)
def test_a_numeric_limit_is_refused_below_its_range_and_where_it_is_no_number(name: str) -> None:
    scope = SCOPES[name][0]

    for wrong in ("-1", "nan", "inf", "many", "true", "[1]", "''"):
        limits, problems = read(f"{name}: {wrong}", scope)
        assert [(problem.key, problem.expected) for problem in problems] == [(("risk", name), expectation(name))]
        assert getattr(limits, name) is None
    assert read(f"{name}: 1", scope)[1] == []


@pytest.mark.parametrize("name", NUMBERS)
def test_the_engine_refuses_the_same_numbers_by_itself(name: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=name):
        msgspec.convert({name: "-1"}, Limits, strict=False)


@pytest.mark.parametrize("scope", get_args(Scope))
def test_a_limit_is_accepted_in_its_scopes_only(scope: Scope) -> None:
    for name in SCOPES:
        refused = any("makes no sense" in problem.found for problem in read(f"{name}: 1", scope)[1])
        assert refused == (name not in limit_keys(scope))


def test_a_share_is_at_most_one() -> None:
    assert read("max_share: 1", "account")[1] == []
    assert [str(problem.expected) for problem in read("max_share: 1.01", "account")[1]] == [
        "a number above 0 and at most 1"
    ]


@pytest.mark.parametrize(
    ("rate", "key"),
    [
        ("5", "submit_rate"),
        ("{count: 0, per_s: 1}", "submit_rate.count"),
        ("{count: 1, per_s: 0}", "submit_rate.per_s"),
        ("{count: 1, per_s: 1, policy: wait}", "submit_rate.policy"),
        ("{count: 1, per_s: 1, per: 1}", "submit_rate.per"),
        ("{per_s: 1}", "submit_rate.count"),
    ],
)
def test_a_rate_limit_that_cannot_be_is_refused_at_its_key(rate: str, key: str) -> None:
    _, problems = read(f"submit_rate: {rate}", "account")

    assert [".".join(problem.key) for problem in problems] == [f"risk.{key}"]


def test_limits_of_a_strategy_go_over_the_defaults() -> None:
    defaults = Limits(long_only=True, max_position=Decimal(1), capital=Decimal(5))
    own = Limits(long_only=False, max_position=Decimal(2))

    assert own.over(defaults) == Limits(long_only=False, max_position=Decimal(2), capital=Decimal(5))


@pytest.mark.parametrize(
    ("text", "day_end"),
    [
        ("17:00 America/New_York", DayEnd(hour=17, time_zone="America/New_York")),
        ("'0:05'", DayEnd(minute=5)),
        ("", DayEnd()),
    ],
)
def test_the_end_of_the_day_is_a_time_and_a_zone(text: str, day_end: DayEnd) -> None:
    problems: list[Problem] = []

    assert read_day_ends(read_text(text, "f"), ("day_ends",), problems) == day_end
    assert problems == []


@pytest.mark.parametrize("text", ["24:00", "17", "17:60 UTC", "noon", "[17]", "17:00 Mars/Base"])
def test_what_is_no_time_of_day_is_refused(text: str) -> None:
    problems: list[Problem] = []

    read_day_ends(read_text(text, "f"), ("day_ends",), problems)

    assert len(problems) == 1


def test_no_limit_has_a_type_that_the_reader_does_not_know() -> None:
    for name in LIMIT_TYPES:
        _, problems = read(f"{name}: {{}}", SCOPES[name][0])
        assert problems, name
