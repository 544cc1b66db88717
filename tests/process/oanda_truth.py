"""Our state against the simulated OANDA's own pages: orders by our ids, trades, balance."""

import json
import urllib.request
from collections import Counter
from decimal import Decimal
from typing import Any

from quantd.engine.state import State

ACCOUNT = "101-004-1234567-001"
TOKEN = "simulated-token"


def read(port: int, path: str = "") -> Any:
    """Return one of the account's own pages."""
    url = f"http://127.0.0.1:{port}/v3/accounts/{ACCOUNT}{path}"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {TOKEN}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def twins(port: int) -> list[str]:
    """Name intents of ours that became two orders."""
    last = read(port)["account"]["lastTransactionID"]
    log = read(port, f"/transactions/idrange?from=1&to={last}")["transactions"]
    created = [one for one in log if one["type"].endswith("_ORDER") and "replacesOrderID" not in one]
    ids = Counter(one.get("clientExtensions", {}).get("id", one["id"]) for one in created)
    return [f"{one} stands for {count} orders" for one, count in ids.items() if count > 1]


def differences(state: State, port: int) -> list[str]:
    """Hold what we know against the account's pages; empty at quiescence."""
    account = read(port)["account"]
    found = twins(port)
    theirs = {one["id"]: Decimal(one["currentUnits"]) for one in account["trades"]}
    lots = {one.lot.venue_id: one.lot.signed for one in state.lots["oanda"].all()} if "oanda" in state.lots else {}
    if lots != theirs:
        found.append(f"trades {lots} with us, {theirs} there")
    position = sum((book.quantity for book in state.portfolio.books()), Decimal(0))
    if position != sum(theirs.values(), Decimal(0)):
        found.append(f"position {position} with us, {theirs} there")
    total = state.portfolio.accounts["oanda"].totals.get("USD")
    if total != Decimal(account["balance"]):
        found.append(f"balance {total} with us, {account['balance']} there")
    working = {one for order in state.orders.open_orders() for one in order.venue_order_ids[-1:]}
    pending = {one["id"] for one in account["orders"] if "tradeID" not in one}
    if working != pending:
        found.append(f"orders {sorted(working)} with us, {sorted(pending)} there")
    unknown = [one.client_order_id for one in state.orders.all_orders() if one.operation is not None]
    return found + [f"{one} has a write that was never settled" for one in unknown]
