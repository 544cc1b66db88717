"""Callers, requests, sentences, receipts and settings of the control API, as plain values."""

import asyncio
from decimal import Decimal
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from quantd.control import requests
from quantd.control.openapi import document
from quantd.control.receipts import Receipts
from quantd.control.requests import Amount, HaltRequest, OrderRequest
from quantd.control.sentences import SENTENCES, sentence
from quantd.control.settings import ControlSettings, TokenSettings
from quantd.control.tokens import Caller, Tokens
from quantd.domain.facts import Fact, OperatorActionRecorded, TimerRecorded
from quantd.domain.strategy_facts import StrategyFaulted

TOKEN = "0123456789abcdef"


def token(text: str = TOKEN, *scopes: str) -> TokenSettings:
    return TokenSettings.model_validate({"token": SecretStr(text), "scopes": list(scopes) or ["read"]})


def test_a_caller_is_known_by_the_whole_token_alone() -> None:
    tokens = Tokens({"ann": token(), "bob": token(TOKEN + "0")})
    assert tokens.caller(f"Bearer {TOKEN}") == Caller("ann", frozenset({"read"}))
    assert tokens.caller(f"bearer {TOKEN}0") == Caller("bob", frozenset({"read"}))
    for shown in ("", "Bearer", "Bearer ", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}1"):
        assert tokens.caller(shown) is None
    assert TOKEN not in repr(tokens)


@given(st.text())
def test_no_text_makes_a_caller_by_chance_or_raises(text: str) -> None:
    assert Tokens({"ann": token()}).caller(f"Bearer {text}") is None or text == TOKEN


@pytest.mark.parametrize(
    ("scopes", "asked", "may"),
    [
        ({"read"}, ("read",), True),
        ({"read"}, ("trade", "halt"), False),
        ({"halt"}, ("trade", "halt"), True),
        ({"admin"}, ("trade",), True),
        ({"read", "trade"}, ("admin",), False),
    ],
)
def test_a_scope_opens_what_it_names_and_admin_opens_all(scopes: set[str], asked: tuple[str, ...], may: bool) -> None:
    assert Caller("ann", frozenset(scopes)).may(*asked) is may


@given(st.decimals(min_value=0, max_value=Decimal(999999999999999), places=8))
def test_an_amount_is_read_to_the_last_digit(value: Decimal) -> None:
    assert Decimal(msgspec.convert(f"{value:f}", Amount)) == value


@pytest.mark.parametrize("text", ["", ".5", "1.", "1e3", "-1", "+1", "NaN", "Infinity", "1,5", "1" * 16, "1 ", "0x1"])
def test_an_amount_is_nothing_but_digits_and_a_point(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(text, Amount)


@given(st.text(max_size=40))
@example("\xa0")
@example("\u2003")
@example("\x85")
def test_a_reason_has_no_control_characters(why: str) -> None:
    try:
        taken = msgspec.convert({"why": why}, HaltRequest)
    except msgspec.ValidationError:
        return
    assert taken.why.strip()
    assert not any(ord(one) < 32 or ord(one) == 127 for one in taken.why)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (requests.Scope, "all"),
        (requests.Why, "a drill"),
        (requests.Name, "ann"),
        (requests.Amount, "1.5"),
        (requests.InstrumentName, "paper:BTC-USD"),
        (requests.StrategyName, "s1"),
        (requests.OrdersCursor, "1:q0test-1-1"),
        (requests.FillsCursor, "1:1"),
    ],
)
def test_no_line_break_hides_at_the_end_of_a_text(kind: Any, text: str) -> None:
    assert msgspec.convert(text, kind) == text
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(text + "\n", kind)


def test_no_pattern_of_a_body_or_parameter_fits_before_a_last_line_break() -> None:
    for name, schema in document("1.0")["components"]["schemas"].items():
        for pattern in _patterns(schema):
            assert pattern.endswith("$(?!\\n)"), f"{name}: {pattern}"


def _patterns(schema: Any) -> list[str]:
    if isinstance(schema, dict):
        own = [schema["pattern"]] if isinstance(schema.get("pattern"), str) else []
        return own + [found for item in schema.values() for found in _patterns(item)]
    if isinstance(schema, list | tuple):
        return [found for item in schema for found in _patterns(item)]
    return []


@pytest.mark.parametrize(
    "terms",
    [
        {"kind": "market", "price": "1"},
        {"kind": "limit"},
        {"kind": "stop", "price": "1"},
        {"kind": "stop_limit", "trigger": "1"},
        {"kind": "iceberg"},
        {},
    ],
)
def test_each_kind_of_order_takes_its_own_prices(terms: dict[str, str]) -> None:
    wish = {"instrument": "paper:BTC-USD", "side": "buy", "quantity": "1", "why": "x"}
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wish | terms, OrderRequest)


@pytest.mark.parametrize(
    "wrong",
    [
        {"host": "0.0.0.0"},
        {"host": "192.168.0.1"},
        {"tokens": {}},
        {"tokens": {"Ann Lee": {"token": SecretStr(TOKEN), "scopes": ["read"]}}},
        {"tokens": {"ann": {"token": SecretStr("short"), "scopes": ["read"]}}},
        {"tokens": {"ann": {"token": SecretStr("has a blank in it, though long"), "scopes": ["read"]}}},
        {"tokens": {"ann": {"token": SecretStr(TOKEN), "scopes": []}}},
        {"tokens": {"ann": {"token": SecretStr(TOKEN), "scopes": ["root"]}}},
        {"tokens": {"ann": {"scopes": ["read"]}}},
        {"tokens": {name: {"token": SecretStr(TOKEN), "scopes": ["read"]} for name in ("ann", "bob")}},
        {"body_limit": 1},
    ],
)
def test_settings_that_would_not_hold_are_refused_without_showing_a_token(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        ControlSettings.model_validate({"tokens": {"ann": {"token": SecretStr(TOKEN), "scopes": ["read"]}}} | wrong)
    assert TOKEN not in str(caught.value)


def test_only_facts_that_are_no_part_of_a_chain_have_no_sentence() -> None:
    assert set(SENTENCES) <= set(get_args(Fact))
    assert sentence(TimerRecorded("s1", "noon", 1, 2)) == "TimerRecorded"
    assert "s1 was quarantined" in sentence(StrategyFaulted("s1", "on_bar", "ZeroDivisionError", 1))


async def test_a_request_is_told_its_own_facts_and_no_earlier_ones() -> None:
    receipts = Receipts()
    first, second = receipts.draw(), receipts.draw()
    assert first != second
    receipts.expect(second)
    before, after = StrategyFaulted("s1", "on_bar", "x", 1), StrategyFaulted("s2", "on_bar", "y", 1)
    receipts.told([OperatorActionRecorded(first, "ann", "halt", "", "accepted", 1), before])
    receipts.told([before, OperatorActionRecorded(second, "ann", "halt", "", "accepted", 1), after])
    assert await receipts.wait(second, 1.0) == [after]


async def test_a_request_does_not_wait_for_ever() -> None:
    receipts = Receipts()
    request = receipts.draw()
    receipts.expect(request)
    assert await receipts.wait(request, 0.01) is None
    receipts.told([OperatorActionRecorded(request, "ann", "halt", "", "accepted", 1)])
    await asyncio.sleep(0)
