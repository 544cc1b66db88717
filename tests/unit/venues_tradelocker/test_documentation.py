"""The venue's page says what the code and the venue's document say, and names tests that exist."""

import ast
import re
from pathlib import Path

import pytest

from quantd.venues.tradelocker.alerts import KINDS
from quantd.venues.tradelocker.limits import BEFORE_CONFIG
from quantd.venues.tradelocker.market import RESOLUTIONS

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "venues" / "tradelocker.md").read_text(encoding="utf-8")
TABLE = PAGE.partition("## The seed document, row by row")[2].partition("\n## ")[0]
ROWS = re.findall(r"^\| (.+?) \| (.+?) \|$", TABLE, re.MULTILINE)[1:]
DOCUMENT = (
    "demo.tradelocker.com", "live.tradelocker.com", "/backend-api/", "Authorization", "Bearer", "accessToken",
    "refreshToken", "email", "password", "server", "brandId", "/auth/jwt/token", "201", "400", "/auth/jwt/all-accounts",
    "accNum", "/trade/accounts/{accountId}/instruments", "routeId", "INFO", "TRADE", "/trade/config/", "positions",
    "orders", "ordersHistory", "filledOrders", "accountDetails", "rate limits", "limit", "intervalNum", "SECONDS",
    "MINUTES", "limits", "historical quotes", "create", "modify", "delete", "balance info", "Python client", "Studio",
)  # fmt: skip
"""Every endpoint, header, parameter, field, enum, status and thing that the seed document names."""


def files() -> dict[str, Path]:
    found = re.findall(r"`([A-Z])`(?: is)?\s+`(tests/[\w/]+\.py)`", TABLE)
    return {letter: ROOT / path for letter, path in found}


def defined_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize("word", DOCUMENT)
def test_everything_that_the_document_names_stands_in_a_row(word: str) -> None:
    assert any(word in told for told, _ in ROWS), word


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row[0])[:40])
def test_each_row_names_tests_that_exist_or_says_why_there_is_none(row: tuple[str, str]) -> None:
    named = re.findall(r"`([A-Z])::(\w+)`", row[1])
    assert named or row[1].startswith("none"), row
    paths = files()
    missing = [f"{letter}::{name}" for letter, name in named if name not in defined_in(paths[letter])]
    assert not missing


def test_every_anomaly_budget_and_interval_is_named() -> None:
    assert all(f"`{kind}`" in PAGE for kind in KINDS)
    assert all(f"`{limit.name}`" in PAGE for limit in BEFORE_CONFIG)
    assert ", ".join(RESOLUTIONS.values()) in PAGE
