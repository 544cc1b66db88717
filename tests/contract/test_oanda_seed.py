"""OANDA's trade endpoints, item by item: what the reference names has a row in docs/venues/oanda-seed.md and a test that exists.

The members of answers are held against the simulator as well: each one that the reference names is seen here in an answer of
its status.
"""

import ast
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import msgspec

from quantd.ports import HttpRequest, HttpResponse
from quantd.simulators.oanda.routes import match
from tests.component.simulators.oanda_client import ID, Client

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "venues" / "oanda-seed.md"
FILES = {
    "T": "tests/component/simulators/test_oanda_trades.py",
    "G": "tests/component/simulators/test_oanda_guards.py",
    "C": "tests/component/simulators/test_oanda_official_client.py",
    "O": "tests/contract/test_oanda_openapi.py",
    "S": "tests/contract/test_oanda_seed.py",
}
"""Of the page's letters."""

_IDS = ("lastTransactionID", "relatedTransactionIDs")
_ERROR = ("errorCode", "errorMessage")
_GUARDS = ("takeProfit", "stopLoss", "trailingStopLoss")
_MODIFY = "tradeClientExtensionsModify"
MEMBERS: dict[str, dict[int, tuple[str, ...]]] = {
    "trades": {200: ("trades", "lastTransactionID")},
    "open_trades": {200: ("trades", "lastTransactionID")},
    "trade": {200: ("trade", "lastTransactionID")},
    "close_trade": {
        200: ("orderCreateTransaction", "orderFillTransaction", "orderCancelTransaction", *_IDS),
        400: ("orderRejectTransaction", *_ERROR),
        404: ("orderRejectTransaction", *_IDS, *_ERROR),
    },
    "trade_extensions": {
        200: (f"{_MODIFY}Transaction", *_IDS),
        400: (f"{_MODIFY}RejectTransaction", *_IDS, *_ERROR),
        404: (f"{_MODIFY}RejectTransaction", *_IDS, *_ERROR),
    },
    "trade_orders": {
        200: (
            *(f"{one}Order{what}Transaction" for one in _GUARDS for what in ("Cancel", "")),
            *(f"{one}Order{what}Transaction" for one in _GUARDS[:2] for what in ("Fill", "CreatedCancel")), *_IDS,
        ),
        400: (*(f"{one}Order{what}Transaction" for one in _GUARDS for what in ("CancelReject", "Reject")), *_IDS, *_ERROR),
    },
}  # fmt: skip
"""Of the answers, by operation and status."""

_EVERYWHERE = ("`Authorization`", "`Accept-Datetime-Format`", "`accountID`", "header `RequestID`", "401", "404", "405")
_ONE = (*_EVERYWHERE, "`tradeSpecifier`")
OTHERS: dict[str, tuple[str, ...]] = {
    "trades": (
        *_EVERYWHERE, "`ids`", "`state` OPEN, CLOSED, CLOSE_WHEN_TRADEABLE, ALL", "`instrument`",
        "`count`, 50 by default, 500 at most", "`beforeID`", "header `Link`", "sample",
    ),
    "open_trades": (*_EVERYWHERE, "sample"),
    "trade": _ONE,
    "close_trade": (*_ONE, "`units` ALL", "`units` a number", "no more than is open", "404 of an account that there is not"),
    "trade_extensions": (*_ONE, "`clientExtensions`", "404 of an account that there is not"),
    "trade_orders": (
        *_ONE, *(f"`{one}`" for one in _GUARDS), "null takes away", "absent leaves alone",
        "a member left out has its default when set", "a member left out is inherited when changed",
    ),
    "which": ("an account id of digits only is none of v20",),
}  # fmt: skip
"""What else the reference names: parameters, headers, errors, rules, samples."""


def named() -> set[tuple[str, str]]:
    members = {
        (operation, f"{status} `{name}`")
        for operation, answers in MEMBERS.items()
        for status, names in answers.items()
        for name in names
    }
    return members | {(operation, item) for operation, items in OTHERS.items() for item in items}


def rows() -> list[tuple[str, str, str]]:
    found = []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and len(cells) == 3 and cells[0] in OTHERS:
            found.append((cells[0], cells[1], cells[2]))
    return found


def proofs_in(file: str) -> set[str]:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return {
        one.name
        for one in ast.walk(tree)
        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef) and one.name.startswith("test_")
    }


def test_each_item_of_the_reference_has_one_row_and_no_row_is_of_anything_else() -> None:
    counted = Counter((operation, item) for operation, item, _ in rows())
    assert {key for key, count in counted.items() if count > 1} == set()
    assert set(counted) == named()
    assert len(counted) > 100


def test_each_row_names_tests_that_exist() -> None:
    known = {letter: proofs_in(file) for letter, file in FILES.items()}
    for operation, item, cell in rows():
        proofs = re.findall(r"`([TGCOS])::(test_\w+)`", cell)
        assert proofs, f"{operation}: {item} has no test"
        for letter, name in proofs:
            assert name in known[letter], f"{operation}: {item} names {letter}::{name}"


class Noting(Client):
    """Keeps the names of the members of each operation's answers by status."""

    def __init__(self, **switches: Any) -> None:
        self.seen: defaultdict[tuple[str, int], set[str]] = defaultdict(set)
        super().__init__(**switches)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> HttpResponse:
        response = super().ask(method, path, body, **headers)
        asked = match(HttpRequest(method, f"/v3/accounts/{ID}{path}"))
        assert asked is not None
        assert response.headers["requestid"].isdigit()
        self.seen[asked.operation, response.status] |= set(msgspec.json.decode(response.body))
        return response


def guard(client: Client) -> None:
    """Set, change, fill, lose and fail guards in all ways that the reference names."""
    guards = {"takeProfit": {"price": "1.2"}, "stopLoss": {"price": "1"}, "trailingStopLoss": {"distance": "0.1"}}
    path = f"/trades/{client.trade()}/orders"
    client.json("PUT", path, guards)
    client.json("PUT", path, guards)
    for name in guards:
        client.json("PUT", path, {name: {}, **({"stopLoss": {"guaranteed": True}} if name == "stopLoss" else {})})
    client.json("PUT", path, dict.fromkeys(guards))
    client.json("PUT", path, {name: {"price": "0"} for name in guards})
    client.json("PUT", path, {"stopLoss": {}})
    client.json("PUT", path, {"trailingStopLoss": {}})
    client.json("PUT", path, {"takeProfit": {"price": "1.05"}, "stopLoss": {"price": "1"}})
    client.json(
        "PUT", f"/trades/{client.trade()}/orders", {"takeProfit": {"price": "1.2"}, "stopLoss": {"price": "1.15"}}
    )
    path = f"/trades/{client.trade()}/orders"
    client.json("PUT", path, guards)
    client.venue.adjust({"cancels_locked": True})
    client.json("PUT", path, guards)
    client.venue.adjust({"cancels_locked": False})


def test_each_member_of_the_reference_is_seen_in_an_answer() -> None:
    client = Noting()
    guard(client)
    trade = client.trade()
    for path in ("/trades", "/openTrades", f"/trades/{trade}"):
        client.get(path)
    for body in ({"clientExtensions": {"id": "x"}}, {}):
        for number in (trade, "999"):
            client.json("PUT", f"/trades/{number}/clientExtensions", body)
    client.venue.command("market", {"instrument": "EUR_USD", "status": "halted"})
    client.json("PUT", f"/trades/{trade}/close")
    client.venue.command("market", {"instrument": "EUR_USD", "status": "open"})
    for number, units in ((trade, "1000"), (trade, "10"), ("999", "ALL")):
        client.json("PUT", f"/trades/{number}/close", {"units": units})
    for operation, answers in MEMBERS.items():
        for status, names in answers.items():
            missing = set(names) - client.seen[operation, status]
            assert missing == set(), f"{operation} {status}"


def test_the_reference_s_sample_can_be_answered() -> None:
    client = Client()
    trade = client.trade(tradeClientExtensions={"id": "my_eur_usd_trade"})
    shown = client.get("/openTrades")["trades"][0]
    sample = {
        "clientExtensions", "currentUnits", "financing", "id", "initialUnits", "instrument", "openTime", "price",
        "realizedPL", "state", "unrealizedPL",
    }  # fmt: skip
    assert sample <= set(shown)
    assert shown["clientExtensions"] == {"id": "my_eur_usd_trade"}
    response = client.ask("GET", "/trades?instrument=EUR_USD&count=1")
    assert response.headers["link"] == (
        f'<http://127.0.0.1:9102/v3/accounts/{ID}/trades?beforeID={trade}&instrument=EUR_USD&count=1>; rel="next"'
    )
