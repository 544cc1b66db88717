"""No secret survives: by key, by type, by value in any usual encoding, by shape."""

import base64
import json
import re
from decimal import Decimal
from enum import Enum
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretBytes, SecretStr

from quantd.telemetry.redaction import _SHAPES, MASK, Redactor, _mask_shape, is_secret_key

SECRET = 'pa"ss wörd/+1\\x'


def knowing(*secrets: str) -> Redactor:
    redactor = Redactor()
    for secret in secrets:
        redactor.register(secret)
    return redactor


@pytest.mark.parametrize(
    "text",
    [
        SECRET,
        f"before {SECRET} after",
        quote(SECRET),
        quote(SECRET, safe=""),
        repr({"nested": SECRET}),
        base64.b64encode(SECRET.encode()).decode(),
        f"url?key={quote(SECRET)}&x=1",
        json.dumps({"nested": SECRET}),
        json.dumps({"nested": SECRET}, ensure_ascii=False),
        ascii(SECRET),
        repr(SECRET.encode()),
        re.sub("%..", lambda found: found[0].lower(), quote(SECRET, safe="")),
    ],
)
def test_a_registered_value_is_replaced_wherever_and_however_it_stands(text: str) -> None:
    clean = knowing(SECRET).clean(text)
    assert MASK in clean
    assert SECRET not in clean
    assert "ss" not in clean.replace(MASK, "")


@given(st.text(min_size=4).map(str.strip).filter(lambda text: len(text) >= 4), st.text(), st.text())
def test_no_text_with_a_registered_value_comes_out_with_it(secret: str, before: str, after: str) -> None:
    assert secret not in knowing(secret).clean(before + secret + after).replace(MASK, "\0")


def test_of_overlapping_secrets_the_longer_vanishes_whole() -> None:
    assert knowing("abcdef", "abcdefghij").clean("x abcdefghij y abcdef z") == f"x {MASK} y {MASK} z"


def test_short_values_are_not_searched_for() -> None:
    assert knowing("abc", "", "  ").clean("abc of it all") == "abc of it all"


def test_models_are_searched_for_secrets_at_any_depth() -> None:
    class Inner(BaseModel):
        token: SecretStr
        raw: SecretBytes = SecretBytes(b"raw-bytes")

    class Outer(BaseModel):
        name: str = "public-name"
        inner: list[Inner]
        by_name: dict[str, SecretStr]

    redactor = Redactor()
    model = Outer(inner=[Inner(token=SecretStr("deep-token"))], by_name={"a": SecretStr("mapped-token")})
    redactor.register_all(model, SecretStr("plain-one"))
    text = "deep-token raw-bytes mapped-token plain-one public-name"
    assert redactor.clean(text) == f"{MASK} {MASK} {MASK} {MASK} public-name"


@pytest.mark.parametrize(
    "key",
    [
        "token", "access_token", "accessToken", "api_key", "apiKey", "X-Api-Key", "Authorization", "password", "PASSWORD",
        "webhook_secret", "client-secret", "Set-Cookie", "signature", "private_key", "jwt",
    ],
)  # fmt: skip
def test_values_under_secret_keys_are_masked_whatever_they_are(key: str) -> None:
    assert is_secret_key(key)
    assert Redactor().clean_items({key: ["a", 1]}) == {key: MASK}


@pytest.mark.parametrize(
    "key", ["token_file", "idempotency_key", "key", "reason", "client_order_id", "tokens", "author"]
)
def test_ordinary_keys_keep_their_values(key: str) -> None:
    assert Redactor().clean_items({key: "value"}) == {key: "value"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Authorization: Bearer abc123DEF456", f"Authorization: Bearer {MASK}"),
        ("basic dXNlcjpwYXNz", f"basic {MASK}"),
        ("a basic understanding", "a basic understanding"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", MASK),
        ("http://user:hunter2@proxy:3128/", f"http://user:{MASK}@proxy:3128/"),
        ("https://api.example.com:443/v1?limit=5", "https://api.example.com:443/v1?limit=5"),
    ],
)
def test_what_looks_like_credentials_is_masked_unregistered(text: str, expected: str) -> None:
    assert Redactor().clean(text) == expected


class Colour(Enum):
    RED = "red"


class Leaky:
    def __repr__(self) -> str:
        return "Leaky(kn0wn-value)"


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError("no text")


_PIECES = st.sampled_from(
    [
        "Bearer ",
        "BASIC ",
        "ba\u017fic ",
        "bas\u0131c ",
        "eyJ",
        "EYJ",
        "://",
        "abcdefgh",
        "ijklmnop.",
        ".",
        ":",
        "@",
        " ",
        "-",
        "a",
        "\u212a",
    ]
)


@given(st.lists(_PIECES, max_size=12).map("".join))
def test_no_shape_is_passed_over_by_the_look_ahead(text: str) -> None:
    assert Redactor().clean(text) == _SHAPES.sub(_mask_shape, text)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (3, 3),
        (0.5, 0.5),
        (Decimal("1.50"), "1.50"),
        (Colour.RED, "red"),
        (SecretStr("x"), MASK),
        (b"kn0wn-value", f"b'{MASK}'"),
        (("kn0wn-value", {"a": {"kn0wn-value": 1}}), [MASK, {"a": {MASK: 1}}]),
        (Leaky(), f"Leaky({MASK})"),
        (Broken(), "<Broken without text: RuntimeError>"),
        (ValueError("kn0wn-value"), MASK),
        ({"a": None, "token": None}, {"a": None, "token": None}),
    ],
)
def test_values_become_plain_data_without_secrets(value: Any, expected: Any) -> None:
    assert knowing("kn0wn-value").clean_value(value) == expected


def test_endless_structures_end() -> None:
    endless: list[Any] = ["kn0wn-value"]
    endless.append(endless)
    assert "kn0wn-value" not in repr(knowing("kn0wn-value").clean_value(endless))


def test_the_redactor_shows_nothing_of_what_it_knows() -> None:
    assert "kn0wn-value" not in repr(knowing("kn0wn-value"))
