"""Our journal against the simulated venue's own truth, to the last digit."""

import json
import urllib.request
from decimal import Decimal
from pathlib import Path
from typing import Any

from quantd.app.storage import codec
from quantd.domain.facts import Fact
from quantd.domain.fills import Quality
from quantd.domain.orders import OrderState
from quantd.engine.rates import Rates
from quantd.engine.state import State
from quantd.journal.store import JournalStore
from tests.process.harness import get


def folded(journal: Path, currency: str = "USDT") -> State:
    """The state that a journal folds to, from its first record."""
    store: JournalStore[Fact] = JournalStore.open(journal, codec(), read_only=True)
    try:
        state = State(Rates(currency))
        for record in store.records():
            state.apply(store.codec.decode(record))
        return state
    finally:
        store.close()


class Venue:
    """The admin route of a simulator."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}/__admin"

    def read(self, what: str) -> Any:
        """Counters or state."""
        return json.loads(get(f"{self.url}/{what}")[1])

    def post(self, what: str, body: object, method: str = "POST") -> None:
        """A command."""
        request = urllib.request.Request(f"{self.url}/{what}", json.dumps(body).encode(), method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 200

    def freeze(self, symbol: str = "BTC-USDT") -> None:
        """Halt the market: nothing fills any more."""
        self.post("market", {"symbol": symbol, "status": "halted"})


def differences(state: State, truth: Any, account: str = "main", venue: str = "ionloop") -> list[str]:
    """Everything in which we and the venue do not agree; empty at quiescence."""
    found: list[str] = []
    ours = {venue_id: order for order in state.orders.all_orders() for venue_id in order.venue_order_ids}
    keys: dict[str, str] = {}
    for theirs in truth["orders"]:
        order = ours.pop(theirs["id"], None)
        key = theirs["idempotencyKey"]
        if key in keys:
            found.append(f"order twice: {theirs['id']} and {keys[key]} have one key {key}")
        keys[key] = theirs["id"]
        if order is None:
            found.append(f"the venue has {theirs['id']} ({theirs['status']}), we know nothing of it")
            continue
        if order.filled != Decimal(theirs["filledQuantity"]):
            found.append(f"{theirs['id']}: filled {order.filled} with us, {theirs['filledQuantity']} there")
        if order.is_open != (theirs["status"] == "open"):
            found.append(f"{theirs['id']}: {order.state.value} with us, {theirs['status']} there")
        found += _money(order, theirs)
    # Where a server stands in between, what the exchange refused has the server's id and was never at the exchange.
    held = (venue_id for venue_id, order in ours.items() if order.state is not OrderState.REJECTED)
    found += [f"we have {venue_id}, the venue does not" for venue_id in held]
    for order in state.orders.all_orders():
        if order.operation is not None:
            found.append(f"{order.client_order_id}: {order.operation.kind.value} {order.operation.phase.value}")
    return found + _balances(state, truth, account, venue)


def _money(order: Any, theirs: Any) -> list[str]:
    """Compare price and fees of an order whose fills are all confirmed."""
    fills = list(order.fills.values())
    if not fills or any(fill.quality is not Quality.CONFIRMED for fill in fills):
        return []
    cost = sum(fill.quantity * fill.price for fill in fills)
    told = sum(Decimal(fill["quantity"]) * Decimal(fill["price"]) for fill in theirs["fills"])
    if abs(cost - told) > Decimal("1e-12"):
        return [f"{theirs['id']}: worth {cost} with us, {told} there"]
    return []


def _balances(state: State, truth: Any, account: str, venue: str) -> list[str]:
    found = []
    known = state.portfolio.accounts[venue]
    for asset, balance in truth["balances"][account].items():
        if known.totals.get(asset, Decimal(0)) != Decimal(balance["total"]):
            found.append(f"{asset}: {known.totals.get(asset)} with us, {balance['total']} there")
        if known.free(asset) != Decimal(balance["free"]):
            found.append(f"{asset} free: {known.free(asset)} with us, {balance['free']} there")
    position = sum((book.quantity for book in state.portfolio.books()), Decimal(0))
    opening = Decimal(truth["opening_balances"][account].get("BTC", "0"))
    held = Decimal(truth["balances"][account].get("BTC", {"total": "0"})["total"]) - opening
    if position != held:
        found.append(f"position {position} with us, {held} there")
    return found


def qualities(state: State) -> dict[str, int]:
    """How many fills are confirmed and estimated."""
    counts: dict[str, int] = {}
    for order in state.orders.all_orders():
        for fill in order.fills.values():
            counts[fill.quality.value] = counts.get(fill.quality.value, 0) + 1
    return counts
